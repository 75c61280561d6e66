//! Writes other hosts where a path belongs.

use datanode_hostile_sources::{API, all_refused};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("asks_other_hosts", |context| {
    let paths =
        ["http://127.0.0.1/", "//evil.example/", "/echo/plain", "https:echo//plain", "\\\\evil.example\\"];
    all_refused(context, "source.path", paths.map(|path| Request::get(API, path)).to_vec())
});
