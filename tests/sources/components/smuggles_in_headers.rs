//! Ends headers early, to begin others.

use datanode_hostile_sources::{API, all_refused};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("smuggles_in_headers", |context| {
    let values = ["a\r\nhost: evil", "a\nx: y", "a\rb", "a\0b", "\u{e9}"];
    let mut requests = values.map(|value| Request::get(API, "echo/plain").header("accept", value)).to_vec();
    requests.push(Request::get(API, "echo/plain").header("accept: x\r\nhost", "evil"));
    requests.push(Request::get(API, "echo/plain").header("", "evil"));
    all_refused(context, "source.header", requests)
});
