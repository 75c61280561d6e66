//! Connections and transactions: who may write, who waits for whom, and where the work is done.
//!
//! SQLite has one writer at a time. Here it is one connection per process, and every write transaction begins with
//! `BEGIN IMMEDIATE`: it waits for the lock where waiting is safe, instead of failing later when a read turns into a
//! write. Reads see a snapshot and wait for nobody. Snapshots, which live as long as a run, have a pool of their own:
//! short reads of the catalogue must never wait for a run to end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Sqlite, SqlitePool, Transaction};
use tokio::runtime::Handle;

use super::handle;
use super::stored::failed;
use crate::StoreError;

/// How long SQLite itself waits for a lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a write waits in all. A commit of many rows can hold the lock for minutes.
const PATIENCE: Duration = Duration::from_mins(15);
/// What the write-ahead log is cut back to once its pages are in the file: it grows to the size of the largest commit,
/// and would keep that.
const LOG_BYTES: &str = "67108864";
/// Connections for short reads of the catalogue.
const READERS: u32 = 4;
/// Snapshots open at once; the next one waits.
const SNAPSHOTS: u32 = 64;

/// A transaction that may be moved to a blocking thread; dropping it rolls it back.
pub(super) type OwnedTransaction = Transaction<'static, Sqlite>;

/// The pools of one database file.
#[derive(Debug)]
pub(super) struct Pools {
    pub(super) writer: SqlitePool,
    pub(super) readers: SqlitePool,
    pub(super) snapshots: SqlitePool,
    /// The file.
    pub(super) path: PathBuf,
}

impl Pools {
    /// Open the file, creating it when it is missing.
    pub(super) async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        let common = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT).foreign_keys(true);
        // FULL: a commit that was answered survives a loss of power.
        let writing = common
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("journal_size_limit", LOG_BYTES)
            .synchronous(SqliteSynchronous::Full);
        let reading = common.pragma("query_only", "ON");
        let writer = open_writer(writing).await?;
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&writer).await?;
        if mode != "wal" {
            // Without it readers and the writer would lock each other out, and no snapshot could outlive a commit.
            let problem = format!("SQLite cannot keep a write-ahead log here (journal mode is `{mode}`)");
            return Err(sqlx::Error::Configuration(problem.into()));
        }
        Ok(Self {
            writer,
            readers: pool(READERS).connect_lazy_with(reading.clone()),
            snapshots: pool(SNAPSHOTS).connect_lazy_with(reading),
            path: path.to_owned(),
        })
    }

    /// Move the log into the file and close everything. Waits for open snapshots to end.
    pub(super) async fn close(&self) -> Result<(), sqlx::Error> {
        self.readers.close().await;
        self.snapshots.close().await;
        // PASSIVE: what readers of other processes still need stays in the log; the last of them will move it.
        let moved = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&self.writer).await;
        self.writer.close().await;
        moved.map(|_| ())
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // A connection was tested when it was given back, and nothing can cut it off from a file since.
    let options = SqlitePoolOptions::new().max_connections(connections).test_before_acquire(false);
    options.acquire_timeout(PATIENCE).after_release(|connection, _| {
        Box::pin(async move {
            // A rollback may still be queued: `ping` comes behind it. When SQLite has ended a transaction by
            // itself (disk full, say) sqlx still counts it as open, and the connection is of no more use.
            if connection.is_in_transaction() {
                connection.ping().await?;
            }
            Ok(!connection.is_in_transaction())
        })
    })
}

/// Changing a new file to WAL needs an exclusive lock for which SQLite does not wait by itself.
async fn open_writer(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let give_up = Instant::now() + BUSY_TIMEOUT;
    loop {
        match pool(1).connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && Instant::now() < give_up => pause().await,
            answer => return answer,
        }
    }
}

/// Begin a write transaction, waiting for other writers of this and other processes.
pub(super) async fn begin_write(writer: &SqlitePool) -> Result<OwnedTransaction, StoreError> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match writer.begin_with("BEGIN IMMEDIATE").await {
            Err(error) if is_busy(&error) && Instant::now() < give_up => pause().await,
            answer => {
                return answer.map_err(|source| StoreError::Database {
                    doing: "waiting for the lock to write",
                    source,
                });
            }
        }
    }
}

/// Begin a transaction that reads. It sees the database as it is at its first read.
pub(super) async fn begin_read(pool: &SqlitePool) -> Result<OwnedTransaction, StoreError> {
    pool.begin().await.map_err(|source| StoreError::Database { doing: "beginning to read", source })
}

/// Do `work` in a write transaction, then commit. When `work` fails or panics, or the returned future is dropped
/// before the commit was sent, the transaction is rolled back.
pub(super) async fn write<T: Send + 'static>(
    writer: &SqlitePool,
    doing: &'static str,
    work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let transaction = begin_write(writer).await?;
    let (transaction, result) = on_blocking_thread(doing, transaction, work).await?;
    let failed = |source| StoreError::Database { doing, source };
    match result {
        Ok(value) => transaction.commit().await.map(|()| value).map_err(failed),
        Err(error) => {
            // The first error tells more than a failing rollback; the pool discards a connection that is stuck.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

/// Do `work` in a write transaction of a connection of its own, with foreign keys off, then commit. When `work` fails,
/// or the process ends before, it is rolled back.
///
/// For replacing a table by another of its name: `DROP TABLE` deletes its rows first, and what foreign keys of other
/// tables do then must not happen. Within a transaction they could not be turned off, and no other write may ever find
/// them so. It is rusqlite's own connection, for only on such a one does it set an authorizer.
pub(super) async fn write_without_foreign_keys<T: Send + 'static>(
    path: &Path,
    doing: &'static str,
    work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let path = path.to_owned();
    blocking(doing, move || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(failed(doing))?;
        connection.busy_timeout(PATIENCE).map_err(failed(doing))?;
        connection
            .execute_batch("PRAGMA foreign_keys = OFF; PRAGMA synchronous = FULL")
            .map_err(failed(doing))?;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed(doing))?;
        let value = work(&transaction)?;
        transaction.commit().map_err(failed(doing))?;
        Ok(value)
    })
    .await?
}

/// Do `work` in a transaction that reads, all of it in one takeover: for a short read, each message to sqlx's thread
/// and back costs more than the read itself.
pub(super) async fn read<T: Send + 'static>(
    readers: &SqlitePool,
    doing: &'static str,
    work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let mut connection = readers.acquire().await.map_err(|source| StoreError::Database { doing, source })?;
    let runtime = Handle::current();
    blocking(doing, move || {
        handle::with_connection(&runtime, &mut connection, |connection| {
            // Ends when it is dropped, by a panic too, before sqlx has its connection back.
            let reading = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Deferred)
                .map_err(failed(doing))?;
            work(&reading)
        })
    })
    .await?
}

/// Do `work` on a thread that may block. The transaction is owned by the work while it lasts, so that a caller who
/// goes away leaves nothing half done: whatever the work holds is dropped, and with it rolled back, when it ends.
async fn on_blocking_thread<T: Send + 'static>(
    doing: &'static str,
    mut transaction: OwnedTransaction,
    work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> Result<(OwnedTransaction, Result<T, StoreError>), StoreError> {
    let runtime = Handle::current();
    blocking(doing, move || {
        let result = handle::with_connection(&runtime, &mut transaction, work);
        (transaction, result)
    })
    .await
}

/// Run `work` on a thread that may block. Its panics become the caller's.
pub(super) async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // Never started: the runtime is shutting down.
        Err(_) => StoreError::Database { doing, source: sqlx::Error::WorkerCrashed },
    })
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: i32 = 5;
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    // The low byte of an extended code is the primary one.
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As SQLite does when the disk is full: the transaction is gone, and sqlx does not know.
    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_does_not_stop_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        let pools = Pools::open(&directory.path().join("data.sqlite")).await.unwrap();
        let ended = write(&pools.writer, "ending", |connection| {
            connection.execute_batch("ROLLBACK").map_err(failed("ending"))?;
            Err::<(), _>(StoreError::Damaged("the disk is full".to_owned()))
        });
        assert!(
            matches!(ended.await, Err(StoreError::Damaged(_))),
            "the first error is the one that is told"
        );
        let create = |connection: &Connection| {
            connection.execute_batch("CREATE TABLE t (x)").map_err(failed("going on"))
        };
        write(&pools.writer, "going on", create).await.unwrap();
        let count = |connection: &Connection| {
            connection
                .query_row("SELECT count(*) FROM t", (), |row| row.get::<_, i64>(0))
                .map_err(failed("looking"))
        };
        assert_eq!(read(&pools.readers, "looking", count).await.unwrap(), 0);
    }
}
