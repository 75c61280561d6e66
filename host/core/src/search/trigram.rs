//! How alike two texts are written, by the rules of `PostgreSQL`'s `pg_trgm`.
//!
//! A text falls into words: runs of letters and digits, in lower case. A word with two blanks before it and one behind it
//! falls into trigrams: each three characters that follow one another. The similarity of two texts is the number of trigrams
//! that both have, divided by the number that either has. A test compares these functions with the server's own, character
//! by character of many scripts, under a locale that knows them.
//!
//! One function for all databases: `PostgreSQL` would look at characters as its locale does, and `SQLite` has no such thing.

use std::cmp::Ordering;

/// Trigrams of a text, sorted, each once. Three bytes are kept of each, as there: the characters where all three are ASCII,
/// else three bytes of a checksum.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trigrams(Box<[u32]>);

impl Trigrams {
    /// Of a text.
    pub fn of(text: &str) -> Self {
        let mut all = positional(text);
        all.sort_unstable();
        all.dedup();
        Self(all.into_boxed_slice())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none: the text has no letter and no digit.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The trigrams.
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }

    /// `similarity` of the texts: 0 (nothing in common, or no trigrams) to 1 (the same words, in whatever order).
    pub fn similarity(&self, other: &Self) -> f32 {
        let (mut ours, mut theirs, mut shared) = (0, 0, 0_usize);
        while let (Some(a), Some(b)) = (self.0.get(ours), other.0.get(theirs)) {
            match a.cmp(b) {
                Ordering::Less => ours += 1,
                Ordering::Greater => theirs += 1,
                Ordering::Equal => {
                    shared += 1;
                    ours += 1;
                    theirs += 1;
                }
            }
        }
        ratio(shared, self.len(), other.len())
    }
}

/// `similarity` of two texts.
pub fn similarity(a: &str, b: &str) -> f32 {
    Trigrams::of(a).similarity(&Trigrams::of(b))
}

/// `word_similarity`: the greatest similarity between the trigrams of `query` and those of any stretch of `text`.
pub fn word_similarity(query: &str, text: &str) -> f32 {
    let (wanted, found) = (Trigrams::of(query), positional(text));
    let is_wanted = |trigram: &u32| wanted.0.binary_search(trigram).is_ok();
    let mut last_seen = std::collections::HashMap::<u32, usize>::new();
    // Of the stretch that is looked at: where it begins, its distinct trigrams, and how many of them are wanted.
    let (mut lower, mut distinct, mut shared) = (None::<usize>, 0_usize, 0_usize);
    let mut best = 0.0_f32;
    for (place, trigram) in found.iter().enumerate() {
        let wanted_here = is_wanted(trigram);
        if (lower.is_some() || wanted_here) && last_seen.insert(*trigram, place).is_none() {
            distinct += 1;
            shared += usize::from(wanted_here);
        }
        if !wanted_here {
            continue;
        }
        let begin = *lower.get_or_insert_with(|| {
            distinct = 1;
            place
        });
        // The stretch ends here; the best place for it to begin is looked for.
        let mut here = ratio(shared, wanted.len(), distinct);
        let (mut from, mut fewer, mut fewer_shared) = (begin, distinct, shared);
        for (candidate, trigram) in found.iter().enumerate().take(place + 1).skip(begin) {
            let narrower = ratio(fewer_shared, wanted.len(), fewer);
            if narrower > here {
                (here, from, distinct, shared) = (narrower, candidate, fewer, fewer_shared);
            }
            if last_seen.get(trigram) == Some(&candidate) {
                fewer -= 1;
                fewer_shared -= usize::from(is_wanted(trigram));
            }
        }
        best = best.max(here);
        for (passed, trigram) in found.iter().enumerate().take(from).skip(begin) {
            if last_seen.get(trigram) == Some(&passed) {
                last_seen.remove(trigram);
            }
        }
        lower = Some(from);
    }
    best
}

/// The words of a text, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().map(lower).collect())
}

/// One character for one, as the locales of C libraries have it.
fn lower(character: char) -> char {
    let mut lowered = character.to_lowercase();
    lowered.next().unwrap_or(character)
}

/// Shared trigrams among all. Single precision and this order of operations, as there.
#[allow(clippy::cast_precision_loss)] // texts have fewer than 2^24 trigrams, or the loss is that of the original
fn ratio(shared: usize, ours: usize, theirs: usize) -> f32 {
    if shared == 0 {
        return 0.0;
    }
    shared as f32 / (ours + theirs - shared) as f32
}

/// Trigrams in the order of the text.
fn positional(text: &str) -> Vec<u32> {
    let mut all = Vec::with_capacity(text.len() + 4);
    let mut padded = Vec::new();
    for word in words(text) {
        padded.clear();
        padded.extend([' ', ' ']);
        padded.extend(word.chars());
        padded.push(' ');
        all.extend(padded.windows(3).map(compact));
    }
    all
}

fn compact(trigram: &[char]) -> u32 {
    if trigram.iter().all(char::is_ascii) {
        return trigram.iter().fold(0, |bytes, character| bytes << 8 | u32::from(*character));
    }
    let mut encoded = [0_u8; 4];
    let mut sum = u32::MAX;
    for character in trigram {
        for byte in character.encode_utf8(&mut encoded).bytes() {
            sum = TABLE[usize::from((sum >> 24) as u8 ^ byte)] ^ sum << 8;
        }
    }
    // The three bytes that come first in the memory of a little-endian machine, in that order.
    let [first, second, third, _] = (!sum).to_le_bytes();
    u32::from_be_bytes([0, first, second, third])
}

/// The table of CRC-32 with reflected bits. The original walks it from the other side, which makes a checksum of its own.
const TABLE: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation)] // below 256
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { 0xEDB8_8320 ^ sum >> 1 } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is(found: f32, expected: f32) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn the_examples_of_the_manual() {
        is(similarity("word", "two words"), 0.363_636);
        is(word_similarity("word", "two words"), 0.8);
        is(similarity("", ""), 0.0);
        is(similarity("fx_rates", "FX rates!"), 1.0);
        is(word_similarity("", "word"), 0.0);
    }

    #[test]
    fn a_word_is_letters_and_digits_in_lower_case() {
        let all: Vec<_> = words("Öl-Preis_2024, ECB's €/$ Ωmega").collect();
        assert_eq!(all, ["öl", "preis", "2024", "ecb", "s", "ωmega"]);
        assert_eq!(Trigrams::of("cat").len(), 4);
        assert!(Trigrams::of("— … !").is_empty());
    }

    proptest! {
        #[test]
        fn similarity_is_a_measure(a in "[a-z0-9 _é]{0,24}", b in "[a-z0-9 _é]{0,24}") {
            let (there, back) = (similarity(&a, &b), similarity(&b, &a));
            prop_assert!(there.to_bits() == back.to_bits() && (0.0..=1.0).contains(&there));
            prop_assert!((0.0..=1.0).contains(&word_similarity(&a, &b)));
            if !Trigrams::of(&a).is_empty() {
                prop_assert!((similarity(&a, &a) - 1.0).abs() < f32::EPSILON);
                let around = format!("zz {a} zz");
                prop_assert!(word_similarity(&a, &around) > 0.5);
            }
        }
    }
}
