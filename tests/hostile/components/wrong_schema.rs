//! Attacks the table's types with integers for floats; the check against the contract must refuse it.

use datanode_hostile::{january, keys};

datanode_hostile::node!("wrong_schema", |context| {
    context.emit(&keys(&[(january(1), "a")]).integers("value", [1]).build()?)
});
