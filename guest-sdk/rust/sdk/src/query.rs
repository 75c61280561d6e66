//! Reads: which rows and columns of a dependency.

use chrono::TimeDelta;

use crate::{Coordinate, CoordinateValue, Timestamp};

/// One end of a range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The moment.
    pub time: Timestamp,
    /// True for `>=` and `<=`, false for `>` and `<`.
    pub inclusive: bool,
}

/// A range of time; a missing bound is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    /// Lower bound.
    pub start: Option<Bound>,
    /// Upper bound.
    pub end: Option<Bound>,
}

impl TimeRange {
    /// Whether a moment lies inside.
    pub fn contains(&self, time: Timestamp) -> bool {
        let after =
            self.start.is_none_or(|bound| bound.time < time || (bound.inclusive && bound.time == time));
        let before =
            self.end.is_none_or(|bound| time < bound.time || (bound.inclusive && bound.time == time));
        after && before
    }
}

/// The range of time wanted for one coordinate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinateRange {
    /// The coordinate.
    pub coordinate: Coordinate,
    /// Its range; holds together with the query's own.
    pub range: TimeRange,
}

/// What becomes of coordinates that a range map does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unlisted {
    /// They are left out.
    Exclude,
    /// They are read over the range of the query, so that a coordinate seen for the first time is not missed.
    #[default]
    Include,
}

/// A range of time per coordinate: the shape of an incremental read of a table with identity dimensions.
///
/// [`UpdateStatistics::dimension_range_map_ge`](crate::UpdateStatistics::dimension_range_map_ge) makes one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RangeMap {
    /// One entry per coordinate.
    pub entries: Vec<CoordinateRange>,
    /// The other coordinates; they are included unless you say otherwise.
    pub unlisted: Unlisted,
}

impl RangeMap {
    /// Read only the coordinates that the map names.
    #[must_use]
    pub fn only_listed(mut self) -> Self {
        self.unlisted = Unlisted::Exclude;
        self
    }

    /// Move each start, backwards with a negative delta.
    #[must_use]
    pub fn shift(mut self, delta: TimeDelta) -> Self {
        for entry in &mut self.entries {
            if let Some(start) = &mut entry.range.start {
                start.time = start.time + delta;
            }
        }
        self
    }
}

/// Which rows and columns to read. All conditions hold together; rows come sorted by the index.
///
/// ```
/// use datanode_sdk::Query;
/// let query = Query::new()
///     .from("2020-01-01".parse().unwrap())
///     .before("2021-01-01".parse().unwrap())
///     .columns(["rate"])
///     .filter("currency", ["USD", "JPY"]);
/// assert_eq!(query.dimension_filters.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Range of `time_index`.
    pub range: TimeRange,
    /// None: all columns. The index columns always come along.
    pub columns: Option<Vec<String>>,
    /// Dimension and the values it may have.
    pub dimension_filters: Vec<(String, Vec<CoordinateValue>)>,
    /// Keep rows that match any of these (partial) coordinates; empty: no such condition.
    pub index_coordinates: Vec<Vec<(String, CoordinateValue)>>,
    /// A range per coordinate.
    pub range_map: Option<RangeMap>,
}

impl Query {
    /// Everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rows at or after a moment.
    #[must_use]
    pub fn from(mut self, time: Timestamp) -> Self {
        self.range.start = Some(Bound { time, inclusive: true });
        self
    }

    /// Rows after a moment.
    #[must_use]
    pub fn after(mut self, time: Timestamp) -> Self {
        self.range.start = Some(Bound { time, inclusive: false });
        self
    }

    /// Rows at or before a moment.
    #[must_use]
    pub fn until(mut self, time: Timestamp) -> Self {
        self.range.end = Some(Bound { time, inclusive: true });
        self
    }

    /// Rows before a moment.
    #[must_use]
    pub fn before(mut self, time: Timestamp) -> Self {
        self.range.end = Some(Bound { time, inclusive: false });
        self
    }

    /// Only these columns, and those of the index.
    #[must_use]
    pub fn columns<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.columns = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Only rows whose dimension has one of these values.
    #[must_use]
    pub fn filter<V: Into<CoordinateValue>>(
        mut self,
        dimension: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.dimension_filters.push((dimension.into(), values.into_iter().map(Into::into).collect()));
        self
    }

    /// Rows of this (partial) coordinate too; the first call makes it a condition.
    #[must_use]
    pub fn coordinate<N: Into<String>, V: Into<CoordinateValue>>(
        mut self,
        parts: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.index_coordinates
            .push(parts.into_iter().map(|(name, value)| (name.into(), value.into())).collect());
        self
    }

    /// A range per coordinate.
    #[must_use]
    pub fn range_map(mut self, map: RangeMap) -> Self {
        self.range_map = Some(map);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_or_not() {
        let at = Timestamp::from_micros;
        let inside =
            |query: Query| (0..5).filter(|micros| query.range.contains(at(*micros))).collect::<Vec<_>>();
        assert_eq!(inside(Query::new().from(at(1)).until(at(3))), [1, 2, 3]);
        assert_eq!(inside(Query::new().after(at(1)).before(at(3))), [2]);
        assert_eq!(inside(Query::new()), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_shift_moves_every_start() {
        let start = Some(Bound { time: Timestamp::from_micros(10), inclusive: true });
        let range = TimeRange { start, end: None };
        let map =
            RangeMap { entries: vec![CoordinateRange { coordinate: vec![], range }], ..RangeMap::default() };
        let shifted = map.shift(TimeDelta::microseconds(-4));
        assert_eq!(shifted.entries[0].range.start.unwrap().time, Timestamp::from_micros(6));
    }
}
