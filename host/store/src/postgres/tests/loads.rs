//! Rows of files in reference tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datanode_core::Diagnostic;
use datanode_core::contract::Contract;
use proptest::prelude::*;

use super::{Place, support};
use crate::{LoadRows, Loaded, PlacedBatch, StoreError, Table};

fn assets() -> Contract {
    Contract::from_toml(
        r#"
        identifier = "assets"
        kind = "reference"
        primary_key = ["name", "venue"]
        columns = [
            { name = "size", type = "float64", nullable = true },
            { name = "name", type = "string" },
            { name = "venue", type = "int64" },
            { name = "info", type = "json", nullable = true },
        ]"#,
    )
    .unwrap()
}

type Assets = BTreeMap<(String, i64), Option<i32>>;

fn placed(rows: &[(&(String, i64), &Option<i32>)], first: u64) -> PlacedBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(_, size)| size.map(f64::from)).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|((name, _), _)| Some(name.as_str())).collect::<StringArray>()),
        Arc::new(rows.iter().map(|((_, venue), _)| Some(*venue)).collect::<Int64Array>()),
        Arc::new(
            rows.iter()
                .map(|(_, size)| size.map(|size| format!("{{ \"s\":{size}}}")))
                .collect::<StringArray>(),
        ),
    ];
    let batch = RecordBatch::try_new(assets().arrow_schema(), columns).unwrap();
    PlacedBatch { places: (first..first + batch.num_rows() as u64).collect(), batch }
}

async fn load(
    place: &Place,
    table: &Table,
    rows: &Assets,
    cut: usize,
    replace: bool,
) -> Result<Loaded, StoreError> {
    let all: Vec<_> = rows.iter().collect();
    let batches: Vec<_> =
        all.chunks(cut).zip((1..).step_by(cut)).map(|(rows, first)| Ok(placed(rows, first))).collect();
    let rows = Box::new(batches.into_iter());
    place.load(LoadRows { table: table.clone(), rows, place: "row", replace }).await
}

#[test]
fn loads_are_those_of_a_sorted_map() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::new());
    let table = runtime.block_on(place.register(&assets()));
    let rows =
        || prop::collection::btree_map(("[a-c\u{e9}]{0,2}", -3_i64..3), prop::option::of(0..3_i32), 0..12);
    let held = std::cell::RefCell::new(Assets::new());
    support::runner(60)
        .run(&(rows(), 1_usize..5, any::<bool>()), |(given, cut, replace)| {
            let mut model = held.borrow_mut();
            let before = model.clone();
            let loaded = runtime.block_on(load(&place, &table, &given, cut, replace)).unwrap();
            if replace {
                model.clear();
            }
            model.extend(given.clone());
            let count = |keys: usize| keys as u64;
            let new = given.keys().filter(|key| !before.contains_key(*key)).count();
            let same = given.iter().filter(|(key, size)| before.get(*key) == Some(size)).count();
            prop_assert_eq!((loaded.inserted, loaded.unchanged), (count(new), count(same)));
            prop_assert_eq!(loaded.updated, count(given.len() - new - same));
            prop_assert_eq!(loaded.deleted, count(before.len() + new - model.len()));
            let stored: i64 = runtime.block_on(place.number("SELECT count(*) FROM datanode_tables.assets"));
            prop_assert_eq!(stored, i64::try_from(model.len()).unwrap());
            let changed = loaded.inserted + loaded.updated + loaded.deleted > 0;
            let epoch = runtime.block_on(place.table(&table.uid)).epoch;
            prop_assert_eq!(loaded.table.epoch, epoch);
            prop_assert_eq!(changed, before != *model);
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_load_is_refused_as_a_whole() {
    let place = Place::new().await;
    let table = place.register(&assets()).await;
    let one = Assets::from([(("a".to_owned(), 1), Some(1))]);
    load(&place, &table, &one, 1, false).await.unwrap();
    let two = Assets::from([(("b".to_owned(), 1), None), (("c".to_owned(), 1), None)]);
    let two: Vec<_> = two.iter().collect();
    let batches = vec![Ok(placed(&two, 1)), Ok(placed(&two[1..], 3)), Ok(placed(&two, 4))];
    let rows =
        LoadRows { table: table.clone(), rows: Box::new(batches.into_iter()), place: "row", replace: true };
    let error = place.load(rows).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `assets`: the key (c, 1) stands in row 2 and again in row 3; nothing was stored"
    );
    assert_eq!(error.code(), "load.key_twice");
    assert_eq!(place.number("SELECT count(*) FROM datanode_tables.assets").await, 1);
    let prices = place.register(&support::contract("prices", &[])).await;
    assert_eq!(load(&place, &prices, &Assets::new(), 1, true).await.unwrap_err().code(), "load.time_indexed");
}

#[tokio::test]
async fn rows_that_refer_and_rows_that_are_referred_to_are_named() {
    let place = Place::new().await;
    let table = place.register(&assets()).await;
    let rows: Assets = (0..30).map(|venue| (("a".to_owned(), venue), None)).collect();
    load(&place, &table, &rows, 7, false).await.unwrap();
    let mut places = Contract::from_toml(
        "identifier = \"places\"\nkind = \"reference\"\nprimary_key = [\"id\"]\ncolumns = [\
         { name = \"id\", type = \"uuid\" }, { name = \"name\", type = \"string\" }, \
         { name = \"venue\", type = \"int64\", nullable = true }]",
    )
    .unwrap();
    let key = format!(
        "{{\"columns\": [\"name\", \"venue\"], \"references\": {{\"table\": \"{}\", \"columns\": [\"name\", \"venue\"]}}}}",
        table.uid
    );
    places.foreign_keys = vec![serde_json::from_str(&key).unwrap()];
    let places = place
        .table_with(
            &places,
            ", FOREIGN KEY (\"name\", \"venue\") REFERENCES datanode_tables.assets (\"name\", \"venue\")",
        )
        .await;
    let rows_of = |venues: Vec<Option<i64>>| {
        let ids = (0_u8..).take(venues.len()).map(|at| [at; 16]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(arrow_array::FixedSizeBinaryArray::try_from_iter(ids).unwrap()),
            Arc::new(venues.iter().map(|_| Some("a")).collect::<StringArray>()),
            Arc::new(Int64Array::from(venues.clone())),
        ];
        let batch = RecordBatch::try_new(places.contract.arrow_schema(), columns).unwrap();
        let rows = [Ok(PlacedBatch { places: (1..=venues.len() as u64).collect(), batch })];
        LoadRows { table: places.clone(), rows: Box::new(rows.into_iter()), place: "line", replace: false }
    };
    let error = place.load(rows_of(vec![Some(1), None, Some(77), Some(78)])).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `places`, line 3, row (02020202-0202-0202-0202-020202020202): (name, venue) = (a, 77) is no row of \
         table `assets`; nothing was stored"
    );
    place.load(rows_of(vec![Some(1), None, Some(5)])).await.unwrap();
    let fewer: Assets = rows.into_iter().filter(|((_, venue), _)| *venue != 5 && *venue != 7).collect();
    let error = load(&place, &table, &fewer, 9, true).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `assets`: the row (a, 5) would go, but rows of table `places` refer to it by (name, venue); nothing was \
         changed"
    );
    assert_eq!(place.number("SELECT count(*) FROM datanode_tables.assets").await, 30);
}
