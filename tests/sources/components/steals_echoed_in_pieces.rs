//! The same, a byte in each piece of a chunked body.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_echoed_in_pieces", |context| {
    steal(context, Request::get(API, "echo/pieces"))
});
