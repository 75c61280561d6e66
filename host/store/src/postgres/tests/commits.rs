//! A commit leaves everything or nothing, where only PostgreSQL could make it otherwise: values that it does not have, rows
//! in several copies.

use datanode_core::coordinate::Coordinate;
use datanode_core::data_type::DataType;
use datanode_core::{Diagnostic, ErrorClass};

use super::Place;
use super::support::{Model, batch, contract, progress, text};
use crate::{CommitRun, Table, WriteMode};

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

/// Where rows wait, no index looks at them.
#[tokio::test]
async fn a_key_that_is_too_long_is_named_among_rows_that_are_there() {
    let place = Place::new().await;
    let table = prices(&place).await;
    let table = place.fill(&table, "first", &model([(1, "a"), (3, "a")])).await;
    // Text that does not compress.
    let long: String = (0..9_000_u32)
        .map(|at| char::from(b'!' + (at.wrapping_mul(at ^ 0x9e37_79b9).to_be_bytes()[2] % 90)))
        .collect();
    let rows: Model = [(key(1, "a"), None), (key(2, &long), None), (key(3, "b"), None)].into_iter().collect();
    let commit = place.run(&table, "r", vec![batch(&table.contract, &rows)], progress(rows.keys())).await;
    let error = place.commit(CommitRun { mode: WriteMode::Overwrite, ..commit }).await.unwrap_err();
    assert_eq!(error.code(), "frame.unsupported_value", "{error}");
    let message = error.to_string();
    assert!(message.contains(&format!("row (1970-01-01T00:00:00.000002Z, {}", &long[..20])), "{message}");
    assert!(message.contains("maximum size") && message.len() < 500, "{message}");
    assert_eq!(place.number("SELECT count(*) FROM datanode_tables.prices").await, 2);
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
            ..place.run(&table, "r", Vec::new(), progress(&[key(100, "a")])).await
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
