//! SQL of users over one table: statements that read and can do nothing else.

use async_trait::async_trait;
use datanode_core::sql::{SqlAnswer, SqlLimits};

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
