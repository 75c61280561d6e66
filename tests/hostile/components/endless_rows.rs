//! Attacks the host by emitting one small valid row after the other; the limit on rows must stop it.

use datanode_hostile::{emit_raw, good, messages};
use datanode_sdk::prelude::*;

datanode_hostile::node!("endless_rows", |_| {
    for micros in 0.. {
        let messages = messages(&good(&[(Timestamp::from_micros(micros), "a")])?)?;
        let schema = usize::from(micros > 0);
        messages[schema..].iter().for_each(|message| emit_raw(message));
    }
    Ok(())
});
