//! Attacks the index with one tuple in two batches; the check for duplicates or the unique index must refuse it.

use datanode_hostile::{good, january};

datanode_hostile::node!("duplicate_key_across_batches", |context| {
    context.emit(&good(&[(january(1), "a"), (january(2), "a")])?)?;
    context.emit(&good(&[(january(3), "a"), (january(1), "a")])?)
});
