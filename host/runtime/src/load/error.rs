//! What can be wrong with a file of rows.

use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use thiserror::Error;

/// Why a file cannot be loaded. Nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoadError {
    /// The file cannot be opened.
    #[error("{file}: {problem}")]
    File {
        /// As given.
        file: String,
        /// Why.
        problem: String,
    },
    /// Nobody says what it is.
    #[error("{file}: its extension tells no format")]
    Format {
        /// As given.
        file: String,
    },
    /// It is not what its format says.
    #[error("{file}: {problem}")]
    Unreadable {
        /// As given.
        file: String,
        /// What is wrong, with the place where it is known.
        problem: String,
    },
    /// A column that does not fit the contract.
    #[error("{file}, column `{column}`: {problem}")]
    Column {
        /// As given.
        file: String,
        /// Identifier of the table.
        table: String,
        /// Column.
        column: String,
        /// What is wrong.
        problem: String,
    },
    /// A value that does not fit the contract.
    #[error("{file}, {place}, column `{column}`: {problem}")]
    Value {
        /// As given.
        file: String,
        /// `line 3` of a CSV file, `row 3` of another; both counted from 1.
        place: String,
        /// Column.
        column: String,
        /// What is wrong.
        problem: String,
    },
}

impl Diagnostic for LoadError {
    fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "load.file",
            Self::Format { .. } => "load.format",
            Self::Unreadable { .. } => "load.unreadable",
            Self::Column { .. } => "load.column",
            Self::Value { .. } => "load.value",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::File { .. } | Self::Format { .. } => ErrorClass::Usage,
            _ => ErrorClass::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        let step = match self {
            Self::File { .. } => "give the path of a file that this user may read",
            Self::Format { .. } => "say it: --format csv, --format parquet or --format arrow",
            Self::Unreadable { .. } => "check that the file is whole and of the format that it is loaded as",
            Self::Column { table, .. } => {
                return Some(format!(
                    "make the file's columns those of the table: datanode table show {table}"
                ));
            }
            Self::Value { .. } => "mend the value in the file; nothing was stored",
        };
        Some(step.to_owned())
    }
}
