//! Asks for a pipe, a directory, a name that is too long and one of another system, which must be found missing at once.

use datanode_hostile_sources::FILES;
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("reads_odd_files", |context| {
    let long = "x".repeat(5_000);
    let mut statuses = Vec::new();
    for path in ["pipe", "sub", "..\\outside.txt", "%2e%2e/outside.txt", "loop", long.as_str()] {
        statuses.push(match context.fetch(Request::get(FILES, path)) {
            Ok(response) => response.status.to_string(),
            Err(error) => error.code,
        });
    }
    Err(NodeError::new("files", statuses.join(" ")))
});
