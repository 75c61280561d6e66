//! Attacks other tables by opening a key that it does not declare; the host must refuse the read.

use datanode_sdk::Query;

datanode_hostile::node!("reads_undeclared", |context| {
    for batch in context.read("secrets", Query::new())? {
        context.emit(&batch?)?;
    }
    Ok(())
});
