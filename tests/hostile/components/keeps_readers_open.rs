//! Attacks the host's memory by keeping every reader that it opens; the limit on open handles must stop it.

use datanode_sdk::Query;

datanode_hostile::node!("keeps_readers_open", |context| {
    let mut kept = Vec::new();
    loop {
        kept.push(context.read("self", Query::new())?);
    }
});
