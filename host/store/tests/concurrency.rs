//! Several stores on one database stand for several processes: nothing but the database connects them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{
    Model, Place, at, batch, commit, contract, fill, new_node, on_both_databases, progress,
    properties_on_both_databases, read, run, table,
};
use datanode_core::access::{Right, Rights};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::query::ReadQuery;
use datanode_core::{Diagnostic, ErrorClass};
use datanode_store::{NewToken, NewUser, Patience, StoreError};
use tokio::runtime::Runtime;

fn rows(time: i64) -> Model {
    (0..200).map(|id| ((time, Coordinate(vec![CoordinateValue::Int(id)])), Some(time))).collect()
}

async fn a_snapshot_does_not_see_later_commits(place: Place) {
    let table = table(&*place.store, &contract("t", &[("id", DataType::Int64)])).await;
    let table = fill(&*place.store, &table, "run-1", &rows(1)).await;
    let mut before = place.store.snapshot().await.unwrap();
    let later = fill(&*place.store, &table, "run-2", &rows(2)).await;
    let mut after = place.store.snapshot().await.unwrap();

    assert_eq!(before.table(&table.uid).await.unwrap(), table);
    assert_eq!(before.progress(&table).await.unwrap().rows(), 200);
    assert_eq!(read(&mut before, &table, &ReadQuery::default(), 64).await.len(), 200);
    assert_eq!(after.table(&table.uid).await.unwrap(), later);
    assert_eq!(after.progress(&table).await.unwrap().rows(), 400);
    assert_eq!(read(&mut after, &table, &ReadQuery::default(), 64).await.len(), 400);
    let missing = before.table("nothing").await.unwrap_err();
    assert_eq!(missing.to_string(), "there is no table `nothing`");
}

async fn reads_of_one_snapshot_take_turns_and_end_with_it(place: Place) {
    let table = table(&*place.store, &contract("t", &[("id", DataType::Int64)])).await;
    let table = fill(&*place.store, &table, "run-1", &rows(1)).await;
    let snapshot = place.store.snapshot().await.unwrap();
    let (whole, narrow) = (
        snapshot.read(&table, &ReadQuery::default()),
        snapshot.read(&table, &ReadQuery { columns: Some(Vec::new()), ..ReadQuery::default() }),
    );
    let mut keys = (None, None);
    for _ in 0..4 {
        let first = whole.page(keys.0.as_ref(), 50).await.unwrap().unwrap();
        let second = narrow.page(keys.1.as_ref(), 50).await.unwrap().unwrap();
        assert_eq!((first.batch.num_columns(), second.batch.num_columns()), (3, 2));
        assert_eq!(first.last, second.last);
        keys = (Some(first.last), Some(second.last));
    }
    assert!(whole.page(keys.0.as_ref(), 50).await.unwrap().is_none());
    snapshot.end().await;
    assert!(whole.page(None, 50).await.is_err(), "a read ends with its snapshot");
}

/// Rows of 100 identities that no other writer has, and of 100 that all have.
fn rows_of(writer: i64, time: i64, shared: bool) -> Model {
    let first = if shared { 0 } else { 1_000 * (writer + 1) };
    (first..first + 100).map(|id| ((time, Coordinate(vec![CoordinateValue::Int(id)])), Some(time))).collect()
}

/// Two nodes that write one table, in two processes, as fast as they can; how many commits were refused on the way.
async fn two_nodes_append(place: &Place, commits: i64, shared: bool) -> u32 {
    let first = table(&*place.store, &contract("t", &[("id", DataType::Int64)])).await;
    let writers = (0..2).map(|writer| {
        let (database, uid) = (place.database(), first.uid.clone());
        tokio::spawn(async move {
            let store = database.open().await.unwrap();
            let seen = store.table(&uid).await.unwrap();
            let hash = format!("c_{writer:016}");
            let node = store.ensure_node(new_node(&seen, &hash)).await.unwrap().value;
            let mut refused = 0;
            for at in 0..commits {
                loop {
                    let mut snapshot = store.snapshot().await.unwrap();
                    let seen = snapshot.table(&uid).await.unwrap();
                    let until = snapshot.progress(&seen).await.unwrap().max_time();
                    snapshot.end().await;
                    let rows = rows_of(writer, until.map_or(0, |time| time.micros() + 1), shared);
                    let batches = vec![batch(&seen.contract, &rows)];
                    let record = run(&node, &format!("{writer}-{at}"));
                    let commit = commit(&*store, &seen, record, batches, progress(rows.keys())).await;
                    match store.commit_run(commit).await {
                        Ok(outcome) => {
                            assert!(!outcome.repeated);
                            break;
                        }
                        Err(StoreError::ProgressMoved { .. }) => refused += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            refused
        })
    });
    let mut refused = 0;
    for writer in writers.collect::<Vec<_>>() {
        refused += writer.await.unwrap();
    }
    let table = place.store.table("t").await.unwrap();
    assert_eq!(table.epoch, 0);
    let kept = place.store.snapshot().await.unwrap().progress(&table).await.unwrap();
    assert_eq!(kept.rows(), 100 * 2 * commits.unsigned_abs());
    assert_eq!(place.number("SELECT count(*) FROM t"), 100 * 2 * commits);
    refused
}

async fn nodes_that_append_to_coordinates_of_their_own_never_refuse_each_other(place: Place) {
    assert_eq!(two_nodes_append(&place, 40, false).await, 0);
}

async fn nodes_that_append_to_the_same_coordinates_take_turns(place: Place) {
    let refused = two_nodes_append(&place, 40, true).await;
    assert!(refused > 0, "the two never met, so this test has shown nothing");
}

/// Nothing tells the two of each other but the progress that their transactions meet at.
async fn of_two_that_append_to_one_coordinate_at_once_one_stores_its_rows(place: Place) {
    let table = table(&*place.store, &contract("t", &[("id", DataType::Int64)])).await;
    let mut writers = Vec::new();
    for writer in 0..2 {
        let store = place.database().open().await.unwrap();
        // A node of its own for each: one node has one writer in any case.
        let node = store.ensure_node(new_node(&table, &format!("c_{writer:016}"))).await.unwrap().value;
        writers.push((store, node));
    }
    for round in 0..20 {
        let runs = writers.iter().cloned().map(|(store, node)| {
            let table = table.clone();
            tokio::spawn(async move {
                let rows = rows(round);
                let record = run(&node, &format!("{round}-{}", node.update_hash));
                let batches = vec![batch(&table.contract, &rows)];
                let commit = commit(&*store, &table, record, batches, progress(rows.keys())).await;
                store.commit_run(commit).await
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
        assert_eq!(stored, 1, "round {round}");
    }
    assert_eq!(place.number("SELECT count(*) FROM t"), 20 * 200);
}

async fn many_tasks_of_one_process_write_and_read_at_once(place: Place) {
    let place = Arc::new(place);
    let tasks = (0..16).map(|task| {
        let place = Arc::clone(&place);
        tokio::spawn(async move {
            let table =
                table(&*place.store, &contract(&format!("t{task}"), &[("id", DataType::Int64)])).await;
            let mut held = place.store.snapshot().await.unwrap();
            let later = fill(&*place.store, &table, &format!("run-{task}"), &rows(task)).await;
            // All tasks hold a snapshot now, and the catalogue still answers.
            assert_eq!(
                place.store.nodes().await.unwrap().iter().filter(|node| node.table_uid == table.uid).count(),
                1
            );
            assert_eq!(held.progress(&table).await.unwrap().rows(), 0);
            let mut snapshot = place.store.snapshot().await.unwrap();
            assert_eq!(read(&mut snapshot, &later, &ReadQuery::default(), 33).await.len(), 200);
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

async fn processes_may_open_a_new_database_at_once(place: Place) {
    for _ in 0..5 {
        let database = Arc::new(place.unopened());
        let openers = (0..6).map(|_| {
            let database = Arc::clone(&database);
            tokio::spawn(async move { database.open().await.map(|_| ()) })
        });
        for opener in openers.collect::<Vec<_>>() {
            opener.await.unwrap().unwrap();
        }
    }
}

async fn a_read_that_is_given_up_spoils_nothing(place: Place) {
    let table = table(&*place.store, &contract("t", &[("id", DataType::Int64)])).await;
    let table = fill(&*place.store, &table, "run-1", &rows(1)).await;
    let mut snapshot = place.store.snapshot().await.unwrap();
    let everything = snapshot.read(&table, &ReadQuery::default());
    for _ in 0..20 {
        tokio::select! {
            biased;
            page = everything.page(None, 200) => { page.unwrap(); }
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(snapshot.progress(&table).await.unwrap().rows(), 200);
    }
}

/// A query that matches nothing looks at all rows: it must not keep the others waiting once nobody wants the answer.
async fn a_read_that_is_given_up_is_stopped_and_the_snapshot_goes_on(place: Place) {
    const ROWS: i64 = 2_000;
    let table = table(&*place.store, &contract("t", &[("id", DataType::Int64)])).await;
    let model: Model = (0..ROWS).map(|id| ((1, Coordinate(vec![CoordinateValue::Int(id)])), None)).collect();
    let table = fill(&*place.store, &table, "run-1", &model).await;
    // Each row is compared with the rows of all rows, by a view under the table's name: hours of work.
    place.execute(
        "ALTER TABLE t RENAME TO rows; CREATE VIEW t AS SELECT a.* FROM rows a WHERE \
         (SELECT count(*) FROM rows b, rows c, rows d WHERE b.id + c.id + d.id + a.id < -1) > 0",
    );
    let mut snapshot = place.store.snapshot().await.unwrap();
    let endless = snapshot.read(&table, &ReadQuery::default());
    tokio::select! {
        page = endless.page(None, 10) => panic!("{page:?}"),
        () = tokio::time::sleep(Duration::from_millis(50)) => {}
    }
    assert_eq!(snapshot.progress(&table).await.unwrap().rows(), ROWS.unsigned_abs());
    snapshot.end().await;
    assert!(endless.page(None, 10).await.is_err(), "a read ends with its snapshot");
}

/// The runtime that makes the place is not the one of the test.
fn a_snapshot_may_outlive_its_runtime(_: &Runtime, place: &Place) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(place.database().open()).unwrap();
    let snapshot = runtime.block_on(store.snapshot()).unwrap();
    drop(snapshot);
    let snapshot = runtime.block_on(store.snapshot()).unwrap();
    drop(runtime);
    drop(snapshot);
    drop(store);
}

async fn dropped_snapshots_give_their_connections_back(place: Place) {
    // More than the pool has.
    for _ in 0..200 {
        place.store.snapshot().await.unwrap();
    }
}

/// A revision may have the lock for minutes. More wait for it than there are connections; whoever reads, or comes with a
/// token, does not.
async fn those_who_wait_to_change_the_catalogue_hold_up_nobody_who_reads(place: Place) {
    let patience = Patience { catalogue: Duration::from_secs(2), ..Patience::default() };
    let store = place.database().open_with(patience).await.unwrap();
    table(&*store, &contract("t", &[])).await;
    store.create_user(&NewUser { username: "ada".to_owned(), ..NewUser::default() }, at(1)).await.unwrap();
    let new = NewToken { user: "ada".to_owned(), rights: Rights::of(&[Right::Read]), ..NewToken::default() };
    let text = store.create_token(&new, at(1)).await.unwrap().text.reveal();
    let holding = place.hold();
    let waiting: Vec<_> = (0..24)
        .map(|number| {
            let store = Arc::clone(&store);
            let contract = contract(&format!("table_{number}"), &[]);
            tokio::spawn(async move { store.register_table(&contract, at(2)).await.map(drop) })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begin = Instant::now();
    for _ in 0..20 {
        store.authenticate(&text, at(2)).await.unwrap();
        assert!(store.has_tokens(at(2)).await.unwrap());
        assert_eq!(store.tables().await.unwrap().len(), 1);
    }
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()), "nobody waited beside those who read");
    if place.is_on_server() {
        // They are told, and have not waited much longer than they may.
        for waiting in waiting {
            let busy = waiting.await.unwrap().unwrap_err();
            assert_eq!((busy.code(), busy.class()), ("store.busy", ErrorClass::Infrastructure), "{busy}");
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        drop(holding);
    } else {
        // Where there is one lock for everything, commits of many rows have it for as long as they take.
        drop(holding);
        for waiting in waiting {
            waiting.await.unwrap().unwrap();
        }
    }
    store.register_table(&contract("after", &[]), at(3)).await.unwrap();
}

on_both_databases!(
    those_who_wait_to_change_the_catalogue_hold_up_nobody_who_reads,
    a_snapshot_does_not_see_later_commits,
    reads_of_one_snapshot_take_turns_and_end_with_it,
    nodes_that_append_to_coordinates_of_their_own_never_refuse_each_other,
    nodes_that_append_to_the_same_coordinates_take_turns,
    of_two_that_append_to_one_coordinate_at_once_one_stores_its_rows,
    many_tasks_of_one_process_write_and_read_at_once,
    processes_may_open_a_new_database_at_once,
    a_read_that_is_given_up_spoils_nothing,
    a_read_that_is_given_up_is_stopped_and_the_snapshot_goes_on,
    dropped_snapshots_give_their_connections_back,
);

properties_on_both_databases!(a_snapshot_may_outlive_its_runtime);
