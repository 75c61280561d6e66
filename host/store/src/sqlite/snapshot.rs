//! One view of the database for all reads of a run: a read transaction on a connection of its own.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datanode_core::contract::TableKind;
use datanode_core::ledger::Ledger;
use datanode_core::progress::Progress;
use datanode_core::query::ReadQuery;
use rusqlite::Connection;
use sqlx::SqlitePool;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::connection::{OwnedTransaction, begin_read, blocking};
use super::ddl::quote;
use super::handle::{self, Stop};
use super::select::Select;
use super::stored::{count, failed};
use super::{ledger, progress, read, revision, tables};
use crate::{IndexKey, Page, Snapshot, StoreError, Table, TableRead};

/// The read transaction, shared by the snapshot and its reads, which take turns.
struct View {
    transaction: Arc<Mutex<Option<OwnedTransaction>>>,
    runtime: Handle,
}

impl View {
    /// Do work in the transaction, on a thread that may block. When the caller goes away, SQLite is told to stop; the
    /// next work waits until it has.
    async fn work<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut transaction = Arc::clone(&self.transaction).lock_owned().await;
        let runtime = self.runtime.clone();
        let stop = Stop::default();
        let _gone = StopWhenDropped(stop.clone());
        blocking(doing, move || match transaction.as_mut() {
            Some(transaction) => handle::with_connection_until(&runtime, transaction, stop, work),
            // A read that has outlived its snapshot.
            None => Err(StoreError::Database { doing, source: sqlx::Error::PoolClosed }),
        })
        .await?
    }
}

struct StopWhenDropped(Stop);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // sqlx hands the connection back through a task, which needs the runtime; the caller may have left it.
        let _runtime = self.runtime.enter();
        // Work that still runs drops the transaction when it ends, on a thread of the runtime.
        if let Ok(mut transaction) = self.transaction.try_lock() {
            transaction.take();
        }
    }
}

pub(super) struct SqliteSnapshot {
    view: Arc<View>,
}

impl fmt::Debug for SqliteSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSnapshot").finish_non_exhaustive()
    }
}

impl SqliteSnapshot {
    pub(super) async fn begin(pool: &SqlitePool) -> Result<Self, StoreError> {
        let transaction = Arc::new(Mutex::new(Some(begin_read(pool).await?)));
        let view = Arc::new(View { transaction, runtime: Handle::current() });
        // `BEGIN` alone reads nothing: SQLite fixes the view at the first read.
        view.work("beginning a snapshot", |connection| {
            connection
                .query_row("SELECT EXISTS (SELECT 1 FROM _tables)", (), |_| Ok(()))
                .map_err(failed("beginning a snapshot"))
        })
        .await?;
        Ok(Self { view })
    }
}

impl Drop for SqliteSnapshot {
    fn drop(&mut self) {
        // The view ends with its snapshot, whoever still holds a read.
        let _runtime = self.view.runtime.enter();
        if let Ok(mut transaction) = self.view.transaction.try_lock() {
            transaction.take();
        }
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    async fn table(&mut self, uid: &str) -> Result<Table, StoreError> {
        let uid = uid.to_owned();
        self.view
            .work("reading a table", move |connection| {
                let table = tables::by_uid(connection, &uid)?;
                // Every run asks for its tables here: one that somebody has altered by hand is named before a component
                // computes anything from it.
                revision::refuse_drift(connection, &table)?;
                Ok(table)
            })
            .await
    }

    async fn progress(&mut self, table: &Table) -> Result<Progress, StoreError> {
        let table = table.clone();
        self.view.work("reading progress", move |connection| progress::read(connection, &table)).await
    }

    async fn node_windows(&mut self, node_uid: &str) -> Result<Ledger, StoreError> {
        let uid = node_uid.to_owned();
        self.view
            .work("reading the windows of a node", move |connection| ledger::read(connection, &uid))
            .await
    }

    async fn row_count(&mut self, table: &Table) -> Result<u64, StoreError> {
        if table.contract.kind == TableKind::TimeIndexed {
            return Ok(self.progress(table).await?.rows());
        }
        let sql = format!("SELECT count(*) FROM {}", quote(table.contract.physical_name()));
        let place = format!("rows of table {}", table.uid);
        self.view
            .work("counting rows", move |connection| {
                let rows =
                    connection.query_row(&sql, (), |row| row.get(0)).map_err(failed("counting rows"))?;
                count(&place, rows)
            })
            .await
    }

    fn read(&self, table: &Table, query: &ReadQuery) -> Arc<dyn TableRead> {
        let select = Arc::new(Select::new(&table.contract, query));
        Arc::new(SqliteRead { view: Arc::clone(&self.view), select })
    }

    async fn end(self: Box<Self>) {
        if let Some(transaction) = self.view.transaction.lock().await.take() {
            // It has read and written nothing; the pool discards a connection that is stuck.
            let _ = transaction.rollback().await;
        }
    }
}

struct SqliteRead {
    view: Arc<View>,
    select: Arc<Select>,
}

impl fmt::Debug for SqliteRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteRead").field("table", &self.select.contract.identifier).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableRead for SqliteRead {
    async fn page(&self, after: Option<&IndexKey>, max_rows: usize) -> Result<Option<Page>, StoreError> {
        let (select, after) = (Arc::clone(&self.select), after.cloned());
        self.view
            .work("reading rows", move |connection| read::page(connection, &select, after.as_ref(), max_rows))
            .await
    }
}
