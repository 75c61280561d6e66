//! Attacks the meaning of time with a column in another zone; the check for UTC must refuse it.

use std::sync::Arc;

use datanode_hostile::january;
use datanode_sdk::arrow_array::TimestampMicrosecondArray;
use datanode_sdk::prelude::*;

datanode_hostile::node!("non_utc_time", |context| {
    let times = TimestampMicrosecondArray::from(vec![january(1).micros()]).with_timezone("Europe/Berlin");
    let batch = FrameBuilder::new()
        .column("time_index", Arc::new(times))
        .strings("id", ["a"])
        .floats("value", [1.0])
        .build()?;
    context.emit(&batch)
});
