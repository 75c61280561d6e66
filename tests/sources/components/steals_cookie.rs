//! Asks a server that sets a cookie, and asks for a login.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_cookie", |context| {
    steal(context, Request::get(API, "echo/cookie"))
});
