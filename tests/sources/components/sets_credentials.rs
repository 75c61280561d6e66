//! Sets headers that say who asks, or where the request goes.

use datanode_hostile_sources::{API, all_refused};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("sets_credentials", |context| {
    let names =
        ["authorization", "Cookie", "HOST", "proxy-authorization", "x-forwarded-host", "range", "x-api-key"];
    let requests = names.map(|name| Request::get(API, "echo/plain").header(name, "mine"));
    all_refused(context, "source.header", requests.to_vec())
});
