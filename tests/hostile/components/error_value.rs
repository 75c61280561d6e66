//! Attacks nothing, but refuses with a value after good rows; nothing may be stored, and the error must keep its fields.

use datanode_hostile::{good, january};
use datanode_sdk::NodeError;

datanode_hostile::node!("error_value", |context| {
    context.emit(&good(&[(january(1), "a")])?)?;
    Err(NodeError::new("author.refused", "the author says no").field("row", 7).field("file", "input.csv"))
});
