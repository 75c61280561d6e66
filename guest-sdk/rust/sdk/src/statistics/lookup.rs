//! The times of one identity.

use std::ops::Bound;

use super::{Times, UpdateStatistics};
use crate::{Coordinate, CoordinateValue, Timestamp};

impl UpdateStatistics {
    /// The latest time of an identity, or its fallback. A partial coordinate (the first values only) stands for all
    /// coordinates below it; the empty one stands for all there are. None when nothing is known of it.
    pub fn last_update_for(&self, identity: &[CoordinateValue]) -> Option<Timestamp> {
        // Asked for every row: most are of a coordinate that is stored, or all are the first ones.
        if self.progress.is_empty() {
            return None;
        }
        if let Some(times) = self.progress.get(identity) {
            return times.max;
        }
        self.times_of(identity).filter_map(|times| times.max).max()
    }

    /// The latest time of that coordinate below an identity which lags most: where one read that serves all of them
    /// must begin. None when nothing is known of the identity, or a coordinate below it has no time at all.
    ///
    /// The earliest time *stored* is another thing: [`min_time`](Self::min_time), after [`scope`](Self::scope).
    pub fn earliest_update_for(&self, identity: &[CoordinateValue]) -> Option<Timestamp> {
        // None sorts first: a coordinate without a time makes the answer None, as having no coordinate does.
        self.times_of(identity).map(|times| times.max).min().flatten()
    }

    /// The earliest of the latest times (or fallbacks) of all coordinates in scope. None when there are none, or when
    /// one of them has neither.
    pub fn earliest(&self) -> Option<Timestamp> {
        self.earliest_update_for(&[])
    }

    /// Where to read on for an identity: [`earliest_update_for`](Self::earliest_update_for) it, and `offset_start`
    /// when nothing tells. The start of the window is the `offset_start` of a first run. For a whole table the identity
    /// is empty; an empty table starts at `offset_start`.
    ///
    /// ```
    /// use datanode_sdk::{Timestamp, UpdateStatistics};
    /// let at = |text: &str| text.parse::<Timestamp>().unwrap();
    /// let empty = UpdateStatistics::new(["time_index", "currency"]);
    /// assert_eq!(empty.start_for(&[], Some(at("1999-01-04"))), Some(at("1999-01-04")));
    /// let stored = empty.with(["USD"], at("1999-01-04"), at("2020-12-31"));
    /// assert_eq!(stored.start_for(&["USD".into()], None), Some(at("2020-12-31")));
    /// ```
    pub fn start_for(
        &self,
        identity: &[CoordinateValue],
        offset_start: Option<Timestamp>,
    ) -> Option<Timestamp> {
        self.earliest_update_for(identity).or(offset_start)
    }

    /// The leaves that say something about an identity: those at or below it, else the partial one above it that a
    /// scope has added.
    fn times_of(&self, identity: &[CoordinateValue]) -> impl Iterator<Item = Times> {
        let mut below = self.at_or_below(identity).map(|(_, times)| *times).peekable();
        let fits = identity.len() <= self.identity_dimensions().len();
        let above = if fits && below.peek().is_none() {
            (0..identity.len()).find_map(|length| self.progress.get(&identity[..length])).copied()
        } else {
            None
        };
        below.chain(above)
    }

    /// The leaves at or below an identity. Coordinates are sorted as their values are, so these stand together.
    pub(super) fn at_or_below(
        &self,
        identity: &[CoordinateValue],
    ) -> impl Iterator<Item = (&Coordinate, &Times)> {
        self.progress
            .range::<[CoordinateValue], _>((Bound::Included(identity), Bound::Unbounded))
            .take_while(move |(coordinate, _)| coordinate.starts_with(identity))
    }
}
