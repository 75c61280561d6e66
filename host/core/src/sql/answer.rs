//! What a read-only statement answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ErrorClass;

/// Bounds of one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// Rows of the answer; more are cut off, and the answer says so.
    pub max_rows: usize,
    /// Bytes of texts and numbers of the answer; more are an error.
    pub max_bytes: usize,
    /// How long the statement may take.
    pub timeout: Duration,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self { max_rows: 1_000, max_bytes: 16 << 20, timeout: Duration::from_secs(10) }
    }
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SqlErrorKind {
    /// It does not read as SQL.
    SyntaxError,
    /// It does something other than read rows of its table.
    ForbiddenStatement,
    /// It names a table other than its own.
    UnknownTable,
    /// It names a column that is not there.
    UnknownColumn,
    /// The database refused what it reads.
    PermissionDenied,
    /// It took too long.
    Timeout,
    /// Its answer, a value on the way to it, or what a call looks for in a text is too large.
    ResultTooLarge,
    /// It failed while it ran.
    RuntimeError,
}

impl SqlErrorKind {
    /// The dotted code of the error.
    pub fn code(self) -> &'static str {
        match self {
            Self::SyntaxError => "sql.syntax_error",
            Self::ForbiddenStatement => "sql.forbidden_statement",
            Self::UnknownTable => "sql.unknown_table",
            Self::UnknownColumn => "sql.unknown_column",
            Self::PermissionDenied => "sql.permission_denied",
            Self::Timeout => "sql.timeout",
            Self::ResultTooLarge => "sql.result_too_large",
            Self::RuntimeError => "sql.runtime_error",
        }
    }

    /// Who has to act.
    pub fn class(self) -> ErrorClass {
        match self {
            Self::SyntaxError | Self::UnknownTable | Self::UnknownColumn => ErrorClass::Usage,
            Self::ForbiddenStatement | Self::PermissionDenied => ErrorClass::Refused,
            Self::Timeout | Self::ResultTooLarge | Self::RuntimeError => ErrorClass::Failed,
        }
    }

    /// What to do next.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::SyntaxError => "mend the statement; docs/reading.md says what is understood",
            Self::ForbiddenStatement | Self::PermissionDenied => {
                "write one SELECT over this table alone; docs/reading.md lists what it may contain"
            }
            Self::UnknownTable => "name the table by its identifier or its physical name",
            Self::UnknownColumn => "see its columns: datanode table show TABLE",
            Self::Timeout => "narrow the range of time, or give it longer: --timeout SECONDS",
            Self::ResultTooLarge => {
                "ask for fewer rows or columns (datanode table read streams any number), and look for shorter texts"
            }
            Self::RuntimeError => "mend the statement; the message is that of the database",
        }
    }
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlError {
    /// What went wrong.
    pub kind: SqlErrorKind,
    /// For people.
    pub message: String,
    /// Whether the same statement may succeed later.
    pub retryable: bool,
}

impl SqlError {
    /// An error that comes again however often the statement is tried.
    pub fn new(kind: SqlErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retryable: false }
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::ForbiddenStatement, message)
    }

    /// The statement ran out of time.
    pub fn timeout(limit: Duration) -> Self {
        let message = format!("the statement took longer than {} s", limit.as_secs_f64());
        Self { kind: SqlErrorKind::Timeout, message, retryable: true }
    }
}

/// Rows of an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SqlRows {
    /// Names of the columns, each once.
    pub columns: Vec<String>,
    /// Values by row, in the order of the columns.
    pub rows: Vec<Vec<Value>>,
    /// Whether there were more rows than were asked for.
    pub truncated: bool,
}

impl SqlRows {
    /// Column names as the keys of objects: one that comes again gets a number.
    pub fn unique_names(names: impl Iterator<Item = String>) -> Vec<String> {
        let mut unique: Vec<String> = Vec::new();
        for name in names {
            let numbered = (2..).map(|number| format!("{name}_{number}"));
            // One more than there are names must be free.
            let free = std::iter::once(name.clone()).chain(numbered).find(|name| !unique.contains(name));
            unique.push(free.unwrap_or(name));
        }
        unique
    }
}

/// The answer to a statement, whatever became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SqlAnswer {
    /// Whether there is a result.
    pub ok: bool,
    /// Names this execution, in logs too.
    pub query_id: String,
    /// Uid of the table.
    pub meta_table_uid: String,
    /// Names of the columns in their order, which objects do not keep.
    pub columns: Vec<String>,
    /// One object per row.
    pub results: Vec<Map<String, Value>>,
    /// Whether rows were cut off at `max_rows`.
    pub truncated: bool,
    /// The most rows that were wanted.
    pub max_rows: usize,
    /// Rows of this answer.
    pub row_count: usize,
    /// Whether the same statement may succeed later; as in `error`.
    pub retryable: bool,
    /// Why there is no result.
    pub error: Option<SqlError>,
}

impl SqlAnswer {
    /// The answer for an outcome.
    pub fn of(
        query_id: String,
        meta_table_uid: String,
        max_rows: usize,
        outcome: Result<SqlRows, SqlError>,
    ) -> Self {
        let (rows, error) = match outcome {
            Ok(rows) => (rows, None),
            Err(error) => (SqlRows::default(), Some(error)),
        };
        let SqlRows { columns, rows, truncated } = rows;
        let results: Vec<Map<String, Value>> =
            rows.into_iter().map(|row| columns.iter().cloned().zip(row).collect()).collect();
        Self {
            ok: error.is_none(),
            query_id,
            meta_table_uid,
            row_count: results.len(),
            columns,
            results,
            truncated,
            max_rows,
            retryable: error.as_ref().is_some_and(|error| error.retryable),
            error,
        }
    }
}
