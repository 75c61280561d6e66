//! Running the SQL of a revision: statement by statement, each with its place, under SQLite's authorizer.
//!
//! The SQL is an operator's, and may be somebody else's who sent a folder: it reaches the one table, reads the tables
//! that its foreign keys lead to, and nothing else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datanode_core::revision::{RevisionError, statement};
use rusqlite::Connection;
use rusqlite::ffi::{SQLITE_AUTH, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::sqlite::stored::{failed, is_interrupted};
use crate::{SqlText, StoreError};

/// What the SQL of a revision may touch.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    /// The table, and the name under which it is rebuilt.
    pub(super) own: Vec<String>,
    /// Tables that may be read.
    pub(super) read: Vec<String>,
}

/// Tables of SQLite that statements about tables read and write by themselves. No statement can name them and change
/// them: SQLite refuses that by itself.
const SCHEMA: [&str; 5] =
    ["sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema", "sqlite_sequence"];
/// Reads the table and answers; `ALTER TABLE … ADD COLUMN` asks it.
const QUICK_CHECK: [&str; 2] = ["quick_check", "pragma_quick_check"];

impl Reach {
    /// None when the action is allowed, else why not.
    fn refuses(&self, context: &AuthContext<'_>) -> Option<String> {
        use AuthAction as A;
        let own = |name: &str| self.own.iter().any(|own| own.eq_ignore_ascii_case(name));
        let of_sqlite = |name: &str| SCHEMA.contains(&name) || name.starts_with("sqlite_stat");
        let on_table = |verb: &str, name: &str| {
            (!own(name) && !of_sqlite(name))
                .then(|| format!("it {verb} `{name}`, which is not the table of this revision"))
        };
        // Only the schema of temporary tables, which renaming looks into.
        if context.database_name == Some("temp")
            && !matches!(context.action, A::Read { table_name, .. } | A::Update { table_name, .. } if of_sqlite(table_name))
        {
            return Some("it makes or uses something temporary".to_owned());
        }
        match context.action {
            A::Read { table_name, .. } => {
                let may = self.read.iter().any(|read| read.eq_ignore_ascii_case(table_name))
                    || QUICK_CHECK.contains(&table_name)
                    // Of a query without tables.
                    || table_name.is_empty();
                if may { None } else { on_table("reads", table_name) }
            }
            A::Insert { table_name } | A::Update { table_name, .. } => on_table("writes to", table_name),
            A::Delete { table_name } => on_table("deletes from", table_name),
            A::CreateTable { table_name } => on_table("creates", table_name),
            A::DropTable { table_name } => on_table("drops", table_name),
            A::AlterTable { table_name, .. } => on_table("alters", table_name),
            // The index that is a table's key, and no other.
            A::CreateIndex { index_name, table_name } | A::DropIndex { index_name, table_name }
                if index_name.starts_with("sqlite_autoindex_") =>
            {
                on_table("indexes", table_name)
            }
            A::Reindex { index_name } if index_name.starts_with("sqlite_autoindex_") => None,
            A::CreateIndex { index_name, .. } | A::DropIndex { index_name, .. } => {
                Some(format!("index `{index_name}`: a contract knows no index but its key"))
            }
            A::Function { function_name } if function_name.eq_ignore_ascii_case("load_extension") => {
                Some("it loads an extension".to_owned())
            }
            A::Select | A::Function { .. } => None,
            A::Pragma { pragma_name, .. } if QUICK_CHECK.contains(&pragma_name) => None,
            A::Pragma { pragma_name, .. } => Some(format!("PRAGMA {pragma_name}")),
            A::Transaction { .. } | A::Savepoint { .. } => {
                Some("the transaction around the revision is datanode's".to_owned())
            }
            A::Attach { .. } | A::Detach { .. } => Some("it attaches or detaches a database".to_owned()),
            A::Recursive => Some("a recursive query may never end".to_owned()),
            _ => {
                Some("a revision alters, creates, fills and drops its own table, and nothing else".to_owned())
            }
        }
    }
}

/// Takes the authorizer away again: what the host itself does next is not the revision's.
struct Guarded<'c>(&'c Connection);

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        // Setting it cannot fail on an open connection; removing it neither.
        let _ = self.0.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
    }
}

/// Run statements within their reach. The answer to a failure names the statement; the caller rolls back. Whoever called
/// ends them when the time that they have, `limit`, is over.
pub(super) fn run(
    connection: &Connection,
    sql: &SqlText,
    statements: &[statement::Statement<'_>],
    reach: Reach,
    table: &str,
    key: &[String],
    limit: Duration,
) -> Result<(), StoreError> {
    let refusal: Arc<Mutex<Option<String>>> = Arc::default();
    let told = Arc::clone(&refusal);
    let guarded = Guarded(connection);
    let authorizer = move |context: AuthContext<'_>| match reach.refuses(&context) {
        None => Authorization::Allow,
        Some(problem) => {
            told.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
            Authorization::Deny
        }
    };
    connection.authorizer(Some(authorizer)).map_err(failed("guarding a revision"))?;
    for statement in statements {
        let (file, line) = (sql.file.clone(), statement.line);
        if let Err(error) = connection.execute(statement.text, ()) {
            if is_interrupted(&error) {
                let what = format!("{file}, line {line}");
                return Err(RevisionError::TooLong { what, seconds: limit.as_secs() }.into());
            }
            let refused = refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
            return Err(explain(&error, refused, table, key, file, line).into());
        }
    }
    drop(guarded);
    Ok(())
}

fn explain(
    error: &rusqlite::Error,
    refused: Option<String>,
    table: &str,
    key: &[String],
    file: String,
    line: usize,
) -> RevisionError {
    let code = error.sqlite_error().map(|error| error.extended_code);
    if let Some(problem) = refused {
        return RevisionError::StatementRefused { file, line, problem };
    }
    match (error, code) {
        (rusqlite::Error::ExecuteReturnedResults, _) => RevisionError::StatementRefused {
            file,
            line,
            problem: "it answers rows, and nobody would read them".to_owned(),
        },
        (_, Some(SQLITE_AUTH)) => RevisionError::StatementRefused { file, line, problem: error.to_string() },
        (_, Some(SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE)) => {
            RevisionError::Duplicates { table: table.to_owned(), key: key.to_vec(), file, line }
        }
        _ => RevisionError::StatementFailed { file, line, problem: error.to_string() },
    }
}
