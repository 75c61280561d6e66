//! Attacks the host's patience by dying without a word; the trap must become an error of this run alone.

datanode_hostile::node!("trap", |_| {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort();
});
