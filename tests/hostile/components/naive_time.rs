//! Attacks the meaning of time with a column without a zone; the check for UTC must refuse it.

use std::sync::Arc;

use datanode_hostile::january;
use datanode_sdk::arrow_array::TimestampMicrosecondArray;
use datanode_sdk::prelude::*;

datanode_hostile::node!("naive_time", |context| {
    let batch = FrameBuilder::new()
        .column("time_index", Arc::new(TimestampMicrosecondArray::from(vec![january(1).micros()])))
        .strings("id", ["a"])
        .floats("value", [1.0])
        .build()?;
    context.emit(&batch)
});
