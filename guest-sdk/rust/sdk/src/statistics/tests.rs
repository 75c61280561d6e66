//! What the published vectors do not say: `tests/update_statistics.rs` runs those.

use chrono::TimeDelta;

use super::*;
use crate::{RangeMap, TimeRange};

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
    let unseen = sample().scope([vec!["XAU".into(), "lse".into()]], None).unwrap();
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
    let scoped = sample().scope(wanted, Some(at("2019-01-01"))).unwrap();
    assert_eq!(texts(&scoped), ["USD/lse", "XAU/lse"]);
    assert_eq!(scoped.last_update_for(&["XAU".into()]), Some(at("2019-01-01")));
    assert_eq!(scoped.min_time(), Some(at("2020-01-01")), "a fallback is not stored");
    let map = scoped.dimension_range_map_ge(&["currency", "venue"], None).unwrap();
    assert_eq!(map.entries[1].range.start.unwrap().time, at("2019-01-01"));
}

#[test]
fn without_a_fallback_an_unseen_identity_is_read_from_the_beginning() {
    let scoped = sample().scope([vec!["XAU".into(), "lse".into()]], None).unwrap();
    let map = scoped.dimension_range_map_ge(&["currency", "venue"], None).unwrap();
    assert_eq!(map.entries[0].range, TimeRange::default());
}

#[test]
fn filter_looks_at_one_level() {
    assert_eq!(texts(&sample().filter_level("venue", ["lse"]).unwrap()), ["JPY/lse", "USD/lse"]);
    assert_eq!(texts(&sample().filter_level("currency", ["USD"]).unwrap()), ["USD/lse", "USD/xetra"]);
    assert_eq!(sample().filter_level("city", ["x"]).unwrap_err().kind, "statistics.dimensions");
}
