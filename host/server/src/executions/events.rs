//! The events of one execution, of which the latest are kept.

use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of events that are kept.
const MOST_BYTES: usize = 1 << 20;

/// Something that was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Counts from 1, without gaps.
    pub(crate) number: u64,
    /// What it is.
    pub(crate) name: &'static str,
    /// JSON in one line.
    pub(crate) data: String,
    /// Of a line of a log: which one of its run it is, counted from 1.
    pub(crate) line: Option<u64>,
}

/// The latest events.
#[derive(Debug)]
pub(super) struct Ring {
    most: usize,
    bytes: usize,
    last: u64,
    events: VecDeque<Arc<Told>>,
}

impl Ring {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), bytes: 0, last: 0, events: VecDeque::new() }
    }

    pub(super) fn push(&mut self, name: &'static str, data: String) {
        self.push_line(name, data, None);
    }

    pub(super) fn push_line(&mut self, name: &'static str, data: String, line: Option<u64>) {
        self.last += 1;
        self.bytes += data.len();
        self.events.push_back(Arc::new(Told { number: self.last, name, data, line }));
        // The one that was just told stays, however long it is.
        while self.events.len() > 1 && (self.events.len() > self.most || self.bytes > MOST_BYTES) {
            if let Some(gone) = self.events.pop_front() {
                self.bytes -= gone.data.len();
            }
        }
    }

    /// Those behind this number. Where some of them are gone, it begins with the oldest that is there.
    pub(super) fn after(&self, number: u64) -> Vec<Arc<Told>> {
        let first = self.last - self.events.len() as u64;
        let skip = usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX);
        self.events.iter().skip(skip).cloned().collect()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(ring: &Ring, after: u64) -> Vec<u64> {
        ring.after(after).iter().map(|told| told.number).collect()
    }

    #[test]
    fn the_oldest_go_and_numbers_stay() {
        let mut ring = Ring::new(3);
        for data in ["a", "b", "c", "d", "e"] {
            ring.push("x", data.to_owned());
        }
        assert_eq!(numbers(&ring, 0), [3, 4, 5]);
        assert_eq!(numbers(&ring, 4), [5]);
        assert_eq!(numbers(&ring, 5), Vec::<u64>::new());
        assert_eq!(numbers(&ring, 99), Vec::<u64>::new());
        ring.push("x", "y".repeat(MOST_BYTES + 1));
        assert_eq!(numbers(&ring, 0), [6]);
    }
}
