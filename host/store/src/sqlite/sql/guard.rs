//! What a connection for SQL of strangers may do: read one table through its view.

use datanode_core::contract::Contract;
use datanode_core::sql::FUNCTIONS;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;

use super::values;

/// Functions that SQLite calls for operators.
const OPERATORS: [&str; 3] = ["like", "->", "->>"];
/// The longest text that a statement may hold or make on its way. Also what bounds the work of one call: the clock is
/// looked at between steps, not inside of one.
const MAX_VALUE_BYTES: usize = 4 << 20;
/// The longest pattern of LIKE.
const MAX_PATTERN_BYTES: i32 = 500;

/// Take everything from a connection that a reader of one table does not need. `views` are the names under which it
/// is read.
pub(super) fn close(
    connection: &Connection,
    contract: &Contract,
    views: Vec<String>,
    max_bytes: usize,
) -> rusqlite::Result<()> {
    // An identifier that is no column is an error, and not a text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // PostgreSQL's LIKE tells cases apart. What outgrows the cache goes to a file: memory stays bounded.
    connection.execute_batch(
        "PRAGMA case_sensitive_like = ON; PRAGMA temp_store = FILE; PRAGMA cache_size = -16384; \
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
    let reach = Reach { table: contract.physical_name().to_owned(), views };
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        if reach.allows(&context) { Authorization::Allow } else { Authorization::Deny }
    }))
}

struct Reach {
    table: String,
    views: Vec<String>,
}

impl Reach {
    fn allows(&self, context: &AuthContext<'_>) -> bool {
        use AuthAction as A;
        let through_view =
            context.accessor.is_some_and(|accessor| self.views.iter().any(|view| view == accessor));
        match context.action {
            A::Select | A::Recursive => true,
            A::Read { table_name, column_name } => {
                let is_view =
                    context.database_name == Some("temp") && self.views.iter().any(|view| view == table_name);
                let is_table = context.database_name == Some("main") && table_name == self.table;
                // Of a query of WITH no column is read: a name without a database.
                let is_query = context.database_name.is_none() && column_name.is_empty();
                is_view || (is_table && through_view) || is_query
            }
            A::Function { function_name } => {
                let name = function_name.to_ascii_lowercase();
                FUNCTIONS.contains(&name.as_str())
                    || OPERATORS.contains(&name.as_str())
                    || (through_view && values::FUNCTIONS.contains(&name.as_str()))
            }
            _ => false,
        }
    }
}
