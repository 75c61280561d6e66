//! A table in memory that answers queries as the host does.

use std::collections::BTreeMap;

use arrow_array::{Array, RecordBatch, UInt64Array};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;

use crate::frames::{BatchExt, TimestampsExt};
use crate::{
    Coordinate, CoordinateValue, HostError, Query, Timestamp, Unlisted, UpdateStatistics, coordinate_at,
};

/// A table: an index and rows, in any order.
#[derive(Debug, Clone)]
pub struct Table {
    index: Vec<String>,
    rows: RecordBatch,
    /// Time and coordinate of each row.
    keys: Vec<(Timestamp, Coordinate)>,
}

impl Table {
    /// A table with this index, `time_index` first. An empty table is given by one batch without rows.
    ///
    /// # Panics
    ///
    /// When there is no batch, batches differ in schema, or a row lacks an index value.
    pub fn new<S: Into<String>>(
        index: impl IntoIterator<Item = S>,
        batches: impl IntoIterator<Item = RecordBatch>,
    ) -> Self {
        let index: Vec<String> = index.into_iter().map(Into::into).collect();
        let batches: Vec<RecordBatch> = batches.into_iter().collect();
        let Some(first) = batches.first() else { panic!("a table needs a batch, if one without rows") };
        let rows = concat_batches(&first.schema(), &batches).unwrap_or_else(|error| panic!("{error}"));
        let keys = keys(&rows, &index).unwrap_or_else(|error| panic!("{error}"));
        Self { index, rows, keys }
    }

    /// The index.
    pub fn index(&self) -> &[String] {
        &self.index
    }

    /// All rows.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// This table with more rows.
    ///
    /// # Panics
    ///
    /// When the schemas differ.
    #[must_use]
    pub fn with(self, batches: impl IntoIterator<Item = RecordBatch>) -> Self {
        Self::new(self.index, std::iter::once(self.rows).chain(batches))
    }

    /// What the host would say of it.
    pub fn statistics(&self) -> UpdateStatistics {
        let mut progress = BTreeMap::<&[CoordinateValue], (Timestamp, Timestamp)>::new();
        for (time, coordinate) in &self.keys {
            let known = progress.entry(coordinate).or_insert((*time, *time));
            *known = (known.0.min(*time), known.1.max(*time));
        }
        progress
            .into_iter()
            .fold(UpdateStatistics::new(self.index.clone()), |statistics, (coordinate, (min, max))| {
                statistics.with(coordinate.iter().cloned(), min, max)
            })
    }

    /// The rows that a query asks for, sorted by the index.
    pub(super) fn select(&self, query: &Query) -> Result<RecordBatch, HostError> {
        let columns = self.columns(query)?;
        let filters = query
            .dimension_filters
            .iter()
            .map(|(dimension, values)| Ok((self.dimension(dimension)?, values)))
            .collect::<Result<Vec<_>, HostError>>()?;
        let coordinates = query
            .index_coordinates
            .iter()
            .map(|parts| parts.iter().map(|(name, value)| Ok((self.dimension(name)?, value))).collect())
            .collect::<Result<Vec<Vec<_>>, HostError>>()?;
        let ranges = query.range_map.as_ref().map(|map| {
            let entries: BTreeMap<_, _> =
                map.entries.iter().map(|entry| (&entry.coordinate, entry.range)).collect();
            (entries, map.unlisted)
        });

        let wanted = |(time, coordinate): &(Timestamp, Coordinate)| {
            let in_map = ranges.as_ref().is_none_or(|(entries, unlisted)| match entries.get(coordinate) {
                Some(range) => range.contains(*time),
                None => *unlisted == Unlisted::Include,
            });
            let is_any = coordinates.is_empty()
                || coordinates.iter().any(|parts| parts.iter().all(|(at, value)| coordinate[*at] == **value));
            query.range.contains(*time)
                && in_map
                && is_any
                && filters.iter().all(|(at, values)| values.contains(&coordinate[*at]))
        };
        let mut rows: Vec<usize> = (0..self.keys.len()).filter(|row| wanted(&self.keys[*row])).collect();
        rows.sort_by(|a, b| self.keys[*a].cmp(&self.keys[*b]));
        let rows = UInt64Array::from_iter_values(rows.into_iter().map(|row| row as u64));
        let refuse = |error: arrow_schema::ArrowError| refuse("query.failed", error.to_string());
        take_record_batch(&self.rows, &rows).and_then(|rows| rows.project(&columns)).map_err(refuse)
    }

    fn columns(&self, query: &Query) -> Result<Vec<usize>, HostError> {
        let fields = self.rows.schema_ref().fields();
        let Some(asked) = &query.columns else { return Ok((0..fields.len()).collect()) };
        if let Some(unknown) = asked.iter().find(|name| fields.find(name).is_none()) {
            return Err(refuse("query.unknown_column", format!("no column `{unknown}`")));
        }
        let kept = |name: &String| asked.contains(name) || self.index.contains(name);
        Ok((0..fields.len()).filter(|at| kept(fields[*at].name())).collect())
    }

    fn dimension(&self, name: &str) -> Result<usize, HostError> {
        self.index
            .iter()
            .skip(1)
            .position(|known| known == name)
            .ok_or_else(|| refuse("query.unknown_dimension", format!("no identity dimension `{name}`")))
    }
}

/// Time and coordinate of each row.
pub(super) fn keys(
    rows: &RecordBatch,
    index: &[String],
) -> Result<Vec<(Timestamp, Coordinate)>, crate::NodeError> {
    let (time_index, dimensions) = index
        .split_first()
        .ok_or_else(|| crate::NodeError::new("table.index", "an index has at least a time"))?;
    let times = rows.timestamps(time_index)?;
    (0..rows.num_rows())
        .map(|row| {
            if times.is_null(row) {
                return Err(
                    crate::NodeError::new("frame.null_key", "a row has no time_index").field("row", row)
                );
            }
            Ok((times.at(row), coordinate_at(rows, dimensions, row)?))
        })
        .collect()
}

fn refuse(code: &str, message: String) -> HostError {
    HostError { code: code.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::FrameBuilder;
    use crate::{Bound, CoordinateRange, RangeMap, TimeRange};

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    /// a and b at 1, 2, 3; given out of order.
    fn table() -> Table {
        let rows = [("b", 3), ("a", 1), ("b", 1), ("a", 3), ("a", 2), ("b", 2)];
        let batch = FrameBuilder::new()
            .timestamps("time_index", rows.map(|(_, micros)| at(micros)))
            .strings("id", rows.map(|(id, _)| id))
            .floats("x", [0.5; 6])
            .floats("y", [1.5; 6])
            .build()
            .unwrap();
        Table::new(["time_index", "id"], [batch])
    }

    fn answer(query: &Query) -> Vec<String> {
        let rows = table().select(query).unwrap();
        let keys = keys(&rows, table().index()).unwrap();
        keys.into_iter().map(|(time, id)| format!("{}{}", id[0], time.micros())).collect()
    }

    fn map(unlisted: Unlisted) -> RangeMap {
        let range = TimeRange { start: Some(Bound { time: at(2), inclusive: true }), end: None };
        RangeMap { entries: vec![CoordinateRange { coordinate: vec!["a".into()], range }], unlisted }
    }

    #[test]
    fn rows_come_sorted_by_the_index() {
        assert_eq!(answer(&Query::new()), ["a1", "b1", "a2", "b2", "a3", "b3"]);
    }

    #[test]
    fn ranges_filters_and_coordinates_hold_together() {
        assert_eq!(answer(&Query::new().after(at(1)).until(at(2))), ["a2", "b2"]);
        assert_eq!(answer(&Query::new().filter("id", ["a"]).from(at(3))), ["a3"]);
        assert_eq!(answer(&Query::new().coordinate([("id", "b")]).before(at(2))), ["b1"]);
        assert_eq!(answer(&Query::new().coordinate([("id", "b")]).filter("id", ["a"])), [""; 0]);
    }

    #[test]
    fn a_range_map_includes_or_excludes_the_unlisted() {
        assert_eq!(answer(&Query::new().range_map(map(Unlisted::Include))), ["b1", "a2", "b2", "a3", "b3"]);
        assert_eq!(answer(&Query::new().range_map(map(Unlisted::Exclude))), ["a2", "a3"]);
        assert_eq!(answer(&Query::new().range_map(map(Unlisted::Include)).from(at(3))), ["a3", "b3"]);
    }

    #[test]
    fn asked_columns_come_with_the_index() {
        let rows = table().select(&Query::new().columns(["y"])).unwrap();
        let names: Vec<_> = rows.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["time_index", "id", "y"]);
        assert_eq!(table().select(&Query::new().columns(["z"])).unwrap_err().code, "query.unknown_column");
        assert_eq!(
            table().select(&Query::new().filter("z", ["a"])).unwrap_err().code,
            "query.unknown_dimension"
        );
    }

    #[test]
    fn statistics_are_those_of_the_rows() {
        let statistics = table().statistics();
        assert_eq!(statistics.len(), 2);
        assert_eq!(statistics.last_update_for(&["a".into()]), Some(at(3)));
        assert_eq!(statistics.min_time(), Some(at(1)));
    }
}
