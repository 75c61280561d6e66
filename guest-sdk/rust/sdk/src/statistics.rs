//! `UpdateStatistics`: what the output table already holds, and the questions an incremental update asks of it.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::{Bound, Coordinate, CoordinateRange, CoordinateValue, NodeError, RangeMap, TimeRange, Timestamp};

/// What is known of one coordinate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The coordinate; empty in a table indexed by time alone.
    pub coordinate: Coordinate,
    /// Earliest time stored; None for a coordinate that [`UpdateStatistics::scope`] added.
    pub min: Option<Timestamp>,
    /// Latest time stored, or the fallback of a coordinate that was never stored.
    pub max: Option<Timestamp>,
}

/// What the output table held when the host took the statistics, just before the run. Empty for an empty table.
///
/// ```
/// use datanode_sdk::{Timestamp, UpdateStatistics};
/// let at = |text: &str| text.parse::<Timestamp>().unwrap();
/// let statistics = UpdateStatistics::new(["time_index", "currency"])
///     .with(["USD"], at("1999-01-04"), at("2020-12-31"))
///     .with(["ISK"], at("1999-01-04"), at("2008-12-09"));
/// assert_eq!(statistics.last_update_for(&["ISK".into()]), Some(at("2008-12-09")));
/// assert_eq!(statistics.last_update_for(&["XAU".into()]), None);
/// assert_eq!(statistics.earliest(), Some(at("2008-12-09")));
/// assert_eq!(statistics.max_time(), Some(at("2020-12-31")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateStatistics {
    index_names: Vec<String>,
    progress: BTreeMap<Coordinate, (Option<Timestamp>, Option<Timestamp>)>,
}

impl UpdateStatistics {
    /// An empty table with this index, `time_index` first.
    pub fn new<S: Into<String>>(index_names: impl IntoIterator<Item = S>) -> Self {
        Self { index_names: index_names.into_iter().map(Into::into).collect(), progress: BTreeMap::new() }
    }

    /// Add what is stored of a coordinate.
    #[must_use]
    pub fn with<V: Into<CoordinateValue>>(
        mut self,
        coordinate: impl IntoIterator<Item = V>,
        min: Timestamp,
        max: Timestamp,
    ) -> Self {
        self.progress.insert(coordinate.into_iter().map(Into::into).collect(), (Some(min), Some(max)));
        self
    }

    /// The index of the table: `time_index` first, then the identity dimensions.
    pub fn index_names(&self) -> &[String] {
        &self.index_names
    }

    /// The identity dimensions, in order; none for a table indexed by time alone.
    pub fn identity_dimensions(&self) -> &[String] {
        self.index_names.get(1..).unwrap_or_default()
    }

    /// True when nothing is known: an empty table, or no coordinate left by a filter.
    pub fn is_empty(&self) -> bool {
        self.progress.is_empty()
    }

    /// Number of coordinates.
    pub fn len(&self) -> usize {
        self.progress.len()
    }

    /// All leaves, sorted by coordinate.
    pub fn leaves(&self) -> impl Iterator<Item = Progress> + '_ {
        self.progress.iter().map(|(coordinate, (min, max))| Progress {
            coordinate: coordinate.clone(),
            min: *min,
            max: *max,
        })
    }

    /// All coordinates, sorted.
    pub fn coordinates(&self) -> impl Iterator<Item = &[CoordinateValue]> + '_ {
        self.progress.keys().map(Vec::as_slice)
    }

    /// The earliest time that is stored of any coordinate.
    pub fn min_time(&self) -> Option<Timestamp> {
        self.progress.values().filter_map(|(min, _)| *min).min()
    }

    /// The latest time that is stored of any coordinate; fallbacks do not count.
    pub fn max_time(&self) -> Option<Timestamp> {
        self.progress.values().filter(|(min, _)| min.is_some()).filter_map(|(_, max)| *max).max()
    }

    /// The earliest of the latest times (or fallbacks): where one read that serves every coordinate must begin.
    /// None when the table is empty or a coordinate has neither.
    pub fn earliest(&self) -> Option<Timestamp> {
        let all: Option<Vec<Timestamp>> = self.progress.values().map(|(_, max)| *max).collect();
        all?.into_iter().min()
    }

    /// The latest time of an identity, or its fallback. A partial coordinate (the first values only) stands for all
    /// coordinates below it. For a table indexed by time alone the coordinate is empty.
    pub fn last_update_for(&self, identity: &[CoordinateValue]) -> Option<Timestamp> {
        if let Some((_, max)) = self.progress.get(identity) {
            return *max;
        }
        self.progress
            .iter()
            .filter(|(coordinate, _)| coordinate.starts_with(identity))
            .filter_map(|(_, (_, max))| *max)
            .max()
    }

    /// The incremental read: per coordinate from its latest time on, inclusive (so the last stored row is read
    /// again), moved by `extra_delta`. Coordinates that the statistics do not name are included.
    ///
    /// `identity_dimensions` are the dimensions of the table that is read; they must be those of the statistics, for
    /// coordinates have no names. A coordinate without a time (see [`scope`](Self::scope)) is read without a start.
    #[track_caller]
    pub fn dimension_range_map_ge(
        &self,
        identity_dimensions: &[&str],
        extra_delta: Option<TimeDelta>,
    ) -> Result<RangeMap, NodeError> {
        if self.identity_dimensions() != identity_dimensions {
            return Err(NodeError::new(
                "statistics.dimensions",
                format!(
                    "asked for ({}), the statistics have ({})",
                    identity_dimensions.join(", "),
                    self.identity_dimensions().join(", ")
                ),
            ));
        }
        let delta = extra_delta.unwrap_or_default();
        let entries = self
            .progress
            .iter()
            .map(|(coordinate, (_, max))| CoordinateRange {
                coordinate: coordinate.clone(),
                range: TimeRange {
                    start: max.map(|max| Bound { time: max + delta, inclusive: true }),
                    end: None,
                },
            })
            .collect();
        Ok(RangeMap { entries, ..RangeMap::default() })
    }

    /// Only these identities; one that was never stored is added with `fallback` as its start.
    #[must_use]
    pub fn scope(
        &self,
        identities: impl IntoIterator<Item = Coordinate>,
        fallback: Option<Timestamp>,
    ) -> Self {
        let progress = identities
            .into_iter()
            .map(|identity| {
                let known = self.progress.get(&identity).copied().unwrap_or((None, fallback));
                (identity, known)
            })
            .collect();
        Self { index_names: self.index_names.clone(), progress }
    }

    /// Only coordinates whose value of one dimension is among these.
    pub fn filter_level<V: Into<CoordinateValue>>(
        &self,
        dimension: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, NodeError> {
        let level =
            self.identity_dimensions().iter().position(|name| name == dimension).ok_or_else(|| {
                NodeError::new(
                    "statistics.dimensions",
                    format!(
                        "no dimension `{dimension}`: there are ({})",
                        self.identity_dimensions().join(", ")
                    ),
                )
            })?;
        let values: Vec<CoordinateValue> = values.into_iter().map(Into::into).collect();
        let mut kept = self.clone();
        kept.progress
            .retain(|coordinate, _| coordinate.get(level).is_some_and(|value| values.contains(value)));
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Two dimensions; USD at two venues.
    fn sample() -> UpdateStatistics {
        UpdateStatistics::new(["time_index", "currency", "venue"])
            .with(["USD", "lse"], at("2020-01-01"), at("2020-03-01"))
            .with(["USD", "xetra"], at("2020-01-05"), at("2020-02-01"))
            .with(["JPY", "lse"], at("2020-01-03"), at("2020-04-01"))
    }

    fn texts(statistics: &UpdateStatistics) -> Vec<String> {
        statistics
            .coordinates()
            .map(|values| values.iter().map(ToString::to_string).collect::<Vec<_>>().join("/"))
            .collect()
    }

    #[test]
    fn an_empty_table_knows_nothing() {
        let empty = UpdateStatistics::new(["time_index", "currency"]);
        assert!(empty.is_empty());
        assert_eq!((empty.min_time(), empty.max_time(), empty.earliest()), (None, None, None));
        assert_eq!(empty.last_update_for(&["USD".into()]), None);
        let map = empty.dimension_range_map_ge(&["currency"], None).unwrap();
        assert_eq!(map, RangeMap::default());
    }

    #[test]
    fn a_single_index_has_one_leaf_without_coordinate() {
        let single = UpdateStatistics::new(["time_index"]).with([""; 0], at("2020-01-01"), at("2020-03-01"));
        assert!(!single.is_empty());
        assert_eq!(single.last_update_for(&[]), Some(at("2020-03-01")));
        assert_eq!(single.dimension_range_map_ge(&[], None).unwrap().entries.len(), 1);
    }

    #[test]
    fn leaves_and_coordinates_are_sorted() {
        assert_eq!(texts(&sample()), ["JPY/lse", "USD/lse", "USD/xetra"]);
        let first = sample().leaves().next().unwrap();
        assert_eq!((first.min, first.max), (Some(at("2020-01-03")), Some(at("2020-04-01"))));
    }

    #[test]
    fn min_and_max_span_all_coordinates() {
        assert_eq!(sample().min_time(), Some(at("2020-01-01")));
        assert_eq!(sample().max_time(), Some(at("2020-04-01")));
    }

    #[test]
    fn earliest_is_the_coordinate_that_lags_most() {
        assert_eq!(sample().earliest(), Some(at("2020-02-01")));
        let unseen = sample().scope([vec!["XAU".into(), "lse".into()]], None);
        assert_eq!(unseen.earliest(), None, "no time is early enough for a coordinate without one");
    }

    #[test]
    fn last_update_takes_partial_coordinates() {
        assert_eq!(sample().last_update_for(&["USD".into(), "xetra".into()]), Some(at("2020-02-01")));
        assert_eq!(sample().last_update_for(&["USD".into()]), Some(at("2020-03-01")));
        assert_eq!(sample().last_update_for(&["XAU".into()]), None);
    }

    #[test]
    fn the_range_map_starts_at_the_latest_time_of_each_coordinate() {
        let map = sample().dimension_range_map_ge(&["currency", "venue"], None).unwrap();
        let starts: Vec<_> = map.entries.iter().map(|entry| entry.range.start.unwrap()).collect();
        assert!(starts.iter().all(|start| start.inclusive));
        let times: Vec<_> = starts.iter().map(|start| start.time).collect();
        assert_eq!(times, [at("2020-04-01"), at("2020-03-01"), at("2020-02-01")]);
        assert_eq!(map.unlisted, crate::Unlisted::Include);

        let delta = Some(TimeDelta::days(-1));
        let earlier = sample().dimension_range_map_ge(&["currency", "venue"], delta).unwrap();
        assert_eq!(earlier.entries[0].range.start.unwrap().time, at("2020-03-31"));
    }

    #[test]
    fn the_range_map_refuses_other_dimensions() {
        for wrong in [&["currency"][..], &["venue", "currency"], &[]] {
            let error = sample().dimension_range_map_ge(wrong, None).unwrap_err();
            assert_eq!(error.kind, "statistics.dimensions");
        }
    }

    #[test]
    fn scope_drops_others_and_adds_the_unseen_with_the_fallback() {
        let wanted = [vec!["USD".into(), "lse".into()], vec!["XAU".into(), "lse".into()]];
        let scoped = sample().scope(wanted, Some(at("2019-01-01")));
        assert_eq!(texts(&scoped), ["USD/lse", "XAU/lse"]);
        assert_eq!(scoped.last_update_for(&["XAU".into()]), Some(at("2019-01-01")));
        assert_eq!(scoped.min_time(), Some(at("2020-01-01")), "a fallback is not stored");
        let map = scoped.dimension_range_map_ge(&["currency", "venue"], None).unwrap();
        assert_eq!(map.entries[1].range.start.unwrap().time, at("2019-01-01"));
    }

    #[test]
    fn without_a_fallback_an_unseen_identity_is_read_from_the_beginning() {
        let scoped = sample().scope([vec!["XAU".into(), "lse".into()]], None);
        let map = scoped.dimension_range_map_ge(&["currency", "venue"], None).unwrap();
        assert_eq!(map.entries[0].range, TimeRange::default());
    }

    #[test]
    fn filter_looks_at_one_level() {
        assert_eq!(texts(&sample().filter_level("venue", ["lse"]).unwrap()), ["JPY/lse", "USD/lse"]);
        assert_eq!(texts(&sample().filter_level("currency", ["USD"]).unwrap()), ["USD/lse", "USD/xetra"]);
        assert_eq!(sample().filter_level("city", ["x"]).unwrap_err().kind, "statistics.dimensions");
    }
}
