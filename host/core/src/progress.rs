//! Progress: what a table holds per coordinate, kept by commits and never by scanning the table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::coordinate::Coordinate;

/// What a table holds for one coordinate. Both ends are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoordinateProgress {
    /// Earliest time.
    pub min: Timestamp,
    /// Latest time.
    pub max: Timestamp,
    /// Rows.
    pub rows: u64,
}

/// Progress of one table, sorted by coordinate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress(BTreeMap<Coordinate, CoordinateProgress>);

impl Progress {
    /// Progress of one coordinate.
    pub fn get(&self, coordinate: &Coordinate) -> Option<&CoordinateProgress> {
        self.0.get(coordinate)
    }

    /// All coordinates in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Coordinate, &CoordinateProgress)> {
        self.0.iter()
    }

    /// Number of coordinates.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True for a table without rows.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Latest time of the whole table.
    pub fn max_time(&self) -> Option<Timestamp> {
        self.0.values().map(|progress| progress.max).max()
    }

    /// Earliest time of the whole table.
    pub fn min_time(&self) -> Option<Timestamp> {
        self.0.values().map(|progress| progress.min).min()
    }

    /// Rows of the whole table.
    pub fn rows(&self) -> u64 {
        self.0.values().map(|progress| progress.rows).sum()
    }

    /// The same as if each coordinate ended at what `end` makes of its latest time, when that is earlier. Coordinates that
    /// would have no row left are not in it; of the others the rows are counted as before.
    #[must_use]
    pub fn ending(&self, end: impl Fn(Timestamp) -> Option<Timestamp>) -> Self {
        let cut = self.0.iter().filter_map(|(coordinate, known)| {
            let max = end(known.max)?.min(known.max);
            (max >= known.min).then(|| (coordinate.clone(), CoordinateProgress { max, ..*known }))
        });
        cut.collect()
    }

    /// True when, of each coordinate, all of these rows come after what is held of it.
    pub fn is_followed_by(&self, rows: &Self) -> bool {
        rows.iter().all(|(coordinate, rows)| self.get(coordinate).is_none_or(|held| held.max < rows.min))
    }

    /// True when, of each coordinate, all of these rows come before or all after what is held of it: none of them can be
    /// there already.
    pub fn is_clear_of(&self, rows: &Self) -> bool {
        rows.iter().all(|(coordinate, rows)| {
            self.get(coordinate).is_none_or(|held| held.max < rows.min || rows.max < held.min)
        })
    }

    /// Put other progress in the place of what is known of a coordinate; none: it holds nothing more.
    pub fn set(&mut self, coordinate: Coordinate, progress: Option<CoordinateProgress>) {
        match progress {
            Some(progress) => self.0.insert(coordinate, progress),
            None => self.0.remove(&coordinate),
        };
    }

    /// Account for rows of one coordinate that were added.
    pub fn extend(&mut self, coordinate: Coordinate, added: CoordinateProgress) {
        self.0
            .entry(coordinate)
            .and_modify(|known| {
                known.min = known.min.min(added.min);
                known.max = known.max.max(added.max);
                known.rows += added.rows;
            })
            .or_insert(added);
    }
}

impl FromIterator<(Coordinate, CoordinateProgress)> for Progress {
    fn from_iter<I: IntoIterator<Item = (Coordinate, CoordinateProgress)>>(entries: I) -> Self {
        let mut progress = Self::default();
        for (coordinate, added) in entries {
            progress.extend(coordinate, added);
        }
        progress
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::coordinate::CoordinateValue;

    type Keys = BTreeSet<(i64, i64)>;

    fn of(keys: &Keys) -> Progress {
        keys.iter()
            .map(|(id, time)| {
                let time = Timestamp::from_micros(*time).unwrap();
                let row = CoordinateProgress { min: time, max: time, rows: 1 };
                (Coordinate(vec![CoordinateValue::Int(*id)]), row)
            })
            .collect()
    }

    fn keys() -> impl Strategy<Value = Keys> {
        prop::collection::btree_set((0..3_i64, 0..12_i64), 0..5)
    }

    proptest! {
        #[test]
        fn what_lies_behind_and_what_lies_apart_are_as_the_rows_say(held in keys(), rows in keys()) {
            let pairs = || {
                rows.iter().flat_map(|row| held.iter().map(move |held| (held, row))).filter(|(held, row)| held.0 == row.0)
            };
            let behind = pairs().all(|(held, row)| held.1 < row.1);
            prop_assert_eq!(of(&held).is_followed_by(&of(&rows)), behind);
            // Per coordinate: all before all, or all behind all.
            let apart = (0..3).all(|id| {
                let mut pairs = pairs().filter(|(held, _)| held.0 == id).peekable();
                let first = pairs.peek().map(|(held, row)| held.1.cmp(&row.1));
                pairs.all(|(held, row)| held.1 != row.1 && Some(held.1.cmp(&row.1)) == first)
            });
            prop_assert_eq!(of(&held).is_clear_of(&of(&rows)), apart);
        }
    }

    #[test]
    fn extending_widens_and_counts() {
        let at = |day: i64| Timestamp::from_micros(day * 86_400_000_000).unwrap();
        let usd = Coordinate(vec![CoordinateValue::Text("USD".into())]);
        let mut progress = Progress::default();
        assert_eq!(progress.max_time(), None);
        progress.extend(usd.clone(), CoordinateProgress { min: at(3), max: at(5), rows: 3 });
        progress.extend(usd.clone(), CoordinateProgress { min: at(1), max: at(4), rows: 2 });
        assert_eq!(progress.get(&usd), Some(&CoordinateProgress { min: at(1), max: at(5), rows: 5 }));
        assert_eq!(
            (progress.min_time(), progress.max_time(), progress.rows()),
            (Some(at(1)), Some(at(5)), 5)
        );
    }

    #[test]
    fn what_is_set_takes_the_place_of_what_was_known() {
        let at = |day: i64| Timestamp::from_micros(day * 86_400_000_000).unwrap();
        let of = |name: &str| Coordinate(vec![CoordinateValue::Text(name.into())]);
        let held = |rows| CoordinateProgress { min: at(1), max: at(9), rows };
        let mut progress: Progress = [(of("a"), held(9)), (of("b"), held(5))].into_iter().collect();
        progress.set(of("a"), Some(held(2)));
        progress.set(of("b"), None);
        progress.set(of("c"), None);
        assert_eq!(progress, [(of("a"), held(2))].into_iter().collect());
    }

    #[test]
    fn progress_that_is_cut_never_reaches_further() {
        let at = |day: i64| Timestamp::from_micros(day * 86_400_000_000).unwrap();
        let id = |name: &str| Coordinate(vec![CoordinateValue::Text(name.into())]);
        let held = |min, max| CoordinateProgress { min: at(min), max: at(max), rows: 9 };
        let progress: Progress =
            [(id("a"), held(1, 9)), (id("b"), held(8, 9)), (id("c"), held(1, 3))].into_iter().collect();
        let until = progress.ending(|max| Some(max.min(at(5))));
        assert_eq!((until.get(&id("a")), until.get(&id("b"))), (Some(&held(1, 5)), None));
        assert_eq!(until.get(&id("c")), Some(&held(1, 3)));
        assert_eq!(progress.ending(|_| Some(at(100))), progress);
        assert!(progress.ending(|_| None).is_empty());
    }
}
