//! What a query asks for.

use std::collections::BTreeMap;

use datanode_core::coordinate::CoordinateValue;
use datanode_core::query::ReadQuery;

/// The earliest and latest time that the whole query can ask for, both inclusive.
pub(crate) fn bounds(query: &ReadQuery) -> (i64, i64) {
    let (start, end) = query.range.inclusive_micros();
    match &query.range_map {
        Some(map) if !map.include_unlisted => {
            let ranges = map.entries.iter().map(|entry| entry.range.inclusive_micros());
            // Of no entries: the empty range, for then no row is asked for.
            let (first, last) = ranges
                .fold((i64::MAX, i64::MIN), |(first, last), (start, end)| (first.min(start), last.max(end)));
            (start.max(first), end.min(last))
        }
        // Without dimensions there is one coordinate, the empty one; an entry for it lists everything.
        Some(map) => map
            .entries
            .iter()
            .filter(|entry| entry.coordinate.0.is_empty())
            .map(|entry| entry.range.inclusive_micros())
            .fold((start, end), |(start, end), (first, last)| (start.max(first), end.min(last))),
        None => (start, end),
    }
}

/// A partial coordinate by dimension; None when it wants two values of one dimension, which no row has.
pub(crate) fn by_dimension(
    coordinate: &[(String, CoordinateValue)],
) -> Option<BTreeMap<&str, &CoordinateValue>> {
    let mut values = BTreeMap::new();
    for (dimension, value) in coordinate {
        if *values.entry(dimension.as_str()).or_insert(value) != value {
            return None;
        }
    }
    Some(values)
}
