//! Quality checks: what a contract says of the rows of a run, judged before they are visible.
//!
//! A check is declared in the contract (`[[checks]]`). Those that look at new rows alone are compiled once for a run
//! ([`Evaluation::new`]) and fed with the rows batch by batch as they come: nothing of them is kept but counts and the
//! first ten offending rows. Those that compare with stored rows ([`stored`]) are judged by the store, inside the
//! transaction that commits the rows, when all of them are there and nobody else sees one.

mod evaluate;
mod rule;
mod stored;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::cadence::Cadence;
use crate::contract::Contract;
use crate::diagnostic::{Diagnostic, ErrorClass};

pub use evaluate::Evaluation;
use rule::Rule;
pub use stored::{Offending, StoredCheck, StoredRule, stored};

/// The most checks of a contract.
pub const MAX_CHECKS: usize = 100;
/// Offending rows that are told.
pub const EXAMPLES: usize = 10;

/// What a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// No other row, stored or new, has the values of a new row in `columns`. A null is no value.
    Unique,
    /// In the order of time, and of each coordinate by itself, `column` never falls, or with another `direction` never
    /// rises, from the latest stored row on. A null is no value.
    Monotonic,
    /// `query` answers no row when the new rows are in the table.
    Sql,
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
            Self::Unique => "unique",
            Self::Monotonic => "monotonic",
            Self::Sql => "sql",
        }
    }
}

/// Which way values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// They never fall.
    #[default]
    Increasing,
    /// They never rise.
    Decreasing,
}

/// What a violation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Column of `not_null`, `range`, `accepted_values` and `monotonic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Columns of `unique`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
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
    /// Which way `monotonic` goes; increasing unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Whether `monotonic` refuses equal values, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// The statement of `sql`: one SELECT over this table, whose answer are the offending rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// How long a check that compares with stored rows may take, in seconds; a minute unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u32>,
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
            CheckKind::Unique => match self.columns.as_slice() {
                [column] => write!(f, "{column} is unique"),
                columns => write!(f, "({}) is unique", columns.join(", ")),
            },
            CheckKind::Monotonic => {
                let does = match (self.direction.unwrap_or_default(), self.strict.unwrap_or_default()) {
                    (Direction::Increasing, false) => "never falls",
                    (Direction::Increasing, true) => "always rises",
                    (Direction::Decreasing, false) => "never rises",
                    (Direction::Decreasing, true) => "always falls",
                };
                write!(f, "{column} {does} in the order of time")
            }
            CheckKind::Sql => {
                let query = self.query.as_deref().unwrap_or_default();
                let words: Vec<&str> = query.split_whitespace().collect();
                write!(f, "no row answers {}", words.join(" "))
            }
        }
    }
}

fn literal(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// One offending row, or what the run as a whole is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Key of the row; absent where it is no row of the table.
    pub key: Option<String>,
    /// What is wrong with it: columns and their values.
    pub value: String,
}

impl Example {
    /// A row of the table. Of a long value its beginning is told.
    fn row(key: String, value: &str) -> Self {
        Self { key: Some(key), value: beginning(value) }
    }

    /// Something that has no key.
    fn whole(value: &str) -> Self {
        Self { key: None, value: beginning(value) }
    }
}

fn beginning(text: &str) -> String {
    text.chars().take(200).collect()
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{key}: {}", self.value),
            None => f.write_str(&self.value),
        }
    }
}

/// What a check found, as run records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Name of the check.
    pub check: String,
    /// What it demands, in words.
    pub demands: String,
    /// What the violation does.
    pub severity: Severity,
    /// Offending rows; 0 where it is the run as a whole.
    pub rows: u64,
    /// The first of them; or what the run as a whole is.
    pub examples: Vec<Example>,
}

impl Violation {
    fn of(check: &Check, rows: u64, examples: Vec<Example>) -> Self {
        Self {
            check: check.name.clone(),
            demands: beginning(&check.to_string()),
            severity: check.severity,
            rows,
            examples,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check `{}` ({})", self.check, self.demands)?;
        if self.rows > 0 {
            write!(f, ": {} offending {}", self.rows, if self.rows == 1 { "row" } else { "rows" })?;
        }
        self.examples.iter().try_for_each(|example| write!(f, "\n  {example}"))?;
        let more = self.rows.saturating_sub(self.examples.len() as u64);
        if more > 0 { write!(f, "\n  … and {more} more") } else { Ok(()) }
    }
}

/// What violations of a table's checks mean for a run: those that only warn are the answer; others are the error.
pub fn settle(table: &str, violations: Vec<Violation>) -> Result<Vec<Violation>, QualityError> {
    let (errors, warnings): (Vec<_>, Vec<_>) =
        violations.into_iter().partition(|violation| violation.severity == Severity::Error);
    if errors.is_empty() {
        return Ok(warnings);
    }
    // What warns is told too: once the run has failed, there is no other place for it.
    let violations = errors.into_iter().chain(warnings).collect();
    Err(QualityError { table: table.to_owned(), violations })
}

/// A run broke checks whose severity is `error`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("table `{table}`: nothing was stored, for the new rows break what its contract demands\n{}",
    .violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct QualityError {
    /// Identifier of the table.
    pub table: String,
    /// What was found: first what fails the run, then what only warns, each in the order of the contract.
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
