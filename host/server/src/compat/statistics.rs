//! What a table holds, as that client's statistics: moments nested by the values of the identity dimensions.

use datanode_core::Timestamp;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::progress::{CoordinateProgress, Progress};
use serde_json::{Map, Value, json};

/// The most coordinates that a table tells of in its own description; what more there are, `get-stats` tells.
pub(crate) const MAX_TOLD: usize = 1_000;

/// The statistics of a table: `{"_GLOBAL_": {min, max}, "index_progress": …, "index_min": …}`; null where it is empty. The
/// client reads every number in them as a moment: there are none.
pub(crate) fn multi_index_stats(progress: &Progress, dimensions: usize) -> Value {
    let global = global(progress.min_time(), progress.max_time());
    if global.is_null() {
        return Value::Null;
    }
    let entries: Vec<_> = progress.iter().collect();
    json!({
        "_GLOBAL_": global,
        "index_progress": tree(&entries, 0, dimensions, &|held| held.max),
        "index_min": tree(&entries, 0, dimensions, &|held| held.min),
    })
}

/// The same of a table whose coordinates are not told.
pub(crate) fn global_stats(first: Option<Timestamp>, last: Option<Timestamp>) -> Value {
    let global = global(first, last);
    if global.is_null() {
        Value::Null
    } else {
        json!({"_GLOBAL_": global, "index_progress": {}, "index_min": {}})
    }
}

fn global(first: Option<Timestamp>, last: Option<Timestamp>) -> Value {
    match (first, last) {
        (Some(first), Some(last)) => json!({"min": first, "max": last}),
        _ => Value::Null,
    }
}

/// One level per dimension. The entries are in the order of their coordinates: those that share a value stand together.
fn tree(
    entries: &[(&Coordinate, &CoordinateProgress)],
    level: usize,
    dimensions: usize,
    leaf: &dyn Fn(&CoordinateProgress) -> Timestamp,
) -> Value {
    let mut branches = Map::new();
    if level == dimensions {
        return Value::Object(branches);
    }
    let value = |(coordinate, _): &(&Coordinate, &CoordinateProgress)| coordinate.0.get(level).cloned();
    for branch in entries.chunk_by(|one, other| value(one) == value(other)) {
        let Some(first) = branch.first() else { continue };
        let Some(key) = value(first) else { continue };
        let below = if level + 1 == dimensions {
            json!(leaf(first.1))
        } else {
            tree(branch, level + 1, dimensions, leaf)
        };
        branches.insert(key_text(&key), below);
    }
    Value::Object(branches)
}

/// A value of an identity dimension as the key of an object.
fn key_text(value: &CoordinateValue) -> String {
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_micros(day * 86_400_000_000).unwrap()
    }

    #[test]
    fn statistics_are_nested_by_the_values_of_the_dimensions() {
        let entry = |name: &str, flag: bool, min, max| {
            let coordinate =
                Coordinate(vec![CoordinateValue::Text(name.to_owned()), CoordinateValue::Bool(flag)]);
            (coordinate, CoordinateProgress { min: at(min), max: at(max), rows: 3 })
        };
        let progress: Progress =
            [entry("a", true, 1, 5), entry("a", false, 2, 6), entry("b", true, 3, 7)].into_iter().collect();
        insta::assert_json_snapshot!(multi_index_stats(&progress, 2));
    }

    #[test]
    fn a_table_without_dimensions_has_its_ends_alone_and_an_empty_one_nothing() {
        let held = CoordinateProgress { min: at(0), max: at(9), rows: 10 };
        let progress: Progress = [(Coordinate::default(), held)].into_iter().collect();
        let expected =
            json!({"_GLOBAL_": {"min": at(0), "max": at(9)}, "index_progress": {}, "index_min": {}});
        assert_eq!(multi_index_stats(&progress, 0), expected);
        assert_eq!(global_stats(Some(at(0)), Some(at(9))), expected);
        assert_eq!(multi_index_stats(&Progress::default(), 1), Value::Null);
        assert_eq!(global_stats(None, None), Value::Null);
    }
}
