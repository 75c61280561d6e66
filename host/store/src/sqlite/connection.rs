//! Connections and transactions: who may write, who waits for whom, and where the work is done.
//!
//! SQLite has one writer at a time. Here it is one connection per process, and every write transaction begins with
//! `BEGIN IMMEDIATE`: it waits for the lock where waiting is safe, instead of failing later when a read turns into a
//! write. Reads see a snapshot and wait for nobody. Snapshots, which live as long as a run, have a pool of their own:
//! short reads of the catalogue must never wait for a run to end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

use super::handle::{Held, Stop};
use super::pool::Pool;
use super::revision;
use super::stored::{failed, is_busy as is_held, waited};
use crate::StoreError;
use crate::catalogue::access::Noting;
use crate::places::Places;

/// How long SQLite itself waits for a lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a write waits in all. A commit of many rows can hold the lock for minutes.
pub(super) const PATIENCE: Duration = Duration::from_mins(15);
/// Between two attempts to have the lock.
pub(super) const PAUSE: Duration = Duration::from_millis(20);
const WAITING: &str = "waiting for the lock to write";
/// What the write-ahead log is cut back to once its pages are in the file: it grows to the size of the largest commit,
/// and would keep that.
const LOG_BYTES: &str = "67108864";
/// Connections for short reads of the catalogue.
const READERS: u32 = 4;
/// Connections for tokens: every request begins with one, and must not wait for what other requests read.
const TOKENS: u32 = 2;
/// Snapshots open at once; the next one waits.
const SNAPSHOTS: u32 = 64;
/// As many of them may be those of readers.
const SNAPSHOTS_OF_READERS: u32 = 48;

/// What a loss of power may take of a write that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Nothing: the write waits until the disk has it.
    Full,
    /// It, and what was written so after it; never what was written in full, and never a part of it. For what means
    /// nothing once all processes of this machine are gone.
    UntilPowerIsLost,
}

impl Durability {
    /// Under a write-ahead log, `NORMAL` is atomic and in order as `FULL` is; it leaves the time to the next write in full,
    /// or to the next move of the log into the file. It cannot be set within a transaction, and is set before each one.
    fn set(self) -> &'static str {
        match self {
            Self::Full => "PRAGMA synchronous = FULL",
            Self::UntilPowerIsLost => "PRAGMA synchronous = NORMAL",
        }
    }
}

/// The connections of one database file.
#[derive(Debug)]
pub(super) struct Pools {
    pub(super) writer: Held,
    pub(super) readers: Pool,
    pub(super) tokens: Pool,
    pub(super) snapshots: Pool,
    /// Of these, those of readers.
    pub(super) places: Places,
    /// Tokens whose use is being noted.
    pub(super) noting: Noting,
    /// How those are opened that read.
    pub(super) reading: SqliteConnectOptions,
    /// The file.
    pub(super) path: PathBuf,
}

impl Pools {
    /// Open the file, creating it when it is missing; `prepare` sees the first connection before anybody else.
    pub(super) async fn open<P>(
        path: &Path,
        prepare: impl FnOnce(SqliteConnection) -> P,
    ) -> Result<Self, StoreError>
    where
        P: Future<Output = Result<SqliteConnection, StoreError>>,
    {
        let opening = |source| StoreError::Open { path: path.to_owned(), source };
        let common = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT).foreign_keys(true);
        // FULL: a commit that was answered survives a loss of power.
        let writing = common
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("journal_size_limit", LOG_BYTES)
            .synchronous(SqliteSynchronous::Full);
        let reading = common.pragma("query_only", "ON");
        let mut writer = open_writer(writing).await.map_err(opening)?;
        // As SQLite names the file, so that what is known of another one that was in its place is found.
        revision::forget_sound(&path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        let mode: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut writer).await.map_err(opening)?;
        if mode != "wal" {
            // Without it readers and the writer would lock each other out, and no snapshot could outlive a commit.
            let problem = format!("SQLite cannot keep a write-ahead log here (journal mode is `{mode}`)");
            return Err(opening(sqlx::Error::Configuration(problem.into())));
        }
        let writer = Held::take(prepare(writer).await?).await.map_err(opening)?;
        Ok(Self {
            writer,
            readers: Pool::new(reading.clone(), READERS, PATIENCE),
            tokens: Pool::new(reading.clone(), TOKENS, PATIENCE),
            noting: Noting::default(),
            snapshots: Pool::new(reading.clone(), SNAPSHOTS, PATIENCE),
            places: Places::new(SNAPSHOTS_OF_READERS),
            reading,
            path: path.to_owned(),
        })
    }

    /// Move the log into the file and close everything. Waits for open snapshots to end.
    pub(super) async fn close(self) -> Result<(), StoreError> {
        const DOING: &str = "closing the database";
        self.readers.close().await;
        self.tokens.close().await;
        self.snapshots.close().await;
        // PASSIVE: what readers of other processes still need stays in the log; the last of them will move it.
        let moved = self.writer.ask(DOING, |connection, _| {
            connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(())).map_err(failed(DOING))
        });
        let moved = moved.await;
        self.writer.close().await;
        moved
    }
}

/// Changing a new file to WAL needs an exclusive lock for which SQLite does not wait by itself.
async fn open_writer(options: SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let give_up = Instant::now() + BUSY_TIMEOUT;
    loop {
        match options.connect().await {
            Err(error) if is_busy(&error) && Instant::now() < give_up => tokio::time::sleep(PAUSE).await,
            answer => return answer,
        }
    }
}

/// Begin a write transaction, waiting for writers of other processes as long as `patience` says. Dropping it rolls it back.
fn begin_write<'c>(
    connection: &'c Connection,
    stop: &Stop,
    patience: Duration,
) -> Result<rusqlite::Transaction<'c>, StoreError> {
    let give_up = Instant::now() + patience;
    loop {
        match rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate) {
            Err(error) if is_held(&error) && Instant::now() < give_up && !stop.is_stopped() => {
                std::thread::sleep(PAUSE);
            }
            answer => return answer.map_err(waited(WAITING)),
        }
    }
}

/// Do `work` in a write transaction, then commit. When `work` fails or panics, or the returned future is dropped
/// before the commit, the transaction is rolled back.
pub(super) async fn write<T: Send + 'static>(
    writer: &Held,
    doing: &'static str,
    durability: Durability,
    work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let writing = writer.ask(doing, move |connection, stop| {
        connection.execute_batch(durability.set()).map_err(failed(doing))?;
        let transaction = begin_write(connection, stop, PATIENCE)?;
        let value = work(&transaction)?;
        if stop.is_stopped() {
            // Nobody is there to hear this.
            return Err(StoreError::Database { doing, source: sqlx::Error::WorkerCrashed });
        }
        transaction.commit().map_err(failed(doing))?;
        Ok(value)
    });
    writing.await
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
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(waited(WAITING))?;
        let value = work(&transaction)?;
        transaction.commit().map_err(failed(doing))?;
        Ok(value)
    })
    .await?
}

/// Do `work` in a transaction that reads.
pub(super) async fn read<T: Send + 'static>(
    readers: &Pool,
    doing: &'static str,
    work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let lent = readers.lend(doing).await?;
    let reading = lent.ask(doing, move |connection, _| {
        let reading = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Deferred)
            .map_err(failed(doing))?;
        work(&reading)
    });
    reading.await
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

/// Whether another process has the lock.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: i32 = 5;
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    // The low byte of an extended code is the primary one.
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pools(directory: &tempfile::TempDir) -> Pools {
        Pools::open(&directory.path().join("data.sqlite"), |connection| async { Ok(connection) })
            .await
            .unwrap()
    }

    fn number(connection: &Connection, sql: &str) -> Result<i64, StoreError> {
        connection.query_row(sql, (), |row| row.get(0)).map_err(failed("looking"))
    }

    /// As SQLite does when the disk is full.
    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_does_not_stop_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        let pools = pools(&directory).await;
        let ended = write(&pools.writer, "ending", Durability::Full, |connection| {
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
        write(&pools.writer, "going on", Durability::Full, create).await.unwrap();
        let rows = |connection: &Connection| number(connection, "SELECT count(*) FROM t");
        assert_eq!(read(&pools.readers, "looking", rows).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_writer_that_waits_too_long_is_told_so() {
        let directory = tempfile::tempdir().unwrap();
        let pools = pools(&directory).await;
        let another = |patience: Duration| {
            let connection = Connection::open(&pools.path).unwrap();
            connection.busy_timeout(Duration::from_millis(1)).unwrap();
            begin_write(&connection, &Stop::default(), patience).map(drop)
        };
        let holder = Connection::open(&pools.path).unwrap();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        let busy = another(Duration::from_millis(50)).unwrap_err();
        assert!(matches!(busy, StoreError::Busy { .. }), "{busy}");
        holder.execute_batch("ROLLBACK").unwrap();
        another(Duration::from_millis(50)).unwrap();
    }

    /// 2 is FULL and 1 is NORMAL, whatever came before.
    #[tokio::test]
    async fn each_write_is_as_durable_as_it_says() {
        let directory = tempfile::tempdir().unwrap();
        let pools = pools(&directory).await;
        let (full, less) = (Durability::Full, Durability::UntilPowerIsLost);
        for (durability, expected) in [(full, 2), (less, 1), (less, 1), (full, 2)] {
            let asked = write(&pools.writer, "asking", durability, |connection| {
                number(connection, "PRAGMA synchronous")
            });
            assert_eq!(asked.await.unwrap(), expected);
        }
    }

    /// The one that has gone left nothing behind, also when its work was done and only the commit was to come.
    #[tokio::test]
    async fn a_write_whose_caller_has_gone_is_rolled_back() {
        let directory = tempfile::tempdir().unwrap();
        let pools = pools(&directory).await;
        let create = |connection: &Connection| {
            connection.execute_batch("CREATE TABLE t (x)").map_err(failed("creating"))
        };
        write(&pools.writer, "creating", Durability::Full, create).await.unwrap();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let insert = write(&pools.writer, "inserting", Durability::Full, move |connection| {
            connection.execute_batch("INSERT INTO t VALUES (1)").map_err(failed("inserting"))?;
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
            Ok(())
        });
        tokio::select! {
            answer = insert => panic!("{answer:?}"),
            begun = has_begun => begun.unwrap(),
        }
        go_on.send(()).unwrap();
        let rows = |connection: &Connection| number(connection, "SELECT count(*) FROM t");
        assert_eq!(write(&pools.writer, "looking", Durability::Full, rows).await.unwrap(), 0);
    }
}
