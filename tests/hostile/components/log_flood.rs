//! Attacks the run record with log lines without end; it must stay small, and the limit on host calls must stop it.

datanode_hostile::node!("log_flood", |_| {
    let line = "again and again ".repeat(100);
    loop {
        datanode_sdk::info!(line.as_str());
    }
});
