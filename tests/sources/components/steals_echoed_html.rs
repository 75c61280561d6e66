//! The same, as entities of HTML.

use datanode_hostile_sources::{API, steal};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_echoed_html", |context| {
    steal(context, Request::get(API, "echo/html"))
});
