//! The rows of the component `many_rows`, as Arrow and as plain SQL: the same for ours and for the floor.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::progress::{CoordinateProgress, Progress};
use rusqlite::Connection;

use crate::measure::time;

/// Series per moment.
pub(crate) const SERIES: i64 = 1_000;
/// Rows of a batch.
pub(crate) const BATCH: i64 = 32_768;
/// Between two moments, in microseconds.
const STEP: i64 = 1_000;
const FACTORS: [f64; 4] = [0.25, 0.5, 0.75, 1.5];

fn name(row: i64) -> String {
    format!("s{:05}", row % SERIES)
}

/// So many rows from a moment on, in batches of the contract.
pub(crate) fn batches(contract: &Contract, first: i64, rows: i64) -> Vec<RecordBatch> {
    let batch = |begin: i64| {
        let of = begin..rows.min(begin + BATCH);
        let times = of.clone().map(|row| first + row / SERIES * STEP);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
            Arc::new(of.clone().map(|row| Some(name(row))).collect::<StringArray>()),
        ];
        columns.extend(FACTORS.map(|factor| {
            Arc::new(of.clone().map(|row| Some(row as f64 * factor)).collect::<Float64Array>()) as ArrayRef
        }));
        RecordBatch::try_new(contract.arrow_schema(), columns).unwrap()
    };
    (0..rows).step_by(usize::try_from(BATCH).unwrap()).map(batch).collect()
}

/// What they add to the progress of a table; `rows` is a multiple of [`SERIES`].
pub(crate) fn added(first: i64, rows: i64) -> Progress {
    let at = |micros| Timestamp::from_micros(micros).unwrap();
    let each = rows / SERIES;
    let progress =
        CoordinateProgress { min: at(first), max: at(first + (each - 1) * STEP), rows: each.unsigned_abs() };
    (0..SERIES).map(|row| (Coordinate(vec![CoordinateValue::Text(name(row))]), progress)).collect()
}

/// The moment after the last of so many rows.
pub(crate) fn after(first: i64, rows: i64) -> i64 {
    first + (rows + SERIES - 1) / SERIES * STEP
}

/// The floor: a database of the same settings, a table of the same schema, prepared statements, values at hand.
pub(crate) struct Plain {
    connection: Connection,
    next: i64,
}

impl Plain {
    /// `schema` creates the table `t` of six columns.
    pub(crate) fn new(path: &Path, schema: &str) -> Self {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").unwrap();
        connection.execute_batch(schema).unwrap();
        Self { connection, next: 0 }
    }

    /// One commit of one small row.
    pub(crate) fn commit_small(&self) -> Duration {
        time(|| {
            self.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            self.connection.execute("INSERT INTO small (note) VALUES (?1)", ["a small row"]).unwrap();
            self.connection.execute_batch("COMMIT").unwrap();
        })
    }

    /// So many rows in one transaction, so many of them per statement.
    pub(crate) fn insert(&mut self, rows: i64, per_statement: i64) -> Duration {
        let names: Vec<String> = (0..SERIES).map(name).collect();
        let first = self.next;
        self.next = after(first, rows);
        let connection = &self.connection;
        time(|| {
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            let whole = rows - rows % per_statement;
            for (range, per_statement) in [(0..whole, per_statement), (whole..rows, 1)] {
                let values = vec!["(?, ?, ?, ?, ?, ?)"; usize::try_from(per_statement).unwrap()].join(", ");
                let mut statement = connection.prepare(&format!("INSERT INTO t VALUES {values}")).unwrap();
                let parameters = statement.parameter_count();
                let mut place = 1;
                for row in range {
                    statement.raw_bind_parameter(place, first + row / SERIES * STEP).unwrap();
                    let name = &names[usize::try_from(row % SERIES).unwrap()];
                    statement.raw_bind_parameter(place + 1, name.as_str()).unwrap();
                    for (column, factor) in (2..).zip(FACTORS) {
                        statement.raw_bind_parameter(place + column, row as f64 * factor).unwrap();
                    }
                    place += 6;
                    if place > parameters {
                        statement.raw_execute().unwrap();
                        place = 1;
                    }
                }
            }
            connection.execute_batch("COMMIT").unwrap();
        })
    }
}
