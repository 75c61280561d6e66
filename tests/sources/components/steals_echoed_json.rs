//! The same, escaped as in JSON.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_echoed_json", |context| {
    steal(context, Request::get(API, "echo/json"))
});
