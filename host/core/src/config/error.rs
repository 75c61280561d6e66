//! Why a config is refused, said where and by what the schema itself says of the place.

use std::fmt;

use thiserror::Error;

use super::FieldNotes;
use crate::diagnostic::{Diagnostic, ErrorClass};

/// One thing that is wrong in a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer of the place; empty for the config as a whole.
    pub pointer: String,
    /// What is wrong there.
    pub text: String,
    /// The known field that an unknown one was probably meant to be.
    pub suggestion: Option<String>,
    /// What the schema says of the field, or of the suggested one.
    pub notes: FieldNotes,
}

impl Problem {
    /// A problem at a JSON pointer.
    pub(super) fn at(pointer: impl Into<String>, text: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), text: text.into(), suggestion: None, notes: FieldNotes::default() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{place}: {}", self.text)?;
        if !self.notes.is_empty() {
            let field = self.suggestion.as_ref().map_or(String::new(), |name| format!("`{name}`: "));
            write!(f, "\n    {field}{}", self.notes)?;
        }
        Ok(())
    }
}

/// Why a config or its schema is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The schema itself is unusable.
    #[error("the config schema is not usable: {0}")]
    Schema(String),
    /// Larger than the setting allows.
    #[error("the config has {bytes} bytes where {limit} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The document is not JSON.
    #[error("the config is not JSON: {0}")]
    Syntax(String),
    /// The schema refuses the document.
    #[error("the config does not fit its schema:\n{}", .0.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
    /// A referenced table is not registered.
    #[error("the config refers to table `{table}` at {pointer}, which is not registered{}", if notes.is_empty() { String::new() } else { format!("\n    {notes}") })]
    UnknownTable {
        /// The reference.
        table: String,
        /// Where in the config.
        pointer: String,
        /// What the schema says of the field.
        notes: Box<FieldNotes>,
    },
}

impl Diagnostic for ConfigError {
    fn code(&self) -> &'static str {
        match self {
            Self::Schema(_) => "config.schema",
            Self::TooLarge { .. } => "config.too_large",
            Self::Syntax(_) => "config.syntax",
            Self::Invalid(_) => "config.invalid",
            Self::UnknownTable { .. } => "config.table_not_registered",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::UnknownTable { .. } | Self::Schema(_) => ErrorClass::Refused,
            _ => ErrorClass::Usage,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::UnknownTable { table, .. } => {
                Some(format!("register it first: datanode table register {table}.toml"))
            }
            Self::TooLarge { .. } => {
                Some("write less, or raise `config_bytes` under [limits] in datanode.toml".to_owned())
            }
            Self::Schema(_) => {
                Some("upload a release of the component whose config schema this host reads".to_owned())
            }
            Self::Syntax(_) | Self::Invalid(_) => None,
        }
    }
}
