//! Why a search is refused.

use thiserror::Error;

use crate::diagnostic::{Diagnostic, ErrorClass};

/// Why a search is refused. Nothing of it is wrong with any table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SearchError {
    /// There is nothing to look for, or too much.
    #[error("the search text {problem}")]
    Query {
        /// What is wrong.
        problem: String,
    },
    /// A knob outside of its bounds.
    #[error("`{knob}`: {problem}")]
    Knob {
        /// Its name.
        knob: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A model that this host does not have.
    #[error("there is no embedding model {:?} here; there is {known}", .model.chars().take(80).collect::<String>())]
    UnknownModel {
        /// As given.
        model: String,
        /// What there is.
        known: String,
    },
    /// A vector that does not fit the model.
    #[error("`q_embedding`: {problem}")]
    QueryVector {
        /// What is wrong.
        problem: String,
    },
    /// A filter that there is none of.
    #[error(
        "there is no filter `{key}`; there are {known}, each also with `__in` and `__contains`, and `namespace__isnull`"
    )]
    UnknownFilter {
        /// As given, cut.
        key: String,
        /// The fields there are.
        known: String,
    },
    /// A value that means nothing to its filter.
    #[error("filter `{key}`: {problem}")]
    FilterValue {
        /// As given, cut.
        key: String,
        /// What is wrong.
        problem: String,
    },
}

impl Diagnostic for SearchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Query { .. } => "search.query",
            Self::Knob { .. } => "search.knob",
            Self::UnknownModel { .. } => "search.unknown_model",
            Self::QueryVector { .. } => "search.query_vector",
            Self::UnknownFilter { .. } => "search.unknown_filter",
            Self::FilterValue { .. } => "search.filter_value",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Usage
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Query { .. } => "say in a few words what the table is about".to_owned(),
            Self::Knob { .. } => "leave it out, which is best for most searches".to_owned(),
            Self::UnknownModel { .. } => "leave the model out, or ask for `default`".to_owned(),
            Self::QueryVector { .. } => {
                "make the vector with the model of this host, or leave it out: the host makes it of the text"
                    .to_owned()
            }
            Self::UnknownFilter { .. } | Self::FilterValue { .. } => {
                "see what can be asked: docs/reference/search.md".to_owned()
            }
        })
    }
}
