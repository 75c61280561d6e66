//! Asks for files beside the directory, in every writing.

use datanode_hostile_sources::{FILES, all_refused};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("climbs_out_of_files", |context| {
    let paths = [
        "../outside.txt",
        "sub/../../outside.txt",
        "/etc/passwd",
        "",
        ".",
        "..",
        "./../outside.txt",
        "sub/..",
        "a\0b",
    ];
    all_refused(context, "source.path", paths.map(|path| Request::get(FILES, path)).to_vec())
});
