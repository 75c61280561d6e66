//! Asks a server that puts the credentials into headers that components see.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_echoed_header", |context| {
    steal(context, Request::get(API, "echo/header"))
});
