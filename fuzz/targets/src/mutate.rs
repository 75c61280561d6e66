//! Mutations of inputs from a seed: the same seed makes the same inputs, on every machine.
//!
//! No coverage guides them, so they find what lies near the corpus. What lies further away is found by libFuzzer.

/// Numbers that programs are careless with.
const EDGES: [u64; 10] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];
/// The most bytes of an input.
const MOST: usize = 64 << 10;

/// A source of numbers: xorshift64*.
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    /// Not zero, whatever is given.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from((self.next() >> 11) % bound).unwrap_or_default()
    }
}

/// An input near one of the corpus: one to eight changes of it.
pub fn near(corpus: &[Vec<u8>], seed: &mut Seed) -> Vec<u8> {
    let mut input = corpus.get(seed.below(corpus.len())).cloned().unwrap_or_default();
    for _ in 0..=seed.below(8) {
        change(&mut input, corpus, seed);
    }
    input.truncate(MOST);
    input
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], seed: &mut Seed) {
    let at = seed.below(input.len() + 1);
    let length = seed.below(32) + 1;
    let end = (at + length).min(input.len());
    match seed.below(8) {
        0 if at < input.len() => input[at] ^= 1 << seed.below(8),
        1 if at < input.len() => input[at] = seed.next().to_le_bytes()[0],
        // A number that is on the edge, or next to it, over two, four or eight bytes.
        2 | 3 => {
            let edge = EDGES[seed.below(EDGES.len())];
            let value = edge.wrapping_add(u64::from(seed.next().to_le_bytes()[0] % 3)).wrapping_sub(1);
            let width = 1 << seed.below(4);
            for (place, byte) in input.iter_mut().skip(at).zip(value.to_le_bytes()).take(width) {
                *place = byte;
            }
        }
        4 => drop(input.drain(at..end)),
        5 => {
            let again = input[at..end].to_vec();
            input.splice(at..at, again);
        }
        // A piece of another one, or of itself.
        6 => {
            let other = corpus.get(seed.below(corpus.len())).cloned().unwrap_or_default();
            let from = seed.below(other.len() + 1);
            let piece = &other[from..(from + length * 4).min(other.len())];
            input.splice(at..end, piece.iter().copied());
        }
        _ => input.truncate(at.max(1)),
    }
}
