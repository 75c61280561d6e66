//! Attacks nothing: emits its three rows, once; the run after a hostile one must be as good as any.

use datanode_hostile::{good, january};

datanode_hostile::node!("well_behaved", |context| {
    let mut rows = vec![(january(1), "a"), (january(1), "b"), (january(2), "a")];
    rows.retain(|(time, id)| context.is_missing(*time, &[(*id).into()]));
    context.emit(&good(&rows)?)
});
