//! The same, in capital letters.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_echoed_upper_case", |context| {
    steal(context, Request::get(API, "echo/upper"))
});
