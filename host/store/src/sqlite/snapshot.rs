//! One view of the database for all reads of a run: a read transaction on a connection of its own.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use datanode_core::contract::TableKind;
use datanode_core::ledger::Ledger;
use datanode_core::progress::Progress;
use datanode_core::query::ReadQuery;
use rusqlite::Connection;

use super::ddl::quote;
use super::pool::{Lent, Pool};
use super::select::Select;
use super::stored::{count, failed};
use super::{backfill_windows, ledger, progress, read, revision, tables};
use crate::catalogue::extents::{Asked, typed};
use crate::places::ReaderPlace;
use crate::{Extent, IndexKey, Opened, Page, Snapshot, StoreError, Table, TableRead};

const BEGINNING: &str = "beginning a snapshot";

/// The read transaction, shared by the snapshot and its reads, which take turns; and its place among those of readers,
/// which is given back last. None once it has ended.
struct View(Mutex<Option<(Lent, ReaderPlace)>>);

impl View {
    fn lent(&self) -> MutexGuard<'_, Option<(Lent, ReaderPlace)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Do work in the transaction. When the caller goes away, SQLite is told to stop; the next work waits until it has.
    async fn work<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let working = match &*self.lent() {
            Some((lent, _)) => lent.ask_while_wanted(doing, work),
            // A read that has outlived its snapshot.
            None => return Err(StoreError::Database { doing, source: sqlx::Error::PoolClosed }),
        };
        working.await
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
    pub(super) async fn begin(pool: &Pool, place: ReaderPlace) -> Result<Self, StoreError> {
        // `BEGIN` alone reads nothing: SQLite fixes the view at the first read.
        let fix = |connection: &Connection| {
            connection
                .query_row("SELECT EXISTS (SELECT 1 FROM _tables)", (), |_| Ok(()))
                .map_err(failed(BEGINNING))
        };
        Self::begin_with(pool, place, fix).await.map(|(snapshot, ())| snapshot)
    }

    /// A snapshot, and what a run reads from it first, in one message.
    pub(super) async fn begin_of(
        pool: &Pool,
        place: ReaderPlace,
        table_uid: &str,
    ) -> Result<Opened, StoreError> {
        let uid = table_uid.to_owned();
        let first = move |connection: &Connection| {
            let table = sound_table(connection, &uid)?;
            let progress = progress::read(connection, &table)?;
            Ok((table, progress))
        };
        let (snapshot, (table, progress)) = Self::begin_with(pool, place, first).await?;
        Ok(Opened { snapshot: Box::new(snapshot), table, progress })
    }

    /// A transaction that begins with a read.
    async fn begin_with<T: Send + 'static>(
        pool: &Pool,
        place: ReaderPlace,
        first: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(Self, T), StoreError> {
        let lent = pool.lend(BEGINNING).await?;
        let beginning = lent.ask_while_wanted(BEGINNING, |connection| {
            connection.execute_batch("BEGIN").map_err(failed(BEGINNING))?;
            first(connection)
        });
        // Where this fails or is given up, the pool rolls back.
        let answer = beginning.await?;
        Ok((Self { view: Arc::new(View(Mutex::new(Some((lent, place))))) }, answer))
    }
}

/// Every run asks for its tables here: one that somebody has altered by hand is named before a component computes
/// anything from it.
fn sound_table(connection: &Connection, uid: &str) -> Result<Table, StoreError> {
    let table = tables::by_uid(connection, uid)?;
    revision::refuse_drift_since(connection, &table)?;
    Ok(table)
}

impl Drop for SqliteSnapshot {
    fn drop(&mut self) {
        // The view ends with its snapshot, whoever still holds a read. Work that goes on ends before the transaction does.
        self.view.lent().take();
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    async fn table(&mut self, uid: &str) -> Result<Table, StoreError> {
        let uid = uid.to_owned();
        self.view.work("reading a table", move |connection| sound_table(connection, &uid)).await
    }

    async fn progress(&mut self, table: &Table) -> Result<Progress, StoreError> {
        let table = table.clone();
        self.view.work("reading progress", move |connection| progress::read(connection, &table)).await
    }

    async fn progress_of(&mut self, tables: &[Table]) -> Result<Vec<Progress>, StoreError> {
        let tables = typed(tables);
        self.view.work("reading progress", move |connection| progress::read_of(connection, &tables)).await
    }

    async fn node_windows(&mut self, node_uid: &str) -> Result<Ledger, StoreError> {
        let uid = node_uid.to_owned();
        self.view
            .work("reading the windows of a node", move |connection| ledger::read(connection, &uid))
            .await
    }

    async fn backfill_raised(&mut self, backfill_uid: &str) -> Result<i64, StoreError> {
        let uid = backfill_uid.to_owned();
        self.view
            .work("reading a backfill", move |connection| backfill_windows::raised(connection, &uid))
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

    async fn extents(&mut self, tables: &[Table]) -> Result<Vec<Extent>, StoreError> {
        let asked = Asked::of(tables, |contract| quote(contract.physical_name()));
        self.view.work("reading progress", move |connection| progress::extents(connection, &asked)).await
    }

    fn read(&self, table: &Table, query: &ReadQuery) -> Arc<dyn TableRead> {
        let select = Arc::new(Select::new(&table.contract, query));
        Arc::new(SqliteRead { view: Arc::clone(&self.view), select })
    }

    async fn end(self: Box<Self>) {
        // There is nothing to wait for: the connection does what it was asked, then rolls back, and only then anything else.
        drop(self);
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
