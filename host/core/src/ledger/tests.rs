//! The ledger against a map of every single moment.

use proptest::prelude::*;

use super::*;

/// Moments of the map; the first of them is the first of all moments, so that windows without a start fit in.
const MOMENTS: i64 = 40;

fn at(place: i64) -> Timestamp {
    moment(moment(i64::MIN).micros() + place)
}

fn window(start: Option<i64>, end: i64) -> Window {
    Window { start: start.map(at), end: at(end) }
}

/// What is known of one moment: its state, and of a failure how often and in which run last.
type Known = Option<(WindowState, u32, String)>;

#[derive(Debug, Clone)]
enum Action {
    Succeed { start: Option<i64>, end: i64, latest: Option<i64> },
    Fail { start: Option<i64>, end: i64 },
    Reopen { from: i64, latest: Option<i64> },
}

fn action() -> impl Strategy<Value = Action> {
    let place = || 0..MOMENTS;
    let start = || prop::option::weighted(0.8, place());
    prop_oneof![
        3 => (start(), place(), prop::option::of(place()))
            .prop_map(|(start, end, latest)| Action::Succeed { start, end, latest }),
        2 => (start(), place()).prop_map(|(start, end)| Action::Fail { start, end }),
        1 => (place(), prop::option::of(place())).prop_map(|(from, latest)| Action::Reopen { from, latest }),
    ]
}

/// The same, moment by moment.
fn model(known: &mut [Known], action: &Action, run: &str) {
    let each = |start: &Option<i64>, end: &i64| start.unwrap_or(0)..=*end;
    match action {
        Action::Succeed { start, end, latest } => {
            for place in each(start, end) {
                let slot = &mut known[usize::try_from(place).unwrap()];
                let done = latest.is_some_and(|latest| place <= latest)
                    || matches!(slot, Some((WindowState::Done, ..)));
                let state = if done { WindowState::Done } else { WindowState::Empty };
                *slot = Some((state, 0, String::new()));
            }
        }
        Action::Fail { start, end } => {
            let places: Vec<usize> = each(start, end).map(|place| usize::try_from(place).unwrap()).collect();
            let failures = places.iter().filter_map(|place| known[*place].as_ref()).map(|slot| slot.1).max();
            let failed = (WindowState::Failed, failures.unwrap_or(0) + 1, run.to_owned());
            for place in places {
                if !matches!(known[place], Some((WindowState::Done | WindowState::Empty, ..))) {
                    known[place] = Some(failed.clone());
                }
            }
        }
        Action::Reopen { from, latest } => {
            let (from, before) = (usize::try_from(*from).unwrap(), known.to_vec());
            let is_done = |slot: &Known| matches!(slot, Some((WindowState::Done, ..)));
            for place in (from..known.len())
                .filter(|place| !matches!(known[*place], Some((WindowState::Failed, ..))))
                .collect::<Vec<_>>()
            {
                known[place] = None;
            }
            // The stretch that was cut, where it was done up to and beyond the cut.
            if is_done(&before[from]) {
                let stretch = (0..from).rev().take_while(|place| is_done(&before[*place]));
                for place in stretch
                    .filter(|place| latest.is_none_or(|latest| i64::try_from(*place).unwrap() > latest))
                {
                    known[place] = Some((WindowState::Empty, 0, String::new()));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn every_moment_is_known_as_a_map_would_know_it(actions in prop::collection::vec(action(), 1..25)) {
        let mut ledger = Ledger::default();
        let mut known: Vec<Known> = vec![None; usize::try_from(MOMENTS).unwrap()];
        for (number, action) in (0..).zip(&actions) {
            let run = format!("run-{number}");
            let visit = |window| Visit { window, cadence: None, run_id: &run, at: moment(number), is_backfill: number % 2 == 0 };
            match action {
                Action::Succeed { start, end, latest } => {
                    ledger.succeed(&visit(window(*start, *end)), latest.map(at));
                }
                Action::Fail { start, end } => ledger.fail(&visit(window(*start, *end))),
                Action::Reopen { from, latest } => {
                    let covered = |known: &[Known]| {
                        let slots = known.iter().skip(usize::try_from(*from).unwrap());
                        slots.filter(|slot| matches!(slot, Some((WindowState::Done | WindowState::Empty, ..)))).count()
                    };
                    let before = covered(&known);
                    let reopened = ledger.reopen(at(*from), latest.map(at));
                    let moments: i64 = reopened.iter().map(|w| w.last.micros() - w.first.micros() + 1).sum();
                    prop_assert_eq!(moments, i64::try_from(before).unwrap());
                }
            }
            model(&mut known, action, &run);

            let windows = ledger.windows();
            for (place, slot) in (0..).zip(&known) {
                let found = windows.iter().find(|window| window.first <= at(place) && at(place) <= window.last);
                let found = found.map(|window| {
                    let run = if window.state == WindowState::Failed { window.run_id.clone() } else { String::new() };
                    (window.state, window.failures, run)
                });
                prop_assert_eq!(&found, slot, "moment {} after {:?}", place, action);
            }
            prop_assert!(windows.windows(2).all(|two| two[0].last < two[1].first && !two[0].joins(&two[1])));
            prop_assert_eq!(Ledger::from_windows(windows.to_vec()), Some(ledger.clone()));

            let is_open = |place: i64| {
                matches!(known[usize::try_from(place).unwrap()], None | Some((WindowState::Failed, ..)))
            };
            let mut open: Vec<(i64, i64)> = Vec::new();
            for place in (0..MOMENTS).filter(|place| is_open(*place)) {
                match open.last_mut() {
                    Some((_, last)) if *last + 1 == place => *last = place,
                    _ => open.push((place, place)),
                }
            }
            let expected: Vec<Window> =
                open.iter().map(|(first, last)| window((*first > 0).then_some(*first), *last)).collect();
            prop_assert_eq!(ledger.open_within(None, at(MOMENTS - 1)), expected);
        }
    }
}

fn day(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn daily<'v>(start: &str, end: &str, run_id: &'v str) -> Visit<'v> {
    let window = Window { start: Some(start).filter(|start| !start.is_empty()).map(day), end: day(end) };
    Visit { window, cadence: Some("1d".parse().unwrap()), run_id, at: day(end), is_backfill: false }
}

fn states(ledger: &Ledger) -> Vec<String> {
    let text = |window: &NodeWindow| {
        let start = window.start().map_or("…".to_owned(), Timestamp::short);
        format!("{start} {} {} {}", window.last.short(), window.state.as_str(), window.failures)
    };
    ledger.windows().iter().map(text).collect()
}

#[test]
fn windows_of_a_cadence_join_and_a_missing_period_does_not() {
    let mut ledger = Ledger::default();
    ledger.succeed(&daily("2020-01-01", "2020-01-01", "a"), Some(day("2020-01-01")));
    ledger.succeed(&daily("2020-01-02", "2020-01-03", "b"), Some(day("2020-01-03")));
    assert_eq!(states(&ledger), ["2020-01-01 2020-01-03 done 0"]);
    ledger.succeed(&daily("2020-01-05", "2020-01-05", "c"), Some(day("2020-01-05")));
    assert_eq!(ledger.windows().len(), 2, "the fourth is missing");
    let hole = ledger.open_within(None, day("2020-01-05"));
    assert_eq!(hole[1].start.unwrap().micros(), day("2020-01-03").micros() + 1);
    ledger.succeed(&daily("2020-01-04", "2020-01-04", "d"), Some(day("2020-01-04")));
    assert_eq!(states(&ledger), ["2020-01-01 2020-01-05 done 0"]);
    assert_eq!(ledger.windows()[0].run_id, "c", "the run that ended last");
}

#[test]
fn less_than_a_period_is_never_left_open() {
    let mut ledger = Ledger::default();
    ledger.succeed(&daily("2020-01-01", "2020-01-03", "a"), None);
    ledger.succeed(&daily("2020-01-04", "2020-01-06", "b"), Some(day("2020-01-06")));
    ledger.succeed(&daily("2020-01-07", "2020-01-09", "c"), Some(day("2020-01-09")));
    assert_eq!(states(&ledger)[0], "2020-01-01 2020-01-03 empty 0");
    assert!(ledger.covers(&daily("2020-01-01", "2020-01-09", "").window));
    // What was cut, and brought again.
    ledger.reopen(day("2020-01-08"), Some(day("2020-01-07")));
    assert_eq!(ledger.windows().len(), 3);
    ledger.succeed(&daily("2020-01-08", "2020-01-09", "d"), Some(day("2020-01-09")));
    assert_eq!(ledger.windows().len(), 2);
    assert_eq!(ledger.latest(), Some(day("2020-01-09")));
}

#[test]
fn failures_in_a_row_are_counted_and_a_success_erases_them() {
    let mut ledger = Ledger::default();
    ledger.succeed(&daily("2020-01-01", "2020-01-01", "a"), Some(day("2020-01-01")));
    for (end, run) in [("2020-01-02", "b"), ("2020-01-03", "c"), ("2020-01-04", "d")] {
        ledger.fail(&daily("2020-01-02", end, run));
    }
    assert_eq!(ledger.windows().len(), 2, "failures over one window are one");
    assert_eq!((ledger.windows()[1].failures, ledger.windows()[1].run_id.as_str()), (3, "d"));
    ledger.succeed(&daily("2020-01-02", "2020-01-04", "e"), Some(day("2020-01-03")));
    assert_eq!(ledger.latest(), Some(day("2020-01-03")));
    assert!(ledger.covers(&daily("2020-01-01", "2020-01-04", "").window));
    assert!(ledger.windows().iter().all(|window| window.failures == 0));
    ledger.fail(&daily("2020-01-01", "2020-01-04", "f"));
    assert!(ledger.covers(&daily("2020-01-01", "2020-01-04", "").window), "a failure takes nothing back");
}

#[test]
fn a_window_without_a_moment_leaves_no_trace() {
    let mut ledger = Ledger::default();
    ledger.succeed(&daily("2020-01-02", "2020-01-01", "a"), None);
    ledger.fail(&daily("2020-01-02", "2020-01-01", "a"));
    assert_eq!(ledger, Ledger::default());
}

#[test]
fn a_cut_window_ends_at_the_latest_row() {
    let mut ledger = Ledger::default();
    ledger.succeed(&daily("", "2020-01-10", "a"), Some(day("2020-01-08")));
    let reopened = ledger.reopen(day("2020-01-05"), Some(day("2020-01-03")));
    assert_eq!(reopened.len(), 2, "what was done and what was empty");
    assert_eq!(ledger.latest(), Some(day("2020-01-03")));
    assert_eq!(ledger.open_within(None, day("2020-01-10"))[0].start, Some(day("2020-01-05")));
    // With no row left the node is where it began.
    ledger.reopen(day("2020-01-01"), None);
    assert_eq!(ledger.latest(), None);
}

#[test]
fn windows_that_overlap_are_no_ledger() {
    let window = |first, last| NodeWindow {
        first: at(first),
        last: at(last),
        state: WindowState::Done,
        run_id: String::new(),
        failures: 0,
        updated_at: at(0),
        is_backfill: false,
    };
    for bad in [vec![window(3, 2)], vec![window(0, 3), window(3, 4)], vec![window(5, 6), window(0, 1)]] {
        assert_eq!(Ledger::from_windows(bad), None);
    }
}
