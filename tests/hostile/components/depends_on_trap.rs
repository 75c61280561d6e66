//! Attacks its neighbours: of its two dependencies the first one traps, and the second one must not notice.

use datanode_sdk::prelude::*;

/// The tables of the two dependencies.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde")]
struct Config {
    /// Written by the one that traps.
    bad: TableRef,
    /// Written by the one that is well behaved.
    good: TableRef,
}

struct Hostile;

impl DataNode for Hostile {
    type Config = Config;
    const NAME: &str = "depends_on_trap";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "A test of the sandbox, hostile on purpose.";

    fn output() -> Output {
        Output::depends_on_config()
    }

    fn dependencies(config: &Config) -> Result<Vec<Dependency>, NodeError> {
        let none = json!({});
        Ok(vec![
            Dependency::node("bad", "trap", none.clone(), &config.bad),
            Dependency::node("good", "well_behaved", none, &config.good),
        ])
    }

    fn update(_: &Config, _: &mut Context) -> Result<(), NodeError> {
        Ok(())
    }
}

datanode_sdk::export!(Hostile);
