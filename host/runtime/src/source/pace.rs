//! How fast a source is asked, and how long is waited before it is asked again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The first pause, and the longest, before a request is repeated; each is twice the last, and the real one lies anywhere
/// below it, so that many hosts do not come back at once.
const FIRST: Duration = Duration::from_millis(400);
const LONGEST: Duration = Duration::from_secs(10);

/// When each source may be asked next. Of one process: others have their own.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<String, Instant>>);

impl Rates {
    /// Take the next place of a source, and answer how long it is until then; None where that is longer than the patience,
    /// and no place is taken.
    pub(crate) fn take(&self, source: &str, per_minute: u32, patience: Duration) -> Option<Duration> {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let at = next.get(source).copied().unwrap_or(now).max(now);
        let wait = at - now;
        if wait > patience {
            return None;
        }
        next.insert(source.to_owned(), at + Duration::from_mins(1) / per_minute.max(1));
        Some(wait)
    }
}

/// The pause before a request is repeated: `attempt` counts from 1. What the server asked for holds, as far as it is more.
pub(crate) fn pause(attempt: u32, asked: Option<Duration>) -> Duration {
    let most = LONGEST.min(FIRST * 2_u32.saturating_pow(attempt.saturating_sub(1).min(10)));
    let mut random = [0; 2];
    // Without randomness the pause is a long one.
    let part = if getrandom::fill(&mut random).is_ok() { u16::from_le_bytes(random) } else { u16::MAX };
    let jittered = most.mul_f64(f64::from(part) / f64::from(u16::MAX));
    asked.map_or(jittered, |asked| asked + jittered / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spread_over_the_minute() {
        let rates = Rates::default();
        let long = Duration::from_mins(1);
        assert_eq!(rates.take("a", 60, long), Some(Duration::ZERO));
        let second = rates.take("a", 60, long).unwrap();
        assert!(second > Duration::from_millis(900) && second <= Duration::from_secs(1), "{second:?}");
        assert_eq!(rates.take("a", 60, Duration::from_millis(100)), None);
        // Nobody takes a place that he does not wait for.
        assert!(rates.take("a", 60, long).unwrap() <= Duration::from_secs(2));
        assert_eq!(rates.take("b", 60, Duration::ZERO), Some(Duration::ZERO));
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        for attempt in [1, 2, 5, 100] {
            let pause = pause(attempt, None);
            assert!(pause <= LONGEST && pause <= FIRST * 2_u32.pow(attempt.min(6)), "{attempt}: {pause:?}");
        }
        assert!(pause(1, Some(Duration::from_secs(3))) >= Duration::from_secs(3));
    }
}
