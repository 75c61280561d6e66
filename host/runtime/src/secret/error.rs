//! What can go wrong with secrets. No error has a value in it.

use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use thiserror::Error;

/// Why a secret cannot be set, or its value not be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretError {
    /// There is none of this name.
    #[error("there is no secret `{name}`")]
    NotFound {
        /// Name.
        name: String,
    },
    /// It is no text that can be sent.
    #[error("secret `{name}`: {problem}")]
    Unfit {
        /// Name.
        name: String,
        /// What is wrong, without the value.
        problem: &'static str,
    },
    /// Its variable or file does not give it.
    #[error("secret `{name}`: {place}: {problem}")]
    Unavailable {
        /// Name.
        name: String,
        /// Variable or file.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// The key is not the one that sealed it, or what is stored was changed.
    #[error("secret `{name}` cannot be opened: it was sealed by key {sealed_by}, and this host has {held}")]
    Sealed {
        /// Name.
        name: String,
        /// The key that it was sealed by.
        sealed_by: String,
        /// The key of this host.
        held: String,
    },
    /// The key cannot be read or made.
    #[error("the key of secrets, {place}: {problem}")]
    Key {
        /// Variable or file.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// Sources use it.
    #[error("secret `{name}` is used by {}", .sources.iter().map(|source| format!("source `{source}`")).collect::<Vec<_>>().join(", "))]
    InUse {
        /// Name.
        name: String,
        /// The sources.
        sources: Vec<String>,
    },
}

impl Diagnostic for SecretError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "secret.not_found",
            Self::Unfit { .. } => "secret.unfit",
            Self::Unavailable { .. } => "secret.unavailable",
            Self::Sealed { .. } => "secret.sealed",
            Self::Key { .. } => "secret.key",
            Self::InUse { .. } => "secret.in_use",
        }
    }

    /// None of this says anything about data: it is never a fact of a run.
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unfit { .. } => ErrorClass::Usage,
            Self::InUse { .. } => ErrorClass::Refused,
            _ => ErrorClass::Infrastructure,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { name } => {
                format!("set it; its value is read from standard input: datanode secret set {name}")
            }
            Self::Unfit { name, .. } => {
                format!("set it again, 8 to 4096 visible ASCII characters: datanode secret set {name}")
            }
            Self::Unavailable { name, .. } => {
                format!(
                    "give this process the variable or file, or keep the value here: datanode secret set {name}"
                )
            }
            Self::Sealed { name, .. } => format!(
                "give this host the key that it was sealed by (DATANODE_SECRET_KEY, or secret.key of the data directory), or set it again: datanode secret set {name}"
            ),
            Self::Key { .. } => {
                "make the file readable for this user alone (mode 0600), 64 hexadecimal digits".to_owned()
            }
            Self::InUse { sources, .. } => {
                format!(
                    "remove the source first: datanode source remove {}",
                    sources.first().map_or("NAME", String::as_str)
                )
            }
        })
    }
}
