//! One view of the database for all reads of a run: a transaction that repeats its reads, on a connection of its own.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use async_trait::async_trait;
use datanode_core::contract::TableKind;
use datanode_core::ledger::Ledger;
use datanode_core::progress::Progress;
use datanode_core::query::ReadQuery;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use super::ahead::Ahead;
use super::ddl::table_name;
use super::read::{self, Canceller, PageEnd};
use super::select::Select;
use super::stored::{count, failed};
use super::{backfill_windows, ledger, progress, revision, tables};
use crate::catalogue::extents::Asked;
use crate::places::ReaderPlace;
use crate::{Extent, IndexKey, Page, Snapshot, StoreError, Table, TableRead};

/// Not `READ ONLY`, for such a transaction creates no temporary tables, which range maps need; this module writes to
/// nothing else. A page is a few thousand rows in the order of an index: the settings keep the planner from plans that
/// read and sort all that is left before they answer the first one, and from compiling them. `BEGIN` alone sees
/// nothing: the first query fixes the view.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; \
     SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_sort = off; \
     SET LOCAL jit = off; SET LOCAL work_mem = '64MB'; \
     SELECT 1; SAVEPOINT _reads";

/// The transaction goes back to its savepoint when a page fails or is given up: the view stays the same.
const SAVE_AGAIN: &str = "RELEASE SAVEPOINT _reads; SAVEPOINT _reads";
const GO_BACK: &str = "ROLLBACK TO SAVEPOINT _reads";

const BEGINNING: &str = "beginning a snapshot";
const READING: &str = "reading rows";

/// A connection, and its place among those of readers, which is given back last.
struct Connection {
    held: PoolConnection<Postgres>,
    _place: ReaderPlace,
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.held
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.held
    }
}

/// The transaction, shared by the snapshot and its reads, which take turns.
struct View {
    connection: Arc<Mutex<Option<Connection>>>,
    canceller: Arc<Canceller>,
    reads: AtomicU64,
    runtime: Handle,
}

impl View {
    async fn lock(&self) -> OwnedMutexGuard<Option<Connection>> {
        Arc::clone(&self.connection).lock_owned().await
    }

    /// Give the connection back. Work that still runs does so itself when it ends.
    fn end(&self) {
        if let Some(connection) = self.connection.try_lock().ok().and_then(|mut held| held.take()) {
            self.runtime.spawn(give_back(connection));
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.end();
    }
}

/// End the transaction, or the connection with it.
async fn give_back(mut connection: Connection) {
    if sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.is_err() {
        connection.held.close_on_drop();
    }
}

fn in_use(connection: &mut Option<Connection>) -> Result<&mut PgConnection, StoreError> {
    // A read that has outlived its snapshot, or a snapshot whose connection was lost.
    let ended = || StoreError::Database { doing: READING, source: sqlx::Error::PoolClosed };
    connection.as_deref_mut().ok_or_else(ended)
}

pub(super) struct PostgresSnapshot {
    view: Arc<View>,
}

impl fmt::Debug for PostgresSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSnapshot").finish_non_exhaustive()
    }
}

impl PostgresSnapshot {
    /// `others` is another pool, whose connections stop the reads of this one that nobody waits for any more.
    pub(super) async fn begin(
        snapshots: &PgPool,
        others: &PgPool,
        place: ReaderPlace,
    ) -> Result<Self, StoreError> {
        let held = snapshots.acquire().await.map_err(failed(BEGINNING))?;
        let mut connection = Connection { held, _place: place };
        let process = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed(BEGINNING))?;
        // From here on the view ends the transaction, should this future be dropped.
        let view = View {
            connection: Arc::new(Mutex::new(Some(connection))),
            canceller: Arc::new(Canceller { pool: others.clone(), process }),
            reads: AtomicU64::new(0),
            runtime: Handle::current(),
        };
        {
            let mut held = view.lock().await;
            sqlx::raw_sql(BEGIN).execute(in_use(&mut held)?).await.map_err(failed(BEGINNING))?;
        }
        Ok(Self { view: Arc::new(view) })
    }
}

impl Drop for PostgresSnapshot {
    fn drop(&mut self) {
        // The view ends with its snapshot, whoever still holds a read.
        self.view.end();
    }
}

#[async_trait]
impl Snapshot for PostgresSnapshot {
    async fn table(&mut self, uid: &str) -> Result<Table, StoreError> {
        let mut held = self.view.lock().await;
        let connection = in_use(&mut held)?;
        let table = tables::by_uid(connection, uid).await?;
        // Every run asks for its tables here: one that somebody has altered by hand is named before a component
        // computes anything from it.
        revision::refuse_drift(connection, &table).await?;
        revision::hold(connection, &self.view.canceller.pool, &table).await?;
        // Behind the savepoint to which a page that fails goes back.
        sqlx::raw_sql(SAVE_AGAIN).execute(connection).await.map_err(failed(BEGINNING))?;
        Ok(table)
    }

    async fn progress(&mut self, table: &Table) -> Result<Progress, StoreError> {
        let mut held = self.view.lock().await;
        progress::read(in_use(&mut held)?, table).await
    }

    async fn progress_of(&mut self, tables: &[Table]) -> Result<Vec<Progress>, StoreError> {
        let mut held = self.view.lock().await;
        progress::read_of(in_use(&mut held)?, tables).await
    }

    async fn node_windows(&mut self, node_uid: &str) -> Result<Ledger, StoreError> {
        let mut held = self.view.lock().await;
        ledger::read(in_use(&mut held)?, node_uid).await
    }

    async fn backfill_raised(&mut self, backfill_uid: &str) -> Result<i64, StoreError> {
        let mut held = self.view.lock().await;
        backfill_windows::raised(in_use(&mut held)?, backfill_uid).await
    }

    async fn row_count(&mut self, table: &Table) -> Result<u64, StoreError> {
        if table.contract.kind == TableKind::TimeIndexed {
            return Ok(self.progress(table).await?.rows());
        }
        let sql = format!("SELECT count(*) FROM {}", table_name(&table.contract));
        let mut held = self.view.lock().await;
        let rows = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(in_use(&mut held)?)
            .await
            .map_err(failed("counting rows"))?;
        count(&format!("rows of table {}", table.uid), rows)
    }

    async fn extents(&mut self, tables: &[Table]) -> Result<Vec<Extent>, StoreError> {
        let asked = Asked::of(tables, table_name);
        let mut held = self.view.lock().await;
        // A table that is counted stays locked until the transaction ends, or goes back: a server has locks for some thousand.
        progress::extents(in_use(&mut held)?, &asked, GO_BACK).await
    }

    fn read(&self, table: &Table, query: &ReadQuery) -> Arc<dyn TableRead> {
        let number = self.view.reads.fetch_add(1, Ordering::Relaxed);
        let select = Select::new(&table.contract, query, number);
        let ahead = select.as_ref().map_or_else(|_| Ahead::default(), |select| Ahead::new(&select.columns));
        Arc::new(PostgresRead {
            view: Arc::clone(&self.view),
            read: Arc::new(Read {
                select,
                prepared: AtomicBool::new(false),
                at_once: AtomicUsize::new(usize::MAX),
                ahead: std::sync::Mutex::new(ahead),
            }),
        })
    }

    async fn end(self: Box<Self>) {
        if let Some(connection) = self.view.lock().await.take() {
            give_back(connection).await;
        }
    }
}

/// What the pages of a read share.
struct Read {
    select: Result<Select, StoreError>,
    /// Whether its ranges are in the database.
    prepared: AtomicBool,
    /// How many rows a query is asked for at most, once values were found to be long.
    at_once: AtomicUsize,
    /// What was read and not asked for yet. Whoever looks at it has the connection.
    ahead: std::sync::Mutex<Ahead>,
}

impl Read {
    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct PostgresRead {
    view: Arc<View>,
    read: Arc<Read>,
}

impl fmt::Debug for PostgresRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.read.select.as_ref().map(|select| &select.contract.identifier).ok();
        f.debug_struct("PostgresRead").field("table", &table).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableRead for PostgresRead {
    async fn page(&self, after: Option<&IndexKey>, max_rows: usize) -> Result<Option<Page>, StoreError> {
        let (held, after) = (self.view.lock().await, after.cloned());
        // A view that has ended shows nothing more, what is in hand neither.
        if held.is_some()
            && let Ok(page) = self.read.ahead().page(after.as_ref(), max_rows)
        {
            return Ok(page);
        }
        let (read, canceller) = (Arc::clone(&self.read), Arc::clone(&self.view.canceller));
        // Dropped with this future, and then the page is given up. Its task goes on until the connection is whole again,
        // and whoever comes next waits for that.
        let (_here, gone) = oneshot::channel();
        let page = tokio::spawn(next_page(held, read, canceller, after, max_rows, gone));
        page.await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => StoreError::Database { doing: READING, source: sqlx::Error::WorkerCrashed },
        })?
    }
}

async fn next_page(
    mut held: OwnedMutexGuard<Option<Connection>>,
    read: Arc<Read>,
    canceller: Arc<Canceller>,
    after: Option<IndexKey>,
    max_rows: usize,
    gone: oneshot::Receiver<()>,
) -> Result<Option<Page>, StoreError> {
    let end = {
        let page = try_pages(in_use(&mut held)?, &read, &canceller, after.as_ref(), max_rows);
        tokio::pin!(page);
        tokio::select! {
            end = &mut page => end,
            _ = gone => {
                let done = AtomicBool::new(false);
                let ending = async {
                    let end = page.await;
                    done.store(true, Ordering::Relaxed);
                    end
                };
                let (end, ()) = tokio::join!(ending, canceller.cancel(&done));
                // Its answer matters to nobody, but a cancellation that came late must not hit the next statement.
                match end {
                    PageEnd::Read(fetched) => PageEnd::Long(fetched, usize::MAX),
                    end => end,
                }
            }
        }
    };
    let (result, whole) = match end {
        PageEnd::Read(fetched) => return Ok(read.ahead().put(fetched)),
        PageEnd::Long(fetched, rows) => {
            read.at_once.fetch_min(rows.max(1), Ordering::Relaxed);
            (Ok(read.ahead().put(fetched)), true)
        }
        PageEnd::Failed(error) => (Err(error), true),
        PageEnd::Lost(error) => (Err(error), false),
    };
    if !(whole && go_back(in_use(&mut held)?).await)
        && let Some(mut connection) = held.take()
    {
        connection.held.close_on_drop();
    }
    result
}

async fn try_pages(
    connection: &mut PgConnection,
    read: &Read,
    canceller: &Canceller,
    after: Option<&IndexKey>,
    max_rows: usize,
) -> PageEnd {
    let select = match &read.select {
        Ok(select) => select,
        Err(error) => return PageEnd::Failed(StoreError::Damaged(error.to_string())),
    };
    if let Some(ranges) = select.ranges.as_ref().filter(|_| !read.prepared.load(Ordering::Relaxed)) {
        if let Err(error) = ranges.prepare(connection).await {
            return PageEnd::Failed(error);
        }
        if let Err(error) = sqlx::raw_sql(SAVE_AGAIN).execute(&mut *connection).await {
            return PageEnd::Failed(failed(READING)(error));
        }
        read.prepared.store(true, Ordering::Relaxed);
    }
    let wanted = read.ahead().wanted(max_rows);
    let asked = wanted.min(read.at_once.load(Ordering::Relaxed));
    read::pages(connection, canceller, select, after, asked, max_rows).await
}

/// Back to the savepoint; twice, for a cancellation that came late may hit the first.
async fn go_back(connection: &mut PgConnection) -> bool {
    for _ in 0..2 {
        if sqlx::raw_sql(GO_BACK).execute(&mut *connection).await.is_ok() {
            return true;
        }
    }
    false
}
