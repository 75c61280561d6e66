//! Asks a server that answers with everything that it was sent, credentials included.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_echoed_body", |context| {
    steal(context, Request::get(API, "echo/plain"))
});
