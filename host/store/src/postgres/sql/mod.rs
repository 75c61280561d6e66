//! Read-only SQL: a login that can read and nothing else, and a transaction that cannot write.
//!
//! **One idea:** what a statement may do is decided by what the server would let its login do, and the login is looked at
//! before each statement: one that may more is refused. Which tables it reads is asked of the server's planner, which
//! knows better than any parser.
//!
//! * `login`: its connections, its rights. `plan`: what a statement would read. `values`: cells as answers have them.

mod login;
mod plan;
#[cfg(test)]
mod tests;
mod values;

use std::time::Duration;

use async_trait::async_trait;
use datanode_core::contract::Contract;
use datanode_core::data_type::DataType;
use datanode_core::sql::{
    CheckedSql, SqlAnswer, SqlDialect, SqlError, SqlErrorKind, SqlLimits, SqlRows, check,
};
use futures_util::TryStreamExt;
use sqlx::postgres::{PgColumn, PgDatabaseError};
use sqlx::{AssertSqlSafe, Column, Executor, Row, SqlSafeStr, Statement};
use tokio::time::Instant;
use uuid::Uuid;

pub(super) use self::login::Reader;
use self::login::Session;
use super::PostgresStore;
use super::ddl::{quote, table_name};
use super::stored::failed;
use crate::read_only_sql::Answering;
use crate::{ReadOnlySql, ReaderError, StoreError, Table};

const DOING: &str = "running SQL";
/// How much later than the server this side gives up: where it counts, the server ends a statement itself.
const GRACE: Duration = Duration::from_secs(2);
/// Name of the cursor.
const CURSOR: &str = "datanode_answer";

#[async_trait]
impl ReadOnlySql for PostgresStore {
    async fn run_sql(&self, table: &Table, sql: &str, limits: &SqlLimits) -> Result<SqlAnswer, StoreError> {
        let reader = self.reader.as_ref().ok_or(ReaderError::Missing)?;
        let outcome = match checked(sql, &table.contract).await? {
            Ok(checked) => self.answer(reader, table, &checked, limits).await?,
            Err(error) => Err(error),
        };
        Ok(SqlAnswer::of(Uuid::now_v7().to_string(), table.uid.clone(), limits.max_rows, outcome))
    }
}

/// Judge a statement, on a thread that may block.
async fn checked(sql: &str, contract: &Contract) -> Result<Result<CheckedSql, SqlError>, StoreError> {
    let (sql, contract) = (sql.to_owned(), contract.clone());
    let checking = tokio::task::spawn_blocking(move || check(&sql, &contract, SqlDialect::PostgreSql));
    checking.await.map_err(|_| failed(DOING)(sqlx::Error::WorkerCrashed))
}

impl PostgresStore {
    async fn answer(
        &self,
        reader: &Reader,
        table: &Table,
        checked: &CheckedSql,
        limits: &SqlLimits,
    ) -> Result<Result<SqlRows, SqlError>, StoreError> {
        let until = Instant::now().checked_add(limits.timeout.saturating_add(GRACE));
        let answering = async {
            let mut session = reader.begin(limits).await?;
            if !session.may_read(&table.contract).await? {
                reader.let_read(&self.pools, &table.contract).await?;
            }
            match run(&mut session, &table.contract, checked, limits).await {
                Ok(rows) => {
                    session.end().await;
                    Ok(Ok(rows))
                }
                Err(Failed::Database(error)) => {
                    session.end().await;
                    explain(error, limits).map(Err)
                }
                // Its connection is closed: rows may be on their way that nobody wants.
                Err(Failed::Statement(error)) => Ok(Err(error)),
            }
        };
        let outcome = match until {
            Some(until) => tokio::time::timeout_at(until, answering).await,
            None => Ok(answering.await),
        };
        // What is given up closes its connection, by which the server knows that nobody waits.
        outcome.unwrap_or_else(|_| Ok(Err(SqlError::timeout(limits.timeout))))
    }
}

/// Why there are no rows.
#[derive(Debug)]
enum Failed {
    Statement(SqlError),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<SqlError> for Failed {
    fn from(error: SqlError) -> Self {
        Self::Statement(error)
    }
}

/// Run a statement in a session that has begun.
async fn run(
    session: &mut Session,
    contract: &Contract,
    checked: &CheckedSql,
    limits: &SqlLimits,
) -> Result<SqlRows, Failed> {
    let query = over(contract, checked.explained.as_deref().unwrap_or(&checked.sql));
    let plan = session.plan(&query).await?;
    plan::refuse_others(&plan, contract)?;
    if checked.explained.is_some() {
        return rows(session, format!("EXPLAIN {query}"), limits).await;
    }
    // What cannot stand behind this is no query.
    let declare = format!("DECLARE {CURSOR} NO SCROLL CURSOR FOR {query}");
    sqlx::query(AssertSqlSafe(declare)).persistent(false).execute(session.connection()?).await?;
    let most = i32::try_from(limits.max_rows.saturating_add(1)).unwrap_or(i32::MAX);
    rows(session, format!("FETCH FORWARD {most} FROM {CURSOR}"), limits).await
}

async fn rows(session: &mut Session, sql: String, limits: &SqlLimits) -> Result<SqlRows, Failed> {
    let connection = session.connection()?;
    let mut answer = None;
    {
        let mut rows = sqlx::query(AssertSqlSafe(sql.clone())).persistent(false).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            let answer = answer.get_or_insert_with(|| Answering::new(names(row.columns()), limits));
            if answer.is_full() {
                break;
            }
            answer.push(|at| values::cell(&row, at))?;
        }
    }
    if let Some(answer) = answer {
        return Ok(answer.finish());
    }
    // Without a row, what it would have had.
    let statement = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await?;
    Ok(Answering::new(names(statement.columns()), limits).finish())
}

fn names(columns: &[PgColumn]) -> impl Iterator<Item = String> {
    columns.iter().map(|column| column.name().to_owned())
}

/// A query, to which the table is a query of its own: with fewer kinds of numbers. It stands in brackets, so that it may
/// begin with a WITH of its own; what is in order there comes in that order.
pub(super) fn over(contract: &Contract, query: &str) -> String {
    let columns = contract.columns.iter().map(|column| {
        let name = quote(&column.name);
        match column.data_type {
            DataType::Int16 | DataType::Int32 => format!("{name}::bigint AS {name}"),
            DataType::Float32 => format!("{name}::double precision AS {name}"),
            _ => name,
        }
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    let (name, table) = (quote(contract.physical_name()), table_name(contract));
    // Not materialised: conditions reach the index of the table.
    format!(
        "WITH {name} AS NOT MATERIALIZED (SELECT {columns} FROM {table}) SELECT * FROM ({query}) AS _answer"
    )
}

/// What an error of the server means to who wrote the statement; another one is that of the database.
fn explain(error: sqlx::Error, limits: &SqlLimits) -> Result<SqlError, StoreError> {
    let Some(said) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
    else {
        return Err(failed(DOING)(error));
    };
    let kind = match said.code() {
        "57014" | "55P03" => return Ok(SqlError::timeout(limits.timeout)),
        // It is said of a name before a point that is no table of the statement.
        "42P01" if said.routine() == Some("errorMissingRTE") => SqlErrorKind::UnknownColumn,
        "42P01" | "3F000" => SqlErrorKind::UnknownTable,
        "42703" => SqlErrorKind::UnknownColumn,
        "42601" => SqlErrorKind::SyntaxError,
        // No right to it; a transaction that cannot write, and one that is to become one that can.
        "42501" | "25006" | "25001" => SqlErrorKind::PermissionDenied,
        // Memory and temporary files.
        "53200" | "53400" => SqlErrorKind::ResultTooLarge,
        code if code.starts_with("54") => SqlErrorKind::ResultTooLarge,
        // The server goes down, or is short of something.
        code if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
            return Err(failed(DOING)(error));
        }
        _ => SqlErrorKind::RuntimeError,
    };
    let retryable = said.code().starts_with("40");
    Ok(SqlError { retryable, ..SqlError::new(kind, said.message()) })
}
