//! Running the SQL of a revision: every statement is judged before the first one runs, and afterwards the database is
//! asked what became of everything else.
//!
//! The SQL is an operator's, and may be somebody else's who sent a folder: it reaches the one table, reads the tables
//! that its foreign keys lead to, and nothing else. PostgreSQL has no authorizer, and the role that runs it may own the
//! database: so the statements are judged by their syntax tree
//! ([`check_revision`](datanode_core::sql::check_revision)), and the server is given what was understood.

use std::collections::BTreeMap;

use datanode_core::contract::Contract;
use datanode_core::revision::{RevisionError, statement};
use datanode_core::sql::{self, Reach, SqlErrorKind};
use sqlx::postgres::PgDatabaseError;
use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr};

use super::clock::Clock;
use super::rows;
use crate::postgres::refusal::{Refusal, refusal};
use crate::postgres::stored::{failed, is_busy};
use crate::{SqlText, StoreError};

const DOING: &str = "running the SQL of a revision";

/// Judge all statements; what the server is to be given of each.
pub(super) fn judge(
    sql: &SqlText,
    statements: &[statement::Statement<'_>],
    reach: &Reach<'_>,
) -> Result<Vec<(usize, String)>, RevisionError> {
    let judged = statements.iter().map(|statement| {
        let (file, line) = (sql.file.clone(), statement.line);
        match sql::check_revision(statement.text, reach) {
            Ok(text) => Ok((line, text)),
            Err(error) if error.kind == SqlErrorKind::SyntaxError => {
                Err(RevisionError::StatementFailed { file, line, problem: error.message })
            }
            Err(error) => Err(RevisionError::StatementRefused { file, line, problem: error.message }),
        }
    });
    judged.collect()
}

/// Run judged statements, which lead to a contract, in the time that is left. The answer to a failure names the statement;
/// the caller rolls back.
///
/// Each has a savepoint: after a foreign key that was refused, the rows that refused it are still to be counted.
pub(super) async fn run(
    connection: &mut PgConnection,
    file: &str,
    judged: Vec<(usize, String)>,
    after: &Contract,
    clock: Clock,
) -> Result<(), StoreError> {
    for (line, text) in judged {
        let begin = format!("{}; SAVEPOINT datanode_statement", clock.setting());
        savepoint(connection, AssertSqlSafe(begin)).await?;
        match sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection).await {
            Ok(_) => savepoint(connection, "RELEASE SAVEPOINT datanode_statement").await?,
            Err(error) if clock.has_ended(&error) => {
                return Err(clock.too_long(format!("{file}, line {line}")).into());
            }
            Err(error) => {
                if refusal(&error) == Some(Refusal::ForeignKey) {
                    savepoint(connection, "ROLLBACK TO SAVEPOINT datanode_statement").await?;
                    rows::check_foreign_keys(connection, after).await?;
                }
                return Err(explain(error, &after.identifier, after.key(), file.to_owned(), line));
            }
        }
    }
    Ok(())
}

async fn savepoint(connection: &mut PgConnection, statement: impl SqlSafeStr) -> Result<(), StoreError> {
    sqlx::raw_sql(statement).execute(connection).await.map_err(failed(DOING)).map(drop)
}

fn explain(error: sqlx::Error, table: &str, key: &[String], file: String, line: usize) -> StoreError {
    if is_busy(&error) {
        return RevisionError::Busy { table: table.to_owned() }.into();
    }
    let Some(told) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
    else {
        return failed(DOING)(error);
    };
    match told.code() {
        "23505" => {
            RevisionError::Duplicates { table: table.to_owned(), key: key.to_vec(), file, line }.into()
        }
        // The server, or the way to it: no fault of the statement.
        code if ["08", "40", "53", "57", "58", "XX"].iter().any(|class| code.starts_with(class)) => {
            failed(DOING)(error)
        }
        _ => {
            let problem = match told.detail() {
                Some(detail) => format!("{}: {detail}", told.message()),
                None => told.message().to_owned(),
            };
            RevisionError::StatementFailed { file, line, problem }.into()
        }
    }
}

/// What a transaction could do beside its own table, as far as the database tells it.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Others {
    /// Everything in the schemas of this host but the table and its indexes: kind, storage, columns, owner and rights, by
    /// name.
    relations: BTreeMap<String, String>,
    /// Rows of other tables that this session wrote, by schema and name.
    written: BTreeMap<(String, String), i64>,
}

impl Others {
    pub(in super::super) async fn read(
        connection: &mut PgConnection,
        physical_name: &str,
    ) -> Result<Self, StoreError> {
        const DOING: &str = "looking at what is beside a table";
        let relations: Vec<(String, String)> = sqlx::query_as(
            "WITH _own AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'datanode_tables' AND c.relname = $1) \
             SELECT n.nspname || '.' || c.relname, \
             concat_ws(' ', c.relkind, c.relfilenode, c.relnatts, c.relowner, c.relacl::text, c.relrowsecurity) \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname IN ('datanode', 'datanode_tables') AND c.oid NOT IN (SELECT oid FROM _own) \
             AND c.oid NOT IN (SELECT indexrelid FROM pg_index WHERE indrelid IN (SELECT oid FROM _own))",
        )
        .bind(physical_name)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed(DOING))?;
        let written: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT schemaname::text, relname::text, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_all_tables \
             WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 AND schemaname NOT IN ('pg_catalog', 'pg_toast') \
             AND NOT (schemaname = 'datanode_tables' AND relname = $1)",
        )
        .bind(physical_name)
        .fetch_all(connection)
        .await
        .map_err(failed(DOING))?;
        Ok(Self {
            relations: relations.into_iter().collect(),
            written: written.into_iter().map(|(schema, name, rows)| ((schema, name), rows)).collect(),
        })
    }

    /// What has become of everything else since, one sentence each; and how many rows of other tables were written.
    pub(in super::super) fn since(&self, before: &Self) -> (Vec<String>, BTreeMap<(String, String), i64>) {
        let changed = before.relations.iter().filter(|(name, what)| self.relations.get(*name) != Some(*what));
        let mut said: Vec<String> = changed.map(|(name, _)| format!("`{name}`: changed or gone")).collect();
        let new = self.relations.keys().filter(|name| !before.relations.contains_key(*name));
        said.extend(new.map(|name| format!("`{name}`: new")));
        let written = self.written.iter().filter_map(|(table, rows)| {
            let rows = rows - before.written.get(table).copied().unwrap_or_default();
            (rows != 0).then(|| (table.clone(), rows))
        });
        (said, written.collect())
    }
}

/// Whether the server counts what a transaction writes; without it nobody could say what a revision did elsewhere.
pub(super) async fn counts_rows(connection: &mut PgConnection) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT current_setting('track_counts')::boolean")
        .fetch_one(connection)
        .await
        .map_err(failed("asking for a setting"))
}
