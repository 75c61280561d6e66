//! Connections and transactions.
//!
//! Every write of the catalogue takes one lock of the database first: as in the embedded database there is one such
//! writer at a time, so that what a statement looks up stays true until its transaction ends. Commits of runs, loads and
//! deletes of rows do not take it: they lock the row of their table, and go on side by side.

use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use super::stored::failed;
use crate::StoreError;

/// Connections for everything but snapshots.
const CONNECTIONS: u32 = 10;
/// Snapshots open at once; the next one waits. Servers allow 100 connections by default.
const SNAPSHOTS: u32 = 32;
/// Key of the lock that writers of the catalogue take: `datanode`, in ASCII.
const CATALOGUE: i64 = 0x6461_7461_6e6f_6465;

/// The pools of one database.
#[derive(Debug, Clone)]
pub(super) struct Pools {
    pub(super) connections: PgPool,
    /// Apart, for a snapshot lives as long as a run: nothing else must wait for one to end.
    pub(super) snapshots: PgPool,
}

impl Pools {
    /// Reach the database of a URL.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let unusable = |source| StoreError::Connect { server: "the database URL".to_owned(), source };
        let options = PgConnectOptions::from_str(url).map_err(unusable)?.application_name("datanode");
        let server = server_of(&options);
        let connections = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .connect_with(options.clone())
            .await
            .map_err(|source| StoreError::Connect { server, source })?;
        let snapshots = PgPoolOptions::new().max_connections(SNAPSHOTS).connect_lazy_with(options);
        Ok(Self { connections, snapshots })
    }

    /// Close all connections. Waits for what is under way.
    pub(super) async fn close(&self) {
        self.snapshots.close().await;
        self.connections.close().await;
    }

    /// Begin a transaction that reads: it sees one state of the database.
    pub(super) async fn begin_read(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.connections
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .await
            .map_err(failed("beginning to read"))
    }

    /// Begin a transaction that writes rows. Dropping it rolls it back.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.connections.begin().await.map_err(failed("beginning to write"))
    }

    /// Begin a transaction that writes the catalogue, behind all others that do.
    pub(super) async fn begin_catalogue(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        let mut transaction = self.begin().await?;
        lock_catalogue(&mut transaction).await?;
        Ok(transaction)
    }
}

/// Where options lead. Never the URL itself, which may hold a password.
pub(super) fn server_of(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("{}:{}/{database}", options.get_host(), options.get_port())
}

async fn lock_catalogue(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(CATALOGUE)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed("waiting for other writers of the catalogue"))
}
