//! The incremental read.

use chrono::TimeDelta;

use super::UpdateStatistics;
use crate::{Bound, CoordinateRange, NodeError, RangeMap, TimeRange};

impl UpdateStatistics {
    /// The incremental read: per coordinate from its latest time (or fallback) on, inclusive (so the last stored row is
    /// read again), moved by `extra_delta`. A coordinate without a time (see [`scope`](Self::scope)) is read without a
    /// start. Moving stops at the ends of what a [`Timestamp`](crate::Timestamp) can say.
    ///
    /// Coordinates that the statistics do not name are read in full, those that a scope or a filter has removed too:
    /// [`only_listed`](RangeMap::only_listed) leaves them out. An empty table names none, so a first run reads
    /// everything within the query's own range.
    ///
    /// `identity_dimensions` are the dimensions of the table that is read; they must be those of the statistics, for
    /// coordinates have no names.
    ///
    /// # Errors
    ///
    /// `statistics.dimensions` when the dimensions are others; `statistics.partial_coordinate` when a scope has added
    /// a partial coordinate, for which a range map has no place.
    #[track_caller]
    pub fn dimension_range_map_ge(
        &self,
        identity_dimensions: &[&str],
        extra_delta: Option<TimeDelta>,
    ) -> Result<RangeMap, NodeError> {
        let known = self.identity_dimensions();
        if known != identity_dimensions {
            return Err(NodeError::new(
                "statistics.dimensions",
                format!(
                    "asked for ({}), the statistics have ({})",
                    identity_dimensions.join(", "),
                    known.join(", ")
                ),
            ));
        }
        if let Some(partial) = self.coordinates().find(|coordinate| coordinate.len() < known.len()) {
            let values: Vec<String> = partial.iter().map(ToString::to_string).collect();
            return Err(NodeError::new(
                "statistics.partial_coordinate",
                format!(
                    "({}) has no value of `{}`: scope whole coordinates of ({})",
                    values.join(", "),
                    known[partial.len()],
                    known.join(", ")
                ),
            ));
        }
        let delta = extra_delta.unwrap_or_default();
        let entries = self
            .leaves()
            .map(|leaf| CoordinateRange {
                coordinate: leaf.coordinate,
                range: TimeRange {
                    start: leaf.max.map(|max| Bound { time: max + delta, inclusive: true }),
                    end: None,
                },
            })
            .collect();
        Ok(RangeMap { entries, ..RangeMap::default() })
    }
}
