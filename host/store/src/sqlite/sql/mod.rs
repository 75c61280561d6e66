//! Read-only SQL: a connection of its own for each statement, opened for reading, with an authorizer and limits.
//!
//! It is rusqlite's own connection, not one of sqlx's: an authorizer, functions and collations are set on it and never
//! meet the host's own statements.

mod guard;
mod math;
mod sought;
pub(super) mod values;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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

pub(super) use self::guard::Readers;
use super::SqliteStore;
use super::connection::blocking;
use super::stored::failed;
use crate::read_only_sql::{Answering, hex};
use crate::{ReadOnlySql, StoreError, Table};

const DOING: &str = "running SQL";
/// Steps of SQLite between two looks at the clock: some ten microseconds.
const STEPS: i32 = 1_000;
/// How much later than the statement's own clock its caller gives up. Some steps are long.
const GRACE: Duration = Duration::from_secs(2);

#[async_trait]
impl ReadOnlySql for SqliteStore {
    async fn run_sql(&self, table: &Table, sql: &str, limits: &SqlLimits) -> Result<SqlAnswer, StoreError> {
        let (path, contract) = (self.pools.path.clone(), table.contract.clone());
        let (sql, limits, max_rows) = (sql.to_owned(), *limits, limits.max_rows);
        let unwanted = Arc::new(AtomicBool::new(false));
        let _gone = StopWhenDropped(Arc::clone(&unwanted));
        let answering = blocking(DOING, move || match check(&sql, &contract, SqlDialect::Sqlite) {
            Ok(checked) => run(&path, &contract, &checked, &limits, unwanted),
            Err(error) => Ok(Err(error)),
        });
        // What is given up holds its thread until its step ends, and nobody who waits.
        let outcome = match tokio::time::timeout(limits.timeout.saturating_add(GRACE), answering).await {
            Ok(outcome) => outcome??,
            Err(_) => Err(SqlError::timeout(limits.timeout)),
        };
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
    // Before the view is made: SQLite drops what is temporary when this changes.
    connection.execute_batch("PRAGMA temp_store = FILE").map_err(failed(DOING))?;
    values::register(&connection).map_err(failed(DOING))?;
    values::create_view(&connection, contract).map_err(failed(DOING))?;
    guard::close(&connection, contract, &checked.queries, limits.max_bytes).map_err(failed(DOING))?;
    let until = Instant::now().checked_add(limits.timeout);
    let is_over =
        move || unwanted.load(Ordering::Relaxed) || until.is_some_and(|until| Instant::now() >= until);
    sought::register(&connection, is_over.clone()).map_err(failed(DOING))?;
    connection.progress_handler(STEPS, Some(is_over)).map_err(failed(DOING))?;
    Ok(rows(&connection, &checked.sql, limits))
}

fn rows(connection: &Connection, sql: &str, limits: &SqlLimits) -> Result<SqlRows, SqlError> {
    let explain = |error: rusqlite::Error| explain(&error, limits);
    let mut statement = connection.prepare(sql).map_err(explain)?;
    if !statement.readonly() {
        return Err(SqlError::new(SqlErrorKind::PermissionDenied, "the statement would write"));
    }
    let names = statement.column_names().into_iter().map(ToOwned::to_owned).collect::<Vec<_>>();
    let mut answer = Answering::new(names.into_iter(), limits);
    let mut rows = statement.query(()).map_err(explain)?;
    while let Some(row) = rows.next().map_err(explain)? {
        if answer.is_full() {
            break;
        }
        answer.push(|at| row.get_ref(at).map(cell).map_err(explain))?;
    }
    Ok(answer.finish())
}

/// A cell of an answer.
pub(super) fn cell(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::from(value),
        // JSON has no infinity.
        ValueRef::Real(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
        ValueRef::Text(text) => Value::from(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => Value::from(hex(bytes)),
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
        _ if message.starts_with(sought::TOO_LONG) => SqlErrorKind::ResultTooLarge,
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

#[cfg(test)]
mod tests {
    use super::*;
    use datanode_core::sql::SqlErrorKind as K;

    /// The connection refuses by itself what the parser would never have let through.
    #[tokio::test]
    async fn the_connection_needs_no_parser() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data.sqlite");
        let other = directory.path().join("other.sqlite");
        let raw = Connection::open(&path).unwrap();
        raw.execute_batch(
            "CREATE TABLE t (time_index INTEGER PRIMARY KEY) STRICT, WITHOUT ROWID; INSERT INTO t VALUES (0); \
             CREATE TABLE secrets (secret TEXT); INSERT INTO secrets VALUES ('x')",
        )
        .unwrap();
        let contract = Contract::from_toml(
            "identifier = \"t\"\nindex = [\"time_index\"]\ncolumns = [{ name = \"time_index\", type = \"timestamp_tz\" }]",
        )
        .unwrap();
        let limits = SqlLimits { timeout: Duration::from_millis(300), ..SqlLimits::default() };
        let ask = |sql: &str| {
            let checked =
                CheckedSql { sql: sql.to_owned(), explained: None, queries: vec!["secrets".to_owned()] };
            super::run(&path, &contract, &checked, &limits, Arc::default()).unwrap()
        };
        assert_eq!(ask("SELECT count(*) FROM t").unwrap().rows, [[Value::from(1)]]);
        assert_eq!(ask("SELECT * FROM t").unwrap().rows, [["1970-01-01T00:00:00.000000Z"]]);
        let attach = format!("ATTACH DATABASE '{}' AS x", other.display());
        for (sql, kind) in [
            ("SELECT * FROM secrets", K::PermissionDenied),
            ("SELECT count(*) FROM secrets", K::PermissionDenied),
            ("SELECT count(*) FROM main.secrets", K::PermissionDenied),
            ("SELECT * FROM sqlite_master", K::PermissionDenied),
            ("SELECT count(*) FROM sqlite_master", K::PermissionDenied),
            ("SELECT count(*) FROM sqlite_temp_master", K::PermissionDenied),
            ("SELECT * FROM pragma_table_list", K::PermissionDenied),
            ("SELECT * FROM json_each('[1]')", K::PermissionDenied),
            ("SELECT load_extension('x')", K::PermissionDenied),
            ("SELECT randomblob(10)", K::PermissionDenied),
            ("PRAGMA query_only = OFF", K::PermissionDenied),
            ("INSERT INTO t VALUES (1)", K::PermissionDenied),
            ("DELETE FROM secrets", K::PermissionDenied),
            ("CREATE TEMP TABLE x (y)", K::PermissionDenied),
            ("CREATE TABLE x (y)", K::PermissionDenied),
            ("DROP VIEW temp.t", K::PermissionDenied),
            ("BEGIN", K::PermissionDenied),
            (&attach, K::PermissionDenied),
            ("SELECT \"no text\" FROM t", K::UnknownColumn),
            (
                "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT max(n) FROM a",
                K::Timeout,
            ),
        ] {
            let error = ask(sql).unwrap_err();
            assert_eq!(error.kind, kind, "{sql}: {}", error.message);
        }
        assert!(!other.exists());
        assert_eq!(raw.query_row("SELECT count(*) FROM secrets", (), |row| row.get::<_, i64>(0)).unwrap(), 1);
    }
}
