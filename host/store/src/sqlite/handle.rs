//! The one place where rusqlite works on a connection that sqlx owns.
//!
//! sqlx talks to SQLite through a thread per connection, one message per row; binding a row that way costs ten times
//! what SQLite itself needs. rusqlite calls SQLite directly. Both link the same `libsqlite3-sys` (the types below
//! would not match otherwise), so one connection, and with it one transaction, can serve both.

use rusqlite::Connection;
use sqlx::{Connection as _, SqliteConnection};
use tokio::runtime::Handle;

use crate::StoreError;

/// Run `work` on the connection, inside whatever transaction is open on it. Blocks the thread: only for threads that
/// may block.
pub(super) fn with_connection<T>(
    runtime: &Handle,
    connection: &mut SqliteConnection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    const DOING: &str = "taking the connection over";
    let failed = |source| StoreError::Database { doing: DOING, source };
    // `lock_handle` tells sqlx's thread to let go, by a message. When that thread is late, the handle can be free
    // already and the message stays behind; once the queue is full of them, the next caller holds the handle while it
    // waits for room in the queue, and the thread that would make room waits for the handle. A ping is answered when
    // all messages before it are done with, so none is ever left behind.
    runtime.block_on(connection.ping()).map_err(failed)?;
    let mut locked = runtime.block_on(connection.lock_handle()).map_err(failed)?;
    let handle = locked.as_raw_handle().as_ptr();
    // SAFETY: `handle` is an open connection, and stays one: `locked` keeps sqlx's thread from using or closing it,
    // and is dropped after `borrowed` (locals are dropped in reverse order, when unwinding too). No other thread can
    // reach it: `locked` borrows the `SqliteConnection` exclusively. `from_handle` makes a `Connection` that does not
    // own the handle, so dropping it closes nothing; statements cannot outlive it, for they borrow it.
    let borrowed = unsafe { Connection::from_handle(handle) }
        .map_err(|source| StoreError::Sqlite { doing: DOING, source })?;
    work(&borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    /// With room for one message, the first one that sqlx's thread leaves lying is enough to get stuck.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_connection_can_be_taken_over_any_number_of_times() {
        let mut connection =
            SqliteConnectOptions::new().in_memory(true).command_buffer_size(1).connect().await.unwrap();
        let runtime = Handle::current();
        // A thread of its own: one of the runtime's would keep a failing test from ending.
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for _ in 0..2_000 {
                with_connection(&runtime, &mut connection, |_| Ok(())).unwrap();
            }
            done.send(()).unwrap();
        });
        is_done.recv_timeout(Duration::from_mins(1)).expect("it waits for ever");
    }
}
