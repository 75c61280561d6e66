//! A connection of sqlx's that one thread has taken over for good: the one place where rusqlite works on it.
//!
//! sqlx talks to SQLite through a thread per connection, one message per row; binding a row that way costs ten times
//! what SQLite itself needs. rusqlite calls SQLite directly. Both link the same `libsqlite3-sys` (the types below
//! would not match otherwise), so sqlx can open a connection and rusqlite work on it.
//!
//! Taking a connection over, beginning and committing by sqlx, and going to a thread that may block took twelve switches
//! of threads per transaction, several times what a question to the catalogue costs by itself. So it is taken over once,
//! by a thread that keeps it as long as it lives: a transaction is one message to that thread, and one back. The
//! statements that it has prepared stay with it.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use rusqlite::Connection;
use sqlx::sqlite::LockedSqliteHandle;
use sqlx::{Connection as _, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::functions;
use crate::StoreError;

/// Steps of SQLite between two looks at whether the work is still wanted: some ten microseconds.
const STEPS: i32 = 1_000;
/// Statements that a connection keeps prepared: those of the catalogue, and those of some tables.
const STATEMENTS: usize = 64;

/// Ends the statement that a connection runs, from another thread. rusqlite has the like for connections that it owns.
#[derive(Debug)]
pub(super) struct Interrupt<'c> {
    handle: *mut rusqlite::ffi::sqlite3,
    /// The connection stays open as long as this lives.
    _connection: PhantomData<&'c Connection>,
}

// SAFETY: `sqlite3_interrupt` is what SQLite allows from any thread, and nothing else is done with the handle.
unsafe impl Send for Interrupt<'_> {}

impl<'c> Interrupt<'c> {
    pub(super) fn of(connection: &'c Connection) -> Self {
        // SAFETY: the handle is only ever given to `sqlite3_interrupt`, while `connection` is borrowed and so open.
        let handle = unsafe { connection.handle() };
        Self { handle, _connection: PhantomData }
    }

    pub(super) fn interrupt(&self) {
        // SAFETY: "it is safe to call this routine from a thread different from the thread that is currently running the
        // database operation", as long as the connection is not closed: it is borrowed for `'c`.
        unsafe { rusqlite::ffi::sqlite3_interrupt(self.handle) }
    }
}

/// Told that nobody waits for the answer any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct StopWhenDropped(Stop);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// What the thread does for one caller.
type Job = Box<dyn FnOnce(&mut Taken<'_>) + Send>;

/// A connection on a thread of its own, which does one thing after the other. Dropping it lets the thread close the
/// connection when it has done what it was asked.
#[derive(Debug)]
pub(super) struct Held {
    jobs: mpsc::Sender<Job>,
    /// Ends when the connection is closed.
    closed: oneshot::Receiver<()>,
}

impl Held {
    /// Take a connection over.
    pub(super) async fn take(connection: SqliteConnection) -> Result<Self, sqlx::Error> {
        let (jobs, asked) = mpsc::channel();
        let (ready, is_ready) = oneshot::channel();
        let (closing, closed) = oneshot::channel();
        let runtime = Handle::current();
        std::thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(move || {
                serve(&runtime, connection, ready, asked);
                drop(closing);
            })
            .map_err(sqlx::Error::Io)?;
        is_ready.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))?;
        Ok(Self { jobs, closed })
    }

    /// Do `work` when its turn has come, to its end, unless the caller has gone by then. A panic of it is the caller's.
    pub(super) fn ask<T, W>(
        &self,
        doing: &'static str,
        work: W,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce(&Connection, &Stop) -> Result<T, StoreError> + Send + 'static,
    {
        self.send(doing, false, work)
    }

    /// The same, but ended early once the caller has gone. For reads: SQLite would roll a write back.
    pub(super) fn ask_while_wanted<T, W>(
        &self,
        doing: &'static str,
        work: W,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.send(doing, true, |connection, _: &Stop| work(connection))
    }

    fn send<T, W>(
        &self,
        doing: &'static str,
        may_stop: bool,
        work: W,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce(&Connection, &Stop) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let stop = Stop::default();
        let gone = StopWhenDropped(stop.clone());
        let job: Job = Box::new(move |taken: &mut Taken<'_>| {
            if !stop.is_stopped() {
                // Fails when the caller has gone meanwhile.
                let _ = answer.send(taken.work(may_stop, &stop, work));
            }
        });
        // Fails when the thread is gone: then nobody answers, either.
        let _ = self.jobs.send(job);
        async move {
            let _gone = gone;
            match answered.await {
                Ok(Ok(result)) => result,
                Ok(Err(panic)) => resume_unwind(panic),
                Err(_) => Err(StoreError::Database { doing, source: sqlx::Error::WorkerCrashed }),
            }
        }
    }

    /// Roll back whatever is open, before anything else is done. Nobody waits for it.
    pub(super) fn give_up(&self) {
        let job: Job = Box::new(|taken: &mut Taken<'_>| {
            if !taken.connection.is_autocommit() {
                // Fails when SQLite has ended the transaction by itself.
                let _ = taken.connection.execute_batch("ROLLBACK");
            }
        });
        let _ = self.jobs.send(job);
    }

    /// Let the thread do what it was asked and close the connection, and wait for that.
    pub(super) async fn close(self) {
        let Self { jobs, closed } = self;
        drop(jobs);
        // An error is what ends it: the other half is dropped.
        let _ = closed.await;
    }
}

/// The thread: until the last sender is gone.
fn serve(
    runtime: &Handle,
    mut connection: SqliteConnection,
    ready: oneshot::Sender<Result<(), sqlx::Error>>,
    asked: mpsc::Receiver<Job>,
) {
    match runtime.block_on(Taken::take(&mut connection)) {
        Ok(mut taken) => {
            // Fails when whoever opened it has gone: then nothing will be asked.
            let _ = ready.send(Ok(()));
            for job in asked {
                job(&mut taken);
            }
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    }
    // Nobody is left to hear of it, and what was committed is in the log.
    let _ = runtime.block_on(connection.close());
}

/// A connection that sqlx's own thread has let go of. The order of the fields is that in which they are dropped.
struct Taken<'c> {
    connection: Connection,
    locked: LockedSqliteHandle<'c>,
}

impl<'c> Taken<'c> {
    async fn take(connection: &'c mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let mut locked = connection.lock_handle().await?;
        let handle = locked.as_raw_handle().as_ptr();
        // SAFETY: `handle` is an open connection, and stays one: `locked` keeps sqlx's thread from using or closing it,
        // and outlives the `Connection`, which stands before it in this struct. No other thread can reach it: the
        // `SqliteConnection` is borrowed exclusively by `locked`, and only the thread that made this has both.
        // `from_handle` makes a `Connection` that does not own the handle, so dropping it closes nothing; it drops the
        // statements that it keeps, and no other can outlive it, for they borrow it.
        let borrowed = unsafe { Connection::from_handle(handle) }
            .map_err(|error| sqlx::Error::Configuration(error.into()))?;
        borrowed.set_prepared_statement_cache_capacity(STATEMENTS);
        functions::register(&borrowed).map_err(|error| sqlx::Error::Configuration(error.into()))?;
        Ok(Self { connection: borrowed, locked })
    }

    fn work<T>(
        &mut self,
        may_stop: bool,
        stop: &Stop,
        work: impl FnOnce(&Connection, &Stop) -> T,
    ) -> std::thread::Result<T> {
        if may_stop {
            let stop = stop.clone();
            self.locked.set_progress_handler(STEPS, move || !stop.is_stopped());
        }
        let result = catch_unwind(AssertUnwindSafe(|| work(&self.connection, stop)));
        if may_stop {
            self.locked.remove_progress_handler();
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    async fn held() -> Held {
        Held::take(SqliteConnectOptions::new().in_memory(true).connect().await.unwrap()).await.unwrap()
    }

    fn one(connection: &Connection) -> Result<i64, StoreError> {
        let failed = |source| StoreError::Sqlite { doing: "asking", source };
        connection.query_row("SELECT 1", (), |row| row.get(0)).map_err(failed)
    }

    #[tokio::test]
    async fn a_panic_is_the_callers_and_the_next_one_is_answered() {
        let held = held().await;
        let panicking = held.ask("panicking", |_, _| -> Result<(), StoreError> { panic!("on purpose") });
        let panic = tokio::spawn(panicking).await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
        assert_eq!(held.ask("asking", |connection, _| one(connection)).await.unwrap(), 1);
        held.close().await;
    }

    /// Only as long as it is wanted, and the next one is not told to stop.
    #[tokio::test]
    async fn work_that_nobody_waits_for_is_stopped_or_never_begun() {
        let held = held().await;
        let endless = held.ask_while_wanted("counting", |connection| {
            let sql =
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
            connection
                .query_row(sql, (), |row| row.get::<_, i64>(0))
                .map_err(|source| StoreError::Sqlite { doing: "counting", source })
        });
        let unwanted = held.ask("never", |_, _| -> Result<(), StoreError> { panic!("it was begun") });
        let wanted = held.ask_while_wanted("asking", one);
        drop(unwanted);
        drop(endless);
        assert_eq!(wanted.await.unwrap(), 1);
        assert_eq!(held.ask_while_wanted("asking", one).await.unwrap(), 1);
    }
}
