//! SQL of users over one table: statements that read and can do nothing else.

use std::fmt::Write;

use async_trait::async_trait;
use datanode_core::sql::{SqlAnswer, SqlError, SqlErrorKind, SqlLimits, SqlRows};
use serde_json::Value;

use crate::{StoreError, Table};

/// Runs SQL of strangers. Each implementation checks the statement by [`datanode_core::sql::check`], runs it where
/// nothing can be written, and keeps the limits; whatever is wrong with the statement is part of the answer.
#[async_trait]
pub trait ReadOnlySql: Send + Sync {
    /// Run one statement over one table. When the future is dropped, the database soon stops.
    ///
    /// An error is one of the database itself (its file is gone, say), never one of the statement.
    async fn run_sql(&self, table: &Table, sql: &str, limits: &SqlLimits) -> Result<SqlAnswer, StoreError>;
}

/// Rows of an answer as they come, within its limits.
pub(crate) struct Answering {
    rows: SqlRows,
    limits: SqlLimits,
    bytes: usize,
}

impl Answering {
    /// Before the first row.
    pub(crate) fn new(columns: impl Iterator<Item = String>, limits: &SqlLimits) -> Self {
        let rows = SqlRows { columns: SqlRows::unique_names(columns), ..SqlRows::default() };
        Self { rows, limits: *limits, bytes: 0 }
    }

    /// Whether no more rows are wanted. There is one more: the answer says so.
    pub(crate) fn is_full(&mut self) -> bool {
        self.rows.truncated = self.rows.rows.len() == self.limits.max_rows;
        self.rows.truncated
    }

    /// Add a row, whose cells are had by their place.
    pub(crate) fn push(&mut self, cell: impl Fn(usize) -> Result<Value, SqlError>) -> Result<(), SqlError> {
        let mut cells = Vec::with_capacity(self.rows.columns.len());
        for (at, name) in self.rows.columns.iter().enumerate() {
            let cell = cell(at)?;
            // What an object costs beside its texts: names, quotes, colons.
            self.bytes += name.len() + 4 + cell.as_str().map_or(0, str::len) + 8;
            if self.bytes > self.limits.max_bytes {
                let message = format!("the answer is larger than {} bytes", self.limits.max_bytes);
                return Err(SqlError::new(SqlErrorKind::ResultTooLarge, message));
            }
            cells.push(cell);
        }
        self.rows.rows.push(cells);
        Ok(())
    }

    /// After the last row.
    pub(crate) fn finish(self) -> SqlRows {
        self.rows
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}
