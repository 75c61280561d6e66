//! A commit leaves everything or nothing.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use crate::support::{
    self, Model, Place, at, batch, commit, contract, fill, new_node, node, on_both_databases, progress,
    properties_on_both_databases, read, run, table, text,
};
use arrow_array::RecordBatch;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::digest::Digest;
use datanode_core::query::ReadQuery;
use datanode_core::run::{InputRecord, RunRecord};
use datanode_core::{Diagnostic, ErrorClass};
use datanode_store::{CommitRun, Node, Rows, RowsError, StoreError, Table, WriteMode};
use proptest::prelude::*;
use tokio::runtime::Runtime;
use uuid::Uuid;

fn key(time: i64, name: &str) -> (i64, Coordinate) {
    (time, Coordinate(vec![text(name)]))
}

fn model(keys: impl IntoIterator<Item = (i64, &'static str)>) -> Model {
    keys.into_iter().map(|(time, name)| (key(time, name), Some(time))).collect()
}

async fn prices(place: &Place) -> (Table, Node) {
    let table = table(&*place.store, &contract("prices", &[("name", DataType::String)])).await;
    let node = node(&*place.store, &table).await;
    (table, node)
}

/// Nothing of a run is there: rows, progress, record, lineage, epoch.
async fn assert_untouched(place: &Place, table: &Table) {
    assert_eq!(place.number("SELECT count(*) FROM prices"), 0);
    assert_eq!(place.number("SELECT count(*) FROM _progress"), 0);
    assert_eq!(place.number("SELECT count(*) FROM _runs"), 0);
    assert_eq!(place.number("SELECT count(*) FROM _run_inputs"), 0);
    assert_eq!(place.store.table(&table.uid).await.unwrap().epoch, table.epoch);
    // And the next writer finds the lock free.
    place.is_unlocked().await;
}

fn three_batches(table: &Table, third: &[(i64, Coordinate)]) -> Vec<RecordBatch> {
    let first: Model = (0..100).map(|time| (key(time, "a"), Some(1))).collect();
    let second: Model = (0..100).map(|time| (key(time, "b"), Some(2))).collect();
    let third: Vec<_> = third.iter().map(|key| (key, &Some(3))).collect();
    vec![
        batch(&table.contract, &first),
        batch(&table.contract, &second),
        batch(&table.contract, third.into_iter()),
    ]
}

async fn everything_of_a_run_is_there(place: Place) {
    let (table, node) = prices(&place).await;
    let third = [key(500, "a"), key(501, "b")];
    let batches = three_batches(&table, &third);
    let keys: Vec<_> = (0..100).flat_map(|time| [key(time, "a"), key(time, "b")]).chain(third).collect();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let mut record = run(&node, "0190-run");
    record.inputs = vec![InputRecord {
        key: "self".to_owned(),
        table_uid: table.uid.clone(),
        table: "prices".to_owned(),
        rows: 7,
        bytes: 70,
        digest: Digest::of(b"frame"),
        min_time: None,
        max_time: Some(at(3)),
    }];
    let outcome = place
        .store
        .commit_run(CommitRun {
            on_rows: Box::new(move |rows| listener.lock().unwrap().push(rows)),
            ..commit(&*place.store, &table, record.clone(), batches, progress(&keys)).await
        })
        .await
        .unwrap();

    // The commit adds the rows that it stored and the time that it took, and nothing else.
    let expected = RunRecord { rows_inserted: 202, durations: outcome.record.durations, ..record };
    assert_eq!((outcome.record, outcome.repeated), (expected.clone(), false));
    assert_eq!(place.store.run("0190-run").await.unwrap(), expected);
    assert_eq!(*heard.lock().unwrap(), [100, 200, 202]);
    let mut snapshot = place.store.snapshot().await.unwrap();
    assert_eq!(snapshot.progress(&table).await.unwrap(), progress(&keys));
    assert_eq!(read(&mut snapshot, &table, &ReadQuery::default(), 50).await.len(), 202);
    assert_eq!(
        place.number("SELECT row_count FROM _run_inputs WHERE run_id = '0190-run' AND key = 'self'"),
        7
    );
}

async fn a_duplicate_in_the_third_batch_leaves_nothing_and_is_named(place: Place) {
    // At the beginning, inside and at the end of a statement of several rows, and among the single rows of the rest.
    for place_in_batch in [0, 7, 15, 16, 47, 48, 59] {
        let (table, node) = prices(&place).await;
        let mut third: Vec<_> = (200..260).map(|time| key(time, "it's")).collect();
        third[place_in_batch] = key(42, "a");
        let batches = three_batches(&table, &third);
        let error = place
            .store
            .commit_run(commit(&*place.store, &table, run(&node, "r"), batches, progress(&third)).await)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "table `prices`: index (1970-01-01T00:00:00.000042Z, a) was emitted in two batches of this run"
        );
        assert_eq!((error.code(), error.class()), ("frame.duplicate_key", ErrorClass::Failed));
        assert_untouched(&place, &table).await;
    }
}

async fn rows_that_panic_leave_nothing_and_the_panic_is_the_callers(place: Place) {
    let (table, node) = prices(&place).await;
    let mut batches = three_batches(&table, &[key(300, "a")]).into_iter();
    let rows: Rows = Box::new(std::iter::from_fn(move || {
        assert!(batches.len() > 1, "the disk is gone");
        batches.next().map(Ok)
    }));
    let commit =
        CommitRun { rows, ..commit(&*place.store, &table, run(&node, "r"), Vec::new(), progress(&[])).await };
    let store = AssertUnwindSafe(&*place.store);
    let panic = futures_catch(async move { store.commit_run(commit).await }).await;
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"the disk is gone"));
    assert_untouched(&place, &table).await;
    // The store lives on.
    fill(&*place.store, &table, "again", &model([(1, "a")])).await;
}

/// A log keeps the size of the largest commit unless it is told otherwise.
#[tokio::test]
async fn the_log_of_a_large_commit_is_cut_back_by_the_next() {
    const LIMIT: u64 = 64 << 20;
    let place = Place::sqlite().await;
    let table = table(&*place.store, &contract("long", &[("name", DataType::String)])).await;
    let log = place.path().with_extension("sqlite-wal");
    let size = || std::fs::metadata(&log).unwrap().len();
    let long = "x".repeat(1 << 20);
    let rows = (0..80).map(|at| ((at, Coordinate(vec![text(&format!("{long}{at}"))])), None)).collect();
    let table = fill(&*place.store, &table, "large", &rows).await;
    assert!(size() > LIMIT, "{} bytes", size());
    fill(&*place.store, &table, "small", &model([(100, "a")])).await;
    assert!(size() <= LIMIT, "{} bytes", size());
}

#[derive(Debug, thiserror::Error)]
#[error("the disk is gone")]
struct Gone;

impl Diagnostic for Gone {
    fn code(&self) -> &'static str {
        "test.gone"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Infrastructure
    }
}

async fn rows_that_fail_leave_nothing_and_the_error_is_theirs(place: Place) {
    let (table, node) = prices(&place).await;
    let whole = three_batches(&table, &[key(300, "a")]).into_iter().map(Ok);
    let rows: Rows = Box::new(whole.chain([Err(Box::new(Gone) as RowsError)]));
    let keys: Vec<_> =
        (0..100).flat_map(|time| [key(time, "a"), key(time, "b")]).chain([key(300, "a")]).collect();
    let commit = CommitRun {
        rows,
        ..commit(&*place.store, &table, run(&node, "r"), Vec::new(), progress(&keys)).await
    };
    let error = place.store.commit_run(commit).await.unwrap_err();
    assert_eq!((error.code(), error.to_string()), ("test.gone", "the disk is gone".to_owned()));
    assert_eq!(error.class(), ErrorClass::Infrastructure);
    assert_untouched(&place, &table).await;
}

/// What a future that panics panicked with.
async fn futures_catch<T>(future: impl Future<Output = T>) -> std::thread::Result<T> {
    let mut future = Box::pin(future);
    std::future::poll_fn(move |context| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => std::task::Poll::Ready(Err(panic)),
        }
    })
    .await
}

async fn a_commit_that_is_given_up_leaves_nothing(place: Place) {
    let (table, node) = prices(&place).await;
    let (reached, wait_for_rows) = tokio::sync::oneshot::channel();
    let (go_on, wait_for_leave) = std::sync::mpsc::channel::<()>();
    let mut reached = Some(reached);
    let rows = three_batches(&table, &[key(300, "a")]).into_iter().inspect(move |_| {
        if let Some(reached) = reached.take() {
            reached.send(()).unwrap();
            wait_for_leave.recv().unwrap();
        }
    });
    let keys: Vec<_> =
        (0..100).flat_map(|time| [key(time, "a"), key(time, "b")]).chain([key(300, "a")]).collect();
    let commit = CommitRun {
        rows: Box::new(rows.map(Ok)),
        ..commit(&*place.store, &table, run(&node, "r"), Vec::new(), progress(&keys)).await
    };
    tokio::select! {
        outcome = place.store.commit_run(commit) => panic!("{outcome:?}"),
        _ = wait_for_rows => {}
    }
    go_on.send(()).unwrap();
    // This write waits for the end of the abandoned one.
    place.store.record_run(&run(&node, "later"), None).await.unwrap();
    assert_eq!(place.store.runs(&datanode_store::RunFilter::default()).await.unwrap().len(), 1);
    assert_eq!(place.number("SELECT count(*) FROM prices"), 0);
    assert_eq!(place.store.table("prices").await.unwrap().epoch, 0);
}

async fn progress_that_counts_other_rows_is_refused(place: Place) {
    let (table, node) = prices(&place).await;
    let batches = three_batches(&table, &[key(300, "a")]);
    let error = place
        .store
        .commit_run(commit(&*place.store, &table, run(&node, "r"), batches, progress(&[key(1, "a")])).await)
        .await
        .unwrap_err();
    assert!(matches!(&error, StoreError::Damaged(text) if text.contains("201 rows")), "{error}");
    assert_untouched(&place, &table).await;
}

async fn a_batch_of_another_shape_is_refused(place: Place) {
    let (table, node) = prices(&place).await;
    let other = contract("prices", &[("name", DataType::Int64)]);
    let rows: Model = [((1, Coordinate(vec![CoordinateValue::Int(1)])), None)].into_iter().collect();
    let commit =
        commit(&*place.store, &table, run(&node, "r"), vec![batch(&other, &rows)], progress(rows.keys()))
            .await;
    let error = place.store.commit_run(commit).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    assert_untouched(&place, &table).await;
}

async fn progress_that_would_not_read_back_is_refused(place: Place) {
    // Such a day is outside the calendar: as text it could not be read again, and the table would be lost.
    let table = table(&*place.store, &contract("prices", &[("day", DataType::Date)])).await;
    let node = node(&*place.store, &table).await;
    let rows: Model = [((1, Coordinate(vec![CoordinateValue::Date(i32::MAX)])), None)].into_iter().collect();
    let commit = commit(
        &*place.store,
        &table,
        run(&node, "r"),
        vec![batch(&table.contract, &rows)],
        progress(rows.keys()),
    )
    .await;
    let error = place.store.commit_run(commit).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    assert_untouched(&place, &table).await;
}

async fn the_same_run_again_answers_with_the_first_outcome(place: Place) {
    let (table, node) = prices(&place).await;
    let rows = model([(1, "a"), (2, "a")]);
    let batches = || vec![batch(&table.contract, &rows)];
    let first = commit(&*place.store, &table, run(&node, "r"), batches(), progress(rows.keys())).await;
    let (lease, added) = (first.lease.clone(), first.added.clone());
    let first = place.store.commit_run(first).await.unwrap();
    // By now the lease is given up, another run has the node, and the table has moved; the answer is the first one all
    // the same, and the rows are not even asked for.
    fill(&*place.store, &table, "next", &model([(3, "a")])).await;
    place.execute("UPDATE _tables SET epoch = epoch + 1");
    let again = CommitRun {
        lease,
        table: table.clone(),
        record: run(&node, "r"),
        journal: None,
        mode: WriteMode::Append,
        rows: Box::new(std::iter::from_fn(|| panic!("rows of a repeated run were read"))),
        added,
        on_rows: Box::new(|_| {}),
    };
    let second = place.store.commit_run(again).await.unwrap();
    assert_eq!((first.repeated, second.repeated), (false, true));
    assert_eq!(second.record, first.record);
    assert_eq!(place.number("SELECT count(*) FROM prices"), 3);
    assert_eq!(place.number("SELECT count(*) FROM _runs"), 2);
}

async fn a_commit_that_read_an_older_table_is_refused(place: Place) {
    let (table, node) = prices(&place).await;
    fill(&*place.store, &table, "first", &model([(1, "a")])).await;
    assert_eq!(
        place.store.table("prices").await.unwrap().epoch,
        0,
        "appending is no reason to refuse others"
    );
    // What deletes, loads and revisions do.
    place.execute("UPDATE _tables SET epoch = epoch + 1");
    let rows = model([(2, "a")]);
    let batches = vec![batch(&table.contract, &rows)];
    let late = commit(&*place.store, &table, run(&node, "late"), batches, progress(rows.keys())).await;
    let error = place.store.commit_run(late).await.unwrap_err();
    assert!(matches!(error, StoreError::TableMoved { current: 1, read: 0, .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::Infrastructure);
    assert_eq!(place.number("SELECT count(*) FROM prices"), 1);
    assert_eq!(place.number("SELECT count(*) FROM _runs"), 1);
}

/// Two nodes that read the same state of a table and commit one after the other: the second is refused exactly where
/// its rows would not have been new to it, had it run after the first.
async fn appends_clash_where_they_meet_and_nowhere_else(place: Place) {
    for (first, second, clash) in [
        // Other coordinates, whatever the times.
        (model([(5, "a"), (9, "b")]), model([(1, "c"), (7, "d")]), None),
        // The same coordinate, later.
        (model([(5, "a")]), model([(6, "a"), (1, "b")]), None),
        // The same coordinate, at the same time and before.
        (model([(5, "a")]), model([(5, "a")]), Some("a")),
        (model([(5, "a"), (5, "b")]), model([(6, "a"), (4, "b"), (8, "b")]), Some("b")),
    ] {
        let place = place.another().await;
        let (table, _) = prices(&place).await;
        let other = place.store.ensure_node(new_node(&table, "d_0123456789abcdef")).await.unwrap().value;
        let batches = vec![batch(&table.contract, &second)];
        let second_commit =
            commit(&*place.store, &table, run(&other, "second"), batches, progress(second.keys())).await;
        fill(&*place.store, &table, "first", &first).await;
        let outcome = place.store.commit_run(second_commit).await;
        let rows = place.number("SELECT count(*) FROM prices");
        let kept = place.number("SELECT sum(row_count) FROM _progress");
        assert_eq!(rows, kept);
        if let Some(name) = clash {
            let error = outcome.unwrap_err();
            assert_eq!((error.code(), error.class()), ("commit.table_moved", ErrorClass::Infrastructure));
            let StoreError::ProgressMoved { coordinate, .. } = &error else { panic!("{error}") };
            assert!(coordinate.contains(name), "{error}");
            assert_eq!(rows, i64::try_from(first.len()).unwrap());
            assert_eq!(place.number("SELECT count(*) FROM _runs"), 1);
        } else {
            assert!(!outcome.unwrap().repeated);
            assert_eq!(rows, i64::try_from(first.len() + second.len()).unwrap());
        }
    }
}

async fn a_run_without_rows_leaves_its_record_alone(place: Place) {
    let (table, node) = prices(&place).await;
    let outcome = place
        .store
        .commit_run(commit(&*place.store, &table, run(&node, "r"), Vec::new(), progress(&[])).await)
        .await
        .unwrap();
    assert_eq!(outcome.record.rows_inserted, 0);
    assert_eq!(place.store.run("r").await.unwrap(), outcome.record);
    assert_eq!(place.store.table("prices").await.unwrap().epoch, 0);
    assert_eq!(place.number("SELECT count(*) FROM _progress"), 0);
}

async fn what_a_run_belongs_to_must_be_there(place: Place) {
    let (table, node) = prices(&place).await;
    let stray = RunRecord { node_uid: "nobody".to_owned(), ..run(&node, "r") };
    let commit = commit(&*place.store, &table, run(&node, "r"), Vec::new(), progress(&[])).await;
    let commit = CommitRun { record: stray.clone(), ..commit };
    for error in [
        place.store.commit_run(commit).await.unwrap_err(),
        place.store.record_run(&stray, None).await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "there is no node `nobody`");
    }
    assert_untouched(&place, &table).await;
}

fn progress_after_several_commits_is_what_a_scan_would_find(runtime: &Runtime, place: &Place) {
    let commits = prop::collection::vec(prop::collection::btree_set((0..40_i64, 0..3_i64), 0..30), 1..6);
    support::runner(24)
        .run(&commits, |commits| {
            let name = format!("p{}", Uuid::new_v4().simple());
            runtime.block_on(async {
                let mut table = table(&*place.store, &contract(&name, &[("id", DataType::Int32)])).await;
                let mut all = Model::new();
                for (at, keys) in commits.iter().enumerate() {
                    // Each commit brings times after those of the one before, as runs do.
                    let step = i64::try_from(at).unwrap() * 100;
                    let model: Model = keys
                        .iter()
                        .map(|(time, id)| ((time + step, Coordinate(vec![CoordinateValue::Int(*id)])), None))
                        .collect();
                    table = fill(&*place.store, &table, &format!("{name}-{at}"), &model).await;
                    all.extend(model);
                }
                let kept = place.store.snapshot().await.unwrap().progress(&table).await.unwrap();
                prop_assert_eq!(kept, progress(all.keys()));
                // And the database, which scans the table, says the same.
                prop_assert_eq!(place.store.verify_progress(&table.uid).await.unwrap(), []);
                let rows = place.number(&format!("SELECT count(*) FROM {name}"));
                prop_assert_eq!(rows, i64::try_from(all.len()).unwrap());
                Ok(())
            })
        })
        .unwrap();
}

properties_on_both_databases!(progress_after_several_commits_is_what_a_scan_would_find);

on_both_databases!(
    everything_of_a_run_is_there,
    a_duplicate_in_the_third_batch_leaves_nothing_and_is_named,
    rows_that_panic_leave_nothing_and_the_panic_is_the_callers,
    rows_that_fail_leave_nothing_and_the_error_is_theirs,
    a_commit_that_is_given_up_leaves_nothing,
    progress_that_counts_other_rows_is_refused,
    a_batch_of_another_shape_is_refused,
    progress_that_would_not_read_back_is_refused,
    the_same_run_again_answers_with_the_first_outcome,
    a_commit_that_read_an_older_table_is_refused,
    appends_clash_where_they_meet_and_nowhere_else,
    a_run_without_rows_leaves_its_record_alone,
    what_a_run_belongs_to_must_be_there,
);
