//! Component `many_rows`: as many rows as its config says, for tests and benches.
//!
//! Each run emits `rows` new rows, for it begins one moment after the latest that its table holds. Making a row costs
//! next to nothing, so that what is measured is the host.

use std::sync::Arc;

use datanode_sdk::arrow_array::{ArrayRef, Float64Array, StringArray, TimestampMicrosecondArray};
use datanode_sdk::chrono::TimeDelta;
use datanode_sdk::prelude::*;

/// 2000-01-01T00:00:00Z.
const FIRST: Timestamp = Timestamp::from_micros(946_684_800_000_000);
/// Between two moments.
const STEP_MICROS: i64 = 1_000;
/// The columns beside the index.
const NUMBERS: [(&str, f64); 4] = [("open", 0.25), ("high", 0.5), ("low", 0.75), ("close", 1.5)];

/// How many rows, and how they are cut.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// Rows that a run emits; 0 emits nothing at all.
    #[schemars(example = 1_000_000)]
    pub rows: u32,
    /// Rows of an emitted batch; the last one may have fewer. Batches above 2 MiB are cut into several messages.
    #[serde(default = "default_rows_per_batch")]
    #[schemars(example = 32_768, range(min = 1, max = 1_000_000))]
    pub rows_per_batch: u32,
    /// Series per moment.
    #[serde(default = "default_coordinates")]
    #[schemars(example = 1_000, range(min = 1, max = 100_000))]
    pub coordinates: u32,
}

fn default_rows_per_batch() -> u32 {
    32_768
}

fn default_coordinates() -> u32 {
    1
}

/// The node.
pub struct ManyRows;

impl DataNode for ManyRows {
    type Config = Config;
    const NAME: &str = "many_rows";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "Made-up rows, as many as the config says, for tests and benches.";

    fn output() -> Output {
        let index = Output::new(["time_index", "series"])
            .column("time_index", DataType::TimestampTz, "One moment per millisecond.")
            .column("series", DataType::String, "Name of the series.");
        NUMBERS
            .iter()
            .fold(index, |output, (name, _)| output.nullable(*name, DataType::Float64, "A made-up number."))
    }

    fn update(config: &Config, context: &mut Context) -> Result<(), NodeError> {
        let (coordinates, per_batch) = (i64::from(config.coordinates), i64::from(config.rows_per_batch));
        let next = context.statistics().max_time().map(|last| last + TimeDelta::microseconds(STEP_MICROS));
        let first = next.or(context.window().start).unwrap_or(FIRST).micros();
        // Names repeat from moment to moment: any batch is a slice of these.
        let names: StringArray =
            (0..coordinates + per_batch).map(|at| Some(format!("s{:05}", at % coordinates))).collect();

        let (mut row, rows) = (0, i64::from(config.rows));
        while row < rows {
            let end = rows.min(row + per_batch);
            let times: Vec<i64> = (row..end).map(|row| first + row / coordinates * STEP_MICROS).collect();
            let mut frame = FrameBuilder::new()
                .column("time_index", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")))
                .column("series", names_from(&names, row % coordinates, end - row));
            for (name, factor) in NUMBERS {
                // Exact: a run has fewer than 2^32 rows.
                #[allow(clippy::cast_precision_loss)]
                let values: Vec<f64> = (row..end).map(|row| row as f64 * factor).collect();
                frame = frame.column(name, Arc::new(Float64Array::from(values)));
            }
            context.emit(&frame.build()?)?;
            row = end;
        }
        info!("rows made", rows = rows, from = Timestamp::from_micros(first));
        Ok(())
    }
}

fn names_from(names: &StringArray, from: i64, count: i64) -> ArrayRef {
    let place = |number: i64| usize::try_from(number).unwrap_or_default();
    Arc::new(names.slice(place(from), place(count)))
}

datanode_sdk::export!(ManyRows);
