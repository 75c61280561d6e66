//! Rules over batches, streaming.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};

use super::rule::{Cell, Rule};
use super::{Check, EXAMPLES, Example, QualityError, Violation, settle};
use crate::Timestamp;
use crate::contract::Contract;
use crate::coordinate::{Coordinate, CoordinateValue};

/// The checks of one run, and what they have found so far.
#[derive(Debug)]
pub struct Evaluation {
    contract: Arc<Contract>,
    judges: Vec<Judge>,
    rows: u64,
}

#[derive(Debug)]
struct Judge {
    check: Check,
    rule: Rule,
    rows: u64,
    examples: Vec<Example>,
}

impl Evaluation {
    /// The checks of a contract that look at new rows alone. One that does not fit it was refused when the contract was
    /// read.
    pub fn new(contract: Arc<Contract>) -> Self {
        let judge = |check: &Check| {
            let rule = Rule::of(check, &contract).ok().filter(|rule| !matches!(rule, Rule::Stored(_)))?;
            Some(Judge { check: check.clone(), rule, rows: 0, examples: Vec::new() })
        };
        let judges = contract.checks.iter().filter_map(judge).collect();
        Self { contract, judges, rows: 0 }
    }

    /// Judge new rows: columns in contract order.
    pub fn rows(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        for judge in &mut self.judges {
            judge.rows(&self.contract, batch);
        }
    }

    /// What is wrong after the last row. `newest` is the latest time that the table would have, `end` that of the
    /// window. The answer are the violations that only warn; those that do not are the error.
    pub fn finish(&self, newest: Option<Timestamp>, end: Timestamp) -> Result<Vec<Violation>, QualityError> {
        let rows = self.rows;
        let violations = self.judges.iter().filter_map(|judge| judge.finish(rows, newest, end));
        settle(&self.contract.identifier, violations.collect())
    }
}

impl Judge {
    fn rows(&mut self, contract: &Contract, batch: &RecordBatch) {
        let (Rule::NotNull { column } | Rule::Range { column, .. } | Rule::AcceptedValues { column, .. }) =
            self.rule
        else {
            return;
        };
        let array = batch.column(column);
        for row in 0..batch.num_rows() {
            let found = match &self.rule {
                Rule::NotNull { .. } => array.is_null(row).then(|| "null".to_owned()),
                Rule::Range { data_type, min, max, .. } => Cell::of(array, *data_type, row)
                    .filter(|cell| {
                        let is = |bound: &Option<Cell>, wrong| {
                            bound.as_ref().is_some_and(|bound| cell.compare(bound) == Some(wrong))
                        };
                        is(min, Ordering::Less) || is(max, Ordering::Greater)
                    })
                    .map(|cell| cell.to_string()),
                Rule::AcceptedValues { data_type, values, .. } => Cell::of(array, *data_type, row)
                    .filter(|cell| !values.contains(cell))
                    .map(|cell| cell.to_string()),
                Rule::RowCount { .. } | Rule::Freshness { .. } | Rule::Stored(_) => None,
            };
            if let Some(value) = found {
                self.rows += 1;
                if self.examples.len() < EXAMPLES {
                    let name = &contract.columns[column].name;
                    let value: String = value.chars().take(80).collect();
                    let key = key(contract, batch, row).to_string();
                    self.examples.push(Example::row(key, &format!("{name} = {value}")));
                }
            }
        }
    }

    fn finish(&self, rows: u64, newest: Option<Timestamp>, end: Timestamp) -> Option<Violation> {
        let offending = self.rows;
        let mut examples = self.examples.clone();
        let broken = match &self.rule {
            Rule::NotNull { .. } | Rule::Range { .. } | Rule::AcceptedValues { .. } => offending > 0,
            // A run that finds nothing new is no short one.
            Rule::RowCount { min, max } => {
                examples.push(Example::whole(&format!("it brings {rows}")));
                rows > 0 && !(*min..=*max).contains(&rows)
            }
            Rule::Freshness { max_age } => {
                examples.push(Example::whole(&newest.map_or_else(
                    || "there is no row".to_owned(),
                    |newest| {
                        format!("the newest row is of {}, the window ends at {}", newest.short(), end.short())
                    },
                )));
                // Beyond the year 9999 nothing is too old.
                newest.is_none_or(|newest| max_age.next(newest).is_some_and(|latest| latest < end))
            }
            Rule::Stored(_) => false,
        };
        broken.then(|| Violation::of(&self.check, offending, examples))
    }
}

/// The key of a row, as text.
fn key(contract: &Contract, batch: &RecordBatch, row: usize) -> Coordinate {
    let value = |name: &String| {
        CoordinateValue::from_array(batch.column_by_name(name)?, contract.column(name)?.data_type, row)
    };
    Coordinate(contract.key().iter().filter_map(value).collect())
}

#[cfg(test)]
mod tests;
