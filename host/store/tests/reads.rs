//! Reads against a model: the same rows as a loop over a sorted map would find, whatever the query and page size.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{
    self, Model, Place, at, contract, fill, on_both_databases, pages, properties_on_both_databases, read,
    table, text,
};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::query::{Bound, CoordinateRange, RangeMap, ReadQuery, TimeRange};
use datanode_store::Table;
use proptest::prelude::*;
use tokio::runtime::Runtime;
use uuid::Uuid;

const HOSTILE: [&str; 6] = ["", "'); DROP TABLE t; --", "\"; --", "a\0b", "%_*?", "é\u{10FFFF}"];

/// Few values of each type, so that random rows and random queries meet.
fn value(data_type: DataType) -> BoxedStrategy<CoordinateValue> {
    match data_type {
        DataType::String => (0..HOSTILE.len()).prop_map(|at| text(HOSTILE[at])).boxed(),
        DataType::Int64 => {
            prop::sample::select(vec![i64::MIN, -1, 0, 1, i64::MAX]).prop_map(CoordinateValue::Int).boxed()
        }
        DataType::Int16 => (-1..2_i64).prop_map(CoordinateValue::Int).boxed(),
        DataType::Bool => any::<bool>().prop_map(CoordinateValue::Bool).boxed(),
        DataType::Date => (-1..3).prop_map(CoordinateValue::Date).boxed(),
        DataType::TimestampTz => (0..3_i64).prop_map(|micros| CoordinateValue::Timestamp(at(micros))).boxed(),
        DataType::Uuid => {
            (0..3_u128).prop_map(|bits| CoordinateValue::Uuid(Uuid::from_u128(bits << 120 | bits))).boxed()
        }
        other => panic!("{other} is no dimension"),
    }
}

fn range() -> impl Strategy<Value = TimeRange> {
    let bound = || {
        prop::option::of(
            (-1..12_i64, any::<bool>()).prop_map(|(time, inclusive)| Bound { time: at(time), inclusive }),
        )
    };
    (bound(), bound()).prop_map(|(start, end)| TimeRange { start, end })
}

fn coordinate(types: &[DataType]) -> BoxedStrategy<Coordinate> {
    types.iter().map(|data_type| value(*data_type)).collect::<Vec<_>>().prop_map(Coordinate).boxed()
}

fn range_map(types: &[DataType]) -> impl Strategy<Value = RangeMap> + use<> {
    let entries = prop::collection::btree_map(coordinate(types), range(), 0..6);
    (entries, any::<bool>()).prop_map(|(entries, include_unlisted)| RangeMap {
        entries: entries
            .into_iter()
            .map(|(coordinate, range)| CoordinateRange { coordinate, range })
            .collect(),
        include_unlisted,
    })
}

fn query(contract: &Contract) -> BoxedStrategy<ReadQuery> {
    let types = contract.dimension_types();
    let named: Vec<_> = contract.dimensions().iter().cloned().zip(types.iter().copied()).collect();
    let (filters, partial) = if named.is_empty() {
        (Just(Vec::new()).boxed(), Just(Vec::new()).boxed())
    } else {
        let pick = prop::sample::select(named);
        let filter = pick.clone().prop_flat_map(|(name, data_type)| {
            prop::collection::vec(value(data_type), 0..3).prop_map(move |values| (name.clone(), values))
        });
        let term = pick
            .prop_flat_map(|(name, data_type)| value(data_type).prop_map(move |value| (name.clone(), value)));
        (
            prop::collection::vec(filter, 0..2).boxed(),
            prop::collection::vec(prop::collection::vec(term, 0..4), 0..4).boxed(),
        )
    };
    (range(), filters, partial, prop::option::of(range_map(&types)))
        .prop_map(|(range, dimension_filters, index_coordinates, range_map)| ReadQuery {
            range,
            columns: None,
            dimension_filters,
            index_coordinates,
            range_map,
            limit: None,
        })
        .boxed()
}

fn inside(range: &TimeRange, time: i64) -> bool {
    let starts = range.start.is_none_or(|bound| {
        if bound.inclusive { time >= bound.time.micros() } else { time > bound.time.micros() }
    });
    starts
        && range.end.is_none_or(|bound| {
            if bound.inclusive { time <= bound.time.micros() } else { time < bound.time.micros() }
        })
}

/// The rule, as plainly as it can be said.
fn matches(contract: &Contract, query: &ReadQuery, (time, coordinate): &(i64, Coordinate)) -> bool {
    let is = |dimension: &String, value: &CoordinateValue| {
        let at = contract.dimensions().iter().position(|name| name == dimension).unwrap();
        coordinate.0[at] == *value
    };
    inside(&query.range, *time)
        && query
            .dimension_filters
            .iter()
            .all(|(dimension, values)| values.iter().any(|value| is(dimension, value)))
        && (query.index_coordinates.is_empty()
            || query
                .index_coordinates
                .iter()
                .any(|partial| partial.iter().all(|(dimension, value)| is(dimension, value))))
        && query.range_map.as_ref().is_none_or(|map| {
            match map.entries.iter().find(|entry| entry.coordinate == *coordinate) {
                Some(entry) => inside(&entry.range, *time),
                None => map.include_unlisted,
            }
        })
}

fn model(types: &[DataType]) -> impl Strategy<Value = Model> + use<> {
    prop::collection::btree_map((0..10_i64, coordinate(types)), prop::option::of(any::<i64>()), 0..60)
}

/// Random tables of these dimensions, each read by several random queries.
fn check_against_model(runtime: &Runtime, place: &Place, dimensions: &[(&str, DataType)]) {
    let shape = contract("shape", dimensions);
    let cases = (model(&shape.dimension_types()), prop::collection::vec((query(&shape), 1..20_usize), 12));
    support::runner(48)
        .run(&cases, |(mut model, queries)| {
            if place.is_on_server() {
                // PostgreSQL keeps no such texts; queries may ask for them all the same.
                model.retain(|(_, coordinate), _| !coordinate.0.contains(&text(HOSTILE[3])));
            }
            let contract = contract(&format!("t{}", Uuid::new_v4().simple()), dimensions);
            runtime.block_on(check_case(place, &contract, &model, &queries))
        })
        .unwrap();
}

async fn check_case(
    place: &Place,
    contract: &Contract,
    model: &Model,
    queries: &[(ReadQuery, usize)],
) -> Result<(), TestCaseError> {
    let table = table(&*place.store, contract).await;
    let table = fill(&*place.store, &table, &Uuid::new_v4().to_string(), model).await;
    let mut snapshot = place.store.snapshot().await.unwrap();
    for (query, page) in queries {
        let expected: Vec<_> = model
            .iter()
            .filter(|(key, _)| matches(contract, query, key))
            .map(|(key, value)| (key.clone(), *value))
            .collect();
        let found = read(&mut snapshot, &table, query, *page).await;
        prop_assert_eq!(&found, &expected, "{:?} in pages of {}", query, page);
    }
    Ok(())
}

fn no_dimension(runtime: &Runtime, place: &Place) {
    check_against_model(runtime, place, &[]);
}

fn one_text(runtime: &Runtime, place: &Place) {
    // A keyword as a name.
    check_against_model(runtime, place, &[("order", DataType::String)]);
}

fn integers_and_texts(runtime: &Runtime, place: &Place) {
    let dimensions = [("group", DataType::Int64), ("value_", DataType::String), ("key", DataType::Int16)];
    check_against_model(runtime, place, &dimensions);
}

fn every_other_type(runtime: &Runtime, place: &Place) {
    let dimensions = [
        ("select", DataType::Bool),
        ("from", DataType::Date),
        ("where", DataType::TimestampTz),
        ("id", DataType::Uuid),
    ];
    check_against_model(runtime, place, &dimensions);
}

properties_on_both_databases!(no_dimension, one_text, integers_and_texts, every_other_type);

/// `days` × `names` rows in one table.
async fn grid(place: &Place, days: i64, names: usize) -> (Table, Model) {
    let contract = contract("grid", &[("name", DataType::String)]);
    let model: Model = (0..days)
        .flat_map(|day| (0..names).map(move |name| (day, name)))
        .map(|(day, name)| ((day * 10, Coordinate(vec![text(&format!("n{name:05}"))])), Some(day)))
        .collect();
    let table = table(&*place.store, &contract).await;
    (fill(&*place.store, &table, "run-grid", &model).await, model)
}

async fn any_page_size_gives_the_same_rows(place: Place) {
    let (table, model) = grid(&place, 20, 17).await;
    let expected: Vec<_> = model.into_iter().collect();
    let mut snapshot = place.store.snapshot().await.unwrap();
    for page in [1, 2, 3, 16, 17, 18, 100, 339, 340, 341, usize::MAX] {
        assert_eq!(
            read(&mut snapshot, &table, &ReadQuery::default(), page).await,
            expected,
            "pages of {page}"
        );
    }
}

async fn a_page_may_begin_after_a_key_that_is_no_row(place: Place) {
    let (table, _) = grid(&place, 3, 2).await;
    let snapshot = place.store.snapshot().await.unwrap();
    let start = Some(Bound { time: at(10), inclusive: true });
    let query = ReadQuery { range: TimeRange { start, end: None }, ..ReadQuery::default() };
    for (time, name, expected) in
        [(-5, "n00000", 4), (10, "n00000", 3), (10, "n000005", 3), (15, "", 2), (20, "zz", 0)]
    {
        let after =
            datanode_store::IndexKey { time: Some(at(time)), coordinate: Coordinate(vec![text(name)]) };
        let page = snapshot.read(&table, &query).page(Some(&after), 100).await.unwrap();
        assert_eq!(page.map_or(0, |page| page.batch.num_rows()), expected, "after {time} {name}");
    }
}

async fn only_asked_columns_come_and_the_index_always(place: Place) {
    let (table, _) = grid(&place, 2, 2).await;
    let mut snapshot = place.store.snapshot().await.unwrap();
    let query = ReadQuery { columns: Some(Vec::new()), ..ReadQuery::default() };
    let batches = pages(&mut snapshot, &table, &query, 3).await;
    let names: Vec<_> = batches[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["time_index", "name"]);
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [3, 1]);
}

/// A table without dimensions and with a text.
fn long() -> Contract {
    Contract::from_toml(
        "identifier = \"long\"\nindex = [\"time_index\"]\ncolumns = [\
         { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"text\", type = \"string\" }]",
    )
    .unwrap()
}

async fn a_page_of_long_texts_ends_early_and_the_next_ones_are_smaller(place: Place) {
    let table = table(&*place.store, &long()).await;
    let node = support::node(&*place.store, &table).await;
    let texts: Vec<String> = (0..10).map(|at| format!("{}{at}", "x".repeat(3 << 19))).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values(0..10).with_timezone("UTC")),
        Arc::new(StringArray::from(texts.clone())),
    ];
    let batch = RecordBatch::try_new(table.contract.arrow_schema(), columns).unwrap();
    let keys: Vec<_> = (0..10).map(|time| (time, Coordinate::default())).collect();
    let record = support::run(&node, "run-long");
    let commit = support::commit(&*place.store, &table, record, vec![batch], support::progress(&keys)).await;
    place.store.commit_run(commit).await.unwrap();
    let mut snapshot = place.store.snapshot().await.unwrap();
    let batches = pages(&mut snapshot, &table, &ReadQuery::default(), 1_000).await;
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [3, 3, 3, 1]);
    let found = batches.iter().flat_map(|batch| batch.column(1).as_string::<i32>().iter());
    assert!(found.eq(texts.iter().map(|text| Some(text.as_str()))), "another text than was stored");
}

async fn a_range_per_coordinate_of_ten_thousand_is_looked_up_not_searched(place: Place) {
    let (table, model) = grid(&place, 4, 10_000).await;
    let names: BTreeSet<_> = model.keys().map(|(_, coordinate)| coordinate.clone()).collect();
    let range = TimeRange { start: Some(Bound { time: at(20), inclusive: false }), end: None };
    let entries =
        names.into_iter().map(|coordinate| CoordinateRange { coordinate, range }).collect::<Vec<_>>();
    let mut snapshot = place.store.snapshot().await.unwrap();
    for include_unlisted in [false, true] {
        let map = RangeMap { entries: entries.clone(), include_unlisted };
        let query = ReadQuery { range_map: Some(map), ..ReadQuery::default() };
        let begun = Instant::now();
        assert_eq!(read(&mut snapshot, &table, &query, 1 << 20).await.len(), 10_000);
        // Compared one by one, 10,000 entries and as many rows take minutes.
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    let coordinates = entries.into_iter().map(|entry| entry.coordinate.0);
    let partial = coordinates.map(|mut values| vec![("name".to_owned(), values.remove(0))]).collect();
    let query = ReadQuery { index_coordinates: partial, ..ReadQuery::default() };
    assert_eq!(read(&mut snapshot, &table, &query, 1 << 20).await.len(), 40_000);
}

async fn partial_coordinates_of_many_shapes_fit_one_statement(place: Place) {
    let names: Vec<String> = (0..12).map(|at| format!("d{at}")).collect();
    let dimensions: Vec<_> = names.iter().map(|name| (name.as_str(), DataType::Bool)).collect();
    let contract = contract("shapes", &dimensions);
    let all = |value| Coordinate(vec![CoordinateValue::Bool(value); 12]);
    let model: Model = [((1, all(false)), None), ((2, all(true)), None)].into_iter().collect();
    let table = table(&*place.store, &contract).await;
    let table = fill(&*place.store, &table, "run-shapes", &model).await;
    // Every subset of the dimensions but the empty one: 4,095 lists, where an expression may be 1,000 deep.
    let shapes = (1..1 << 12).map(|mask: u32| {
        let chosen = names.iter().enumerate().filter(|(at, _)| mask >> at & 1 == 1);
        chosen.map(|(_, name)| (name.clone(), CoordinateValue::Bool(true))).collect()
    });
    let query = ReadQuery { index_coordinates: shapes.collect(), ..ReadQuery::default() };
    let mut snapshot = place.store.snapshot().await.unwrap();
    assert_eq!(read(&mut snapshot, &table, &query, 10).await, [((2, all(true)), None)]);
}

on_both_databases!(
    any_page_size_gives_the_same_rows,
    a_page_may_begin_after_a_key_that_is_no_row,
    only_asked_columns_come_and_the_index_always,
    a_page_of_long_texts_ends_early_and_the_next_ones_are_smaller,
    a_range_per_coordinate_of_ten_thousand_is_looked_up_not_searched,
    partial_coordinates_of_many_shapes_fit_one_statement,
);
