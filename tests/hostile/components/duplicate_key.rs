//! Attacks the index with one tuple twice in a batch; the check for duplicates must refuse it.

use datanode_hostile::{good, january};

datanode_hostile::node!("duplicate_key", |context| {
    context.emit(&good(&[(january(1), "a"), (january(2), "a"), (january(1), "a")])?)
});
