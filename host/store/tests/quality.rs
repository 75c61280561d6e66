//! Checks that compare new rows with stored ones: judged before the rows can be seen, and alike on both databases.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{
    Model, Place, at, batch, commit, contract, fill, new_node, node, on_both_databases, progress, read, run,
    runner, table, text,
};
use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::quality::Violation;
use datanode_core::query::ReadQuery;
use datanode_core::{Diagnostic, ErrorClass};
use datanode_store::{CommitOutcome, CommitRun, Node, Rehearsal, Rows, StoreError, Table, WriteMode};
use proptest::prelude::*;
use serde_json::{Value, json};

fn key(time: i64, name: &str) -> (i64, Coordinate) {
    (time, Coordinate(vec![text(name)]))
}

fn checked(contract: Contract, checks: Value) -> Contract {
    let contract = Contract { checks: serde_json::from_value(checks).unwrap(), ..contract };
    // As it would be read from a file.
    Contract::from_json(&serde_json::to_string(&contract).unwrap()).unwrap()
}

async fn prices(place: &Place, checks: Value) -> (Table, Node) {
    let contract = checked(contract("prices", &[("name", DataType::String)]), checks);
    let table = table(&*place.store, &contract).await;
    let node = node(&*place.store, &table).await;
    (table, node)
}

/// Commit rows, each in a batch of its own.
async fn bring(
    place: &Place,
    (table, node): &(Table, Node),
    run_id: &str,
    rows: &Model,
) -> Result<CommitOutcome, StoreError> {
    let batches = rows.iter().rev().map(|row| batch(&table.contract, [row])).collect();
    let commit = commit(&*place.store, table, run(node, run_id), batches, progress(rows.keys())).await;
    place.store.commit_run(commit).await
}

fn told(violation: &Violation) -> Vec<(&str, &str)> {
    let examples = violation.examples.iter();
    examples.map(|example| (example.key.as_deref().unwrap_or_default(), example.value.as_str())).collect()
}

async fn a_value_that_is_there_already_keeps_a_run_out_and_is_named(place: Place) {
    let check = json!([{"name": "once", "kind": "unique", "columns": ["value"]}]);
    let prices = prices(&place, check).await;
    fill(&*place.store, &prices.0, "first", &[(key(1, "a"), Some(7)), (key(1, "b"), None)].into()).await;
    let rows: Model =
        [(key(2, "a"), Some(1)), (key(2, "b"), None), (key(3, "a"), Some(7)), (key(3, "b"), Some(1))].into();
    let error = bring(&place, &prices, "second", &rows).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("quality.failed", ErrorClass::Failed));
    assert_eq!(
        error.to_string(),
        "table `prices`: nothing was stored, for the new rows break what its contract demands\n\
         check `once` (value is unique): 3 offending rows\n  \
         (1970-01-01T00:00:00.000002Z, a): value = 1\n  \
         (1970-01-01T00:00:00.000003Z, a): value = 7\n  \
         (1970-01-01T00:00:00.000003Z, b): value = 1"
    );
    let StoreError::Quality(error) = error else { panic!("{error}") };
    assert_eq!((error.violations[0].rows, error.violations[0].examples.len()), (3, 3));
    // Nothing of it is there, and the next run finds the lock free.
    assert_eq!(place.number("SELECT count(*) FROM prices"), 2);
    assert_eq!(place.number("SELECT count(*) FROM _runs WHERE run_id = 'second'"), 0);
    assert_eq!(place.number("SELECT sum(row_count) FROM _progress"), 2);
    let rows: Model = [(key(2, "a"), Some(1)), (key(2, "b"), None)].into();
    assert_eq!(bring(&place, &prices, "third", &rows).await.unwrap().record.violations, []);
}

async fn what_only_warns_is_stored_with_its_rows(place: Place) {
    let checks = json!([
        {"name": "once", "kind": "unique", "columns": ["value", "time_index"], "severity": "warn"},
        {"name": "rises", "kind": "monotonic", "column": "value", "severity": "warn"},
    ]);
    let prices = prices(&place, checks).await;
    fill(&*place.store, &prices.0, "first", &[(key(1, "a"), Some(7)), (key(5, "b"), Some(1))].into()).await;
    let rows: Model =
        [(key(6, "a"), Some(6)), (key(6, "b"), Some(6)), (key(7, "a"), None), (key(8, "a"), Some(5))].into();
    let record = bring(&place, &prices, "second", &rows).await.unwrap().record;
    let [once, rises] = &record.violations[..] else { panic!("{:?}", record.violations) };
    assert_eq!((once.check.as_str(), once.rows), ("once", 2));
    assert_eq!(
        told(once)[1],
        ("(1970-01-01T00:00:00.000006Z, b)", "value = 6, time_index = 1970-01-01T00:00:00.000006Z")
    );
    assert_eq!((rises.check.as_str(), rises.rows), ("rises", 2));
    assert_eq!(
        told(rises),
        [
            ("(1970-01-01T00:00:00.000006Z, a)", "value = 6 after 7"),
            ("(1970-01-01T00:00:00.000008Z, a)", "value = 5 after 6")
        ]
    );
    assert_eq!(record.warnings.len(), 2);
    assert_eq!(place.store.run("second").await.unwrap(), record, "stored as it was answered");
    assert_eq!(place.number("SELECT count(*) FROM prices"), 6);
}

async fn a_null_is_looked_through_for_the_value_before_it(place: Place) {
    let prices = prices(
        &place,
        json!([{"name": "falls", "kind": "monotonic", "column": "value",
        "direction": "decreasing", "strict": true}]),
    )
    .await;
    let stored: Model = [(key(1, "a"), Some(5)), (key(2, "a"), None), (key(2, "b"), Some(1))].into();
    fill(&*place.store, &prices.0, "first", &stored).await;
    let error = bring(&place, &prices, "same", &[(key(3, "a"), None), (key(4, "a"), Some(5))].into()).await;
    let StoreError::Quality(error) = error.unwrap_err() else { panic!("another error") };
    assert_eq!(told(&error.violations[0]), [("(1970-01-01T00:00:00.000004Z, a)", "value = 5 after 5")]);
    bring(&place, &prices, "less", &[(key(3, "a"), None), (key(4, "a"), Some(4))].into()).await.unwrap();
}

/// Rows of a table by coordinate: those before its cut are stored, the others come.
type Drawn = (BTreeMap<(i64, usize), Option<i64>>, [i64; 3]);

fn rows() -> impl Strategy<Value = Drawn> {
    (
        prop::collection::btree_map((0..9_i64, 0..3_usize), prop::option::weighted(0.8, 0..6_i64), 0..16),
        [0..9_i64, 0..9, 0..9],
    )
}

/// Whatever is stored and whatever comes, in whatever order: what is found is what a plain look finds.
async fn what_is_found_is_what_a_plain_look_finds(place: Place) {
    let place = Arc::new(place);
    // The property is synchronous, and asks from a thread of its own.
    let runtime = tokio::runtime::Handle::current();
    let work = move || {
        let number = std::cell::Cell::new(0);
        let property = |((rows, cuts), has_dimension, falls, strict): (Drawn, bool, bool, bool)| {
            number.set(number.get() + 1);
            runtime.block_on(look(&place, number.get(), &rows, cuts, has_dimension, (falls, strict)));
            Ok(())
        };
        runner(48).run(&(rows(), any::<bool>(), any::<bool>(), any::<bool>()), property).unwrap();
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

async fn look(
    place: &Place,
    number: u32,
    rows: &BTreeMap<(i64, usize), Option<i64>>,
    cuts: [i64; 3],
    has_dimension: bool,
    (falls, strict): (bool, bool),
) {
    let name = |at: usize| {
        if has_dimension { vec![CoordinateValue::Int(i64::try_from(at).unwrap() - 1)] } else { vec![] }
    };
    let dimensions = [("name", DataType::Int64)];
    let dimensions = if has_dimension { &dimensions[..] } else { &[] };
    let direction = if falls { "decreasing" } else { "increasing" };
    let checks = json!([
        {"name": "once", "kind": "unique", "columns": ["value"], "severity": "warn"},
        {"name": "way", "kind": "monotonic", "column": "value", "direction": direction, "strict": strict,
         "severity": "warn"},
    ]);
    let contract = checked(contract(&format!("t{number}"), dimensions), checks);
    let table = table(&*place.store, &contract).await;
    let node = place.store.ensure_node(new_node(&table, &format!("c_{number}"))).await.unwrap().value;
    let (mut stored, mut new) = (Model::new(), Model::new());
    for ((time, at), value) in rows {
        // Without dimensions there is one coordinate.
        let at = if has_dimension { *at } else { 0 };
        let to = if *time < cuts[at] { &mut stored } else { &mut new };
        to.insert((*time, Coordinate(name(at))), *value);
    }
    let table = {
        let batches = if stored.is_empty() { Vec::new() } else { vec![batch(&table.contract, &stored)] };
        let first = run(&node, &format!("first-{number}"));
        let commit = commit(&*place.store, &table, first, batches, progress(stored.keys())).await;
        place.store.commit_run(commit).await.unwrap();
        place.store.table(&table.uid).await.unwrap()
    };
    let outcome = bring(place, &(table, node), &format!("second-{number}"), &new).await.unwrap();

    let all: Model = stored.iter().chain(&new).map(|(key, value)| (key.clone(), *value)).collect();
    let is_twice = |key: &(i64, Coordinate), value: i64| {
        all.iter().any(|(other, found)| other != key && *found == Some(value))
    };
    let once: Vec<_> =
        new.iter().filter(|(key, value)| value.is_some_and(|value| is_twice(key, value))).collect();
    let before = |(time, coordinate): &(i64, Coordinate)| {
        let earlier = all.iter().filter(|((other, of), _)| of == coordinate && other < time);
        earlier.filter_map(|(_, value)| *value).next_back()
    };
    let is_wrong = |key: &(i64, Coordinate), value: i64| {
        before(key).is_some_and(|before| match (falls, strict) {
            (false, false) => value < before,
            (false, true) => value <= before,
            (true, false) => value > before,
            (true, true) => value >= before,
        })
    };
    let way: Vec<_> =
        new.iter().filter(|(key, value)| value.is_some_and(|value| is_wrong(key, value))).collect();
    for (check, expected) in [("once", once), ("way", way)] {
        let found = outcome.record.violations.iter().find(|violation| violation.check == check);
        let keys: Vec<&str> = found.into_iter().flat_map(told).map(|(key, _)| key).collect();
        let of_row = |((time, Coordinate(values)), _): &(&(i64, Coordinate), &Option<i64>)| {
            let all = std::iter::once(CoordinateValue::Timestamp(at(*time))).chain(values.iter().cloned());
            Coordinate(all.collect()).to_string()
        };
        assert_eq!(found.map_or(0, |found| found.rows), expected.len() as u64, "{check}: {stored:?} {new:?}");
        assert_eq!(keys, expected.iter().take(10).map(of_row).collect::<Vec<_>>(), "{check}");
    }
}

async fn a_statement_of_the_contract_sees_stored_and_new_rows(place: Place) {
    let query = "SELECT time_index, name, value * 0.5 AS half, value > 3 AS much FROM prices \
                 WHERE value < 0 AND time_index >= '1970-01-01T00:00:00.000002Z' ORDER BY time_index";
    let total = "SELECT sum(value) AS total FROM prices HAVING sum(value) > 20";
    let prices = prices(
        &place,
        json!([
            {"name": "positive", "kind": "sql", "query": query, "severity": "warn"},
            {"name": "little", "kind": "sql", "query": total},
        ]),
    )
    .await;
    fill(&*place.store, &prices.0, "first", &[(key(1, "a"), Some(-9)), (key(2, "a"), Some(-8))].into()).await;
    let record = bring(&place, &prices, "second", &[(key(3, "a"), Some(30))].into()).await.unwrap().record;
    let [positive] = &record.violations[..] else { panic!("{:?}", record.violations) };
    assert_eq!((positive.rows, positive.examples[0].key.as_deref()), (1, None));
    assert_eq!(
        positive.examples[0].value,
        "time_index = 1970-01-01T00:00:00.000002Z, name = a, half = -4.0, much = false"
    );
    let error = bring(&place, &prices, "third", &[(key(4, "a"), Some(30))].into()).await.unwrap_err();
    let StoreError::Quality(error) = error else { panic!("{error}") };
    assert_eq!(error.violations[0].check, "little");
    assert_eq!(told(&error.violations[0]), [("", "total = 43")]);
    assert_eq!(error.violations[1].check, "positive", "what only warns is told beside it");
    assert_eq!(place.number("SELECT count(*) FROM prices"), 3);
}

async fn what_cannot_be_judged_counts_as_broken(place: Place) {
    let endless = "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT max(n) FROM a";
    // One call would go through a text of a megabyte for each character of another.
    let searching = "WITH RECURSIVE a(n, t) AS (SELECT 0, 'x' UNION ALL SELECT n + 1, t || t FROM a WHERE n < 20) \
                     SELECT n FROM a WHERE n = 20 AND ltrim(t, lower(t) || 'y') = ''";
    // Many that are short enough each.
    let calls = format!("length(ltrim(t, '{}x')) + ", "y".repeat(99)).repeat(60);
    let many = format!(
        "WITH RECURSIVE a(n, t) AS (SELECT 0, 'x' UNION ALL SELECT n + 1, t || t FROM a WHERE n < 21) \
         SELECT {calls}0 AS n FROM a WHERE n = 21"
    );
    let prices = prices(
        &place,
        json!([
            {"name": "endless", "kind": "sql", "query": endless, "severity": "warn", "max_seconds": 1},
            {"name": "searching", "kind": "sql", "query": searching, "severity": "warn"},
            {"name": "many", "kind": "sql", "query": many, "severity": "warn", "max_seconds": 1},
            {"name": "misspelt", "kind": "sql", "query": "SELECT valeu FROM prices", "severity": "warn"},
            {"name": "once", "kind": "unique", "columns": ["value"], "severity": "warn"},
        ]),
    )
    .await;
    let begun = Instant::now();
    let rows: Model = [(key(1, "a"), Some(1)), (key(2, "a"), Some(1))].into();
    let record = bring(&place, &prices, "first", &rows).await.unwrap().record;
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    let [endless, searching, many, misspelt, once] = &record.violations[..] else {
        panic!("{:?}", record.violations)
    };
    let out_of_time = "it was not judged: that takes longer than the 1 s of `max_seconds`";
    assert_eq!(told(endless), [("", out_of_time)]);
    let too_long = "it cannot be judged: a call looks for more than 100 characters in a text";
    assert_eq!(told(searching), [("", too_long)]);
    assert_eq!(told(many), [("", out_of_time)]);
    let (_, said) = told(misspelt)[0];
    assert!(said.starts_with("it cannot be judged: ") && said.contains("valeu"), "{said}");
    assert_eq!(once.rows, 2, "the one after them is judged");

    // As an error it keeps the rows out.
    let strict = checked(
        prices.0.contract.clone(),
        json!([{"name": "misspelt", "kind": "sql", "query": "SELECT valeu FROM prices"}]),
    );
    let table = place.store.register_table(&strict, at(5)).await.unwrap().value;
    let rows: Model = [(key(3, "a"), Some(3))].into();
    let error = bring(&place, &(table, prices.1), "second", &rows).await.unwrap_err();
    assert_eq!(error.code(), "quality.failed");
    assert_eq!(place.number("SELECT count(*) FROM prices"), 2);
    place.is_unlocked().await;
}

/// What a check sets on the connection is gone with it: the next commit may bring longer values than readers may have,
/// and take longer than the check might.
async fn a_connection_that_judged_is_as_it_was(place: Place) {
    let text = "identifier = \"notes\"\nindex = [\"time_index\"]\ncolumns = [\
        { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"note\", type = \"string\" }]";
    let contract = checked(
        Contract::from_toml(text).unwrap(),
        json!([{"name": "short", "kind": "sql", "query": "SELECT note FROM notes WHERE note LIKE 'X%'",
            "severity": "warn"}]),
    );
    let notes = table(&*place.store, &contract).await;
    let node = node(&*place.store, &notes).await;
    let long = "x".repeat(5 << 20);
    for (time, note, judged) in [(1, "X ray", 1), (2, "x ray", 1), (3, long.as_str(), 0), (4, "Xylophone", 0)]
    {
        let notes = if judged == 1 {
            notes.clone()
        } else {
            let bare = Contract { checks: Vec::new(), ..contract.clone() };
            place.store.register_table(&bare, at(1)).await.unwrap().value
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from(vec![time]).with_timezone("UTC")),
            Arc::new(StringArray::from(vec![note])),
        ];
        let rows = RecordBatch::try_new(notes.contract.arrow_schema(), columns).unwrap();
        let run = run(&node, &format!("run-{time}"));
        let added = progress([&(time, Coordinate::default())]);
        let commit = commit(&*place.store, &notes, run, vec![rows], added).await;
        let record = place.store.commit_run(commit).await.unwrap().record;
        // Cases are told apart: `x ray` is not found beside `X ray`.
        let found: Vec<u64> = record.violations.iter().map(|violation| violation.rows).collect();
        assert_eq!(found, vec![1; judged], "{time}");
    }
}

/// Rows are judged where they would lie, and are then not there: the same answers as those of a commit, and the same
/// database as before.
async fn a_rehearsal_answers_as_the_commit_does_and_leaves_nothing(place: Place) {
    let checks = json!([
        {"name": "once", "kind": "unique", "columns": ["value"]},
        {"name": "rises", "kind": "monotonic", "column": "value", "severity": "warn"},
    ]);
    let prices = prices(&place, checks).await;
    let stored: Model = [(key(1, "a"), Some(7)), (key(5, "b"), Some(1)), (key(6, "b"), Some(2))].into();
    let table = fill(&*place.store, &prices.0, "first", &stored).await;
    let rehearsal = |mode, rows: &Model| Rehearsal {
        table: table.clone(),
        mode,
        rows: Box::new(vec![Ok(batch(&table.contract, rows))].into_iter()),
        added: progress(rows.keys()),
    };
    let before = place.contents();
    let twice: Model = [(key(7, "a"), Some(3)), (key(7, "b"), Some(3))].into();
    let error = place.store.rehearse(rehearsal(WriteMode::Append, &twice)).await.unwrap_err();
    let said = error.to_string();
    assert_eq!(place.contents(), before);
    // What cannot be appended is refused as ever.
    let late: Model = [(key(5, "b"), Some(9))].into();
    let moved = place.store.rehearse(rehearsal(WriteMode::Append, &late)).await.unwrap_err();
    assert!(matches!(moved, StoreError::ProgressMoved { .. }), "{moved}");

    let mixed: Model = [(key(5, "b"), Some(1)), (key(6, "b"), Some(9)), (key(8, "b"), Some(4))].into();
    let fills = place.store.rehearse(rehearsal(WriteMode::FillGaps, &mixed)).await.unwrap();
    assert_eq!((fills.inserted, fills.updated, fills.unchanged), (1, 0, 2));
    let overwrites = place.store.rehearse(rehearsal(WriteMode::Overwrite, &mixed)).await.unwrap();
    assert_eq!((overwrites.inserted, overwrites.updated, overwrites.unchanged), (1, 1, 1));
    assert_eq!(overwrites.warnings[0].check, "rises");
    assert_eq!(place.contents(), before);
    place.is_unlocked().await;

    let committed = bring(&place, &(table.clone(), prices.1.clone()), "second", &twice).await.unwrap_err();
    assert_eq!(committed.to_string(), said);
    let node = &prices.1;
    let batches = vec![batch(&table.contract, &mixed)];
    let commit = commit(&*place.store, &table, run(node, "third"), batches, progress(mixed.keys())).await;
    let commit = CommitRun { mode: WriteMode::Overwrite, ..commit };
    let record = place.store.commit_run(commit).await.unwrap().record;
    assert_eq!((record.rows_inserted, record.rows_updated, record.rows_unchanged), (1, 1, 1));
    assert_eq!(record.violations, overwrites.warnings);
    // By now the table is another than the snapshot of these rows saw.
    let moved = place.store.rehearse(rehearsal(WriteMode::FillGaps, &mixed)).await.unwrap_err();
    assert!(matches!(moved, StoreError::TableMoved { .. }), "{moved}");
}

async fn a_run_without_rows_is_not_judged(place: Place) {
    let check = json!([{"name": "never", "kind": "sql", "query": "SELECT 1 AS one FROM prices"}]);
    let prices = prices(&place, json!([])).await;
    fill(&*place.store, &prices.0, "first", &[(key(1, "a"), Some(1))].into()).await;
    let table =
        place.store.register_table(&checked(prices.0.contract.clone(), check), at(2)).await.unwrap().value;
    let prices = (table, prices.1);
    assert_eq!(bring(&place, &prices, "empty", &Model::new()).await.unwrap().record.violations, []);
    bring(&place, &prices, "one", &[(key(2, "a"), Some(1))].into()).await.unwrap_err();
    let mut snapshot = place.store.snapshot().await.unwrap();
    assert_eq!(read(&mut snapshot, &prices.0, &ReadQuery::default(), 10).await.len(), 1);
}

/// Two nodes that write one table at the same time: neither is judged without the rows of the other.
async fn two_that_commit_at_once_are_judged_one_after_the_other(place: Place) {
    let check = json!([{"name": "once", "kind": "unique", "columns": ["value"]}]);
    let (table, node) = prices(&place, check).await;
    let other = place.store.ensure_node(new_node(&table, "c_another_0123")).await.unwrap().value;
    let (mine, theirs): (Model, Model) = ([(key(1, "a"), Some(7))].into(), [(key(1, "b"), Some(7))].into());
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let (has_begun, begun) = tokio::sync::oneshot::channel::<()>();
    let mut has_begun = Some(has_begun);
    let first = batch(&table.contract, &mine);
    let rows: Rows = Box::new(std::iter::once(Ok(first)).chain(std::iter::from_fn(move || {
        // It is in its transaction by now.
        has_begun.take().map(|begun| begun.send(()));
        let _ = may_go_on.recv();
        None
    })));
    let commit_mine = commit(&*place.store, &table, run(&node, "mine"), vec![], progress(mine.keys())).await;
    let commit_mine = CommitRun { rows, ..commit_mine };
    let batches = vec![batch(&table.contract, &theirs)];
    let commit_theirs =
        commit(&*place.store, &table, run(&other, "theirs"), batches, progress(theirs.keys())).await;
    let store = Arc::clone(&place.store);
    let mine = tokio::spawn(async move { store.commit_run(commit_mine).await });
    begun.await.unwrap();
    let store = Arc::clone(&place.store);
    let mut theirs = tokio::spawn(async move { store.commit_run(commit_theirs).await });
    let early = tokio::time::timeout(Duration::from_millis(500), &mut theirs).await;
    assert!(early.is_err(), "it did not wait for the other: {early:?}");
    go_on.send(()).unwrap();
    mine.await.unwrap().unwrap();
    let error = theirs.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "quality.failed");
    assert!(error.to_string().contains("(1970-01-01T00:00:00.000001Z, b): value = 7"), "{error}");
}

on_both_databases!(
    two_that_commit_at_once_are_judged_one_after_the_other,
    a_value_that_is_there_already_keeps_a_run_out_and_is_named,
    what_only_warns_is_stored_with_its_rows,
    a_null_is_looked_through_for_the_value_before_it,
    what_is_found_is_what_a_plain_look_finds,
    a_statement_of_the_contract_sees_stored_and_new_rows,
    what_cannot_be_judged_counts_as_broken,
    a_connection_that_judged_is_as_it_was,
    a_run_without_rows_is_not_judged,
    a_rehearsal_answers_as_the_commit_does_and_leaves_nothing,
);
