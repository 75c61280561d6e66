//! Component `column_arithmetic`: arithmetic on whole columns of a table, for benches.
//!
//! Two kinds of loops, as nodes have them: one whose steps do not depend on one another, and one in which each step waits
//! for the last.

use std::sync::Arc;

use datanode_sdk::arrow_array::{Array, Float64Array};
use datanode_sdk::prelude::*;

/// Key of the one dependency.
const TABLE: &str = "table";

/// What is read.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// The table: `time_index`, and a number `value` that is never null.
    #[schemars(example = &"prices")]
    pub table: TableRef,
}

/// The node.
pub struct ColumnArithmetic;

impl DataNode for ColumnArithmetic {
    type Config = Config;
    const NAME: &str = "column_arithmetic";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "Change and smoothed value of each number of a table, for benches.";

    fn output() -> Output {
        Output::new(["time_index"])
            .column("time_index", DataType::TimestampTz, "That of the number.")
            .column("change", DataType::Float64, "Relative change against the number before.")
            .column("smoothed", DataType::Float64, "Exponentially smoothed number.")
    }

    fn dependencies(config: &Config) -> Result<Vec<Dependency>, NodeError> {
        Ok(vec![Dependency::table(TABLE, &config.table)])
    }

    fn update(_: &Config, context: &mut Context) -> Result<(), NodeError> {
        const WEIGHT: f64 = 0.05;
        let (mut previous, mut smoothed) = (None, None);
        for batch in context.read(TABLE, Query::new())? {
            let batch = batch?;
            let values = batch.floats("value")?.values();
            let Some(first) = values.first() else { continue };
            // Steps of their own.
            let mut changes = Vec::with_capacity(values.len());
            changes.push(first / previous.unwrap_or(*first) - 1.0);
            changes.extend(values.windows(2).map(|pair| pair[1] / pair[0] - 1.0));
            // Each waits for the last.
            let mut level = smoothed.unwrap_or(*first);
            let levels: Vec<f64> = values
                .iter()
                .map(|value| {
                    level += WEIGHT * (value - level);
                    level
                })
                .collect();
            (previous, smoothed) = (values.last().copied(), Some(level));
            let times = Arc::new(batch.timestamps("time_index")?.clone()) as Arc<dyn Array>;
            let frame = FrameBuilder::new()
                .column("time_index", times)
                .column("change", Arc::new(Float64Array::from(changes)))
                .column("smoothed", Arc::new(Float64Array::from(levels)))
                .build()?;
            context.emit(&frame)?;
        }
        Ok(())
    }
}

datanode_sdk::export!(ColumnArithmetic);
