//! Uses methods that were not allowed, or names them where servers look.

use datanode_hostile_sources::{API, all_refused};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("tunnels_methods", |context| {
    let mut requests = vec![Request::post(API, "echo/plain", b"{secret:api_token}".to_vec())];
    for method in ["DELETE", "CONNECT", "TRACE", "get", "GET / HTTP/1.1\r\nhost: evil\r\n\r\nGET"] {
        requests.push(Request { method: method.to_owned(), ..Request::get(API, "echo/plain") });
    }
    requests.push(Request { body: Some(b"x".to_vec()), ..Request::get(API, "echo/plain") });
    all_refused(context, "source.method", requests)
});
