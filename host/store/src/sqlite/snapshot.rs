//! One view of the database for all reads of a run: a read transaction on a connection of its own.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datanode_core::progress::Progress;
use datanode_core::query::ReadQuery;
use rusqlite::Connection;
use sqlx::SqlitePool;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::connection::{OwnedTransaction, begin_read, blocking};
use super::select::select;
use super::stored::failed;
use super::{handle, progress, read, tables};
use crate::{IndexKey, Page, Snapshot, StoreError, Table};

pub(super) struct SqliteSnapshot {
    /// Shared with the read that is under way: a caller who gives up on a read leaves it running to its end, and the
    /// next read waits for it.
    transaction: Arc<Mutex<Option<OwnedTransaction>>>,
    runtime: Handle,
}

impl fmt::Debug for SqliteSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSnapshot").finish_non_exhaustive()
    }
}

impl SqliteSnapshot {
    pub(super) async fn begin(pool: &SqlitePool) -> Result<Self, StoreError> {
        let transaction = begin_read(pool).await?;
        let mut snapshot =
            Self { transaction: Arc::new(Mutex::new(Some(transaction))), runtime: Handle::current() };
        // `BEGIN` alone reads nothing: SQLite fixes the view at the first read.
        snapshot
            .work("beginning a snapshot", |connection| {
                connection
                    .query_row("SELECT EXISTS (SELECT 1 FROM _tables)", (), |_| Ok(()))
                    .map_err(failed("beginning a snapshot"))
            })
            .await?;
        Ok(snapshot)
    }

    async fn work<T: Send + 'static>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (transaction, runtime) = (Arc::clone(&self.transaction), self.runtime.clone());
        blocking(doing, move || {
            let mut transaction = transaction.blocking_lock();
            // Only `drop` takes it.
            let Some(transaction) = transaction.as_mut() else {
                return Err(StoreError::Database { doing, source: sqlx::Error::PoolClosed });
            };
            handle::with_connection(&runtime, transaction, work)
        })
        .await?
    }
}

impl Drop for SqliteSnapshot {
    fn drop(&mut self) {
        // sqlx hands the connection back through a task, which needs the runtime; the caller may have left it.
        let _runtime = self.runtime.enter();
        // A read that still runs drops the transaction when it ends, on a thread of the runtime.
        if let Ok(mut transaction) = self.transaction.try_lock() {
            transaction.take();
        }
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    async fn table(&mut self, uid: &str) -> Result<Table, StoreError> {
        let uid = uid.to_owned();
        self.work("reading a table", move |connection| tables::by_uid(connection, &uid)).await
    }

    async fn progress(&mut self, table: &Table) -> Result<Progress, StoreError> {
        let table = table.clone();
        self.work("reading progress", move |connection| progress::read(connection, &table)).await
    }

    async fn read_page(
        &mut self,
        table: &Table,
        query: &ReadQuery,
        after: Option<&IndexKey>,
        max_rows: usize,
    ) -> Result<Option<Page>, StoreError> {
        let (contract, query, after) = (table.contract.clone(), query.clone(), after.cloned());
        self.work("reading rows", move |connection| {
            let select = select(&contract, &query, after.as_ref(), max_rows);
            read::page(connection, &contract, select, max_rows)
        })
        .await
    }
}
