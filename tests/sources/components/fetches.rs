//! Attacks nothing: fetches what its config says and emits its three rows; the servers of its tests are the hostile ones.

use datanode_hostile_sources::declared;
use datanode_sdk::prelude::*;

/// What is fetched.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// Source.
    #[serde(default = "api")]
    #[schemars(example = &"api")]
    pub source: String,
    /// Path.
    #[schemars(example = &"good")]
    pub path: String,
    /// How often it is fetched.
    #[serde(default = "once")]
    #[schemars(example = 1)]
    pub times: u32,
}

fn api() -> String {
    "api".to_owned()
}

fn once() -> u32 {
    1
}

/// The node.
pub struct Fetches;

impl DataNode for Fetches {
    type Config = Config;
    const NAME: &str = "fetches";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "Rows of a source, for tests.";

    fn sources() -> Vec<Source> {
        declared()
    }

    fn output() -> Output {
        Output::new(["time_index", "id"])
            .column("time_index", DataType::TimestampTz, "Moment.")
            .column("id", DataType::String, "Identity.")
            .column("value", DataType::Float64, "A number.")
    }

    fn update(config: &Config, context: &mut Context) -> Result<(), NodeError> {
        let mut text = String::new();
        for _ in 0..config.times {
            let response = context.fetch(Request::get(&config.source, &config.path))?;
            info!("answered", status = response.status, headers = format!("{:?}", response.headers));
            text = response.ok()?.text()?;
        }
        // Lines of `day,id,value`.
        let bad = |line: &str| NodeError::new("source.parse", format!("`{line}`"));
        let mut rows = Vec::new();
        for line in text.lines() {
            let mut cells = line.split(',');
            let (Some(day), Some(id), Some(value)) = (cells.next(), cells.next(), cells.next()) else {
                return Err(bad(line));
            };
            let day: i64 = day.parse().map_err(|_| bad(line))?;
            let time = Timestamp::from_micros(1_577_836_800_000_000 + (day - 1) * 86_400_000_000);
            let value: f64 = value.parse().map_err(|_| bad(line))?;
            if context.is_missing(time, &[id.into()]) {
                rows.push((time, id.to_owned(), value));
            }
        }
        let frame = FrameBuilder::new()
            .timestamps("time_index", rows.iter().map(|row| row.0))
            .strings("id", rows.iter().map(|row| row.1.as_str()))
            .floats("value", rows.iter().map(|row| row.2))
            .build()?;
        context.emit(&frame)
    }
}

datanode_sdk::export!(Fetches);
