//! The same, in base64, at an offset of one byte.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_echoed_base64", |context| {
    steal(context, Request::get(API, "echo/base64"))
});
