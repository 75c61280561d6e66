//! Attacks the catalogue with a thousand dependencies; the limit on their number must refuse the node.

use datanode_sdk::prelude::*;

/// Where all dependencies point.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde")]
struct Config {
    /// Any table.
    table: TableRef,
}

struct Hostile;

impl DataNode for Hostile {
    type Config = Config;
    const NAME: &str = "depends_without_end";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "A test of the sandbox, hostile on purpose.";

    fn output() -> Output {
        Output::depends_on_config()
    }

    fn dependencies(config: &Config) -> Result<Vec<Dependency>, NodeError> {
        Ok((0..1_000).map(|number| Dependency::table(format!("d{number}"), &config.table)).collect())
    }

    fn update(_: &Config, _: &mut Context) -> Result<(), NodeError> {
        Ok(())
    }
}

datanode_sdk::export!(Hostile);
