//! What is true of PostgreSQL alone, on a real server, each test in a database of its own. What every database promises is
//! in `tests/`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic here is the report

mod commits;
mod connections;
mod leases;
mod migrations;
mod reads;
mod revisions;
#[allow(dead_code, unused_imports, unused_macros)] // a part of what the conformance tests use
#[path = "../../../tests/support/mod.rs"]
pub(crate) mod support;

use std::time::Duration;

use arrow_array::RecordBatch;
use datanode_core::contract::Contract;
use datanode_core::coordinate::Coordinate;
use datanode_core::progress::Progress;
use datanode_core::query::ReadQuery;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::snapshot::PostgresSnapshot;
use super::write::write;
use super::{commit, ddl, lease, tables};
use crate::{ClaimLease, CommitOutcome, CommitRun, Node, Snapshot, StoreError, Table, WriteMode};
use support::{Model, batch, progress, run};

fn url() -> String {
    std::env::var("DATANODE_TEST_POSTGRES")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned())
}

/// A database that goes away with it.
struct Place {
    pool: PgPool,
    others: PgPool,
    name: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
        // A runtime of its own: the one of the test may be in use or gone.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut admin = PgConnection::connect(&url()).await.unwrap();
                let _ = sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await;
            });
        });
        let _ = dropping.join();
    }
}

impl Place {
    async fn new() -> Self {
        let place = Self::empty().await;
        sqlx::migrate!("../../migrations/postgres").run(&place.pool).await.unwrap();
        place
    }

    /// Without a catalogue.
    async fn empty() -> Self {
        let name = format!("datanode_test_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&url()).await.unwrap();
        let create = format!("CREATE DATABASE \"{name}\"");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
        let options = url().parse::<sqlx::postgres::PgConnectOptions>().unwrap().database(&name);
        let pool = PgPool::connect_lazy_with(options.clone());
        Self { pool, others: PgPool::connect_lazy_with(options), name }
    }

    async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    async fn number(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }

    async fn register(&self, contract: &Contract) -> Table {
        let contract = contract.clone().with_field_ids(None).unwrap();
        let uid = Uuid::new_v4().to_string();
        let columns: Vec<String> = contract.columns.iter().map(ddl::define).collect();
        self.execute(&format!(
            "CREATE TABLE {} ({}, PRIMARY KEY ({}))",
            ddl::table_name(&contract),
            columns.join(", "),
            ddl::list(contract.key())
        ))
        .await;
        sqlx::query("INSERT INTO datanode.tables VALUES ($1, $2, $3, $4, 0, 0)")
            .bind(&uid)
            .bind(&contract.identifier)
            .bind(contract.physical_name())
            .bind(serde_json::to_string(&contract).unwrap())
            .execute(&self.pool)
            .await
            .unwrap();
        self.table(&uid).await
    }

    async fn table(&self, uid: &str) -> Table {
        tables::by_uid(&mut self.pool.acquire().await.unwrap(), uid).await.unwrap()
    }

    /// What a run of the table's node commits, under a lease of its own.
    async fn run(
        &self,
        table: &Table,
        run_id: &str,
        batches: Vec<RecordBatch>,
        added: Progress,
    ) -> CommitRun {
        let run = self.run_of(table, &table.uid, run_id, added).await;
        CommitRun { rows: Box::new(batches.into_iter().map(Ok)), ..run }
    }

    /// What a run of a node commits, without rows.
    async fn run_of(&self, table: &Table, node_uid: &str, run_id: &str, added: Progress) -> CommitRun {
        let record = run(&node(table, node_uid), run_id);
        self.node(node_uid, table).await;
        let claim = ClaimLease {
            node_uid: node_uid.to_owned(),
            holder: "a test".to_owned(),
            run_id: run_id.to_owned(),
            duration: Duration::ZERO,
        };
        CommitRun {
            lease: lease::claim(&mut self.pool.acquire().await.unwrap(), &claim).await.unwrap().unwrap(),
            table: table.clone(),
            record,
            journal: None,
            mode: WriteMode::Append,
            rows: Box::new(std::iter::empty()),
            added,
            on_rows: Box::new(|_| {}),
        }
    }

    /// A node of a table, unless it is there.
    async fn node(&self, uid: &str, table: &Table) {
        sqlx::query("INSERT INTO datanode.nodes VALUES ($1, $1, 'c', NULL, '{}', '{}', '', $2, 0) ON CONFLICT DO NOTHING")
            .bind(uid)
            .bind(&table.uid)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    async fn commit(&self, run: CommitRun) -> Result<CommitOutcome, StoreError> {
        write(&self.pool, "committing a run", |connection, caller| {
            Box::pin(commit::commit(connection, run, None, caller))
        })
        .await
    }

    /// Commit rows as one run; the table as it is afterwards.
    async fn fill(&self, table: &Table, run_id: &str, model: &Model) -> Table {
        let batches = if model.is_empty() { Vec::new() } else { vec![batch(&table.contract, model)] };
        let commit = self.run(table, run_id, batches, progress(model.keys())).await;
        assert_eq!(self.commit(commit).await.unwrap().record.rows_inserted, model.len() as u64);
        self.table(&table.uid).await
    }

    async fn snapshot(&self) -> Box<dyn Snapshot> {
        Box::new(PostgresSnapshot::begin(&self.pool, &self.others, None).await.unwrap())
    }

    async fn read(&self, table: &Table) -> Vec<((i64, Coordinate), Option<i64>)> {
        support::read(&mut self.snapshot().await, table, &ReadQuery::default(), 1000).await
    }
}

fn node(table: &Table, uid: &str) -> Node {
    Node {
        uid: uid.to_owned(),
        update_hash: uid.to_owned(),
        component: "c".to_owned(),
        pinned_digest: None,
        config: serde_json::json!({}),
        hashed_document: "{}".to_owned(),
        hash_namespace: String::new(),
        table_uid: table.uid.clone(),
        table: table.contract.identifier.clone(),
        dependencies: Vec::new(),
        settings: datanode_core::node_settings::NodeSettings::default(),
        created_at: support::at(0),
    }
}
