//! Attacks the index with a row that has no time; the check of index columns must refuse it.

use datanode_hostile::january;
use datanode_sdk::prelude::*;

datanode_hostile::node!("null_time", |context| {
    let batch = FrameBuilder::new()
        .timestamps("time_index", [Some(january(1)), None])
        .strings("id", ["a", "a"])
        .floats("value", [1.0, 2.0])
        .build()?;
    context.emit(&batch)
});
