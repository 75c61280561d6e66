//! Tails that go: exactly the rows of the scope, and progress that stays what a count would say.

use crate::support::{
    self, Model, Place, at, batch, commit, contract, fill, node, on_both_databases, progress,
    properties_on_both_databases, read, run, table, text,
};
use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::progress::CoordinateProgress;
use datanode_core::query::ReadQuery;
use datanode_core::{Diagnostic, ErrorClass};
use datanode_store::{DeleteAfter, DeleteScope, Deleted, StoreError, Table};
use proptest::prelude::*;
use tokio::runtime::Runtime;
use uuid::Uuid;

fn delete(table: &Table, after: i64, scope: DeleteScope) -> DeleteAfter {
    DeleteAfter { table_uid: table.uid.clone(), after: at(after), scope }
}

/// What a scope means, in words of a loop.
fn matches(scope: &DeleteScope, names: &[&str], coordinate: &Coordinate) -> bool {
    let value = |name: &String| &coordinate.0[names.iter().position(|known| known == name).unwrap()];
    match scope {
        DeleteScope::All => true,
        DeleteScope::DimensionFilters(filters) => {
            filters.iter().all(|(name, values)| values.contains(value(name)))
        }
        DeleteScope::IndexCoordinates(coordinates) => {
            coordinates.iter().any(|partial| partial.iter().all(|(name, wanted)| value(name) == wanted))
        }
    }
}

const NAMES: [&str; 2] = ["name", "id"];

fn dimension_value(name: &str, number: i64) -> CoordinateValue {
    if name == "name" {
        text(["a", "it's", "ü"][usize::try_from(number).unwrap()])
    } else {
        CoordinateValue::Int(number)
    }
}

fn scope() -> impl Strategy<Value = DeleteScope> {
    let dimension = || (0..2_usize).prop_map(|at| NAMES[at]);
    let filter = (dimension(), prop::collection::vec(0..3_i64, 0..3)).prop_map(|(name, values)| {
        (name.to_owned(), values.into_iter().map(|value| dimension_value(name, value)).collect())
    });
    let partial = prop::collection::vec((dimension(), 0..3_i64), 0..4).prop_map(|values| {
        values.into_iter().map(|(name, value)| (name.to_owned(), dimension_value(name, value))).collect()
    });
    prop_oneof![
        Just(DeleteScope::All),
        prop::collection::vec(filter, 0..3).prop_map(DeleteScope::DimensionFilters),
        prop::collection::vec(partial, 0..4).prop_map(DeleteScope::IndexCoordinates),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    /// Rows behind all that is there: (time within the step, name, id).
    Commit(Vec<(i64, i64, i64)>),
    /// From a time on, in thirds of a step.
    Delete(i64, DeleteScope),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = prop::collection::vec((0..20_i64, 0..3_i64, 0..3_i64), 0..25);
    let step = prop_oneof![
        rows.prop_map(Step::Commit),
        (0..200_i64, scope()).prop_map(|(time, scope)| Step::Delete(time, scope))
    ];
    prop::collection::vec(step, 1..8)
}

fn any_commits_and_tail_deletes_leave_the_rows_and_progress_of_a_loop(runtime: &Runtime, place: &Place) {
    support::runner(48)
        .run(&steps(), |steps| {
            let name = format!("p{}", Uuid::new_v4().simple());
            runtime.block_on(async {
                let contract = contract(&name, &[("name", DataType::String), ("id", DataType::Int64)]);
                let mut table = table(&*place.store, &contract).await;
                let mut model = Model::new();
                for (number, step) in steps.into_iter().enumerate() {
                    let offset = i64::try_from(number).unwrap() * 20;
                    let epoch = table.epoch;
                    match step {
                        Step::Commit(rows) => {
                            let coordinate = |name, id| {
                                Coordinate(vec![dimension_value("name", name), dimension_value("id", id)])
                            };
                            let rows: Model = rows
                                .into_iter()
                                .map(|(time, name, id)| ((offset + time, coordinate(name, id)), Some(time)))
                                .collect();
                            table = fill(&*place.store, &table, &format!("{name}-{number}"), &rows).await;
                            model.extend(rows);
                        }
                        Step::Delete(time, scope) => {
                            let before = model.len();
                            model.retain(|(at, coordinate), _| {
                                *at < time || !matches(&scope, &NAMES, coordinate)
                            });
                            let gone = (before - model.len()) as u64;
                            let deleted =
                                place.store.delete_after(&delete(&table, time, scope)).await.unwrap();
                            prop_assert_eq!(deleted.rows, gone);
                            prop_assert_eq!(deleted.progress, progress(model.keys()));
                            let moved = gone > 0 || !deleted.reopened.is_empty();
                            prop_assert_eq!(deleted.table.epoch, epoch + i64::from(moved));
                            table = deleted.table;
                        }
                    }
                    let mut snapshot = place.store.snapshot().await.unwrap();
                    prop_assert_eq!(snapshot.progress(&table).await.unwrap(), progress(model.keys()));
                    let stored = read(&mut snapshot, &table, &ReadQuery::default(), 100).await;
                    prop_assert_eq!(stored, model.clone().into_iter().collect::<Vec<_>>());
                    prop_assert_eq!(place.store.verify_progress(&table.uid).await.unwrap(), vec![]);
                }
                Ok(())
            })
        })
        .unwrap();
}

properties_on_both_databases!(any_commits_and_tail_deletes_leave_the_rows_and_progress_of_a_loop);

async fn a_table_without_dimensions_has_a_tail_too(place: Place) {
    let table = table(&*place.store, &contract("rates", &[])).await;
    let rows: Model = (0..10).map(|time| ((time, Coordinate(Vec::new())), Some(time))).collect();
    let table = fill(&*place.store, &table, "r", &rows).await;
    let deleted = place.store.delete_after(&delete(&table, 7, DeleteScope::All)).await.unwrap();
    assert_eq!((deleted.rows, deleted.table.epoch), (3, table.epoch + 1));
    let left = CoordinateProgress { min: at(0), max: at(6), rows: 7 };
    assert_eq!(deleted.progress.get(&Coordinate(Vec::new())), Some(&left));
    // Again: nothing is left to delete, and no commit in flight is disturbed.
    let again = place.store.delete_after(&delete(&table, 7, DeleteScope::All)).await.unwrap();
    assert_eq!((again.rows, again.table.epoch), (0, deleted.table.epoch));
    let Deleted { rows, progress, .. } =
        place.store.delete_after(&delete(&table, 0, DeleteScope::All)).await.unwrap();
    assert_eq!((rows, progress.is_empty()), (7, true));
    assert_eq!(place.number("SELECT count(*) FROM _progress"), 0);
}

/// What is left of a coordinate may lie far before the cut, among rows of many others.
async fn what_is_left_is_found_however_far_back(place: Place) {
    const NAMES: i64 = 20;
    let table = table(&*place.store, &contract("rates", &[("name", DataType::String)])).await;
    let of = |name: &str| Coordinate(vec![text(name)]);
    let many = (0..1_000).flat_map(|time| (0..NAMES).map(move |number| (time, format!("n{number:02}"))));
    let mut model: Model = many.map(|(time, name)| ((time, of(&name)), Some(time))).collect();
    for (name, times) in [("rare", [0, 2, 950]), ("rarer", [7, 990, 999]), ("gone", [970, 971, 972])] {
        model.extend(times.map(|time| ((time, of(name)), Some(time))));
    }
    let mut table = fill(&*place.store, &table, "first", &model).await;
    let rare = |names: &[&str]| {
        let values = names.iter().map(|name| text(name)).collect();
        DeleteScope::DimensionFilters(vec![("name".to_owned(), values)])
    };
    let all = || DeleteScope::All;
    // Of a few, of all, of one far back; so that little is left; all that is left.
    for (after, scope) in [
        (960, rare(&["rarer", "n05"])),
        (900, all()),
        (1, rare(&["rare"])),
        (40, all()),
        (-1, all()),
        (5, all()),
    ] {
        let before = model.len();
        model.retain(|(at, coordinate), _| *at < after || !matches(&scope, &["name"], coordinate));
        let deleted = place.store.delete_after(&delete(&table, after, scope)).await.unwrap();
        assert_eq!(deleted.rows, (before - model.len()) as u64, "after {after}");
        assert_eq!(deleted.progress, progress(model.keys()), "after {after}");
        assert_eq!(deleted.table.epoch, table.epoch + i64::from(before > model.len()));
        table = deleted.table;
        let mut snapshot = place.store.snapshot().await.unwrap();
        assert_eq!(snapshot.progress(&table).await.unwrap(), progress(model.keys()));
        let stored = read(&mut snapshot, &table, &ReadQuery::default(), 5_000).await;
        assert_eq!(stored, model.clone().into_iter().collect::<Vec<_>>());
        assert_eq!(place.store.verify_progress(&table.uid).await.unwrap(), vec![]);
    }
    assert_eq!(place.number("SELECT count(*) FROM rates"), 0);
}

async fn a_commit_in_flight_is_refused(place: Place) {
    let table = table(&*place.store, &contract("rates", &[])).await;
    let row = |time| Model::from([((time, Coordinate(Vec::new())), Some(time))]);
    let table = fill(&*place.store, &table, "first", &row(1)).await;
    let rows = row(2);
    let late = commit(
        &*place.store,
        &table,
        run(&node(&*place.store, &table).await, "late"),
        vec![batch(&table.contract, &rows)],
        progress(rows.keys()),
    )
    .await;
    place.store.delete_after(&delete(&table, 1, DeleteScope::All)).await.unwrap();
    let error = place.store.commit_run(late).await.unwrap_err();
    assert!(matches!(error, StoreError::TableMoved { .. }), "{error}");
    assert_eq!(place.number("SELECT count(*) FROM rates"), 0);
}

/// A table whose rows may refer to rows of `rates`, its own if that is its name.
fn referring(identifier: &str) -> Contract {
    Contract::from_toml(&format!(
        r#"
        identifier = "{identifier}"
        index = ["time_index"]
        columns = [
            {{ name = "time_index", type = "timestamp_tz" }},
            {{ name = "value", type = "timestamp_tz", nullable = true }},
        ]
        foreign_keys = [{{ columns = ["value"], references = {{ table = "rates", columns = ["time_index"] }} }}]"#
    ))
    .unwrap()
}

/// Make a row refer to another, as no batch of these tests could.
fn refer(place: &Place, table: &str, row: i64, to: i64) {
    let (row, to) = (place.moment(row), place.moment(to));
    place.execute(&format!("INSERT INTO {table} (time_index, value) VALUES ({row}, {to})"));
}

async fn rows_that_others_refer_to_stay_and_are_named(place: Place) {
    let rates = table(&*place.store, &contract("rates", &[])).await;
    table(&*place.store, &referring("others")).await;
    let rows: Model = (0..10).map(|time| ((time, Coordinate(Vec::new())), Some(time))).collect();
    let rates = fill(&*place.store, &rates, "r", &rows).await;
    refer(&place, "others", 3, 8);
    let error = place.store.delete_after(&delete(&rates, 5, DeleteScope::All)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `rates`: the row (1970-01-01T00:00:00.000008Z) would go, but rows of table `others` refer to it by \
         (value); nothing was changed"
    );
    assert_eq!((error.code(), error.class()), ("store.still_referenced", ErrorClass::Refused));
    assert_eq!(place.number("SELECT count(*) FROM rates"), 10);
    assert_eq!(place.store.table("rates").await.unwrap().epoch, rates.epoch);
    assert_eq!(place.store.delete_after(&delete(&rates, 9, DeleteScope::All)).await.unwrap().rows, 1);
}

async fn rows_that_refer_to_each_other_go_together(place: Place) {
    let rates = table(&*place.store, &referring("rates")).await;
    for (row, to) in [(1, 1), (5, 1), (6, 6), (7, 6), (2, 7)] {
        refer(&place, "rates", row, to);
    }
    let uid = &rates.uid;
    place.execute(&format!("INSERT INTO _progress (table_uid, coordinate, min_time, max_time, row_count) VALUES ('{uid}', '[]', 1, 7, 5)"));
    let error = place.store.delete_after(&delete(&rates, 5, DeleteScope::All)).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::StillReferenced { key, .. } if key.contains(".000007Z")),
        "7, to which 2 refers, and not 6, to which only 6 and 7 refer: {error}"
    );
    place.execute(&format!("UPDATE rates SET value = NULL WHERE time_index = {}", place.moment(2)));
    let deleted = place.store.delete_after(&delete(&rates, 5, DeleteScope::All)).await.unwrap();
    assert_eq!((deleted.rows, deleted.progress.max_time()), (3, Some(at(2))));
}

async fn a_reference_table_has_no_tail(place: Place) {
    let contract = Contract::from_toml(
        "identifier = \"assets\"\nkind = \"reference\"\nprimary_key = [\"name\"]\n\
         columns = [{ name = \"name\", type = \"string\" }]",
    )
    .unwrap();
    let assets = table(&*place.store, &contract).await;
    let error = place.store.delete_after(&delete(&assets, 0, DeleteScope::All)).await.unwrap_err();
    assert!(matches!(error, StoreError::NoTail { .. }), "{error}");
    assert_eq!(place.store.verify_progress(&assets.uid).await.unwrap(), vec![]);
}

async fn progress_that_somebody_broke_is_found_and_never_built_upon(place: Place) {
    let table = table(&*place.store, &contract("rates", &[("name", DataType::String)])).await;
    let key = |time, name| (time, Coordinate(vec![text(name)]));
    let rows: Model =
        (0..5).flat_map(|time| ["a", "b", "c"].map(|name| (key(time, name), Some(time)))).collect();
    let table = fill(&*place.store, &table, "r", &rows).await;
    assert_eq!(place.store.verify_progress(&table.uid).await.unwrap(), vec![]);
    place.execute("UPDATE _progress SET row_count = 1 WHERE coordinate = '[\"a\"]'");
    place.execute("DELETE FROM _progress WHERE coordinate = '[\"b\"]'");
    place.execute("UPDATE _progress SET coordinate = '[\"x\"]' WHERE coordinate = '[\"c\"]'");
    let found = place.store.verify_progress(&table.uid).await.unwrap();
    let whole = CoordinateProgress { min: at(0), max: at(4), rows: 5 };
    let found: Vec<_> =
        found.iter().map(|found| (found.coordinate.to_string(), found.kept, found.counted)).collect();
    assert_eq!(
        found,
        [
            ("(a)".to_owned(), Some(CoordinateProgress { rows: 1, ..whole }), Some(whole)),
            ("(b)".to_owned(), None, Some(whole)),
            ("(c)".to_owned(), None, Some(whole)),
            ("(x)".to_owned(), Some(whole), None),
        ]
    );
    let error = place.store.delete_after(&delete(&table, 2, DeleteScope::All)).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    assert_eq!(place.number("SELECT count(*) FROM rates"), 15);
}

on_both_databases!(
    a_table_without_dimensions_has_a_tail_too,
    what_is_left_is_found_however_far_back,
    a_commit_in_flight_is_refused,
    rows_that_others_refer_to_stay_and_are_named,
    rows_that_refer_to_each_other_go_together,
    progress_that_somebody_broke_is_found_and_never_built_upon,
    a_reference_table_has_no_tail,
);
