//! What is known of a guest's call that ended in an error, as data: for programs, and for whoever mends the guest.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::run::LogLine;

/// An error that the author's code returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorError {
    /// Word or dotted path of the author's choice.
    pub kind: String,
    /// Text.
    pub message: String,
    /// Facts, in the author's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// Where, in the form usual for the language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
}

/// A fact of an author's error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

impl fmt::Display for AuthorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)?;
        for Field { name, value } in &self.fields {
            write!(f, "\n    {name}: {value}")?;
        }
        if let Some(traceback) = &self.traceback {
            for line in traceback.lines() {
                write!(f, "\n    {line}")?;
            }
        }
        Ok(())
    }
}

/// A limit that a guest reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachedLimit {
    /// The setting under `[limits]`.
    pub setting: String,
    /// Its value.
    pub value: u64,
}

/// A function of the guest that had been called when it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackFrame {
    /// Its name, readable.
    pub function: String,
    /// `file:line`, where the component has debug information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

impl fmt::Display for StackFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(location) => write!(f, "{location} ({})", self.function),
            None => f.write_str(&self.function),
        }
    }
}

/// A guest's call that ended in an error. Everything in it is bounded, and much of it is text of the guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuestFailure {
    /// Component.
    pub component: String,
    /// Exported function that was called.
    pub function: String,
    /// The error that the author returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<AuthorError>,
    /// The limit that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<ReachedLimit>,
    /// The innermost function that is neither of a standard library nor of an SDK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<StackFrame>,
    /// The guest's stack, innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<StackFrame>,
    /// What the guest logged last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log_tail: Vec<LogLine>,
}
