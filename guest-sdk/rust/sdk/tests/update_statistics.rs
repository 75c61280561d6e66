//! The published vectors of `UpdateStatistics`, the same for every language: `tests/vectors/update_statistics.md`.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};

use datanode_sdk::chrono::{NaiveDate, TimeDelta};
use datanode_sdk::{
    Coordinate, CoordinateValue, IndexTree, NodeError, Timestamp, Unlisted, UpdateStatistics,
};
use serde_json::{Value, json};

/// Fewer would mean that the file was cut.
const AT_LEAST: usize = 60;

const HELPERS: [&str; 13] = [
    "coordinates",
    "dimension_range_map_ge",
    "earliest",
    "earliest_update_for",
    "filter_level",
    "index_min",
    "index_progress",
    "last_update_for",
    "leaves",
    "max_time",
    "min_time",
    "scope",
    "start_for",
];

fn vectors() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/vectors/update_statistics.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    document["vectors"].as_array().unwrap().clone()
}

/// One `{"type": value}`, which has one field.
fn value(typed: &Value) -> CoordinateValue {
    let (kind, plain) = typed.as_object().unwrap().iter().next().unwrap();
    let text = || plain.as_str().unwrap().to_owned();
    match kind.as_str() {
        "text" => CoordinateValue::Text(text()),
        "s64" => CoordinateValue::S64(plain.as_i64().unwrap()),
        "bool" => CoordinateValue::Bool(plain.as_bool().unwrap()),
        "date" => {
            let day: NaiveDate = text().parse().unwrap();
            CoordinateValue::Date(i32::try_from((day - NaiveDate::default()).num_days()).unwrap())
        }
        "timestamp" => CoordinateValue::Timestamp(text().parse().unwrap()),
        "uuid" => CoordinateValue::Uuid(text()),
        other => panic!("no such type: {other}"),
    }
}

fn coordinate(values: &Value) -> Coordinate {
    values.as_array().unwrap().iter().map(value).collect()
}

fn time(text: &Value) -> Option<Timestamp> {
    text.as_str().map(|text| text.parse().unwrap())
}

fn statistics(vector: &Value) -> UpdateStatistics {
    let dimensions = vector["dimensions"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let empty = UpdateStatistics::new(std::iter::once("time_index").chain(dimensions));
    vector["statistics"].as_array().unwrap().iter().fold(empty, |known, leaf| {
        known.with(coordinate(&leaf["coordinate"]), time(&leaf["min"]).unwrap(), time(&leaf["max"]).unwrap())
    })
}

fn select(of: &UpdateStatistics, helper: &str, arguments: &Value) -> Result<UpdateStatistics, NodeError> {
    match helper {
        "scope" => {
            let identities = arguments["identities"].as_array().unwrap();
            of.scope(identities.iter().map(coordinate), time(&arguments["fallback"]))
        }
        "filter_level" => {
            of.filter_level(arguments["dimension"].as_str().unwrap(), coordinate(&arguments["values"]))
        }
        other => panic!("{other} does not select"),
    }
}

/// What a helper said, or what a vector expects of it: in one form, so that times are compared as moments.
#[derive(Debug, PartialEq)]
enum Answer {
    Time(Option<Timestamp>),
    Leaves(Vec<(Coordinate, Option<Timestamp>, Option<Timestamp>)>),
    Coordinates(Vec<Coordinate>),
    Starts(Vec<(Coordinate, Option<Timestamp>)>),
    Tree(IndexTree),
    Refused(String),
}

fn leaves(of: &UpdateStatistics) -> Answer {
    Answer::Leaves(of.leaves().map(|leaf| (leaf.coordinate, leaf.min, leaf.max)).collect())
}

fn ask(of: &UpdateStatistics, helper: &str, arguments: &Value) -> Result<Answer, NodeError> {
    let identity = || coordinate(&arguments["identity"]);
    Ok(match helper {
        "leaves" => leaves(of),
        "coordinates" => Answer::Coordinates(of.coordinates().map(<[_]>::to_vec).collect()),
        "min_time" => Answer::Time(of.min_time()),
        "max_time" => Answer::Time(of.max_time()),
        "earliest" => Answer::Time(of.earliest()),
        "last_update_for" => Answer::Time(of.last_update_for(&identity())),
        "earliest_update_for" => Answer::Time(of.earliest_update_for(&identity())),
        "start_for" => Answer::Time(of.start_for(&identity(), time(&arguments["offset_start"]))),
        "index_progress" => Answer::Tree(of.index_progress()),
        "index_min" => Answer::Tree(of.index_min()),
        "dimension_range_map_ge" => {
            let dimensions: Vec<&str> = arguments["identity_dimensions"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap())
                .collect();
            let delta = arguments["extra_delta"].as_i64().map(TimeDelta::microseconds);
            let map = of.dimension_range_map_ge(&dimensions, delta)?;
            assert_eq!(map.unlisted, Unlisted::Include);
            let entry = |entry: datanode_sdk::CoordinateRange| {
                assert!(entry.range.end.is_none());
                assert!(entry.range.start.is_none_or(|start| start.inclusive), "the operand is >=");
                (entry.coordinate, entry.range.start.map(|start| start.time))
            };
            Answer::Starts(map.entries.into_iter().map(entry).collect())
        }
        _ => leaves(&select(of, helper, arguments)?),
    })
}

fn tree(expected: &Value) -> IndexTree {
    let Some(level) = expected.as_array() else { return IndexTree::Time(time(expected)) };
    let values: BTreeMap<_, _> = level.iter().map(|entry| (value(&entry[0]), tree(&entry[1]))).collect();
    assert!(level.iter().map(|entry| value(&entry[0])).eq(values.keys().cloned()), "sorted, each once");
    IndexTree::Level(values)
}

fn expected(vector: &Value) -> Answer {
    if let Some(code) = vector["error"].as_str() {
        return Answer::Refused(code.to_owned());
    }
    let expected = vector.get("expected").unwrap();
    let each = || expected.as_array().unwrap().iter();
    match vector["helper"].as_str().unwrap() {
        "leaves" | "scope" | "filter_level" => Answer::Leaves(
            each()
                .map(|leaf| (coordinate(&leaf["coordinate"]), time(&leaf["min"]), time(&leaf["max"])))
                .collect(),
        ),
        "coordinates" => Answer::Coordinates(each().map(coordinate).collect()),
        "index_progress" | "index_min" => Answer::Tree(tree(expected)),
        "dimension_range_map_ge" => Answer::Starts(
            each()
                .map(|entry| {
                    assert_eq!(entry["operand"], ">=");
                    (coordinate(&entry["coordinate"]), time(&entry["start"]))
                })
                .collect(),
        ),
        _ => Answer::Time(time(expected)),
    }
}

fn answer(vector: &Value) -> Answer {
    let mut known = statistics(vector);
    for step in vector.get("after").and_then(Value::as_array).into_iter().flatten() {
        known = select(&known, step["helper"].as_str().unwrap(), &step["arguments"]).unwrap();
    }
    ask(&known, vector["helper"].as_str().unwrap(), &vector["arguments"])
        .unwrap_or_else(|error| Answer::Refused(error.kind))
}

#[test]
fn every_vector_is_answered_as_expected() {
    for vector in vectors() {
        assert_eq!(answer(&vector), expected(&vector), "{}", vector["name"]);
    }
}

#[test]
fn the_vectors_cover_every_helper_type_and_number_of_dimensions() {
    let vectors = vectors();
    assert!(vectors.len() >= AT_LEAST, "{} vectors", vectors.len());

    let names: HashSet<_> = vectors.iter().map(|vector| vector["name"].to_string()).collect();
    assert_eq!(names.len(), vectors.len(), "names are unique");

    let of = |helper: &str| vectors.iter().filter(|vector| vector["helper"] == helper).count();
    for helper in HELPERS {
        assert!(of(helper) >= 3, "{helper} has {} vectors", of(helper));
    }
    assert_eq!(HELPERS.iter().map(|helper| of(helper)).sum::<usize>(), vectors.len(), "no other helper");

    for dimensions in 0..=3 {
        let has = |vector: &Value| vector["dimensions"].as_array().unwrap().len() == dimensions;
        assert!(vectors.iter().any(has), "{dimensions} dimensions");
    }
    for kind in ["text", "s64", "bool", "date", "timestamp", "uuid"] {
        let holds = |vector: &Value| vector["statistics"].to_string().contains(&format!("{{\"{kind}\":"));
        assert!(vectors.iter().any(holds), "{kind}");
    }
}

/// The two tests above can fail.
#[test]
fn a_wrong_expectation_is_seen() {
    let vector = json!({
        "dimensions": ["currency"],
        "statistics": [
            {"coordinate": [{"text": "USD"}], "min": "2020-01-01T00:00:00Z", "max": "2020-01-02T00:00:00Z"},
        ],
        "helper": "max_time", "arguments": {}, "expected": "2020-01-01T00:00:00Z",
    });
    assert_ne!(answer(&vector), expected(&vector));
}
