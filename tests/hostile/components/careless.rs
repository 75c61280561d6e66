//! Attacks those who would build on it: a table that `datanode check` must find fault with, in the way that its config
//! asks for.

use datanode_hostile::{january, keys};
use datanode_sdk::prelude::*;

/// What is wrong.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
struct Config {
    /// Which fault: `by_window` (values depend on where the window ends), `secret` (a password in the log), `nameless`
    /// (rows whose identity is an empty text), `failing` (a second run ends in an error), or another word for none.
    #[serde(default)]
    #[schemars(example = &"by_window")]
    fault: String,
}

struct Careless;

impl DataNode for Careless {
    type Config = Config;
    const NAME: &str = "careless";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "A row a day of January 2020, with a fault that its config asks for.";

    fn output() -> Output {
        Output::new(["time_index", "id"])
            .column("time_index", DataType::TimestampTz, "Day.")
            .column("id", DataType::String, "Identity.")
            .nullable("value", DataType::Float64, "Any number.")
    }

    fn update(config: &Config, context: &mut Context) -> Result<(), NodeError> {
        let fault = |name: &str| config.fault == name;
        let id = if fault("nameless") { "" } else { "a" };
        let end = context.window().end;
        let days = (1..=31).map(january).take_while(|day| *day <= end);
        let rows: Vec<_> =
            days.filter(|day| context.is_missing(*day, &[id.into()])).map(|day| (day, id)).collect();
        if rows.is_empty() && fault("failing") {
            return Err(NodeError::new("careless.nothing_new", "there is nothing to do"));
        }
        if fault("secret") {
            info!("connected", rows = rows.len(), password = "hunter2");
        } else {
            info!("days to store", rows = rows.len());
        }
        // Exact: hours since 1970.
        #[allow(clippy::cast_precision_loss)]
        let value = if fault("by_window") { (end.micros() / 3_600_000_000) as f64 } else { 1.5 };
        if rows.is_empty() {
            return Ok(());
        }
        context.emit(&keys(&rows).floats("value", std::iter::repeat_n(value, rows.len())).build()?)
    }
}

datanode_sdk::export!(Careless);
