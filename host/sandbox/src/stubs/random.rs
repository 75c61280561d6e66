//! Random numbers that follow from a seed.

use datanode_core::digest::{Digest, Digester};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance};

use super::{Stubs, versioned};
use crate::error::LimitKind;
use crate::limits::LimitReached;
use crate::linker::State;

/// SHA-256 of the seed and a counter, block after block. What a seed gives never changes: runs are replayed by it.
#[derive(Debug)]
pub(super) struct Generator {
    seed: Digest,
    blocks: u64,
    /// Bytes that are left of the last block.
    left: Vec<u8>,
}

impl Generator {
    pub(super) fn new(seed: Digest) -> Self {
        Self { seed, blocks: 0, left: Vec::new() }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut drawn = std::mem::take(&mut self.left);
        while drawn.len() < count {
            let mut digest = Digester::default();
            digest.update(self.seed.as_bytes());
            digest.update(&self.blocks.to_le_bytes());
            drawn.extend_from_slice(digest.finish().as_bytes());
            self.blocks += 1;
        }
        self.left = drawn.split_off(count);
        drawn
    }

    pub(super) fn number(&mut self) -> u64 {
        self.bytes(8).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut secure = linker.instance(&versioned("wasi:random/random"))?;
    draw(&mut secure, "get-random-bytes", "get-random-u64", Stubs::random)?;
    let mut insecure = linker.instance(&versioned("wasi:random/insecure"))?;
    draw(&mut insecure, "get-insecure-random-bytes", "get-insecure-random-u64", Stubs::insecure)?;
    linker.instance(&versioned("wasi:random/insecure-seed"))?.func_wrap(
        "insecure-seed",
        |mut store: StoreContextMut<'_, State>, ()| {
            let state = store.data_mut();
            state.count()?;
            let generator = state.stubs.insecure();
            Ok(((generator.number(), generator.number()),))
        },
    )
}

fn draw(
    instance: &mut LinkerInstance<'_, State>,
    bytes: &str,
    number: &str,
    of: fn(&mut Stubs) -> &mut Generator,
) -> wasmtime::Result<()> {
    instance.func_wrap(bytes, move |mut store: StoreContextMut<'_, State>, (count,): (u64,)| {
        let state = store.data_mut();
        state.count()?;
        let limit = state.limits.message_bytes;
        match usize::try_from(count) {
            Ok(bytes) if count <= limit => Ok((of(&mut state.stubs).bytes(bytes),)),
            _ => Err(LimitReached { kind: LimitKind::MessageBytes, limit }.into()),
        }
    })?;
    instance.func_wrap(number, move |mut store: StoreContextMut<'_, State>, ()| {
        let state = store.data_mut();
        state.count()?;
        Ok((of(&mut state.stubs).number(),))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changing these breaks the replay of every run that drew.
    #[test]
    fn what_a_seed_gives_is_fixed() {
        let mut generator = Generator::new(Digest::of(b"seed"));
        assert_eq!(generator.number(), 0xcc36_962c_fef1_3089);
        let pieces = [generator.bytes(3), generator.bytes(70)].concat();
        let mut again = Generator::new(Digest::of(b"seed"));
        let whole = again.bytes(81);
        assert_eq!(whole[8..], pieces);
    }
}
