//! What a connection for SQL of strangers may do: read one table through its view.

use std::time::{Duration, Instant};

use datanode_core::contract::Contract;
use datanode_core::sql::{FUNCTIONS, sqlite_functions};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;

use super::{sought, values};

/// Functions that SQLite calls for operators.
const OPERATORS: [&str; 3] = ["like", "->", "->>"];
/// The longest text that a statement may hold or make on its way. With the length of what is looked for in it, also what
/// bounds the work of one call: the clock is looked at between steps, not inside of one.
const MAX_VALUE_BYTES: usize = 4 << 20;
/// The longest pattern of LIKE.
const MAX_PATTERN_BYTES: i32 = 500;

/// Take everything from a connection that a reader of one table does not need. `queries` are the names that WITH has
/// given in the statement.
pub(super) fn close(
    connection: &Connection,
    contract: &Contract,
    queries: &[String],
    max_bytes: usize,
) -> rusqlite::Result<()> {
    let queries = queries.iter().filter_map(|query| match connection.table_exists(None, query.as_str()) {
        Ok(false) => Some(Ok(query.clone())),
        // Never under the name of a table.
        Ok(true) => None,
        Err(error) => Some(Err(error)),
    });
    let reach =
        Reach { table: contract.physical_name().to_owned(), queries: queries.collect::<Result<_, _>>()? };
    // An identifier that is no column is an error, and not a text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // PostgreSQL's LIKE tells cases apart. What outgrows the cache goes to a file: memory stays bounded.
    connection.execute_batch(
        "PRAGMA case_sensitive_like = ON; PRAGMA cache_size = -16384; \
         PRAGMA trusted_schema = OFF; PRAGMA query_only = ON",
    )?;
    let longest = i32::try_from(MAX_VALUE_BYTES.min(max_bytes.max(1 << 16))).unwrap_or(i32::MAX);
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LENGTH, longest),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 500),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 100),
        (Limit::SQLITE_LIMIT_COLUMN, 2_000),
        (Limit::SQLITE_LIMIT_VDBE_OP, 250_000),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 100),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_PATTERN_BYTES),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value)?;
    }
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        if reach.allows(&context) { Authorization::Allow } else { Authorization::Deny }
    }))
}

/// The host's own connection as readers see the database, for as long as a statement of a contract is judged on it: with
/// the functions and collations of the view, `LIKE` that tells cases apart, names that are never taken for texts, and no
/// longer values than readers may have. What a statement may say, the parser decides; `patience` is how long it may take.
pub(in crate::sqlite) struct Readers<'c> {
    connection: &'c Connection,
    longest: i32,
    quotes_texts: bool,
}

impl<'c> Readers<'c> {
    pub(in crate::sqlite) fn see(connection: &'c Connection, patience: Duration) -> rusqlite::Result<Self> {
        values::register(connection)?;
        let until = Instant::now().checked_add(patience);
        sought::register(connection, move || until.is_some_and(|until| Instant::now() >= until))?;
        let readers = Self {
            connection,
            longest: connection.limit(Limit::SQLITE_LIMIT_LENGTH)?,
            quotes_texts: connection.db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML)?,
        };
        connection.execute_batch("PRAGMA case_sensitive_like = ON")?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        let longest = i32::try_from(MAX_VALUE_BYTES).unwrap_or(i32::MAX);
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, longest)?;
        Ok(readers)
    }
}

impl Drop for Readers<'_> {
    fn drop(&mut self) {
        // These set values of the connection in memory, which cannot fail.
        let _ = self.connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, self.longest);
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, self.quotes_texts);
        let _ = self.connection.execute_batch("PRAGMA case_sensitive_like = OFF");
    }
}

struct Reach {
    /// The table, and its view, which has its name.
    table: String,
    queries: Vec<String>,
}

impl Reach {
    fn allows(&self, context: &AuthContext<'_>) -> bool {
        use AuthAction as A;
        match context.action {
            A::Select | A::Recursive => true,
            A::Read { table_name, column_name } => match context.database_name {
                Some("temp" | "main") => table_name == self.table,
                // No column of it is read, and the statement named no database: the view, or a query of WITH.
                None if column_name.is_empty() => {
                    table_name == self.table || self.queries.iter().any(|query| query == table_name)
                }
                _ => false,
            },
            A::Function { function_name } => {
                let name = function_name.to_ascii_lowercase();
                let own = [&values::FUNCTIONS[..], &[sqlite_functions::SOUGHT][..]].concat();
                [&FUNCTIONS[..], &OPERATORS[..], &own[..]].concat().contains(&name.as_str())
            }
            _ => false,
        }
    }
}
