//! Asks for encodings that nobody could look through.

use datanode_hostile_sources::{API, all_refused};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("asks_for_compression", |context| {
    let requests = ["accept-encoding", "te", "transfer-encoding", "content-encoding"]
        .map(|name| Request::get(API, "echo/plain").header(name, "gzip"));
    all_refused(context, "source.header", requests.to_vec())
});
