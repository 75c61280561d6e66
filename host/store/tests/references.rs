//! Reference tables, foreign keys, field ids and identifiers that move.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::{
    self, Model, Place, at, commit, contract, fill, new_node, on_both_databases, progress,
    properties_on_both_databases, run, table, text,
};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::query::ReadQuery;
use datanode_core::{Diagnostic, ErrorClass};
use datanode_store::{LoadRows, Loaded, NewNode, PlacedBatch, StoreError, Table};
use proptest::prelude::*;
use tokio::runtime::Runtime;

fn assets() -> Contract {
    Contract::from_toml(
        r#"
        identifier = "assets"
        kind = "reference"
        primary_key = ["name", "venue"]
        columns = [
            { name = "size", type = "int64", nullable = true },
            { name = "name", type = "string" },
            { name = "venue", type = "int64" },
            { name = "info", type = "json", nullable = true },
        ]"#,
    )
    .unwrap()
}

type Assets = BTreeMap<(String, i64), Option<i64>>;

fn placed<'r>(rows: impl Iterator<Item = (&'r (String, i64), &'r Option<i64>)>, first: u64) -> PlacedBatch {
    let rows: Vec<_> = rows.collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(_, size)| **size).collect::<Int64Array>()),
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

/// Load rows in batches of `cut`.
async fn load(
    place: &Place,
    table: &Table,
    rows: &Assets,
    cut: usize,
    replace: bool,
) -> Result<Loaded, StoreError> {
    let all: Vec<_> = rows.iter().collect();
    let batches: Vec<_> = all
        .chunks(cut)
        .zip((1..).step_by(cut))
        .map(|(rows, first)| Ok(placed(rows.iter().copied(), first)))
        .collect();
    let rows = Box::new(batches.into_iter());
    place.store.load_rows(LoadRows { table: table.clone(), rows, place: "row", replace }).await
}

async fn read(
    place: &Place,
    table: &Table,
    query: &ReadQuery,
    page: usize,
) -> Vec<((String, i64), Option<i64>)> {
    let mut snapshot = place.store.snapshot().await.unwrap();
    assert_eq!(snapshot.progress(table).await.unwrap().rows(), 0, "a reference table has no progress");
    let pages = support::pages(&mut snapshot, table, query, page).await;
    let row = |batch: &RecordBatch, row: usize| {
        let number = |name: &str| {
            let array = batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().clone();
            array.iter().nth(row).unwrap()
        };
        let name = batch.column_by_name("name").unwrap().as_string::<i32>().value(row).to_owned();
        ((name, number("venue").unwrap()), number("size"))
    };
    pages
        .iter()
        .flat_map(|batch| (0..batch.num_rows()).map(|at| row(batch, at)).collect::<Vec<_>>())
        .collect()
}

/// Whatever is loaded, in whatever batches, the table is what a map would be, and is read in the order of its key.
fn loads_and_reads_are_those_of_a_sorted_map(runtime: &Runtime, place: &Place) {
    let table = runtime.block_on(table(&*place.store, &assets()));
    let rows =
        || prop::collection::btree_map(("[a-c\u{e9}]{0,2}", -3i64..3), prop::option::of(0i64..3), 0..12);
    let (held, epoch) = (std::cell::RefCell::new(Assets::new()), std::cell::Cell::new(table.epoch));
    support::runner(60)
        .run(&(rows(), 1usize..5, any::<bool>(), 1usize..7, "[a-c]"), |(given, cut, replace, page, name)| {
            let mut model = held.borrow_mut();
            let before = model.clone();
            let loaded = runtime.block_on(load(place, &table, &given, cut, replace)).unwrap();
            if replace {
                model.clear();
            }
            model.extend(given.clone());
            let known = |key: &&(String, i64)| before.contains_key(*key);
            let count = |keys: usize| keys as u64;
            prop_assert_eq!(loaded.inserted, count(given.keys().filter(|key| !known(key)).count()));
            prop_assert_eq!(
                loaded.unchanged,
                count(given.iter().filter(|(key, size)| before.get(*key) == Some(size)).count())
            );
            prop_assert_eq!(loaded.inserted + loaded.updated + loaded.unchanged, count(given.len()));
            prop_assert_eq!(loaded.deleted, count(before.len()) + loaded.inserted - count(model.len()));
            let changed = i64::from(before != *model);
            prop_assert_eq!(loaded.table.epoch, epoch.replace(loaded.table.epoch) + changed);
            let all: Vec<_> = model.clone().into_iter().collect();
            prop_assert_eq!(&runtime.block_on(read(place, &table, &ReadQuery::default(), page)), &all);
            let query = ReadQuery {
                dimension_filters: vec![("name".to_owned(), vec![text(&name)])],
                ..ReadQuery::default()
            };
            let wanted: Vec<_> = all.into_iter().filter(|((found, _), _)| *found == name).collect();
            prop_assert_eq!(runtime.block_on(read(place, &table, &query, page)), wanted);
            Ok(())
        })
        .unwrap();
}

async fn a_load_is_refused_as_a_whole(place: Place) {
    let assets = table(&*place.store, &assets()).await;
    let one = Assets::from([(("a".to_owned(), 1), Some(1))]);
    load(&place, &assets, &one, 1, false).await.unwrap();
    let epoch = place.store.table("assets").await.unwrap().epoch;
    // One key in two batches; a row of the first one is new.
    let two = Assets::from([(("b".to_owned(), 1), None), (("c".to_owned(), 1), None)]);
    let batches = vec![Ok(placed(two.iter(), 1)), Ok(placed(two.iter().skip(1), 3))];
    let rows =
        LoadRows { table: assets.clone(), rows: Box::new(batches.into_iter()), place: "row", replace: true };
    let error = place.store.load_rows(rows).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `assets`: the key (c, 1) stands in row 2 and again in row 3; nothing was stored"
    );
    assert_eq!((error.code(), error.class()), ("load.key_twice", ErrorClass::Failed));
    assert_eq!(read(&place, &assets, &ReadQuery::default(), 9).await, one.into_iter().collect::<Vec<_>>());
    assert_eq!(place.store.table("assets").await.unwrap().epoch, epoch);
    // What waited for the load that failed is gone: the next one on the same connection is whole.
    let loaded = load(&place, &assets, &two, 1, true).await.unwrap();
    assert_eq!((loaded.inserted, loaded.deleted, loaded.table.epoch), (2, 1, epoch + 1));

    let prices = table(&*place.store, &contract("prices", &[])).await;
    let error = load(&place, &prices, &Assets::new(), 1, true).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("load.time_indexed", ErrorClass::Refused));
}

async fn a_commit_whose_row_refers_to_nothing_stores_nothing_and_names_the_row(place: Place) {
    let assets = table(&*place.store, &assets()).await;
    let dimensions = [("name", DataType::String), ("venue", DataType::Int64)];
    let mut prices = contract("prices", &dimensions);
    let target = "{\"columns\": [\"name\", \"venue\"], \"references\": {\"table\": \"assets\", \"columns\": [\"name\", \"venue\"]}}";
    prices.foreign_keys = vec![serde_json::from_str(target).unwrap()];
    let prices = table(&*place.store, &prices).await;
    assert_eq!(prices.contract.foreign_keys[0].references.table, assets.uid, "kept by uid");
    let referrers = place.store.referrers(&assets.uid).await.unwrap();
    assert_eq!((referrers.len(), referrers[0].table.as_str()), (1, "prices"));

    let rows: Assets = (0..40).map(|venue| (("a".to_owned(), venue), None)).collect();
    load(&place, &assets, &rows, 16, false).await.unwrap();
    let model = |venues: std::ops::Range<i64>| -> Model {
        let key = |venue| (venue, Coordinate(vec![text("a"), CoordinateValue::Int(venue)]));
        venues.map(|venue| (key(venue), Some(venue))).collect()
    };
    let node = support::node(&*place.store, &prices).await;
    // The statement of sixteen rows that fails holds rows that are right, too.
    let bad = model(0..43);
    let batches = vec![support::batch(&prices.contract, &bad)];
    let commit = commit(&*place.store, &prices, run(&node, "bad"), batches, progress(bad.keys())).await;
    let error = place.store.commit_run(commit).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("store.foreign_key", ErrorClass::Failed));
    assert_eq!(
        error.to_string(),
        "table `prices`, row (1970-01-01T00:00:00.000040Z, a, 40): (name, venue) = (a, 40) is no row of table `assets`; \
         nothing was stored"
    );
    assert_eq!(place.number("SELECT count(*) FROM prices"), 0);
    assert_eq!(place.number("SELECT count(*) FROM _runs"), 0);
    fill(&*place.store, &prices, "good", &model(0..40)).await;
}

async fn rows_of_files_that_refer_and_rows_that_are_referred_to_are_named(place: Place) {
    let assets = table(&*place.store, &assets()).await;
    let rows: Assets = (0..30).map(|venue| (("a".to_owned(), venue), None)).collect();
    load(&place, &assets, &rows, 7, false).await.unwrap();
    let places = Contract::from_toml(
        r#"
        identifier = "places"
        kind = "reference"
        primary_key = ["id"]
        columns = [
            { name = "id", type = "int64" },
            { name = "name", type = "string" },
            { name = "venue", type = "int64", nullable = true },
        ]
        [[foreign_keys]]
        columns = ["name", "venue"]
        references = { table = "assets", columns = ["name", "venue"] }"#,
    )
    .unwrap();
    let places = table(&*place.store, &places).await;
    let rows_of = |venues: Vec<Option<i64>>| {
        let columns: Vec<ArrayRef> = vec![
            Arc::new((2..).take(venues.len()).map(Some).collect::<Int64Array>()),
            Arc::new(venues.iter().map(|_| Some("a")).collect::<StringArray>()),
            Arc::new(Int64Array::from(venues.clone())),
        ];
        let batch = RecordBatch::try_new(places.contract.arrow_schema(), columns).unwrap();
        let rows = [Ok(PlacedBatch { places: (1..=venues.len() as u64).collect(), batch })];
        LoadRows { table: places.clone(), rows: Box::new(rows.into_iter()), place: "line", replace: false }
    };
    let error = place.store.load_rows(rows_of(vec![Some(1), None, Some(77), Some(78)])).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `places`, line 3, row (4): (name, venue) = (a, 77) is no row of table `assets`; nothing was stored"
    );
    // A part of the key that is null refers to nothing.
    place.store.load_rows(rows_of(vec![Some(1), None, Some(5)])).await.unwrap();
    let fewer: Assets = rows.into_iter().filter(|((_, venue), _)| *venue != 5 && *venue != 7).collect();
    let error = load(&place, &assets, &fewer, 9, true).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `assets`: the row (a, 5) would go, but rows of table `places` refer to it by (name, venue); nothing was \
         changed"
    );
    assert_eq!(place.number("SELECT count(*) FROM assets"), 30);
}

/// Of the embedded database alone: no earlier version knew a server.
#[tokio::test]
async fn contracts_of_earlier_versions_get_their_field_ids_when_they_are_read() {
    let place = Place::sqlite().await;
    let held = contract("prices", &[("order", DataType::String)]);
    let first = table(&*place.store, &held).await;
    let written = serde_json::to_string(&held).unwrap();
    assert!(!written.contains("last_field_id"));
    place.raw().execute("UPDATE _tables SET contract = ?1", [&written]).unwrap();
    let found = place.store.table("prices").await.unwrap();
    assert_eq!(found, first, "the same ids, by position");
    // A rename is known as one, and refused as one.
    let mut renamed = held.clone();
    renamed.columns[2].name = "amount".to_owned();
    renamed.columns[2].id = Some(3);
    let difference = place.store.table_difference(&renamed).await.unwrap();
    assert_eq!(
        difference.changes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["name of field 3: `value` in the catalogue, `amount` here"]
    );
    // Metadata are applied over it, and the ids are kept from then on.
    let described = Contract { description: "Prices.".to_owned(), ..held };
    place.store.register_table(&described, at(9)).await.unwrap();
    let kept: String = place.raw().query_row("SELECT contract FROM _tables", (), |row| row.get(0)).unwrap();
    assert!(kept.contains("\"last_field_id\":3"), "{kept}");
}

async fn identifiers_move_and_storage_stays(place: Place) {
    let old = table(&*place.store, &contract("prices", &[])).await;
    let new = table(&*place.store, &contract("prices_2", &[])).await;
    let model = Model::from([((1, Coordinate::default()), Some(1))]);
    fill(&*place.store, &old, "run", &model).await;
    let node = place.store.ensure_node(NewNode { ..new_node(&old, "c_1") }).await.unwrap().value;

    let error = place.store.repoint("prices", "prices_2", None).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("contract.identifier_taken", ErrorClass::Refused));
    assert_eq!(
        error.next_step().unwrap(),
        "say what that table is called from now on: datanode table repoint prices --to prices_2 --rename-old prices_old"
    );
    // They trade.
    let moved = place.store.repoint("prices", "prices_2", Some("prices_2")).await.unwrap();
    assert_eq!((&moved.table.uid, &moved.former.unwrap().uid), (&new.uid, &old.uid));
    assert_eq!(place.store.table("prices").await.unwrap().uid, new.uid);
    let former = place.store.table("prices_2").await.unwrap();
    assert_eq!((&former.uid, former.contract.physical_name()), (&old.uid, "prices"));
    assert_eq!(place.store.node(&node.uid).await.unwrap().table, "prices_2");
    let mut snapshot = place.store.snapshot().await.unwrap();
    assert_eq!(
        support::read(&mut snapshot, &former, &ReadQuery::default(), 9).await,
        model.into_iter().collect::<Vec<_>>()
    );
    // A file that names no physical name means the table that is there.
    assert!(!place.store.register_table(&contract("prices", &[]), at(9)).await.unwrap().created);
    assert_eq!(place.store.table("prices").await.unwrap().uid, new.uid);
    // Without a holder it is a new name, and again changes nothing.
    let moved = place.store.repoint("costs", "prices", None).await.unwrap();
    assert_eq!((moved.before.as_str(), moved.former), ("prices", None));
    assert_eq!(place.store.repoint("costs", &new.uid, None).await.unwrap().before, "costs");
    assert_eq!(
        place.store.repoint("prices", "costs", Some("x")).await.unwrap_err().code(),
        "store.table_not_found"
    );
    assert_eq!(place.store.repoint("Costs", "costs", None).await.unwrap_err().code(), "contract.name");
}

properties_on_both_databases!(loads_and_reads_are_those_of_a_sorted_map);

on_both_databases!(
    a_load_is_refused_as_a_whole,
    a_commit_whose_row_refers_to_nothing_stores_nothing_and_names_the_row,
    rows_of_files_that_refer_and_rows_that_are_referred_to_are_named,
    identifiers_move_and_storage_stays,
);
