//! Values of catalogue rows, and the errors of SQLite.

use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, Row};

use crate::StoreError;

pub(super) use crate::catalogue::stored::{class, count, damaged, from_json, timestamp, to_integer, to_json};

/// The row that a statement answers, if there is one. The statement stays prepared: for those that every run needs.
pub(super) fn find<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    connection.prepare_cached(sql)?.query_row(values, read).optional()
}

/// Run a statement that changes something, and stays prepared; how many rows it changed.
pub(super) fn change(connection: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(values)
}

/// Whether a statement was ended before its time.
pub(super) fn is_interrupted(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

/// Whether another connection has the lock that was waited for.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// For `map_err`: the lock to write could not be had, or the statement failed.
pub(super) fn waited(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| {
        if is_busy(&source) { StoreError::Busy { doing } } else { StoreError::Sqlite { doing, source } }
    }
}

/// For `map_err`: the statement failed.
pub(super) fn failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| StoreError::Sqlite { doing, source }
}
