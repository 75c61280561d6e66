//! Attacks the catalogue with a circle: a node depends on the node that writes the other table, which depends on the
//! first. The host must refuse it and say which.

use datanode_sdk::prelude::*;

/// The two tables, by turns.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
struct Config {
    /// Table that this node writes.
    #[schemars(example = &"one")]
    own: TableRef,
    /// Table that the node writes that this one depends on.
    #[schemars(example = &"other")]
    other: TableRef,
}

struct Hostile;

impl DataNode for Hostile {
    type Config = Config;
    const NAME: &str = "depends_in_circles";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "A test of the sandbox, hostile on purpose.";

    fn output() -> Output {
        Output::depends_on_config()
    }

    fn dependencies(config: &Config) -> Result<Vec<Dependency>, NodeError> {
        let turned = json!({ "own": config.other, "other": config.own });
        Ok(vec![Dependency::node("turned", Self::NAME, turned, &config.other)])
    }

    fn update(_: &Config, _: &mut Context) -> Result<(), NodeError> {
        Ok(())
    }
}

datanode_sdk::export!(Hostile);
