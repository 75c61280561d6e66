//! The rows half on a real server, each test in a database of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic here is the report

mod commits;
mod leases;
mod loads;
mod reads;
#[path = "../../../tests/support/mod.rs"]
mod support;
mod tails;

use datanode_core::contract::Contract;
use datanode_core::coordinate::Coordinate;
use datanode_core::query::ReadQuery;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::snapshot::PostgresSnapshot;
use super::write::write;
use super::{commit, ddl, load, tables};
use crate::{CommitOutcome, CommitRun, LoadRows, Loaded, Node, Snapshot, StoreError, Table};
use support::{Model, batch, progress, run};

/// The catalogue, as far as rows need it.
const SCHEMA: &str = "
CREATE SCHEMA datanode; CREATE SCHEMA datanode_tables;
CREATE FUNCTION datanode.now_micros() RETURNS bigint LANGUAGE sql VOLATILE
    AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;
CREATE TABLE datanode.tables (uid text PRIMARY KEY, identifier text COLLATE \"C\" NOT NULL, contract text NOT NULL,
    epoch bigint NOT NULL, created_at bigint NOT NULL);
CREATE TABLE datanode.progress (table_uid text NOT NULL, coordinate text COLLATE \"C\" NOT NULL, min_time bigint NOT NULL,
    max_time bigint NOT NULL, row_count bigint NOT NULL, PRIMARY KEY (table_uid, coordinate));
CREATE TABLE datanode.nodes (uid text PRIMARY KEY);
CREATE TABLE datanode.runs (run_id text PRIMARY KEY, node_uid text, table_uid text, status text, started_at bigint,
    rows_inserted bigint, record text);
CREATE TABLE datanode.leases (node_uid text PRIMARY KEY REFERENCES datanode.nodes, epoch bigint NOT NULL,
    holder text NOT NULL, run_id text NOT NULL, expires_at bigint NOT NULL);
";

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
        let name = format!("datanode_test_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&url()).await.unwrap();
        let create = format!("CREATE DATABASE \"{name}\"");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
        let options = url().parse::<sqlx::postgres::PgConnectOptions>().unwrap().database(&name);
        let pool = PgPool::connect_lazy_with(options.clone());
        sqlx::raw_sql(SCHEMA).execute(&pool).await.unwrap();
        Self { pool, others: PgPool::connect_lazy_with(options), name }
    }

    async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    async fn number(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }

    /// A table; `further` is DDL behind its columns.
    async fn table_with(&self, contract: &Contract, further: &str) -> Table {
        let contract = contract.clone().with_field_ids(None).unwrap();
        let uid = Uuid::new_v4().to_string();
        let columns: Vec<String> = contract.columns.iter().map(ddl::define).collect();
        self.execute(&format!(
            "CREATE TABLE {} ({}, PRIMARY KEY ({}){further})",
            ddl::table_name(&contract),
            columns.join(", "),
            ddl::list(contract.key())
        ))
        .await;
        sqlx::query("INSERT INTO datanode.tables VALUES ($1, $2, $3, 0, 0)")
            .bind(&uid)
            .bind(&contract.identifier)
            .bind(serde_json::to_string(&contract).unwrap())
            .execute(&self.pool)
            .await
            .unwrap();
        self.table(&uid).await
    }

    async fn register(&self, contract: &Contract) -> Table {
        self.table_with(contract, "").await
    }

    async fn table(&self, uid: &str) -> Table {
        tables::by_uid(&mut self.pool.acquire().await.unwrap(), uid).await.unwrap()
    }

    async fn commit(&self, run: CommitRun) -> Result<CommitOutcome, StoreError> {
        write(&self.pool, "committing a run", |connection, caller| {
            Box::pin(commit::commit(connection, run, caller))
        })
        .await
    }

    async fn load(&self, rows: LoadRows) -> Result<Loaded, StoreError> {
        write(&self.pool, "loading rows", |connection, caller| Box::pin(load::load(connection, rows, caller)))
            .await
    }

    /// Commit rows as one run; the table as it is afterwards.
    async fn fill(&self, table: &Table, run_id: &str, model: &Model) -> Table {
        let batches = if model.is_empty() { Vec::new() } else { vec![batch(&table.contract, model)] };
        let commit = support::commit(table, run(&node(table), run_id), batches, progress(model.keys()));
        assert_eq!(self.commit(commit).await.unwrap().record.rows_inserted, model.len() as u64);
        self.table(&table.uid).await
    }

    async fn snapshot(&self) -> Box<dyn Snapshot> {
        Box::new(PostgresSnapshot::begin(&self.pool, &self.others).await.unwrap())
    }

    async fn read(&self, table: &Table) -> Vec<((i64, Coordinate), Option<i64>)> {
        support::read(&mut self.snapshot().await, table, &ReadQuery::default(), 1000).await
    }
}

fn node(table: &Table) -> Node {
    Node {
        uid: "n".to_owned(),
        update_hash: "c_0".to_owned(),
        component: "c".to_owned(),
        pinned_digest: None,
        config: serde_json::json!({}),
        hashed_document: "{}".to_owned(),
        hash_namespace: String::new(),
        table_uid: table.uid.clone(),
        table: table.contract.identifier.clone(),
        dependencies: Vec::new(),
        created_at: support::at(0),
    }
}
