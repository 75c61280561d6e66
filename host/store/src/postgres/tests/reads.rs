//! Plans of reads, and reads that nobody waits for.

use std::time::{Duration, Instant};

use datanode_core::coordinate::Coordinate;
use datanode_core::data_type::DataType;
use datanode_core::query::{Bound, CoordinateRange, RangeMap, ReadQuery, TimeRange};
use sqlx::{AssertSqlSafe, Row};

use super::Place;
use super::support::{at, contract, read, rows, text};
use crate::postgres::select::Select;

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
