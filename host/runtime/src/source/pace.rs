//! How long is waited before a source is asked again that has not answered.

use std::time::Duration;

/// The first pause, and the longest, before a request is repeated; each is twice the last, and the real one lies anywhere
/// below it, so that many hosts do not come back at once.
const FIRST: Duration = Duration::from_millis(400);
const LONGEST: Duration = Duration::from_secs(10);

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
    fn pauses_grow_and_are_bounded() {
        for attempt in [1, 2, 5, 100] {
            let pause = pause(attempt, None);
            assert!(pause <= LONGEST && pause <= FIRST * 2_u32.pow(attempt.min(6)), "{attempt}: {pause:?}");
        }
        assert!(pause(1, Some(Duration::from_secs(3))) >= Duration::from_secs(3));
    }
}
