//! Attacks the host's stack by calling itself for ever; the limit on the guest's stack must stop it.

datanode_hostile::node!("deep_recursion", |_| {
    let bottom = descend(0, std::hint::black_box(u64::MAX));
    Err(datanode_sdk::NodeError::new("recursion.returned", bottom.to_string()))
});

/// Neither a tail call nor an associative sum, so that no optimiser makes a loop of it; and its frames take nothing
/// from the guest's own memory, so that it is the host's stack that grows.
#[inline(never)]
fn descend(depth: u64, bottom: u64) -> u64 {
    if depth == bottom {
        return depth;
    }
    descend(depth + 1, bottom).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(5) ^ depth
}
