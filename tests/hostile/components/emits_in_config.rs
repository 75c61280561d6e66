//! Attacks the phases: its description of itself calls an import that only `update` may call; the upload must be refused.

use datanode_sdk::prelude::*;
use datanode_sdk::{NoConfig, Output};

struct EmitsInConfig;

impl DataNode for EmitsInConfig {
    type Config = NoConfig;
    const NAME: &str = "emits_in_config";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "A test of the sandbox, hostile on purpose.";

    fn output() -> Output {
        datanode_hostile::emit_raw(b"anything");
        Output::depends_on_config()
    }

    fn update(_: &NoConfig, _: &mut Context) -> Result<(), NodeError> {
        Ok(())
    }
}

datanode_sdk::export!(EmitsInConfig);
