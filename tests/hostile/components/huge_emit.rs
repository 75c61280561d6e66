//! Attacks the host's disk and memory with valid messages without end; the limit on all bytes emitted must stop it.

use datanode_hostile::{emit_raw, good, messages};
use datanode_sdk::prelude::*;

/// Rows of 4 KiB, so that a message has 1.6 MiB.
const ROWS: usize = 400;

// The message is made once and only its times are changed in place, so that the guest spends next to no fuel and it
// is the bytes that are limited.
datanode_hostile::node!("huge_emit", |_| {
    let id = "x".repeat(4096);
    let first = 0x0001_0203_0405_0607_i64;
    let rows: Vec<_> =
        (first..).take(ROWS).map(|micros| (Timestamp::from_micros(micros), id.as_str())).collect();
    let mut messages = messages(&good(&rows)?)?;
    let pattern: Vec<u8> = [first, first + 1].iter().flat_map(|micros| micros.to_le_bytes()).collect();
    let times = messages[1]
        .windows(pattern.len())
        .position(|bytes| bytes == pattern)
        .ok_or_else(|| NodeError::new("times.not_found", "the message does not hold its times"))?;

    emit_raw(&messages[0]);
    let mut time = 0_i64;
    loop {
        for place in messages[1][times..].chunks_exact_mut(8).take(ROWS) {
            place.copy_from_slice(&time.to_le_bytes());
            time += 1;
        }
        emit_raw(&messages[1]);
    }
});
