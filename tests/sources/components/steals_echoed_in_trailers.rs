//! Asks a server that puts the credentials behind a chunked body.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_echoed_in_trailers", |context| {
    steal(context, Request::get(API, "echo/trailers"))
});
