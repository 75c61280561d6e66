//! The same, percent-encoded.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_echoed_percent", |context| {
    steal(context, Request::get(API, "echo/percent"))
});
