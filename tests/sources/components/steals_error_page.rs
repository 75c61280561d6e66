//! Asks a server whose error page holds the credentials.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_error_page", |context| {
    steal(context, Request::get(API, "echo/error_page"))
});
