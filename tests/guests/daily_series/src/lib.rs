//! Component `daily_series`: one number per day and series, for tests of how nodes are run.
//!
//! Which series is config, so that nodes of one component share a table. Each narrows to what its own series lack, as
//! the statistics say. On request it emits too much, fails, or depends on others of its kind.

use datanode_sdk::chrono::TimeDelta;
use datanode_sdk::prelude::*;

/// 2000-01-01T00:00:00Z: where series begin that have no `offset_start`.
const FIRST: Timestamp = Timestamp::from_micros(946_684_800_000_000);
/// Days that one run may emit: a bound, as the window may have any end.
const MAX_DAYS: usize = 20_000;

/// What one node writes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// Names of the series.
    #[serde(default)]
    #[schemars(example = json!(["USD", "GBP"]))]
    pub series: Vec<String>,
    /// Emit every day of the window again instead of those that are missing.
    #[serde(default)]
    #[schemars(example = false)]
    pub whole_history: bool,
    /// End in an error.
    #[serde(default)]
    #[schemars(example = false)]
    pub fails: bool,
    /// Table of a node of this component that succeeds, and that this one depends on.
    #[serde(default)]
    #[schemars(example = &"daily_sound")]
    pub sound_table: Option<TableRef>,
    /// Table of a node of this component that fails, and that this one depends on. That one depends on the one that
    /// succeeds, too.
    #[serde(default)]
    #[schemars(example = &"daily_failing")]
    pub failing_table: Option<TableRef>,
}

/// The node.
pub struct DailySeries;

impl DataNode for DailySeries {
    type Config = Config;
    const NAME: &str = "daily_series";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "One made-up number per day and series, for tests of how nodes are run.";

    fn output() -> Output {
        Output::new(["time_index", "series"])
            .column("time_index", DataType::TimestampTz, "Day, at midnight UTC.")
            .column("series", DataType::String, "Name of the series.")
            .column("value", DataType::Float64, "Days since 1970-01-01, times the runtime option `factor`.")
    }

    fn dependencies(config: &Config) -> Result<Vec<Dependency>, NodeError> {
        let on = |key: &str, config, table: &Option<TableRef>| {
            table.as_ref().map(|table| Dependency::node(key, Self::NAME, config, table))
        };
        let sound = on("sound", json!({ "series": ["S"] }), &config.sound_table);
        let fails = json!({ "fails": true, "sound_table": config.sound_table });
        let failing = on("failing", fails, &config.failing_table);
        Ok(sound.into_iter().chain(failing).collect())
    }

    fn update(config: &Config, context: &mut Context) -> Result<(), NodeError> {
        if config.fails {
            return Err(NodeError::new("daily_series.asked_to_fail", "the config asks for it"));
        }
        let factor: f64 = context.option("factor")?.unwrap_or(1.0);
        let window = context.window();
        let (mut times, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut day = window.start.unwrap_or(FIRST);
        let mut days = 0;
        while day <= window.end && days < MAX_DAYS {
            for series in &config.series {
                if config.whole_history || context.is_missing(day, &[series.as_str().into()]) {
                    times.push(day);
                    names.push(series);
                    // Exact: a day's number is small.
                    #[allow(clippy::cast_precision_loss)]
                    values.push((day.micros() / 86_400_000_000) as f64 * factor);
                }
            }
            day = day + TimeDelta::days(1);
            days += 1;
        }
        info!("days to store", days = days, rows = times.len(), factor = factor);
        if times.is_empty() {
            return Ok(());
        }
        let frame = FrameBuilder::new()
            .timestamps("time_index", times)
            .strings("series", names)
            .floats("value", values)
            .build()?;
        context.emit(&frame)
    }
}

datanode_sdk::export!(DailySeries);
