//! Quality checks: what a contract says of the rows of a run, judged before they are visible.
//!
//! A check is declared in the contract (`[[checks]]`), compiled once for a run ([`Evaluation::new`]), and fed with the
//! new rows batch by batch as they come: nothing of them is kept but counts and the first ten offending rows.

mod evaluate;
mod rule;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::cadence::Cadence;
use crate::contract::Contract;
use crate::diagnostic::{Diagnostic, ErrorClass};

pub use evaluate::Evaluation;
use rule::Rule;

/// The most checks of a contract.
pub const MAX_CHECKS: usize = 100;

/// What a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// `column` has a value in every new row, although its contract would allow none.
    NotNull,
    /// Values of `column` are at least `min` and at most `max`. A null is no value.
    Range,
    /// Values of `column` are among `values`. A null is no value.
    AcceptedValues,
    /// A run that brings new rows brings at least `min` and at most `max` of them.
    RowCount,
    /// The newest row, stored or new, is no older than `max_age` at the window's end.
    Freshness,
}

impl CheckKind {
    /// The name used in contracts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotNull => "not_null",
            Self::Range => "range",
            Self::AcceptedValues => "accepted_values",
            Self::RowCount => "row_count",
            Self::Freshness => "freshness",
        }
    }
}

/// What a violation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It is told in the run record; the rows are stored.
    Warn,
    /// The run fails, and nothing is stored.
    #[default]
    Error,
}

impl Severity {
    /// The name used in contracts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One check, as a contract declares it. Metadata: it changes no stored row and enters no hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Names it in run records; unique in the contract.
    pub name: String,
    /// What it looks at.
    pub kind: CheckKind,
    /// What a violation does.
    #[serde(default)]
    pub severity: Severity,
    /// Why it must hold.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Column of `not_null`, `range` and `accepted_values`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Least value of `range`, or rows of `row_count`; inclusive. Dates and times are texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// Greatest value of `range`, or rows of `row_count`; inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
    /// Values of `accepted_values`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
    /// Age of `freshness`, written like a cadence: `2d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Cadence>,
}

impl fmt::Display for Check {
    /// What must hold, in words: `rate is at least 0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column.as_deref().unwrap_or("the run");
        let bounds = || {
            let bound = |word: &str, bound: &Option<Value>| {
                bound.as_ref().map(|value| format!("{word} {}", literal(value)))
            };
            let bounds = [bound("at least", &self.min), bound("at most", &self.max)];
            bounds.into_iter().flatten().collect::<Vec<_>>().join(" and ")
        };
        match self.kind {
            CheckKind::NotNull => write!(f, "{column} is not null"),
            CheckKind::Range => write!(f, "{column} is {}", bounds()),
            CheckKind::AcceptedValues => {
                let values: Vec<String> = self.values.iter().map(literal).collect();
                write!(f, "{column} is one of {}", values.join(", "))
            }
            CheckKind::RowCount => write!(f, "a run brings {} rows", bounds()),
            CheckKind::Freshness => {
                let age = self.max_age.map_or_else(String::new, |age| age.to_string());
                write!(f, "the newest row is no older than {age} at the window's end")
            }
        }
    }
}

fn literal(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The check.
    pub check: Check,
    /// Offending rows; 0 where it is the run as a whole.
    pub rows: u64,
    /// The first offending rows, key and value; or what the run as a whole is.
    pub examples: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check `{}` ({})", self.check.name, self.check)?;
        if self.rows > 0 {
            write!(f, ": {} offending {}", self.rows, if self.rows == 1 { "row" } else { "rows" })?;
        }
        self.examples.iter().try_for_each(|example| write!(f, "\n  {example}"))?;
        let more = self.rows.saturating_sub(self.examples.len() as u64);
        if more > 0 { write!(f, "\n  … and {more} more") } else { Ok(()) }
    }
}

/// A run broke checks whose severity is `error`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("table `{table}`: nothing was stored, for the new rows break what its contract demands\n{}",
    .violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct QualityError {
    /// Identifier of the table.
    pub table: String,
    /// What was found, in the order of the contract.
    pub violations: Vec<Violation>,
}

impl Diagnostic for QualityError {
    fn code(&self) -> &'static str {
        "quality.failed"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Failed
    }

    fn next_step(&self) -> Option<String> {
        Some(
            "mend the source or the component; when the rows are right, change the check in the contract (severity = \
             \"warn\" lets rows pass) and register it again"
                .to_owned(),
        )
    }
}

/// Whether a check fits its contract. An error is the field that is wrong, and why.
pub(crate) fn fits(check: &Check, contract: &Contract) -> Result<(), (&'static str, String)> {
    Rule::of(check, contract).map(|_| ())
}
