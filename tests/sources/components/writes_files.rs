//! Asks a directory for more than GET.

use datanode_hostile_sources::{FILES, all_refused};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("writes_files", |context| {
    let mut requests = vec![Request::post(FILES, "a.txt", b"x".to_vec())];
    for method in ["PUT", "DELETE", "HEAD", "get"] {
        requests.push(Request { method: method.to_owned(), ..Request::get(FILES, "a.txt") });
    }
    all_refused(context, "source.method", requests)
});
