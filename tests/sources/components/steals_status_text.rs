//! Asks a server whose status line holds the credentials.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_status_text", |context| {
    steal(context, Request::get(API, "echo/status"))
});
