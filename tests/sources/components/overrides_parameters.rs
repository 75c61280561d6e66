//! Sets the parameter that the host adds.

use datanode_hostile_sources::{API, all_refused};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("overrides_parameters", |context| {
    let requests = ["key", "KEY"].map(|name| Request::get(API, "echo/plain").query(name, "mine"));
    all_refused(context, "source.query", requests.to_vec())
});
