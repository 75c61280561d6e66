//! The one place where rusqlite works on a connection that sqlx owns.
//!
//! sqlx talks to SQLite through a thread per connection, one message per row; binding a row that way costs ten times
//! what SQLite itself needs. rusqlite calls SQLite directly. Both link the same `libsqlite3-sys` (the types below
//! would not match otherwise), so one connection, and with it one transaction, can serve both.

use rusqlite::Connection;
use sqlx::SqliteConnection;
use tokio::runtime::Handle;

use crate::StoreError;

/// Run `work` on the connection, inside whatever transaction is open on it. Blocks the thread: only for threads that
/// may block.
pub(super) fn with_connection<T>(
    runtime: &Handle,
    connection: &mut SqliteConnection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut locked = runtime
        .block_on(connection.lock_handle())
        .map_err(|source| StoreError::Database { doing: "taking the connection over", source })?;
    let handle = locked.as_raw_handle().as_ptr();
    // SAFETY: `handle` is an open connection, and stays one: `locked` keeps sqlx's thread from using or closing it,
    // and is dropped after `borrowed` (locals are dropped in reverse order, when unwinding too). No other thread can
    // reach it: `locked` borrows the `SqliteConnection` exclusively. `from_handle` makes a `Connection` that does not
    // own the handle, so dropping it closes nothing; statements cannot outlive it, for they borrow it.
    let borrowed = unsafe { Connection::from_handle(handle) }
        .map_err(|source| StoreError::Sqlite { doing: "taking the connection over", source })?;
    work(&borrowed)
}
