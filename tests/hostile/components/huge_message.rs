//! Attacks the host's memory with one message of 300 MiB; the limit on one message (or on memory) must stop it.

datanode_hostile::node!("huge_message", |_| {
    datanode_hostile::emit_raw(&vec![0; 300 << 20]);
    Ok(())
});
