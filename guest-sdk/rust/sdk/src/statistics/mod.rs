//! `UpdateStatistics`: what the output table already holds, and the questions an incremental update asks of it.
//!
//! One file per kind of question: [`lookup`] of one identity, [`selection`] of some of them, the [`range_map`] of an
//! incremental read, and the [`nested`] form. The rules are published as vectors, the same for every language:
//! `tests/vectors/update_statistics.md`.

mod lookup;
mod nested;
mod range_map;
mod selection;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use nested::IndexTree;

use crate::{Coordinate, CoordinateValue, Timestamp};

/// What is known of one coordinate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The coordinate; empty in a table indexed by time alone. Shorter than the index has dimensions when
    /// [`UpdateStatistics::scope`] added a partial one that was never stored.
    pub coordinate: Coordinate,
    /// Earliest time stored; None for a coordinate that [`UpdateStatistics::scope`] added.
    pub min: Option<Timestamp>,
    /// Latest time stored, or the fallback of a coordinate that was never stored.
    pub max: Option<Timestamp>,
}

/// What the output table held when the host took the statistics, just before the run. Empty for an empty table.
///
/// A table indexed by time alone has one leaf at most, with an empty coordinate. Whether the run is a backfill, and the
/// latest time that it may emit, are said by the [`Context`](crate::Context).
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
    progress: BTreeMap<Coordinate, Times>,
}

/// The times of one leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    /// None: never stored.
    min: Option<Timestamp>,
    max: Option<Timestamp>,
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
        let times = Times { min: Some(min), max: Some(max) };
        self.progress.insert(coordinate.into_iter().map(Into::into).collect(), times);
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
        self.progress.iter().map(|(coordinate, times)| Progress {
            coordinate: coordinate.clone(),
            min: times.min,
            max: times.max,
        })
    }

    /// All coordinates, sorted.
    pub fn coordinates(&self) -> impl Iterator<Item = &[CoordinateValue]> + '_ {
        self.progress.keys().map(Vec::as_slice)
    }

    /// The earliest time that is stored of any coordinate in scope.
    pub fn min_time(&self) -> Option<Timestamp> {
        self.progress.values().filter_map(|times| times.min).min()
    }

    /// The latest time that is stored of any coordinate in scope; fallbacks do not count.
    pub fn max_time(&self) -> Option<Timestamp> {
        self.progress.values().filter(|times| times.min.is_some()).filter_map(|times| times.max).max()
    }
}
