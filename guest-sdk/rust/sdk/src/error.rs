//! Errors are values: an author's [`NodeError`] and the host's [`HostError`].

use std::error::Error;
use std::fmt;
use std::panic::Location;

/// An author's error. It fails the run; the host stores it with the run record.
///
/// `?` turns the errors of the host, Arrow, JSON and I/O into one; [`ResultExt::kind`] does so for any other.
///
/// ```
/// use datanode_sdk::NodeError;
/// let error = NodeError::new("source.parse", "not a number").field("file", "rates.csv").field("line", 17);
/// assert_eq!(error.to_string(), "source.parse: not a number (file=rates.csv, line=17)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeError {
    /// A short lower-case word or dotted path, such as `source.parse`.
    pub kind: String,
    /// What failed, in a sentence.
    pub message: String,
    /// Facts that help, such as the row or the file.
    pub fields: Vec<(String, String)>,
    /// Where it was made: file, line and column.
    pub traceback: Option<String>,
}

impl NodeError {
    /// An error of this kind, with the caller's place as its traceback.
    #[track_caller]
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            message: message.into(),
            fields: Vec::new(),
            traceback: Some(Location::caller().to_string()),
        }
    }

    /// Add a fact.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.fields.push((name.into(), value.to_string()));
        self
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)?;
        for (number, (name, value)) in self.fields.iter().enumerate() {
            write!(f, "{}{name}={value}", if number == 0 { " (" } else { ", " })?;
        }
        if self.fields.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl Error for NodeError {}

/// Why the host refuses a request. A guest may recover from it, or pass it on with `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostError {
    /// A stable dotted code, such as `source.not_granted`.
    pub code: String,
    /// What was refused and why.
    pub message: String,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Error for HostError {}

/// The host's code becomes the kind.
impl From<HostError> for NodeError {
    #[track_caller]
    fn from(error: HostError) -> Self {
        Self::new(error.code, error.message)
    }
}

impl From<arrow_schema::ArrowError> for NodeError {
    #[track_caller]
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::new("arrow", error.to_string())
    }
}

impl From<serde_json::Error> for NodeError {
    #[track_caller]
    fn from(error: serde_json::Error) -> Self {
        Self::new("json", error.to_string())
    }
}

impl From<std::io::Error> for NodeError {
    #[track_caller]
    fn from(error: std::io::Error) -> Self {
        Self::new("io", error.to_string())
    }
}

/// Gives any error a kind.
pub trait ResultExt<T> {
    /// Turn the error into a [`NodeError`] of this kind.
    #[track_caller]
    fn kind(self, kind: &str) -> Result<T, NodeError>;
}

impl<T, E: fmt::Display> ResultExt<T> for Result<T, E> {
    #[track_caller]
    fn kind(self, kind: &str) -> Result<T, NodeError> {
        // Not `map_err`: a closure would be the caller that the traceback names.
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(NodeError::new(kind, error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_mark_keeps_code_and_place() {
        fn refused() -> Result<(), NodeError> {
            Err(HostError { code: "source.not_granted".into(), message: "no".into() })?;
            Ok(())
        }
        let error = refused().unwrap_err();
        assert_eq!(error.kind, "source.not_granted");
        assert!(error.traceback.unwrap().contains("error.rs"));
    }

    #[test]
    fn any_error_gets_a_kind_at_the_place_of_the_call() {
        let line = line!() + 1;
        let error = "x".parse::<f64>().kind("source.parse").unwrap_err();
        assert_eq!((error.kind.as_str(), error.message.as_str()), ("source.parse", "invalid float literal"));
        assert!(error.traceback.unwrap().contains(&format!("error.rs:{line}:")));
    }
}
