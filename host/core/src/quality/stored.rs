//! Checks that compare new rows with stored ones.

use std::time::Duration;

use serde_json::Value;

use super::rule::{Rule, Wrong, column_of};
use super::{Check, CheckKind, Direction, EXAMPLES, Example, Violation};
use crate::contract::Contract;
use crate::data_type::DataType;
use crate::sql::{self, SqlDialect};

/// How long one may take unless its contract says otherwise, in seconds.
const MAX_SECONDS: u32 = 60;
/// How long a contract may let one take.
const LONGEST: u32 = 3_600;

/// A check that is judged where the rows are, in the transaction that brings them.
#[derive(Debug, Clone)]
pub struct StoredCheck {
    check: Check,
    /// What it demands.
    pub rule: StoredRule,
}

/// What such a check demands. Columns are places in the contract's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredRule {
    /// No two rows, of which one is new, have the same values here.
    Unique {
        /// Which columns.
        columns: Vec<usize>,
    },
    /// Values go one way.
    Monotonic {
        /// Which column.
        column: usize,
        /// Which way.
        direction: Direction,
        /// Whether they may not stay as they are.
        strict: bool,
    },
    /// A statement answers no row.
    Sql {
        /// The statement, as the contract has it.
        query: String,
    },
}

/// What a check found: the first rows, and how many there are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Offending {
    /// All of them.
    pub rows: u64,
    /// Of each of the first: the values of the contract's key, then those of the rule's columns, as [`cell::value`](crate::cell::value) has
    /// them; of `monotonic` the value, then the one before it.
    pub first: Vec<Vec<Value>>,
}

/// The checks of a contract that compare with stored rows.
pub fn stored(contract: &Contract) -> Vec<StoredCheck> {
    let stored = |check: &Check| match Rule::of(check, contract) {
        Ok(Rule::Stored(rule)) => Some(StoredCheck { check: check.clone(), rule }),
        // What does not fit was refused when the contract was read.
        _ => None,
    };
    contract.checks.iter().filter_map(stored).collect()
}

impl StoredRule {
    pub(super) fn of(check: &Check, contract: &Contract) -> Result<Self, Wrong> {
        if check.max_seconds.is_some_and(|seconds| !(1..=LONGEST).contains(&seconds)) {
            return Err(("max_seconds", format!("a check may take 1 to {LONGEST} seconds")));
        }
        match check.kind {
            CheckKind::Monotonic => {
                let column = column_of(check, contract)?;
                let data_type = contract.columns[column].data_type;
                if !can_be_compared(data_type) {
                    let name = &contract.columns[column].name;
                    let problem = format!("`monotonic` cannot judge column `{name}` of type {data_type}");
                    return Err(("column", problem));
                }
                let direction = check.direction.unwrap_or_default();
                Ok(Self::Monotonic { column, direction, strict: check.strict.unwrap_or_default() })
            }
            CheckKind::Sql => {
                let query = check.query.clone();
                let query = query.ok_or_else(|| ("kind", "`sql` needs a `query`".to_owned()))?;
                for dialect in [SqlDialect::Sqlite, SqlDialect::PostgreSql] {
                    let checked = sql::check(&query, contract, dialect)
                        .map_err(|error| ("query", format!("the query: {}", error.message)))?;
                    if checked.sql.starts_with("EXPLAIN") {
                        return Err(("query", "a query that is explained explains nothing here".to_owned()));
                    }
                }
                Ok(Self::Sql { query })
            }
            _ => unique(check, contract),
        }
    }
}

fn unique(check: &Check, contract: &Contract) -> Result<StoredRule, Wrong> {
    if check.columns.is_empty() {
        return Err(("kind", "`unique` needs `columns`".to_owned()));
    }
    let mut columns = Vec::new();
    for name in &check.columns {
        let place = contract.columns.iter().position(|column| column.name == *name);
        let place = place.ok_or_else(|| ("columns", format!("the table has no column `{name}`")))?;
        if columns.contains(&place) {
            return Err(("columns", format!("column `{name}` is listed twice")));
        }
        if contract.columns[place].data_type == DataType::Json {
            return Err(("columns", format!("`unique` cannot judge column `{name}` of type json")));
        }
        columns.push(place);
    }
    if contract.key().iter().all(|name| check.columns.contains(name)) {
        return Err(("columns", "they are unique already, for the index is among them".to_owned()));
    }
    Ok(StoredRule::Unique { columns })
}

fn can_be_compared(data_type: DataType) -> bool {
    use DataType as T;
    matches!(
        data_type,
        T::Float64
            | T::Float32
            | T::Int64
            | T::Int32
            | T::Int16
            | T::Date
            | T::TimestampTz
            | T::Decimal { .. }
    )
}

impl StoredCheck {
    /// How long it may take.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.check.max_seconds.unwrap_or(MAX_SECONDS).into())
    }

    /// The name of the check.
    pub fn name(&self) -> &str {
        &self.check.name
    }

    /// What rows of the table mean that offend it.
    pub fn offended_by(&self, contract: &Contract, found: &Offending) -> Option<Violation> {
        let examples = found.first.iter().take(EXAMPLES).map(|row| {
            let (key, values) = row.split_at(contract.key().len().min(row.len()));
            let key = key.iter().map(plain).collect::<Vec<_>>().join(", ");
            Example::row(format!("({key})"), &self.told(contract, values))
        });
        (found.rows > 0).then(|| Violation::of(&self.check, found.rows, examples.collect()))
    }

    fn told(&self, contract: &Contract, values: &[Value]) -> String {
        match (&self.rule, values) {
            (StoredRule::Monotonic { column, .. }, [value, before]) => {
                format!("{} = {} after {}", contract.columns[*column].name, plain(value), plain(before))
            }
            (StoredRule::Unique { columns }, values) => {
                let told = columns.iter().zip(values);
                let told = told
                    .map(|(column, value)| format!("{} = {}", contract.columns[*column].name, plain(value)));
                told.collect::<Vec<_>>().join(", ")
            }
            _ => String::new(),
        }
    }

    /// What the answer of a statement means: the first rows, column and value, and how many there are.
    pub fn answered(&self, rows: u64, first: &[Vec<(String, Value)>]) -> Option<Violation> {
        let row = |row: &Vec<(String, Value)>| {
            let cells = row.iter().map(|(name, value)| format!("{name} = {}", plain(value)));
            Example::whole(&cells.collect::<Vec<_>>().join(", "))
        };
        let examples = first.iter().take(EXAMPLES).map(row).collect();
        (rows > 0).then(|| Violation::of(&self.check, rows, examples))
    }

    /// The check did not come to an end within its time. Rows that nobody has judged are treated like wrong ones.
    pub fn out_of_time(&self) -> Violation {
        let seconds = self.patience().as_secs();
        let said = format!("it was not judged: that takes longer than the {seconds} s of `max_seconds`");
        Violation::of(&self.check, 0, vec![Example::whole(&said)])
    }

    /// The check cannot be judged, in the words of the database.
    pub fn impossible(&self, problem: &str) -> Violation {
        let said = format!("it cannot be judged: {problem}");
        Violation::of(&self.check, 0, vec![Example::whole(&said)])
    }
}

/// A cell as people read it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
