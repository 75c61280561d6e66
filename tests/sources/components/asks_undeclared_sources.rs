//! Asks sources that it does not declare, one of which exists.

use datanode_hostile_sources::all_refused;
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("asks_undeclared_sources", |context| {
    let names = ["other", "", "api ", "API", "../api"];
    all_refused(context, "source.not_declared", names.map(|name| Request::get(name, "echo/plain")).to_vec())
});
