//! Puts the echoed credentials into the fields of its error.

use datanode_hostile_sources::API;
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_by_its_error", |context| {
    let loot = context.fetch(Request::get(API, "echo/plain"))?.text()?;
    Err(NodeError::new("loot", "see the fields").field("loot", loot))
});
