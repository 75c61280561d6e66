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
    let window = if let Some(next) = following(behind, request.cadence) {
        Window { start: Some(request.offset_start.map_or(next, |offset| next.max(offset))), end }
    } else {
        // At the end of time there is nothing left to cover.
        let before = Timestamp::from_micros(latest.micros() - 1).unwrap_or(latest);
        Window { start: Some(latest), end: before }
    };
    Decided { window, behind: Some(behind) }
}

/// Decide the window of a run that is made again: the one that it had, whatever a run of now would cover. But where nothing
/// bounds its start, or something before it is open by now, it begins where a run of now begins: what a node reads of its own
/// table is stored in the order of time, so that nobody computes from rows that are yet to come.
pub fn decide_again(request: &WindowRequest<'_>, had: Decided) -> Decided {
    let request = WindowRequest { until: Some(had.window.end), ..*request };
    // A lookback goes back over what is done, and so says nothing of what is open.
    let open = decide(&WindowRequest { lookback: None, ..request });
    let is_open_before = |start: Timestamp| {
        let begins_earlier = open.window.start.is_none_or(|first| first < start);
        // Where no period fits between what is done and the start, nothing was left out.
        let leaves_room = |done| following(done, request.cadence).is_some_and(|next| next < start);
        begins_earlier && open.behind.is_none_or(leaves_room)
    };
    if had.window.start.is_none_or(is_open_before) { decide(&request) } else { had }
}

/// The first moment behind one that is done: one cadence later, or 1 µs. None at the end of time.
fn following(done: Timestamp, cadence: Option<Cadence>) -> Option<Timestamp> {
    match cadence {
        Some(cadence) => cadence.next(done),
        None => Timestamp::from_micros(done.micros().saturating_add(1)).ok(),
    }
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

    fn ledger_until(days: &[(&str, &str)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (start, end) in days {
            let window = Window { start: Some(at(start)), end: at(end) };
            let cadence = request().cadence;
            let visit = Visit { window, cadence, run_id: "r", at: at(end), is_backfill: false };
            ledger.succeed(&visit, Some(at(end)));
        }
        ledger
    }

    #[test]
    fn a_run_that_is_made_again_has_its_window_unless_something_before_it_is_open() {
        let mut ledger = ledger_until(&[("2020-01-01", "2020-01-10")]);
        let window = Window { start: Some(at("2020-01-11")), end: at("2020-01-20") };
        let had = Decided { window, behind: Some(at("2020-01-10")) };
        let request = WindowRequest { offset_start: Some(at("2020-01-01")), ..request() };
        let again = |ledger: &Ledger, lookback: Option<&str>| {
            let lookback = lookback.map(|lookback| lookback.parse().unwrap());
            let latest = ledger.latest();
            decide_again(&WindowRequest { latest, ledger: Some(ledger), lookback, ..request }, had)
        };
        assert_eq!(again(&ledger, None), had);
        assert_eq!(again(&ledger, Some("7d")), had, "to look back opens nothing");
        // Part of it, or all of it, has been done since.
        for until in ["2020-01-15", "2020-01-25"] {
            let since = ledger_until(&[("2020-01-01", "2020-01-10"), ("2020-01-11", until)]);
            assert_eq!(again(&since, None), had);
        }
        // Between it and what was done before no period fits, whatever was done behind it.
        let behind = ledger_until(&[("2020-01-01", "2020-01-10"), ("2020-01-21", "2020-01-25")]);
        assert_eq!(again(&behind, None), had);

        // A tail delete.
        ledger.reopen(at("2020-01-06"), Some(at("2020-01-05")));
        let start = Some(at("2020-01-06"));
        let widened = Decided { window: Window { start, ..window }, behind: Some(at("2020-01-05")) };
        assert_eq!(again(&ledger, None), widened);
        assert_eq!(again(&ledger, Some("2d")).window.start, Some(at("2020-01-04")), "as a run of now does");
        ledger.reopen(at("2020-01-01"), None);
        assert_eq!(
            again(&ledger, None),
            Decided { window: Window { start: request.offset_start, ..window }, behind: None }
        );
        // Rows that are gone without a word to the ledger.
        let ledger = ledger_until(&[("2020-01-01", "2020-01-10")]);
        let latest = Some(at("2020-01-08"));
        let gone = decide_again(&WindowRequest { latest, ledger: Some(&ledger), ..request }, had);
        assert_eq!(gone.window.start, Some(at("2020-01-09")));
        // A hole between what is done and what is done.
        let torn = ledger_until(&[("2020-01-01", "2020-01-05"), ("2020-01-07", "2020-01-25")]);
        let hole = Some(at("2020-01-05T00:00:00.000001Z"));
        assert_eq!(again(&torn, None).window, Window { start: hole, ..window });
    }

    #[test]
    fn a_run_that_is_made_again_without_a_start_covers_what_is_left() {
        let ledger = ledger_until(&[("2020-01-01", "2020-01-10")]);
        let had = Decided { window: Window { start: None, end: at("2020-01-20") }, behind: None };
        let first = WindowRequest { until: Some(at("2020-03-01")), ..request() };
        assert_eq!(decide_again(&first, had), had);
        let offset_start = Some(at("2020-01-01"));
        let later = WindowRequest { offset_start, latest: ledger.latest(), ledger: Some(&ledger), ..first };
        let left = Window { start: Some(at("2020-01-11")), ..had.window };
        assert_eq!(decide_again(&later, had).window, left);
        // A guest narrows per coordinate: it has the start that it always has.
        let had = Decided { window: Window { start: offset_start, ..had.window }, behind: None };
        assert_eq!(decide_again(&WindowRequest { dimensions: 1, ..later }, had), had);
    }
}
