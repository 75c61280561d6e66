//! Asks for links that lead out of the directory, and for a link that leads to itself.

use datanode_hostile_sources::{FILES, all_refused};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("follows_links_out_of_files", |context| {
    let paths = ["link.txt", "directory_link/outside.txt", "proc_link/environ"];
    all_refused(context, "source.path", paths.map(|path| Request::get(FILES, path)).to_vec())
});
