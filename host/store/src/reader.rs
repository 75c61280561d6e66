//! What can be wrong with the login under which a server runs SQL of users.

use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use thiserror::Error;

/// Why SQL of users is not run.
#[derive(Debug, Error)]
pub enum ReaderError {
    /// None is set.
    #[error(
        "SQL of users needs a login of its own on this server, which can read and do nothing else; none is set"
    )]
    Missing,
    /// There is no way to the database under it.
    #[error("the database {server} cannot be reached as `{role}`, the login for SQL of users: {source}")]
    Connect {
        /// Host, port and database; never a password.
        server: String,
        /// The login.
        role: String,
        /// Why.
        source: sqlx::Error,
    },
    /// It may do more than read.
    #[error("the login `{role}` may do more than read tables of users: {}", .powers.join("; "))]
    TooPowerful {
        /// The login.
        role: String,
        /// What it may.
        powers: Vec<String>,
    },
    /// The host's own login cannot let it read a table.
    #[error("the login `{role}` cannot be given the right to read table `{table}`: {source}")]
    Grant {
        /// The login.
        role: String,
        /// Identifier of the table.
        table: String,
        /// Why.
        source: sqlx::Error,
    },
}

impl Diagnostic for ReaderError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "sql.no_reader",
            Self::Connect { .. } => "sql.reader_unreachable",
            Self::TooPowerful { .. } => "sql.reader_too_powerful",
            Self::Grant { .. } => "sql.reader_grant",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Missing => ErrorClass::Usage,
            Self::TooPowerful { .. } | Self::Grant { .. } => ErrorClass::Refused,
            Self::Connect { .. } => ErrorClass::Infrastructure,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Missing => "let an administrator of the server make one: CREATE ROLE datanode_reader LOGIN PASSWORD '…'\n\
                 then name it: DATANODE_READER_URL=postgres://datanode_reader:PASSWORD@HOST:5432/DATABASE"
                .to_owned(),
            Self::Connect { .. } => {
                "check DATANODE_READER_URL or --reader (postgres://ROLE@HOST:5432/DATABASE), and that the role may connect"
                    .to_owned()
            }
            Self::TooPowerful { .. } => {
                "make a role for this alone, without attributes and in no other role: CREATE ROLE datanode_reader LOGIN \
                 PASSWORD '…'"
                    .to_owned()
            }
            Self::Grant { role, .. } => format!(
                "let the owner of the tables do it: GRANT USAGE ON SCHEMA datanode_tables, datanode_sql TO \"{role}\"; \
                 GRANT SELECT ON ALL TABLES IN SCHEMA datanode_tables TO \"{role}\""
            ),
        })
    }
}
