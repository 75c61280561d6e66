//! The interval ledger of a node: which windows it has done, which it found empty, and which failed.
//!
//! Progress says what a *table* holds; the ledger says what a *node* has looked at. Where nothing is said of a moment, it
//! is open: the node has not been there, or a tail delete has taken it back.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::cadence::Cadence;
use crate::window::Window;

/// What became of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowState {
    /// The node has brought rows; the window ends at the latest of them.
    Done,
    /// The node was there and had nothing to bring.
    Empty,
    /// The last run over it failed.
    Failed,
}

impl WindowState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Done, Self::Empty, Self::Failed];

    /// The name used in JSON and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Empty => "empty",
            Self::Failed => "failed",
        }
    }

    /// The state of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A stretch of time of which one thing is known. Both ends are inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeWindow {
    /// Its first moment; the first of all moments where nothing bounds it.
    pub first: Timestamp,
    /// Its last moment.
    pub last: Timestamp,
    /// What is known.
    pub state: WindowState,
    /// The last run over it, or over what was joined with it.
    pub run_id: String,
    /// How many runs in a row have failed here; 0 unless it failed.
    pub failures: u32,
    /// When that run ended, by the host's clock.
    pub updated_at: Timestamp,
    /// That run was a window of a backfill.
    pub is_backfill: bool,
}

impl NodeWindow {
    /// Its first moment; None: nothing bounds it.
    pub fn start(&self) -> Option<Timestamp> {
        bounded(self.first)
    }

    /// True when a node need not go there again.
    fn is_covered(&self) -> bool {
        self.state != WindowState::Failed
    }

    /// Whether two that touch are one.
    fn joins(&self, later: &Self) -> bool {
        self.last.micros() + 1 == later.first.micros()
            && self.state == later.state
            && (self.is_covered() || (self.failures, &self.run_id) == (later.failures, &later.run_id))
    }
}

/// One run over a window.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'v> {
    /// What it covered.
    pub window: Window,
    /// Cadence of its table: between two windows that are less than a period apart, nothing is left open.
    pub cadence: Option<Cadence>,
    /// The run.
    pub run_id: &'v str,
    /// When it ended.
    pub at: Timestamp,
    /// It was a window of a backfill.
    pub is_backfill: bool,
}

impl Visit<'_> {
    /// Whether no period fits between two moments.
    fn are_near(&self, earlier: Timestamp, later: Timestamp) -> bool {
        self.cadence.is_some_and(|cadence| cadence.next(earlier).is_none_or(|next| next >= later))
    }
}

/// The windows of one node: sorted, without overlaps, and none that could be one with the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger(Vec<NodeWindow>);

impl Ledger {
    /// From windows as they were kept. None when they are not what [`Ledger::windows`] answers.
    pub fn from_windows(windows: Vec<NodeWindow>) -> Option<Self> {
        let whole = windows.iter().all(|window| window.first <= window.last);
        let apart = windows.is_sorted_by(|a, b| a.last < b.first);
        (whole && apart).then(|| Self(joined(windows)))
    }

    /// All of them, by time.
    pub fn windows(&self) -> &[NodeWindow] {
        &self.0
    }

    /// A run has succeeded. `latest` is the time of the latest row that it brought, new or not: up to there the window is
    /// done, and what comes after is empty, unless it was done before. A window without a moment leaves no trace.
    pub fn succeed(&mut self, visit: &Visit<'_>, latest: Option<Timestamp>) {
        let Some((first, last)) = self.reach(visit) else { return };
        // A row of a window without a start may lie anywhere before its end, and none after it.
        let until = latest.map(|latest| latest.micros().min(last)).filter(|until| *until >= first);
        // A window that was done before goes on where this one ends.
        let goes_on = |until: i64| {
            let next = self.0.iter().find(|window| window.first.micros() == last + 1);
            next.is_some_and(|next| {
                next.state == WindowState::Done && visit.are_near(moment(until), next.first)
            })
        };
        let until = until.map(|until| if goes_on(until) { last } else { until });
        let window = |state| NodeWindow {
            first: visit.at,
            last: visit.at,
            state,
            run_id: visit.run_id.to_owned(),
            failures: 0,
            updated_at: visit.at,
            is_backfill: visit.is_backfill,
        };
        if let Some(until) = until {
            self.assign(first, until, |_| window(WindowState::Done));
        }
        let rest = until.map_or(first, |until| until + 1);
        self.assign(rest, last, |known| match known {
            Some(known) if known.state == WindowState::Done => known.clone(),
            _ => window(WindowState::Empty),
        });
    }

    /// A run has failed. What was done or empty before stays so.
    pub fn fail(&mut self, visit: &Visit<'_>) {
        let Some((first, last)) = self.reach(visit) else { return };
        let before = self.overlapping(first, last).map(|window| window.failures).max().unwrap_or(0);
        self.assign(first, last, |known| match known {
            Some(known) if known.is_covered() => known.clone(),
            _ => NodeWindow {
                first: visit.at,
                last: visit.at,
                state: WindowState::Failed,
                run_id: visit.run_id.to_owned(),
                failures: before.saturating_add(1),
                updated_at: visit.at,
                is_backfill: visit.is_backfill,
            },
        });
    }

    /// The rows from a moment on are gone, and `latest` is the latest that is left: what was done or empty from there on
    /// is open again, and answered. What failed stays as it is, for it was open before.
    ///
    /// A window that is cut ends at the latest row, as one that a run has done, and is empty from there to the cut.
    pub fn reopen(&mut self, from: Timestamp, latest: Option<Timestamp>) -> Vec<NodeWindow> {
        let (mut kept, mut reopened) = (Vec::new(), Vec::new());
        for window in std::mem::take(&mut self.0) {
            if window.last < from || !window.is_covered() {
                kept.push(window);
                continue;
            }
            if window.first < from {
                let cut = moment(from.micros() - 1);
                let until = latest.filter(|latest| *latest < cut && window.state == WindowState::Done);
                match until.filter(|until| *until >= window.first) {
                    Some(until) => {
                        kept.push(NodeWindow { last: until, ..window.clone() });
                        let first = moment(until.micros() + 1);
                        kept.push(NodeWindow {
                            first,
                            last: cut,
                            state: WindowState::Empty,
                            ..window.clone()
                        });
                    }
                    None if latest.is_some_and(|latest| latest >= window.first) => {
                        kept.push(NodeWindow { last: cut, ..window.clone() });
                    }
                    // Of its rows none is left.
                    None => kept.push(NodeWindow { last: cut, state: WindowState::Empty, ..window.clone() }),
                }
            }
            reopened.push(NodeWindow { first: window.first.max(from), ..window });
        }
        self.0 = joined(kept);
        reopened
    }

    /// What is neither done nor empty between two moments, by time. No `first`: from the beginning.
    pub fn open_within(&self, first: Option<Timestamp>, last: Timestamp) -> Vec<Window> {
        let (mut next, last) = (first.unwrap_or(moment(i64::MIN)).micros(), last.micros());
        let mut open = Vec::new();
        let mut note = |first: i64, last: i64| {
            if first <= last {
                open.push(Window { start: bounded(moment(first)), end: moment(last) });
            }
        };
        for window in self.0.iter().filter(|window| window.is_covered()) {
            note(next, last.min(window.first.micros() - 1));
            next = next.max(window.last.micros() + 1);
        }
        note(next, last);
        open
    }

    /// True when nothing of a window is open.
    pub fn covers(&self, window: &Window) -> bool {
        self.open_within(window.start, window.end).is_empty()
    }

    /// Time of the latest row that the node has brought.
    pub fn latest(&self) -> Option<Timestamp> {
        self.0.iter().rfind(|window| window.state == WindowState::Done).map(|window| window.last)
    }

    /// The moments that a run accounts for: its window, and what lies between it and its neighbours where no period fits
    /// in between. None for a window without a moment.
    fn reach(&self, visit: &Visit<'_>) -> Option<(i64, i64)> {
        if visit.window.is_empty() {
            return None;
        }
        let first = visit.window.start.unwrap_or(moment(i64::MIN));
        let last = visit.window.end;
        let mut earlier = self.0.iter().filter(|window| window.last < first);
        // What is empty behind the latest row before belongs to what comes after it.
        let latest = earlier.clone().rfind(|window| window.state != WindowState::Empty);
        let mut nearest = [latest, earlier.next_back()].into_iter().flatten().map(|window| window.last);
        let before = nearest.find(|before| visit.are_near(*before, first));
        let after = self.0.iter().map(|window| window.first).find(|later| *later > last);
        Some((
            before.map_or(first.micros(), |before| before.micros() + 1),
            after
                .filter(|after| visit.are_near(last, *after))
                .map_or(last.micros(), |after| after.micros() - 1),
        ))
    }

    fn overlapping(&self, first: i64, last: i64) -> impl Iterator<Item = &NodeWindow> {
        self.0.iter().filter(move |window| window.last.micros() >= first && window.first.micros() <= last)
    }

    /// Give every moment of a range what `state` says of it, which is told what was known of it. Only the ends of its
    /// answers are not looked at.
    fn assign(&mut self, first: i64, last: i64, state: impl Fn(Option<&NodeWindow>) -> NodeWindow) {
        if first > last {
            return;
        }
        let span = |window: NodeWindow, first, last| NodeWindow {
            first: moment(first),
            last: moment(last),
            ..window
        };
        let mut windows = Vec::with_capacity(self.0.len() + 2);
        // The first moment of the range that has not been given anything yet.
        let mut next = first;
        for known in std::mem::take(&mut self.0) {
            let (begin, end) = (known.first.micros(), known.last.micros());
            if end < first {
                windows.push(known);
                continue;
            }
            if begin > next && next <= last {
                windows.push(span(state(None), next, last.min(begin - 1)));
            }
            if begin < first {
                windows.push(span(known.clone(), begin, first - 1));
            }
            if begin <= last {
                windows.push(span(state(Some(&known)), begin.max(first), end.min(last)));
            }
            if end > last {
                windows.push(span(known, begin.max(last + 1), end));
            }
            next = next.max(end.saturating_add(1));
        }
        if next <= last {
            windows.push(span(state(None), next, last));
        }
        self.0 = joined(windows);
    }
}

/// Join neighbours of which the same is known. The later run speaks for both.
fn joined(windows: Vec<NodeWindow>) -> Vec<NodeWindow> {
    let mut joined: Vec<NodeWindow> = Vec::with_capacity(windows.len());
    for window in windows {
        match joined.last_mut() {
            Some(before) if before.joins(&window) => {
                before.last = window.last;
                if window.updated_at.cmp(&before.updated_at) != Ordering::Less {
                    before.run_id = window.run_id;
                    before.is_backfill = window.is_backfill;
                    before.updated_at = window.updated_at;
                }
            }
            _ => joined.push(window),
        }
    }
    joined
}

/// Of numbers that lie between two moments, or beyond all.
fn moment(micros: i64) -> Timestamp {
    Timestamp::nearest_micros(micros)
}

/// The first of all moments bounds nothing.
fn bounded(first: Timestamp) -> Option<Timestamp> {
    Some(first).filter(|first| *first > moment(i64::MIN))
}

#[cfg(test)]
mod tests;
