//! The same, in hexadecimal.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_echoed_hex", |context| {
    steal(context, Request::get(API, "echo/hex"))
});
