//! What is wrong with a request of that client.

use axum::http::StatusCode;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use thiserror::Error;

use crate::Problem;

/// Why a request is refused, where no rule of the host has refused it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum CompatError {
    /// A body that is no JSON of the expected shape.
    #[error("the body cannot be read: {0}")]
    Body(String),
    /// A body that asks for what its table does not have.
    #[error("{0}")]
    Table(String),
    /// A field of a body.
    #[error("`{field}`: {problem}")]
    Field {
        /// Where it stands.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A place to read on from that this host has not given.
    #[error("`offset`: {0}")]
    Cursor(&'static str),
    /// A scope without anything in it, where it would mean everything or nothing.
    #[error("`{field}` is empty: {problem}")]
    EmptyScope {
        /// The scope.
        field: &'static str,
        /// What to do instead.
        problem: &'static str,
    },
    /// Something that the protocol has and this host does not.
    #[error("{what}")]
    Unserved {
        /// What, and why.
        what: String,
        /// What to do instead.
        instead: &'static str,
    },
}

impl CompatError {
    /// A field that is wrong.
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }

    /// The same as a problem: all of them are the caller's.
    pub(crate) fn problem(self) -> Problem {
        Problem::from(self).with_status(StatusCode::BAD_REQUEST)
    }
}

impl Diagnostic for CompatError {
    fn code(&self) -> &'static str {
        match self {
            Self::Body(_) | Self::Table(_) => "compat.body",
            Self::Field { .. } => "compat.field",
            Self::Cursor(_) => "compat.cursor",
            Self::EmptyScope { .. } => "compat.empty_scope",
            Self::Unserved { .. } => "compat.unserved",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Unserved { .. } => ErrorClass::Refused,
            _ => ErrorClass::Usage,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Unserved { instead, .. } => (*instead).to_owned(),
            Self::Cursor(_) => {
                "send what the page before gave as next_offset, with the same question, or begin at 0"
                    .to_owned()
            }
            _ => "mend the request; docs/reference/compatible-api.md says what is taken".to_owned(),
        })
    }
}

/// For `map_err` and `?` on results whose error is a [`CompatError`].
pub(crate) fn refuse(error: CompatError) -> Problem {
    error.problem()
}
