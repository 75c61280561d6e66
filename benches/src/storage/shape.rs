//! Rows of eight columns: the same for ours and for the floor, made when they are wanted.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::progress::{CoordinateProgress, Progress};

/// The table of the store.
pub(super) const TABLE: &str = "speed";
/// Series per moment.
pub(super) const SERIES: i64 = 100;
/// Rows of a batch.
pub(super) const BATCH: i64 = 16_384;
/// Between two moments, in microseconds.
const STEP: i64 = 60_000_000;
/// The numbers of a row are its own times these.
pub(super) const FACTORS: [f64; 4] = [0.1, 0.2, 0.3, 0.4];
/// The last column.
pub(super) const VENUE: &str = "venue";
/// All but the key.
pub(super) const VALUES: [&str; 6] = ["a", "b", "c", "d", "volume", "venue"];

pub(super) fn contract() -> Contract {
    let column = |name: &str, data_type: &str| format!("{{ name = \"{name}\", type = \"{data_type}\" }}");
    let columns = [
        column("time_index", "timestamp_tz"),
        column("name", "string"),
        column("a", "float64"),
        column("b", "float64"),
        column("c", "float64"),
        column("d", "float64"),
        column("volume", "int64"),
        column("venue", "string"),
    ];
    let text = format!(
        "identifier = \"{TABLE}\"\nindex = [\"time_index\", \"name\"]\ncolumns = [{}]",
        columns.join(", ")
    );
    Contract::from_toml(&text).unwrap()
}

/// The name in a row.
pub(super) fn name(row: i64) -> String {
    format!("name-{:04}", row % SERIES)
}

/// The time of a row.
pub(super) fn micros(row: i64) -> i64 {
    row / SERIES * STEP
}

pub(super) fn moment(row: i64) -> Timestamp {
    Timestamp::from_micros(micros(row)).unwrap()
}

/// So many rows from one on, batch by batch: none is held before it is asked for.
pub(super) fn batches(
    contract: &Contract,
    first: i64,
    rows: i64,
) -> impl Iterator<Item = RecordBatch> + Send + use<> {
    let schema = contract.arrow_schema();
    (first..first + rows).step_by(usize::try_from(BATCH).unwrap()).map(move |begin| {
        let of = begin..(begin + BATCH).min(first + rows);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(of.clone().map(micros)).with_timezone("UTC"),
            ),
            Arc::new(of.clone().map(|row| Some(name(row))).collect::<StringArray>()),
        ];
        columns.extend(FACTORS.map(|factor| {
            Arc::new(of.clone().map(|row| Some(row as f64 * factor)).collect::<Float64Array>()) as ArrayRef
        }));
        columns.push(Arc::new(Int64Array::from_iter_values(of.clone())));
        columns.push(Arc::new(of.map(|_| Some(VENUE)).collect::<StringArray>()));
        RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
    })
}

/// What they add to the progress; both numbers are multiples of [`SERIES`].
pub(super) fn added(first: i64, rows: i64) -> Progress {
    let progress = CoordinateProgress {
        min: moment(first),
        max: moment(first + rows - 1),
        rows: (rows / SERIES).unsigned_abs(),
    };
    (0..SERIES).map(|row| (Coordinate(vec![CoordinateValue::Text(name(row))]), progress)).collect()
}
