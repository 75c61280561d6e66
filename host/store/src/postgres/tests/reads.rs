//! Reads against a model, their plans, and reads that nobody waits for.

use std::time::{Duration, Instant};

use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::query::{Bound, CoordinateRange, RangeMap, ReadQuery, TimeRange};
use proptest::prelude::*;
use sqlx::{AssertSqlSafe, Row};

use super::Place;
use super::support::{self, Model, at, contract, read, rows, text};
use crate::postgres::select::Select;

const NAMES: [&str; 5] = ["", "'); DROP TABLE t; --", "\\'", "%_*?", "é\u{10FFFF}"];

fn coordinate() -> impl Strategy<Value = Coordinate> {
    (0..NAMES.len(), -1..2_i64, -1..2_i32).prop_map(|(name, id, day)| {
        Coordinate(vec![text(NAMES[name]), CoordinateValue::Int(id), CoordinateValue::Date(day)])
    })
}

fn range() -> impl Strategy<Value = TimeRange> {
    let bound = || {
        let bound = (-1..12_i64, any::<bool>());
        prop::option::of(bound.prop_map(|(time, inclusive)| Bound { time: at(time), inclusive }))
    };
    (bound(), bound()).prop_map(|(start, end)| TimeRange { start, end })
}

fn query() -> impl Strategy<Value = ReadQuery> {
    let map = (prop::collection::btree_map(coordinate(), range(), 0..6), any::<bool>());
    let map = map.prop_map(|(entries, include_unlisted)| RangeMap {
        entries: entries
            .into_iter()
            .map(|(coordinate, range)| CoordinateRange { coordinate, range })
            .collect(),
        include_unlisted,
    });
    let names = prop::collection::vec((0..NAMES.len()).prop_map(|at| text(NAMES[at])), 0..3);
    let filters = prop::collection::vec(names.prop_map(|names| ("name".to_owned(), names)), 0..2);
    let partial = (coordinate(), prop::collection::vec(0..3_usize, 0..4)).prop_map(|(coordinate, wanted)| {
        let named = ["name", "id", "day"].map(str::to_owned).into_iter().zip(coordinate.0);
        let named: Vec<_> = named.collect();
        wanted.into_iter().map(|at| named[at].clone()).collect::<Vec<_>>()
    });
    let partials = prop::collection::vec(partial, 0..4);
    (range(), filters, partials, prop::option::of(map)).prop_map(
        |(range, dimension_filters, index_coordinates, range_map)| ReadQuery {
            range,
            dimension_filters,
            index_coordinates,
            range_map,
            ..ReadQuery::default()
        },
    )
}

fn inside(range: &TimeRange, time: i64) -> bool {
    let (start, end) = range.inclusive_micros();
    (start..=end).contains(&time)
}

fn matches(query: &ReadQuery, (time, coordinate): &(i64, Coordinate)) -> bool {
    let is = |dimension: &String, value: &CoordinateValue| {
        let at = ["name", "id", "day"].iter().position(|name| name == dimension).unwrap();
        coordinate.0[at] == *value
    };
    let listed = |map: &RangeMap| match map.entries.iter().find(|entry| entry.coordinate == *coordinate) {
        Some(entry) => inside(&entry.range, *time),
        None => map.include_unlisted,
    };
    inside(&query.range, *time)
        && query.dimension_filters.iter().all(|(name, values)| values.iter().any(|value| is(name, value)))
        && (query.index_coordinates.is_empty()
            || query.index_coordinates.iter().any(|all| all.iter().all(|(name, value)| is(name, value))))
        && query.range_map.as_ref().is_none_or(listed)
}

#[test]
fn any_query_in_pages_of_any_size_answers_what_a_loop_over_a_map_would() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::new());
    let dimensions = [("name", DataType::String), ("id", DataType::Int16), ("day", DataType::Date)];
    let model = prop::collection::btree_map((0..10_i64, coordinate()), prop::option::of(any::<i64>()), 0..60);
    let cases = (model, prop::collection::vec((query(), 1..20_usize), 12));
    support::runner(32)
        .run(&cases, |(model, queries)| {
            let contract = contract(&format!("t{}", uuid::Uuid::new_v4().simple()), &dimensions);
            runtime.block_on(async {
                let table = place.register(&contract).await;
                let table = place.fill(&table, &uuid::Uuid::new_v4().to_string(), &model).await;
                let mut snapshot = place.snapshot().await;
                for (query, page) in queries {
                    let expected = model.iter().filter(|(key, _)| matches(&query, key));
                    let expected: Vec<_> = expected.map(|(key, value)| (key.clone(), *value)).collect();
                    let found = read(&mut snapshot, &table, &query, page).await;
                    prop_assert_eq!(found, expected, "{:?} in pages of {}", query, page);
                }
                Ok(())
            })
        })
        .unwrap();
}

/// `days` × `names` rows in one table, without a commit.
async fn grid(place: &Place, days: i64, names: i64) -> crate::Table {
    let table = place.register(&contract("grid", &[("name", DataType::String)])).await;
    place
        .execute(&format!(
            "INSERT INTO datanode_tables.grid SELECT timestamptz 'epoch' + d * interval '10 microseconds', \
             'n' || to_char(n, 'FM000000'), d FROM generate_series(0, {days} - 1) AS d, generate_series(0, {names} - 1) AS n; \
             ANALYZE datanode_tables.grid"
        ))
        .await;
    table
}

fn name(number: i64) -> Coordinate {
    Coordinate(vec![text(&format!("n{number:06}"))])
}

#[tokio::test]
async fn a_hundred_thousand_ranges_are_looked_up_in_the_order_of_the_table() {
    const NAMES: i64 = 100_000;
    let place = Place::new().await;
    let table = grid(&place, 3, NAMES).await;
    let range = TimeRange { start: Some(Bound { time: at(10), inclusive: false }), end: None };
    let entries: Vec<_> = (0..NAMES).map(|n| CoordinateRange { coordinate: name(n), range }).collect();
    let mut snapshot = place.snapshot().await;
    for include_unlisted in [false, true] {
        let map = RangeMap { entries: entries.clone(), include_unlisted };
        let query = ReadQuery { range_map: Some(map), ..ReadQuery::default() };
        let begun = Instant::now();
        let found = read(&mut snapshot, &table, &query, 8_192).await;
        assert_eq!(found.len(), usize::try_from(NAMES).unwrap());
        assert!(found.is_sorted());
        eprintln!("{:?}", begun.elapsed());
        // Searched one by one, or sorted anew for each page, this takes many minutes.
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }
    let partial = entries.into_iter().map(|entry| vec![("name".to_owned(), entry.coordinate.0[0].clone())]);
    let query = ReadQuery { index_coordinates: partial.collect(), ..ReadQuery::default() };
    let begun = Instant::now();
    assert_eq!(read(&mut snapshot, &table, &query, 8_192).await.len(), 300_000);
    eprintln!("{:?}", begun.elapsed());
}

#[tokio::test]
async fn pages_follow_the_index_and_sort_nothing() {
    let place = Place::new().await;
    let table = grid(&place, 50, 400).await;
    let range = TimeRange { start: Some(Bound { time: at(10), inclusive: true }), end: None };
    let entries = (0..50).map(|n| CoordinateRange { coordinate: name(n), range }).collect();
    let map = |include_unlisted| Some(RangeMap { entries: Vec::clone(&entries), include_unlisted });
    let wanted = vec![("name".to_owned(), vec![text("n000007")])];
    let mut connection = place.pool.acquire().await.unwrap();
    sqlx::raw_sql(super::super::snapshot::BEGIN).execute(&mut *connection).await.unwrap();
    let queries = [
        ReadQuery { range, ..ReadQuery::default() },
        ReadQuery { range_map: map(false), ..ReadQuery::default() },
        ReadQuery { range_map: map(true), ..ReadQuery::default() },
        ReadQuery { dimension_filters: wanted, ..ReadQuery::default() },
    ];
    for (number, query) in (0..).zip(queries) {
        let select = Select::new(&table.contract, &query, number).unwrap();
        if let Some(ranges) = &select.ranges {
            ranges.prepare(&mut connection).await.unwrap();
        }
        let after = crate::IndexKey { time: Some(at(100)), coordinate: name(3) };
        for after in [None, Some(&after)] {
            let explain = format!("EXPLAIN {}", select.page(after, 100));
            let plan = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
            let plan = plan.join("\n");
            assert!(plan.contains("using grid_pkey on grid _t"), "{plan}");
            assert!(!plan.contains("Sort") && !plan.contains("Seq Scan on grid"), "{plan}");
        }
    }
}

#[tokio::test]
async fn a_page_of_long_texts_ends_early_and_the_next_ones_are_smaller() {
    let place = Place::new().await;
    let long = datanode_core::contract::Contract::from_toml(
        "identifier = \"long\"\nindex = [\"time_index\"]\ncolumns = [\
         { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"text\", type = \"string\" }]",
    )
    .unwrap();
    let table = place.register(&long).await;
    place
        .execute(
            "INSERT INTO datanode_tables.long SELECT timestamptz 'epoch' + n * interval '1 day', \
             repeat('x', 3 * 512 * 1024) || n FROM generate_series(0, 39) AS n",
        )
        .await;
    let mut snapshot = place.snapshot().await;
    let pages = support::pages(&mut snapshot, &table, &ReadQuery::default(), 1_000).await;
    let sizes: Vec<_> = pages.iter().map(arrow_array::RecordBatch::num_rows).collect();
    assert_eq!(sizes, [vec![3; 13], vec![1]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_nobody_waits_for_ends_and_the_snapshot_goes_on() {
    let place = Place::new().await;
    let table = grid(&place, 1_000, 1_000).await;
    let mut snapshot = place.snapshot().await;
    // Looks at every row and finds none.
    let nothing = ReadQuery {
        dimension_filters: vec![("name".to_owned(), vec![text("none")])],
        ..ReadQuery::default()
    };
    let search = snapshot.read(&table, &nothing);
    let begun = Instant::now();
    assert!(search.page(None, 10).await.unwrap().is_none());
    let whole = begun.elapsed();
    let few = ReadQuery {
        range: TimeRange { start: None, end: Some(Bound { time: at(0), inclusive: true }) },
        ..ReadQuery::default()
    };
    for patience in [0, 50, 100, 200, 300, 500, 700, 1_000, 1_500, 2_000, 5_000, 10_000, 20_000] {
        let given_up = tokio::time::timeout(Duration::from_micros(patience), search.page(None, 10)).await;
        assert!(given_up.is_err(), "{patience} µs are enough for the whole table");
        let begun = Instant::now();
        assert_eq!(read(&mut snapshot, &table, &few, 300).await.len(), 1_000);
        eprintln!("{:?} of {whole:?}", begun.elapsed());
        assert_eq!(snapshot.progress(&table).await.unwrap().rows(), 0);
    }
    // Pages with rows, given up at any moment, too.
    for patience in 0..40 {
        let read_all = snapshot.read(&table, &ReadQuery::default());
        let _ =
            tokio::time::timeout(Duration::from_micros(patience * 400), read_all.page(None, 20_000)).await;
        let page = read_all.page(None, 7).await.unwrap().unwrap();
        assert_eq!(rows(&table.contract, &page.batch)[6].0, (0, name(6)));
    }
}

#[tokio::test]
async fn a_snapshot_does_not_see_later_commits_and_reads_may_take_turns() {
    let place = Place::new().await;
    let table = place.register(&contract("t", &[("id", DataType::Int64)])).await;
    let model = |time: i64| -> Model {
        (0..200).map(|id| ((time, Coordinate(vec![CoordinateValue::Int(id)])), Some(time))).collect()
    };
    let table = place.fill(&table, "1", &model(1)).await;
    let mut before = place.snapshot().await;
    let later = place.fill(&table, "2", &model(2)).await;
    let mut after = place.snapshot().await;
    assert_eq!(before.table(&table.uid).await.unwrap(), table);
    assert_eq!(before.progress(&table).await.unwrap().rows(), 200);
    assert_eq!(after.table(&table.uid).await.unwrap(), later);
    assert_eq!(read(&mut after, &table, &ReadQuery::default(), 64).await.len(), 400);
    let (one, two) = (
        before.read(&table, &ReadQuery::default()),
        before.read(&table, &ReadQuery { columns: Some(Vec::new()), ..ReadQuery::default() }),
    );
    let mut keys = (None, None);
    for _ in 0..4 {
        let first = one.page(keys.0.as_ref(), 50).await.unwrap().unwrap();
        let second = two.page(keys.1.as_ref(), 50).await.unwrap().unwrap();
        assert_eq!((first.batch.num_columns(), second.batch.num_columns()), (3, 2));
        keys = (Some(first.last), Some(second.last));
    }
    assert!(one.page(keys.0.as_ref(), 50).await.unwrap().is_none());
    before.end().await;
    assert!(one.page(None, 50).await.is_err(), "a read ends with its snapshot");
}
