//! Component `daily_readings`: one number per day, in a table that is indexed by time alone.
//!
//! Which days is config, so that nodes of one component share a table. What its source does is a runtime option, which
//! changes from run to run as the weather does: days that have not arrived yet, an error, a long computation, corrected
//! values. On request a value is one more than the one before, which the node reads from its own table.

use std::hint::black_box;

use datanode_sdk::arrow_array::Float64Array;
use datanode_sdk::chrono::TimeDelta;
use datanode_sdk::prelude::*;

/// 2020-01-01T00:00:00Z: there are no readings before.
const FIRST: Timestamp = Timestamp::from_micros(1_577_836_800_000_000);
const DAY_MICROS: i64 = 86_400_000_000;

/// What one node writes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// Days since 1970-01-01 are written whose remainder by this is `remainder`.
    #[serde(default = "one")]
    #[schemars(example = 2, range(min = 1, max = 1_000))]
    pub every: i64,
    /// See `every`.
    #[serde(default)]
    #[schemars(example = 1)]
    pub remainder: i64,
}

fn one() -> i64 {
    1
}

/// The node.
pub struct DailyReadings;

impl DataNode for DailyReadings {
    type Config = Config;
    const NAME: &str = "daily_readings";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "One made-up number per day, for tests of what nodes have done.";

    fn output() -> Output {
        Output::new(["time_index"])
            .column("time_index", DataType::TimestampTz, "Day, at midnight UTC.")
            .column("value", DataType::Float64, "Days since 1970-01-01.")
    }

    fn update(config: &Config, context: &mut Context) -> Result<(), NodeError> {
        if context.option("fails")?.unwrap_or(false) {
            return Err(NodeError::new("daily_readings.asked_to_fail", "a runtime option asks for it"));
        }
        let window = context.window();
        let fails_on: Vec<String> = context.option("fails_on")?.unwrap_or_default();
        for day in fails_on {
            if day.parse::<Timestamp>().is_ok_and(|day| window.contains(day)) {
                return Err(NodeError::new("daily_readings.asked_to_fail", format!("an option names {day}")));
            }
        }
        let plus: f64 = context.option("plus")?.unwrap_or(0.0);
        let counts = context.option("counts")?.unwrap_or(false);
        let mut last = if counts { last_value(context)? } else { 0.0 };
        let missing: Vec<String> = context.option("missing")?.unwrap_or_default();
        let rounds: u64 = context.option("rounds")?.unwrap_or(0);
        black_box((0..rounds).fold(0_u64, |sum, round| black_box(sum ^ round)));

        let (mut times, mut values) = (Vec::new(), Vec::new());
        let mut day = window.start.map_or(FIRST, |start| start.max(FIRST));
        // The midnight that is not before it.
        day = Timestamp::from_micros(day.micros() + (-day.micros()).rem_euclid(DAY_MICROS));
        while day <= window.end {
            let number = day.micros() / DAY_MICROS;
            let is_there = !missing.iter().any(|late| day.to_string().starts_with(late.as_str()));
            if number.rem_euclid(config.every) == config.remainder && is_there && context.is_missing(day, &[])
            {
                times.push(day);
                // Exact: a day's number is small.
                #[allow(clippy::cast_precision_loss)]
                let value = if counts { last + 1.0 } else { number as f64 + plus };
                values.push(value);
                last = value;
            }
            day = day + TimeDelta::days(1);
        }
        info!("days to store", rows = times.len());
        if times.is_empty() {
            return Ok(());
        }
        let frame = FrameBuilder::new().timestamps("time_index", times).floats("value", values).build()?;
        context.emit(&frame)
    }
}

/// The value before the window; 0 where there is none.
fn last_value(context: &Context) -> Result<f64, NodeError> {
    let Some(start) = context.window().start else { return Ok(0.0) };
    let before = start - TimeDelta::microseconds(1);
    let mut last = 0.0;
    for batch in context.read("self", Query::new().columns(["value"]).until(before))? {
        let batch = batch?;
        let values =
            batch.column_by_name("value").and_then(|column| column.as_any().downcast_ref::<Float64Array>());
        last = values.and_then(|values| values.iter().flatten().last()).unwrap_or(last);
    }
    Ok(last)
}

datanode_sdk::export!(
    DailyReadings,
    docs = "Invented measurements without any use, such as a broken barometer would give."
);
