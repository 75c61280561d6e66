//! Asks a server that redirects to a place that is not allowed.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_at_forbidden_redirect", |context| {
    steal(context, Request::get(API, "echo/redirect_forbidden"))
});
