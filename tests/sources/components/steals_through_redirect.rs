//! Asks a server that redirects to an allowed other place, with the credentials in the URL.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_through_redirect", |context| {
    steal(context, Request::get(API, "echo/redirect_with_secret"))
});
