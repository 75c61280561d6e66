//! Attacks the run's time by computing for ever; the fuel limit must stop it.

datanode_hostile::node!("endless_loop", |_| {
    let mut number = 0_u64;
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
});
