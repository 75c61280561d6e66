//! Windows: what one run may cover.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::cadence::Cadence;

/// What one run may cover. Both ends are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Rows before this moment are dropped. None: unbounded.
    pub start: Option<Timestamp>,
    /// A row after this moment fails the run.
    pub end: Timestamp,
}

impl Window {
    /// True when no moment lies inside.
    pub fn is_empty(&self) -> bool {
        self.start.is_some_and(|start| start > self.end)
    }
}

/// What a window is decided from.
#[derive(Debug, Clone, Copy)]
pub struct WindowRequest {
    /// The host's clock, read once per run tree.
    pub now: Timestamp,
    /// `--until`.
    pub until: Option<Timestamp>,
    /// Cadence of the output table.
    pub cadence: Option<Cadence>,
    /// `offset_start` of the config, or the component's default.
    pub offset_start: Option<Timestamp>,
    /// Latest time of the output table.
    pub max_time: Option<Timestamp>,
    /// Number of identity dimensions of the output table.
    pub dimensions: usize,
}

/// Decide the window of a run.
///
/// *End:* `until`, else by cadence (see [`Cadence::latest_complete`]), else now rounded down to the second.
/// *Start:* on a first run, and always for a table with identity dimensions (whose guest narrows per coordinate),
/// `offset_start`; later, for a table indexed by time alone, the latest time plus one cadence (or 1 µs).
pub fn decide(request: &WindowRequest) -> Window {
    let end = request.until.unwrap_or_else(|| match request.cadence {
        Some(cadence) => cadence.latest_complete(request.now).unwrap_or(request.now),
        None => whole_second(request.now),
    });
    let start = match request.max_time {
        Some(last) if request.dimensions == 0 => {
            let next = match request.cadence {
                Some(cadence) => cadence.next(last),
                None => Timestamp::from_micros(last.micros().saturating_add(1)).ok(),
            };
            let Some(next) = next else {
                // At the end of time there is nothing left to cover.
                let before = Timestamp::from_micros(last.micros() - 1).unwrap_or(last);
                return Window { start: Some(last), end: before };
            };
            Some(next.max(request.offset_start.unwrap_or(last)))
        }
        _ => request.offset_start,
    };
    Window { start, end }
}

fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.micros() - now.micros().rem_euclid(1_000_000)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn request() -> WindowRequest {
        WindowRequest {
            now: at("2026-11-22T17:30:00.5Z"),
            until: None,
            cadence: Some("1d".parse().unwrap()),
            offset_start: None,
            max_time: None,
            dimensions: 0,
        }
    }

    #[test]
    fn the_end_follows_until_then_cadence_then_the_second() {
        assert_eq!(decide(&request()).end, at("2026-11-21"));
        assert_eq!(
            decide(&WindowRequest { until: Some(at("2020-12-31")), ..request() }).end,
            at("2020-12-31")
        );
        assert_eq!(decide(&WindowRequest { cadence: None, ..request() }).end, at("2026-11-22T17:30:00Z"));
    }

    #[test]
    fn the_start_follows_the_index() {
        let first = WindowRequest { offset_start: Some(at("1999-01-01")), ..request() };
        assert_eq!(decide(&first).start, Some(at("1999-01-01")));
        let later = WindowRequest { max_time: Some(at("2020-01-01")), ..first };
        assert_eq!(decide(&later).start, Some(at("2020-01-02")));
        assert_eq!(
            decide(&WindowRequest { cadence: None, ..later }).start,
            Some(at("2020-01-01T00:00:00.000001Z"))
        );
        assert_eq!(decide(&WindowRequest { dimensions: 1, ..later }).start, Some(at("1999-01-01")));
        assert_eq!(decide(&request()).start, None);
    }

    #[test]
    fn a_table_that_is_up_to_date_has_an_empty_window() {
        let done = WindowRequest { max_time: Some(at("2026-11-21")), ..request() };
        assert!(decide(&done).is_empty());
        assert!(!decide(&WindowRequest { max_time: Some(at("2026-11-20")), ..done }).is_empty());
        let end = at("9999-12-31");
        assert!(decide(&WindowRequest { max_time: Some(end), until: Some(end), ..done }).is_empty());
    }
}
