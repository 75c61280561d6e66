//! Asks for paths that the operator did not allow.

use datanode_hostile_sources::{API, all_refused};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("asks_other_paths", |context| {
    let paths = ["admin", "", "echo", "echoes/plain", "Echo/plain"];
    all_refused(context, "source.path", paths.map(|path| Request::get(API, path)).to_vec())
});
