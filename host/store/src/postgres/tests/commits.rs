//! A commit leaves everything or nothing.

use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use datanode_core::coordinate::Coordinate;
use datanode_core::data_type::DataType;
use datanode_core::{Diagnostic, ErrorClass};

use super::Place;
use super::support::{Model, batch, contract, progress, text};
use crate::{CommitRun, Rows, RowsError, StoreError, Table};

fn key(time: i64, name: &str) -> (i64, Coordinate) {
    (time, Coordinate(vec![text(name)]))
}

fn model(keys: impl IntoIterator<Item = (i64, &'static str)>) -> Model {
    keys.into_iter().map(|(time, name)| (key(time, name), Some(time))).collect()
}

async fn prices(place: &Place) -> Table {
    place.register(&contract("prices", &[("name", DataType::String)])).await
}

async fn assert_untouched(place: &Place, table: &Table) {
    assert_eq!(place.number("SELECT count(*) FROM datanode_tables.prices").await, 0);
    assert_eq!(place.number("SELECT count(*) FROM datanode.progress").await, 0);
    assert_eq!(place.number("SELECT count(*) FROM datanode.runs").await, 0);
    assert_eq!(place.table(&table.uid).await.epoch, table.epoch);
}

fn batches(table: &Table, third: &[(i64, Coordinate)]) -> Vec<RecordBatch> {
    let first: Model = (0..100).map(|time| (key(time, "a"), Some(1))).collect();
    let second: Model = (0..100).map(|time| (key(time, "b"), Some(2))).collect();
    let third = third.iter().map(|key| (key, &Some(3)));
    vec![batch(&table.contract, &first), batch(&table.contract, &second), batch(&table.contract, third)]
}

#[tokio::test]
async fn everything_of_a_run_is_there_and_again_it_answers_the_same() {
    let place = Place::new().await;
    let table = prices(&place).await;
    let third = [key(500, "a"), key(501, "b")];
    let keys: Vec<_> =
        (0..100).flat_map(|time| [key(time, "a"), key(time, "b")]).chain(third.clone()).collect();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let outcome = place
        .commit(CommitRun {
            on_rows: Box::new(move |rows| listener.lock().unwrap().push(rows)),
            ..place.run(&table, "r", batches(&table, &third), progress(&keys)).await
        })
        .await
        .unwrap();
    assert_eq!((outcome.record.rows_inserted, outcome.repeated), (202, false));
    assert_eq!(*heard.lock().unwrap(), [100, 200, 202]);
    assert_eq!(place.table(&table.uid).await.epoch, 0, "appending moves nothing");
    assert_eq!(place.number("SELECT count(*) FROM datanode.leases WHERE run_id IS NOT NULL").await, 0);
    assert_eq!(place.snapshot().await.progress(&table).await.unwrap(), progress(&keys));
    assert_eq!(place.read(&table).await.len(), 202);
    // The table has moved; the answer is the first one all the same, and the rows are not even asked for.
    let unread: Rows = Box::new(std::iter::from_fn(|| panic!("rows of a repeated run were read")));
    let again = CommitRun { rows: unread, ..place.run(&table, "r", Vec::new(), progress(&keys)).await };
    let again = place.commit(again).await.unwrap();
    assert_eq!((again.record, again.repeated), (outcome.record, true));
    // Rows that do not lie behind those of their coordinate are refused, others are not.
    let rows = model([(500, "a"), (502, "b"), (1, "c")]);
    let late = place.run(&table, "late", vec![batch(&table.contract, &rows)], progress(rows.keys())).await;
    let error = place.commit(late).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `prices`: another run has stored rows of (a) until 1970-01-01T00:00:00.000500Z while this one was computed, \
         whose rows of it begin at 1970-01-01T00:00:00.000500Z; nothing was stored"
    );
    let rows = model([(501, "a"), (502, "b"), (1, "c")]);
    place.fill(&table, "behind", &rows).await;
    let kept = place.snapshot().await.progress(&table).await.unwrap();
    assert_eq!((kept.rows(), kept.len()), (205, 3));
    assert_eq!(place.read(&table).await.len(), 205);
    // A table from which rows went in between refuses all.
    place.execute("UPDATE datanode.tables SET epoch = 1").await;
    let rows = model([(900, "a")]);
    let late = place.run(&table, "older", vec![batch(&table.contract, &rows)], progress(rows.keys())).await;
    let error = place.commit(late).await.unwrap_err();
    assert!(matches!(error, StoreError::TableMoved { current: 1, read: 0, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_append_to_one_coordinate_at_once_one_stores_its_rows() {
    let place = Arc::new(Place::new().await);
    let table = prices(&place).await;
    for round in 0..20 {
        let runs = (0..2).map(|which| {
            let (place, table) = (Arc::clone(&place), table.clone());
            tokio::spawn(async move {
                let rows: Model = (0..50)
                    .flat_map(|at| {
                        [key(round * 100 + at, "a"), key(round * 100 + at, "b"), key(round * 100 + at, "c")]
                    })
                    .map(|key| (key, None))
                    .collect();
                // A node of its own for each: one node has one writer in any case.
                let node = format!("node {which}");
                let record = format!("{round}-{which}");
                let mut run = place.run_of(&table, &node, &record, progress(rows.keys())).await;
                run.rows = Box::new([Ok(batch(&table.contract, &rows))].into_iter());
                place.commit(run).await
            })
        });
        let mut stored = 0;
        for run in runs.collect::<Vec<_>>() {
            match run.await.unwrap() {
                Ok(_) => stored += 1,
                Err(StoreError::ProgressMoved { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(stored, 1);
    }
    assert_eq!(place.read(&table).await.len(), 20 * 150);
}

#[tokio::test]
async fn a_duplicate_leaves_nothing_and_is_named() {
    let place = Place::new().await;
    let table = prices(&place).await;
    for at in [0, 1, 7, 30, 31, 58, 59] {
        let mut third: Vec<_> = (200..260).map(|time| key(time, "it's")).collect();
        third[at] = key(42, "a");
        let batches = batches(&table, &third);
        let commit = place.run(&table, "r", batches, progress(&third)).await;
        let error = place.commit(commit).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "table `prices`: index (1970-01-01T00:00:00.000042Z, a) was emitted in two batches of this run"
        );
        assert_untouched(&place, &table).await;
    }
}

#[tokio::test]
async fn a_duplicate_of_rows_sent_long_before_is_named_among_many() {
    let place = Place::new().await;
    let table = prices(&place).await;
    // Several groups.
    let whole: Vec<Model> = (0..4)
        .map(|part| (0..60_000).map(|at| (key(part * 60_000 + at, "some name"), Some(at))).collect())
        .collect();
    let mut batches: Vec<_> = whole.iter().map(|part| batch(&table.contract, part)).collect();
    let again: Model = [(key(777, "some name"), None)].into_iter().collect();
    batches.push(batch(&table.contract, &again));
    let keys: Vec<_> = whole.iter().flat_map(|part| part.keys().cloned()).chain(again.into_keys()).collect();
    let commit = place.run(&table, "r", batches, progress(&keys)).await;
    let error = place.commit(commit).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `prices`: index (1970-01-01T00:00:00.000777Z, some name) was emitted in two batches of this run"
    );
    assert_untouched(&place, &table).await;
}

#[tokio::test]
async fn values_that_postgresql_does_not_have_are_refused_with_their_row() {
    let place = Place::new().await;
    let table = prices(&place).await;
    for (name, problem) in [
        (
            "a\0b".to_owned(),
            "column `name`: PostgreSQL keeps no text with the character U+0000; nothing was stored",
        ),
        // Text that does not compress, in a key: only the server knows.
        (
            (0..9_000_u32)
                .map(|at| char::from(b'!' + (at.wrapping_mul(at ^ 0x9e37_79b9).to_be_bytes()[2] % 90)))
                .collect(),
            "maximum size",
        ),
    ] {
        let rows: Model = [(key(1, "a"), None), (key(2, &name), None)].into_iter().collect();
        let commit = place.run(&table, "r", vec![batch(&table.contract, &rows)], progress(rows.keys())).await;
        let error = place.commit(commit).await.unwrap_err();
        assert_eq!((error.code(), error.class()), ("frame.unsupported_value", ErrorClass::Failed), "{error}");
        let message = error.to_string();
        assert!(message.contains("row ") && message.contains(problem), "{message}");
        assert!(message.len() < 500, "{message}");
        assert_untouched(&place, &table).await;
    }
}

#[tokio::test]
async fn a_row_that_refers_to_nothing_is_named() {
    let place = Place::new().await;
    let assets = place
        .register(
            &datanode_core::contract::Contract::from_toml(
                "identifier = \"assets\"\nkind = \"reference\"\nprimary_key = [\"name\"]\n\
                 columns = [{ name = \"name\", type = \"string\" }]",
            )
            .unwrap(),
        )
        .await;
    place
        .execute("INSERT INTO datanode_tables.assets SELECT 'n' || n FROM generate_series(0, 39) AS n")
        .await;
    let mut prices = contract("prices", &[("name", DataType::String)]);
    let key_of = format!(
        "{{\"columns\": [\"name\"], \"references\": {{\"table\": \"{}\", \"columns\": [\"name\"]}}}}",
        assets.uid
    );
    prices.foreign_keys = vec![serde_json::from_str(&key_of).unwrap()];
    let table = place
        .table_with(
            &prices,
            ", FOREIGN KEY (\"name\") REFERENCES datanode_tables.assets (\"name\") ON DELETE RESTRICT",
        )
        .await;
    let rows: Model = (0..60).map(|n| (key(n, &format!("n{n}")), Some(n))).collect();
    let bad = place.run(&table, "r", vec![batch(&table.contract, &rows)], progress(rows.keys())).await;
    let error = place.commit(bad).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `prices`, row (1970-01-01T00:00:00.000040Z, n40): (name) = (n40) is no row of table `assets`; \
         nothing was stored"
    );
    assert_untouched(&place, &table).await;
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

#[tokio::test]
async fn rows_that_fail_panic_or_were_counted_otherwise_leave_nothing() {
    let place = Place::new().await;
    let table = prices(&place).await;
    let whole = || batches(&table, &[key(300, "a")]).into_iter().map(Ok);
    let rows: Rows = Box::new(whole().chain([Err(Box::new(Gone) as RowsError)]));
    let bare = async || place.run(&table, "r", Vec::new(), progress(&[key(1, "a")])).await;
    let error = place.commit(CommitRun { rows, ..bare().await }).await.unwrap_err();
    assert_eq!(error.code(), "test.gone");
    assert_untouched(&place, &table).await;
    let error = place.commit(CommitRun { rows: Box::new(whole()), ..bare().await }).await.unwrap_err();
    assert!(matches!(&error, StoreError::Damaged(text) if text.contains("201 rows")), "{error}");
    assert_untouched(&place, &table).await;
    let rows: Rows = Box::new(whole().inspect(|_| panic!("the disk is gone")));
    let panicking = CommitRun { rows, ..bare().await };
    let panicking = commit_in_task(place, panicking).await;
    let (place, outcome) = panicking;
    assert_eq!(outcome.unwrap_err().into_panic().downcast_ref::<&str>(), Some(&"the disk is gone"));
    assert_untouched(&place, &table).await;
}

async fn commit_in_task(place: Place, commit: CommitRun) -> (Place, Result<(), tokio::task::JoinError>) {
    let place = Arc::new(place);
    let inside = Arc::clone(&place);
    let outcome = tokio::spawn(async move { inside.commit(commit).await.map(|_| ()).unwrap() }).await;
    (Arc::into_inner(place).unwrap(), outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_given_up_leaves_nothing_and_blocks_nobody() {
    let place = Place::new().await;
    let table = prices(&place).await;
    // Until every kind of moment was met: before the copy, in the middle of it, between two.
    for pulled in 0..5 {
        let (reached, wait_for_rows) = tokio::sync::oneshot::channel();
        let (go_on, wait_for_leave) = std::sync::mpsc::channel::<()>();
        let mut reached = Some(reached);
        let rows = (0..5).inspect(move |part| {
            if *part == pulled {
                reached.take().unwrap().send(()).unwrap();
                let _ = wait_for_leave.recv();
            }
        });
        let contract = table.contract.clone();
        // Each batch a group.
        let rows = rows.map(move |part| {
            let rows: Model = (0..80_000).map(|at| (key(part * 80_000 + at, "some name"), None)).collect();
            Ok(batch(&contract, &rows))
        });
        let table = place.table(&table.uid).await;
        let commit = CommitRun {
            rows: Box::new(rows),
            ..place.run(&table, "r", Vec::new(), progress(&[key(1, "a")])).await
        };
        tokio::select! {
            outcome = place.commit(commit) => panic!("{outcome:?}"),
            _ = wait_for_rows => {}
        }
        drop(go_on);
        let rows = model([(pulled, "a")]);
        // Waits for the lock of the abandoned one, which must go.
        let table = place.fill(&table, &format!("after {pulled}"), &rows).await;
        assert_eq!(place.read(&table).await.len(), usize::try_from(pulled + 1).unwrap());
    }
}
