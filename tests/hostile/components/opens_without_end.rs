//! Attacks the run record, which names each frame read, by opening one without end; the limit on opens must stop it.

use datanode_sdk::Query;

datanode_hostile::node!("opens_without_end", |context| {
    loop {
        context.read("self", Query::new())?;
    }
});
