//! Attacks the table's shape with a column that it does not have; the check against the contract must refuse it.

use datanode_hostile::{january, keys};

datanode_hostile::node!("extra_column", |context| {
    context.emit(&keys(&[(january(1), "a")]).floats("value", [1.0]).floats("extra", [1.0]).build()?)
});
