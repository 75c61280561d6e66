//! Windows: what one run may cover.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::cadence::Cadence;
use crate::ledger::Ledger;

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
pub struct WindowRequest<'r> {
    /// The host's clock, read once per run tree.
    pub now: Timestamp,
    /// `--until`.
    pub until: Option<Timestamp>,
    /// Cadence of the output table.
    pub cadence: Option<Cadence>,
    /// `offset_start` of the config, where its defaults are filled in.
    pub offset_start: Option<Timestamp>,
    /// Time of the latest row that the node has brought and that is there.
    pub latest: Option<Timestamp>,
    /// What the node has done; None: nothing but that it has brought its latest row.
    pub ledger: Option<&'r Ledger>,
    /// How far before its latest row the node looks for rows that come late.
    pub lookback: Option<Cadence>,
    /// Number of identity dimensions of the output table.
    pub dimensions: usize,
}

/// The window of a run, and where it takes its table to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// What the run may cover.
    pub window: Window,
    /// Of a table that is indexed by time alone: what comes after this moment, the run looks for again, whether it is there
    /// or not. None: all of it.
    pub behind: Option<Timestamp>,
}

/// Decide the window of a run.
///
/// *End:* see [`end`].
/// *Start:* on a first run, and always for a table with identity dimensions (whose guest narrows per coordinate),
/// `offset_start`; later, for a table indexed by time alone, the latest time less the lookback, plus one cadence (or 1 µs),
/// or the first moment before it that the node has left open.
pub fn decide(request: &WindowRequest<'_>) -> Decided {
    let end = end(request.now, request.until, request.cadence);
    let Some(latest) = request.latest.filter(|_| request.dimensions == 0) else {
        return Decided { window: Window { start: request.offset_start, end }, behind: None };
    };
    let open =
        request.ledger.map(|ledger| ledger.open_within(request.offset_start, latest)).unwrap_or_default();
    let behind = match request.lookback {
        Some(lookback) => lookback.previous(latest).unwrap_or(Timestamp::nearest_micros(i64::MIN)),
        None => latest,
    };
    if let Some(hole) = open.first().filter(|hole| hole.start.is_none_or(|start| start <= behind)) {
        // What lies before it is done, up to its last moment.
        let before = hole.start.and_then(|start| Timestamp::from_micros(start.micros() - 1).ok());
        return Decided { window: Window { start: hole.start, end }, behind: before };
    }
    let next = match request.cadence {
        Some(cadence) => cadence.next(behind),
        None => Timestamp::from_micros(behind.micros().saturating_add(1)).ok(),
    };
    let window = if let Some(next) = next {
        Window { start: Some(request.offset_start.map_or(next, |offset| next.max(offset))), end }
    } else {
        // At the end of time there is nothing left to cover.
        let before = Timestamp::from_micros(latest.micros() - 1).unwrap_or(latest);
        Window { start: Some(latest), end: before }
    };
    Decided { window, behind: Some(behind) }
}

/// Where a run ends: `until`, else by cadence (see [`Cadence::latest_complete`]), else now rounded down to the second.
pub fn end(now: Timestamp, until: Option<Timestamp>, cadence: Option<Cadence>) -> Timestamp {
    until.unwrap_or_else(|| match cadence {
        Some(cadence) => cadence.latest_complete(now).unwrap_or(now),
        None => whole_second(now),
    })
}

fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.micros() - now.micros().rem_euclid(1_000_000)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Visit;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn request() -> WindowRequest<'static> {
        WindowRequest {
            now: at("2026-11-22T17:30:00.5Z"),
            until: None,
            cadence: Some("1d".parse().unwrap()),
            offset_start: None,
            latest: None,
            ledger: None,
            lookback: None,
            dimensions: 0,
        }
    }

    /// The window alone.
    fn decided(request: &WindowRequest<'_>) -> Window {
        decide(request).window
    }

    #[test]
    fn the_end_follows_until_then_cadence_then_the_second() {
        assert_eq!(decided(&request()).end, at("2026-11-21"));
        assert_eq!(
            decided(&WindowRequest { until: Some(at("2020-12-31")), ..request() }).end,
            at("2020-12-31")
        );
        assert_eq!(decided(&WindowRequest { cadence: None, ..request() }).end, at("2026-11-22T17:30:00Z"));
    }

    #[test]
    fn the_start_follows_the_index() {
        let first = WindowRequest { offset_start: Some(at("1999-01-01")), ..request() };
        assert_eq!(decided(&first).start, Some(at("1999-01-01")));
        let later = WindowRequest { latest: Some(at("2020-01-01")), ..first };
        assert_eq!(decided(&later).start, Some(at("2020-01-02")));
        assert_eq!(
            decided(&WindowRequest { cadence: None, ..later }).start,
            Some(at("2020-01-01T00:00:00.000001Z"))
        );
        assert_eq!(decided(&WindowRequest { dimensions: 1, ..later }).start, Some(at("1999-01-01")));
        assert_eq!(decided(&request()).start, None);
    }

    #[test]
    fn a_table_that_is_up_to_date_has_an_empty_window() {
        let done = WindowRequest { latest: Some(at("2026-11-21")), ..request() };
        assert!(decided(&done).is_empty());
        assert!(!decided(&WindowRequest { latest: Some(at("2026-11-20")), ..done }).is_empty());
        let end = at("9999-12-31");
        assert!(decided(&WindowRequest { latest: Some(end), until: Some(end), ..done }).is_empty());
    }

    #[test]
    fn late_rows_are_looked_for_behind_the_latest_row() {
        let lookback = Some("7d".parse().unwrap());
        let late = WindowRequest { latest: Some(at("2020-01-31")), lookback, ..request() };
        assert_eq!(decided(&late).start, Some(at("2020-01-25")));
        assert_eq!(decide(&late).behind, Some(at("2020-01-24")));
        assert_eq!(
            decided(&WindowRequest { offset_start: Some(at("2020-01-30")), ..late }).start,
            Some(at("2020-01-30"))
        );
        let first = WindowRequest { latest: None, offset_start: Some(at("2020-01-01")), ..late };
        assert_eq!(decided(&first).start, Some(at("2020-01-01")), "there is no latest row to look behind");
        let all = Some("9000y".parse().unwrap());
        assert!(decided(&WindowRequest { lookback: all, ..late }).start < Some(at("0002-01-01")));
    }

    #[test]
    fn what_was_left_open_comes_first() {
        let mut ledger = Ledger::default();
        let mut done = |start: &str, end: &str| {
            let window = Window { start: Some(at(start)), end: at(end) };
            let cadence = request().cadence;
            ledger.succeed(
                &Visit { window, cadence, run_id: "r", at: at(end), is_backfill: false },
                Some(at(end)),
            );
        };
        done("2020-01-01", "2020-01-10");
        done("2020-01-11", "2020-01-20");
        done("2020-02-01", "2020-02-10");
        let offset_start = Some(at("2020-01-01"));
        let request =
            WindowRequest { latest: ledger.latest(), ledger: Some(&ledger), offset_start, ..request() };
        assert_eq!(decided(&request).start, Some(at("2020-01-20T00:00:00.000001Z")));
        assert_eq!(
            decide(&request).behind,
            Some(at("2020-01-20")),
            "what a node computes from is the last thing done"
        );
        assert_eq!(decide(&WindowRequest { ledger: None, ..request }).behind, Some(at("2020-02-10")));
        // What was never asked for before is open too.
        let earlier = WindowRequest { offset_start: Some(at("2019-01-01")), ..request };
        assert_eq!(decided(&earlier).start, Some(at("2019-01-01")));
        assert_eq!(decided(&WindowRequest { offset_start: None, ..request }).start, None);
        // And with nothing open before its latest row, a node goes on behind that.
        let later = WindowRequest { offset_start: Some(at("2020-02-01")), ..request };
        assert_eq!(decided(&later).start, Some(at("2020-02-11")));
        assert_eq!(decided(&WindowRequest { dimensions: 1, ..request }).start, offset_start);
    }
}
