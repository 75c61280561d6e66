//! Read-only SQL: a connection of its own for each statement, opened for reading, with an authorizer and limits.
//!
//! It is rusqlite's own connection, not one of sqlx's: an authorizer, functions and collations are set on it and never
//! meet the host's own statements.

mod guard;
mod values;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use datanode_core::contract::Contract;
use datanode_core::sql::{
    CheckedSql, SqlAnswer, SqlDialect, SqlError, SqlErrorKind, SqlLimits, SqlRows, check,
};
use rusqlite::ffi::{SQLITE_AUTH, SQLITE_INTERRUPT, SQLITE_NOMEM, SQLITE_TOOBIG};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Number, Value};
use uuid::Uuid;

use super::SqliteStore;
use super::connection::blocking;
use super::stored::failed;
use crate::{ReadOnlySql, StoreError, Table};

const DOING: &str = "running SQL";
/// Steps of SQLite between two looks at the clock: some ten microseconds.
const STEPS: i32 = 1_000;

#[async_trait]
impl ReadOnlySql for SqliteStore {
    async fn run_sql(&self, table: &Table, sql: &str, limits: &SqlLimits) -> Result<SqlAnswer, StoreError> {
        let (path, contract) = (self.pools.path.clone(), table.contract.clone());
        let (sql, limits, max_rows) = (sql.to_owned(), *limits, limits.max_rows);
        let unwanted = Arc::new(AtomicBool::new(false));
        let _gone = StopWhenDropped(Arc::clone(&unwanted));
        let outcome = blocking(DOING, move || match check(&sql, &contract, SqlDialect::Sqlite) {
            Ok(checked) => run(&path, &contract, &checked, &limits, unwanted),
            Err(error) => Ok(Err(error)),
        });
        let outcome = outcome.await??;
        Ok(SqlAnswer::of(Uuid::now_v7().to_string(), table.uid.clone(), max_rows, outcome))
    }
}

struct StopWhenDropped(Arc<AtomicBool>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn run(
    path: &Path,
    contract: &Contract,
    checked: &CheckedSql,
    limits: &SqlLimits,
    unwanted: Arc<AtomicBool>,
) -> Result<Result<SqlRows, SqlError>, StoreError> {
    // Not by a URI: a path is a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed(DOING))?;
    connection.busy_timeout(limits.timeout).map_err(failed(DOING))?;
    values::register(&connection).map_err(failed(DOING))?;
    let names = values::create_view(&connection, contract).map_err(failed(DOING))?;
    guard::close(&connection, contract, names, limits.max_bytes).map_err(failed(DOING))?;
    let until = Instant::now().checked_add(limits.timeout);
    connection
        .progress_handler(
            STEPS,
            Some(move || {
                unwanted.load(Ordering::Relaxed) || until.is_some_and(|until| Instant::now() >= until)
            }),
        )
        .map_err(failed(DOING))?;
    Ok(rows(&connection, &checked.sql, limits))
}

fn rows(connection: &Connection, sql: &str, limits: &SqlLimits) -> Result<SqlRows, SqlError> {
    let explain = |error: rusqlite::Error| explain(&error, limits);
    let mut statement = connection.prepare(sql).map_err(explain)?;
    if !statement.readonly() {
        return Err(SqlError::new(SqlErrorKind::PermissionDenied, "the statement would write"));
    }
    let columns = SqlRows::unique_names(statement.column_names().into_iter().map(ToOwned::to_owned));
    let mut answer = SqlRows { columns, ..SqlRows::default() };
    let mut rows = statement.query(()).map_err(explain)?;
    let mut bytes = 0_usize;
    while let Some(row) = rows.next().map_err(explain)? {
        if answer.rows.len() == limits.max_rows {
            answer.truncated = true;
            break;
        }
        let cells = (0..answer.columns.len()).map(|at| row.get_ref(at).map(cell).map_err(explain));
        let cells = cells.collect::<Result<Vec<_>, _>>()?;
        // What an object costs beside its texts: names, quotes, colons.
        bytes += cells.iter().map(|cell| cell.as_str().map_or(0, str::len) + 8).sum::<usize>();
        bytes += answer.columns.iter().map(|name| name.len() + 4).sum::<usize>();
        if bytes > limits.max_bytes {
            let message = format!("the answer is larger than {} bytes", limits.max_bytes);
            return Err(SqlError::new(SqlErrorKind::ResultTooLarge, message));
        }
        answer.rows.push(cells);
    }
    Ok(answer)
}

fn cell(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::from(value),
        // JSON has no infinity.
        ValueRef::Real(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
        ValueRef::Text(text) => Value::from(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => Value::from(values::hex(bytes)),
    }
}

/// What SQLite's error means to who wrote the statement.
fn explain(error: &rusqlite::Error, limits: &SqlLimits) -> SqlError {
    let code = error.sqlite_error().map(|error| error.extended_code & 0xff);
    let message = match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    };
    let kind = match code {
        Some(SQLITE_INTERRUPT) => return SqlError::timeout(limits.timeout),
        Some(SQLITE_AUTH) => SqlErrorKind::PermissionDenied,
        Some(SQLITE_TOOBIG | SQLITE_NOMEM) => SqlErrorKind::ResultTooLarge,
        _ if message.contains("no such column") => SqlErrorKind::UnknownColumn,
        _ if message.contains("no such table") => SqlErrorKind::UnknownTable,
        // The authorizer has said no while SQLite looked a name up.
        _ if message.contains("is prohibited") || message.contains("not authorized") => {
            SqlErrorKind::PermissionDenied
        }
        _ if message.contains("syntax error") => SqlErrorKind::SyntaxError,
        _ => SqlErrorKind::RuntimeError,
    };
    SqlError::new(kind, message)
}
