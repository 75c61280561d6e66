//! Attacks the host's memory by reading far beyond its own; the engine must trap before it happens.

datanode_hostile::node!("wild_pointer", |_| {
    let byte = read(std::hint::black_box(0xffff_0000));
    Err(datanode_sdk::NodeError::new("read.returned", byte.to_string()))
});

#[inline(never)]
fn read(address: usize) -> u8 {
    // SAFETY: there is none, on purpose: the sandbox must stop what the language cannot.
    unsafe { std::ptr::with_exposed_provenance::<u8>(address).read_volatile() }
}
