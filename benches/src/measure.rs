//! Ours and the floor, by turns.

use std::time::{Duration, Instant};

/// Seconds of each round.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    pub(crate) ours: Vec<f64>,
    pub(crate) floor: Vec<f64>,
}

/// Measure both in each round; who comes first changes from round to round.
pub(crate) fn by_turns(
    rounds: usize,
    mut ours: impl FnMut() -> Duration,
    mut floor: impl FnMut() -> Duration,
) -> Pair {
    let mut pair = Pair::default();
    // The first of each warms caches, and counts for nothing.
    let _ = (ours(), floor());
    for round in 0..rounds {
        if round % 2 == 0 {
            pair.ours.push(ours().as_secs_f64());
            pair.floor.push(floor().as_secs_f64());
        } else {
            pair.floor.push(floor().as_secs_f64());
            pair.ours.push(ours().as_secs_f64());
        }
    }
    pair
}

/// The fastest of several rounds of each: all are measured in each round, and another one comes first each time. For work
/// that only computes, whatever slows it down is somebody else.
pub(crate) fn fastest_of_each(rounds: usize, works: &mut [Box<dyn FnMut() -> Duration + '_>]) -> Vec<f64> {
    let mut fastest = vec![f64::INFINITY; works.len()];
    // The first of each warms caches, and counts for nothing.
    for work in works.iter_mut() {
        let _ = work();
    }
    for round in 0..rounds {
        for turn in 0..works.len() {
            let at = (round + turn) % works.len();
            fastest[at] = fastest[at].min(works[at]().as_secs_f64());
        }
    }
    fastest
}

impl Pair {
    /// The fastest round of each: for work that only computes, whatever slows it down is somebody else.
    pub(crate) fn fastest(&self) -> (f64, f64) {
        let fastest = |seconds: &[f64]| seconds.iter().copied().fold(f64::INFINITY, f64::min);
        (fastest(&self.ours), fastest(&self.floor))
    }

    /// The median of each: for work that waits for the disk.
    pub(crate) fn median(&self) -> (f64, f64) {
        (percentile(&self.ours, 50), percentile(&self.floor, 50))
    }
}

/// The value below which so many in a hundred lie.
pub(crate) fn percentile(seconds: &[f64], percent: usize) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// How long the work takes.
pub(crate) fn time(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// How long one of so many takes, on average over all.
pub(crate) fn each(times: u32, mut work: impl FnMut()) -> Duration {
    time(|| (0..times).for_each(|_| work())) / times
}
