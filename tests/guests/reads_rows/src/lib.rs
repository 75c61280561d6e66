//! Component `reads_rows`: reads all of a table, or its beginning, and stores how much that was; for tests and benches.

use datanode_sdk::arrow_array::Float64Array;
use datanode_sdk::prelude::*;

/// Key of the one dependency.
const TABLE: &str = "table";

/// What is read.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// The table.
    #[schemars(example = &"many_rows")]
    pub table: TableRef,
    /// Readers that are open at once and take turns; each reads the whole table.
    #[serde(default = "default_readers")]
    #[schemars(example = 1, range(min = 1, max = 32))]
    pub readers: u32,
    /// Batches after which each reader is closed; 0 reads to the end.
    #[serde(default)]
    #[schemars(example = 0)]
    pub batches: u32,
}

fn default_readers() -> u32 {
    1
}

/// The node.
pub struct ReadsRows;

impl DataNode for ReadsRows {
    type Config = Config;
    const NAME: &str = "reads_rows";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "Counts the rows of a table, for tests and benches.";

    fn output() -> Output {
        Output::new(["time_index"])
            .column("time_index", DataType::TimestampTz, "End of the run's window.")
            .column("rows", DataType::Int64, "Rows read.")
            .nullable("sum", DataType::Float64, "Sum of all numbers read, nulls left out.")
    }

    fn dependencies(config: &Config) -> Result<Vec<Dependency>, NodeError> {
        Ok(vec![Dependency::table(TABLE, &config.table)])
    }

    fn update(config: &Config, context: &mut Context) -> Result<(), NodeError> {
        let open = |_| context.read(TABLE, Query::new()).map(|frames| (frames, 0));
        let mut readers = (0..config.readers).map(open).collect::<Result<Vec<_>, _>>()?;
        let (mut rows, mut sum) = (0, 0.0);
        while !readers.is_empty() {
            let mut left = Vec::with_capacity(readers.len());
            for (mut frames, taken) in readers {
                let Some(batch) = frames.next().transpose()? else { continue };
                rows += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
                sum += total(&batch);
                if taken + 1 != config.batches {
                    left.push((frames, taken + 1));
                }
            }
            readers = left;
        }
        let frame = FrameBuilder::new()
            .timestamps("time_index", [context.window().end])
            .integers("rows", [rows])
            .floats("sum", [sum])
            .build()?;
        info!("rows read", rows = rows, sum = sum);
        context.emit(&frame)
    }
}

/// The sum of all `float64` columns of a batch.
fn total(batch: &RecordBatch) -> f64 {
    let numbers = batch.columns().iter().filter_map(|column| column.as_any().downcast_ref::<Float64Array>());
    numbers.flat_map(|column| column.iter().flatten()).sum()
}

datanode_sdk::export!(ReadsRows);
