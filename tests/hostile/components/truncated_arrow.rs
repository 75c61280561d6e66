//! Attacks the decoder with a good schema and half of a good batch; the check of lengths must refuse it.

use datanode_hostile::{emit_raw, good, january, messages};

datanode_hostile::node!("truncated_arrow", |_| {
    let rows: Vec<_> = (1..=31).map(|day| (january(day), "a")).collect();
    let messages = messages(&good(&rows)?)?;
    emit_raw(&messages[0]);
    emit_raw(&messages[1][..messages[1].len() / 2]);
    Ok(())
});
