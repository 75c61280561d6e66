//! Attacks nothing, but panics while it says what it is; whoever uploads it must read why.

use datanode_sdk::prelude::*;

struct Hostile;

impl DataNode for Hostile {
    type Config = datanode_sdk::NoConfig;
    const NAME: &str = "panics_in_config";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "A test of the sandbox, hostile on purpose.";

    fn output() -> Output {
        info!("about to describe myself");
        panic!("no idea what I am");
    }

    fn update(_: &datanode_sdk::NoConfig, _: &mut Context) -> Result<(), NodeError> {
        Ok(())
    }
}

datanode_sdk::export!(Hostile);
