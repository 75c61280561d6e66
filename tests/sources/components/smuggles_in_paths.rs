//! Ends the request line early, or hides parts of it.

use datanode_hostile_sources::{API, all_refused};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("smuggles_in_paths", |context| {
    let paths = [
        "echo HTTP/1.1\r\nhost: evil\r\n\r\n",
        "echo\n",
        "echo\0",
        "echo?key=mine",
        "echo#fragment",
        "echo plain",
        "echo%0d%0ahost: evil",
    ];
    all_refused(context, "source.path", paths.map(|path| Request::get(API, path)).to_vec())
});
