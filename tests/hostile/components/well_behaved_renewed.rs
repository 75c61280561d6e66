//! A release of `well_behaved` that is not hostile and yet dangerous: a new field with a default gives every node of the
//! component another identity.

use datanode_hostile::{good, january};
use datanode_sdk::prelude::*;

struct Renewed;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
struct Config {
    /// Last day of January to emit.
    #[serde(default = "two")]
    #[schemars(example = 2)]
    days: i64,
}

fn two() -> i64 {
    2
}

impl DataNode for Renewed {
    type Config = Config;
    const NAME: &str = "well_behaved";
    const VERSION: &str = "0.2.0";
    const DESCRIPTION: &str = "Emits a row a day, once.";

    fn output() -> Output {
        Output::depends_on_config()
    }

    fn update(config: &Config, context: &mut Context) -> Result<(), NodeError> {
        let days = (1..=config.days).map(|day| (january(day), "a"));
        let missing = |(time, id): &(Timestamp, &str)| context.is_missing(*time, &[(*id).into()]);
        let rows: Vec<_> = days.filter(missing).collect();
        context.emit(&good(&rows)?)
    }
}

datanode_sdk::export!(Renewed);
