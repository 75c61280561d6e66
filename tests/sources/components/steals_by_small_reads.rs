//! Reads the echoed credentials byte by byte, below the SDK.

use datanode_hostile_sources::{API, carry_out};
use datanode_sdk::bindings::datanode::node::sources;
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_by_small_reads", |_| {
    let request = sources::Request {
        source: API.to_owned(),
        method: "GET".to_owned(),
        path: "echo/plain".to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
        range: None,
    };
    let response = sources::fetch(&request).map_err(|error| NodeError::new(error.code, error.message))?;
    let mut loot = Vec::new();
    while let Some(piece) = response.body.read(1) {
        loot.extend(piece);
    }
    carry_out(&String::from_utf8_lossy(&loot))
});
