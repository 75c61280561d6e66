//! Attacks nothing, but panics after good rows; nothing may be stored, and the log must hold message and place.

use datanode_hostile::{good, january};

datanode_hostile::node!("panics", |context| {
    context.emit(&good(&[(january(1), "a")])?)?;
    panic!("row {} is impossible", 7);
});
