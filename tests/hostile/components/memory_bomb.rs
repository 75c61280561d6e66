//! Attacks the host's memory by allocating and touching for ever; the limit on the store's memory must stop it.

datanode_hostile::node!("memory_bomb", |_| {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        // First everything that is left in big pieces, then the crumbs: the last refusal is not one to recover from.
        for bytes in [64 << 20, 1 << 20, 64 << 10] {
            let mut piece = Vec::new();
            while piece.try_reserve_exact(bytes).is_ok() {
                piece.resize(bytes, 1);
                hoard.push(std::hint::black_box(std::mem::take(&mut piece)));
            }
        }
        hoard.push(vec![1; 64 << 10]);
    }
});
