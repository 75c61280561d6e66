//! Attacks the index with a row that has no id; the check of index columns must refuse it.

use std::sync::Arc;

use datanode_hostile::january;
use datanode_sdk::arrow_array::StringArray;
use datanode_sdk::prelude::*;

datanode_hostile::node!("null_key", |context| {
    let batch = FrameBuilder::new()
        .timestamps("time_index", [january(1), january(2)])
        .column("id", Arc::new(StringArray::from(vec![Some("a"), None])))
        .floats("value", [1.0, 2.0])
        .build()?;
    context.emit(&batch)
});
