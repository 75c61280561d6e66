//! Asks a server that redirects to an allowed other place, which echoes what it is sent.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_at_redirect", |context| {
    steal(context, Request::get(API, "echo/redirect_elsewhere"))
});
