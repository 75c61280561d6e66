//! Attacks the outside world by asking a source that it does not declare; the host must refuse the fetch.

use datanode_sdk::prelude::*;

datanode_hostile::node!("fetches_undeclared", |context| {
    let secret = context.fetch(Request::get("secrets", "../../etc/passwd"))?.text()?;
    Err(NodeError::new("secret.read", secret))
});
