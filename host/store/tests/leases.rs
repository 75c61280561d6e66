//! One writer per node: leases by the clock of the database, fenced by an epoch that only grows.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{
    self, Model, Place, Statements, at, batch, claim, contract, new_node, on_both_databases, progress, run,
    table, text,
};
use datanode_core::data_type::DataType;
use datanode_core::run::{RunRecord, RunStatus};
use datanode_core::{Diagnostic, ErrorClass};
use datanode_store::sqlite::{back_up, restore};
use datanode_store::{ClaimLease, CommitRun, Lease, Leases, Node, SqliteStore, StoreError, Table, WriteMode};

const LONG: Duration = Duration::from_hours(1);

async fn prices(place: &Place) -> (Table, Node) {
    let table = table(&*place.store, &contract("prices", &[("name", DataType::String)])).await;
    let node = support::node(&*place.store, &table).await;
    (table, node)
}

fn asked(node: &Node, run_id: &str, duration: Duration) -> ClaimLease {
    ClaimLease {
        node_uid: node.uid.clone(),
        holder: format!("host of {run_id}"),
        run_id: run_id.to_owned(),
        duration,
    }
}

fn commit(table: &Table, record: RunRecord, lease: &Lease, time: i64) -> CommitRun {
    let rows: Model =
        [((time, datanode_core::coordinate::Coordinate(vec![text("a")])), Some(1))].into_iter().collect();
    CommitRun {
        lease: lease.clone(),
        table: table.clone(),
        record,
        journal: None,
        mode: WriteMode::Append,
        added: progress(rows.keys()),
        rows: Box::new([Ok(batch(&table.contract, &rows))].into_iter()),
        on_rows: Box::new(|_| {}),
    }
}

#[track_caller]
fn assert_lost(error: &StoreError, held: i64, latest: i64) {
    let StoreError::LeaseLost { epoch, current, .. } = error else { panic!("{error}") };
    assert_eq!((*epoch, *current), (held, latest));
    assert_eq!((error.code(), error.class()), ("lease.lost", ErrorClass::Infrastructure));
}

async fn a_node_has_one_holder_and_others_learn_who_and_until_when(place: Place) {
    let (_, node) = prices(&place).await;
    let held = place.store.claim_lease(&asked(&node, "r1", LONG)).await.unwrap();
    assert_eq!((held.epoch, held.holder.as_str(), held.run_id.as_str()), (1, "host of r1", "r1"));
    assert_eq!(place.store.leases().await.unwrap(), std::slice::from_ref(&held));

    let error = place.store.claim_lease(&asked(&node, "r2", LONG)).await.unwrap_err();
    let StoreError::LeaseHeld { holder, run_id, expires_at, .. } = &error else { panic!("{error}") };
    assert_eq!((holder.as_str(), run_id.as_str(), *expires_at), ("host of r1", "r1", held.expires_at));
    assert_eq!((error.code(), error.class()), ("lease.held", ErrorClass::Infrastructure));
    assert!(error.to_string().contains(&node.update_hash), "{error}");

    // Another process sees the same; another node is another matter.
    let second = place.database().open().await.unwrap();
    assert!(second.claim_lease(&asked(&node, "r3", LONG)).await.is_err());
    let table = place.store.table("prices").await.unwrap();
    let other = place.store.ensure_node(new_node(&table, "d_0123456789abcdef")).await.unwrap().value;
    assert_eq!(second.claim_lease(&asked(&other, "r4", LONG)).await.unwrap().epoch, 1);

    place.store.release_lease(&held).await.unwrap();
    assert_eq!(second.claim_lease(&asked(&node, "r5", LONG)).await.unwrap().epoch, 2, "it only grows");
}

async fn the_claim_of_a_run_that_holds_the_node_already_is_a_new_lease(place: Place) {
    // As after an answer that was lost on its way.
    let (_, node) = prices(&place).await;
    let first = place.store.claim_lease(&asked(&node, "r1", LONG)).await.unwrap();
    let second = place.store.claim_lease(&asked(&node, "r1", LONG)).await.unwrap();
    assert_eq!((first.epoch, second.epoch), (1, 2));
    assert_lost(&place.store.extend_lease(&first, LONG).await.unwrap_err(), 1, 2);
}

async fn there_is_no_lease_on_what_is_no_node(place: Place) {
    let (_, node) = prices(&place).await;
    let stray = ClaimLease { node_uid: "nobody".to_owned(), ..asked(&node, "r", LONG) };
    let error = place.store.claim_lease(&stray).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no node `nobody`");
}

async fn an_expired_lease_may_be_extended_and_committed_under_until_somebody_claims(place: Place) {
    let (table, node) = prices(&place).await;
    let expired = claim(&*place.store, &node.uid, "r1").await;
    assert_eq!(place.store.leases().await.unwrap(), [], "it has expired");
    let extended = place.store.extend_lease(&expired, LONG).await.unwrap();
    assert_eq!(extended.epoch, 1);
    assert!(extended.expires_at > expired.expires_at);
    assert!(place.store.claim_lease(&asked(&node, "r2", LONG)).await.is_err());

    let expired = place.store.extend_lease(&extended, Duration::ZERO).await.unwrap();
    let outcome = place.store.commit_run(commit(&table, run(&node, "r1"), &expired, 1)).await.unwrap();
    assert_eq!(outcome.record.rows_inserted, 1);
}

async fn a_run_whose_lease_was_claimed_by_another_stores_nothing(place: Place) {
    let (table, node) = prices(&place).await;
    let first = claim(&*place.store, &node.uid, "r1").await;
    let second = place.store.claim_lease(&asked(&node, "r2", LONG)).await.unwrap();
    assert_lost(&place.store.extend_lease(&first, LONG).await.unwrap_err(), 1, 2);
    let error = place.store.commit_run(commit(&table, run(&node, "r1"), &first, 1)).await.unwrap_err();
    assert_lost(&error, 1, 2);
    assert_eq!(place.number("SELECT count(*) FROM prices"), 0);
    assert_eq!(place.number("SELECT count(*) FROM _progress"), 0);
    assert_eq!(place.number("SELECT count(*) FROM _runs"), 0);

    // Neither giving it up nor recording the run takes the other's lease away.
    place.store.release_lease(&first).await.unwrap();
    place.store.record_run(&RunRecord { status: RunStatus::Failed, ..run(&node, "r1") }, None).await.unwrap();
    assert_eq!(place.store.leases().await.unwrap(), std::slice::from_ref(&second));
    place.store.commit_run(commit(&table, run(&node, "r2"), &second, 1)).await.unwrap();
    assert_eq!(place.store.leases().await.unwrap(), []);

    // Not even when nobody holds the node any more.
    let late =
        place.store.commit_run(commit(&table, run(&node, "r3"), &Lease { run_id: "r3".into(), ..first }, 2));
    assert_lost(&late.await.unwrap_err(), 1, 2);
    assert_eq!(place.number("SELECT count(*) FROM prices"), 1);
}

async fn a_lease_is_given_up_with_the_outcome_of_its_run(place: Place) {
    let (table, node) = prices(&place).await;
    let lease = place.store.claim_lease(&asked(&node, "r1", LONG)).await.unwrap();
    place.store.commit_run(commit(&table, run(&node, "r1"), &lease, 1)).await.unwrap();
    assert_eq!(place.store.leases().await.unwrap(), []);
    // A lease that is given up is nobody's: not even its last holder goes on under it.
    assert_lost(&place.store.extend_lease(&lease, LONG).await.unwrap_err(), 1, 1);

    for (number, status) in (2..).zip([RunStatus::Failed, RunStatus::Skipped, RunStatus::Blocked]) {
        let run_id = format!("r{number}");
        let lease = place.store.claim_lease(&asked(&node, &run_id, LONG)).await.unwrap();
        assert_eq!(lease.epoch, number);
        place.store.record_run(&RunRecord { status, ..run(&node, &run_id) }, None).await.unwrap();
        assert_eq!(place.store.leases().await.unwrap(), []);
    }
}

async fn a_commit_that_fails_keeps_the_lease_for_the_record_of_the_failure(place: Place) {
    let (table, node) = prices(&place).await;
    let lease = place.store.claim_lease(&asked(&node, "r1", LONG)).await.unwrap();
    place.execute("UPDATE _tables SET epoch = 7");
    let error = place.store.commit_run(commit(&table, run(&node, "r1"), &lease, 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::TableMoved { .. }), "{error}");
    assert_eq!(place.store.leases().await.unwrap(), [lease]);
}

/// Only the embedded database can be copied for trials.
#[tokio::test]
async fn a_copy_for_trials_has_no_holders() {
    let place = Place::sqlite().await;
    let (_, node) = prices(&place).await;
    let held = place.store.claim_lease(&asked(&node, "r1", LONG)).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let copy = place.store.scratch(directory.path()).await.unwrap().store();
    assert_eq!(copy.leases().await.unwrap(), []);
    let trial = copy.claim_lease(&asked(&node, "trial", LONG)).await.unwrap();
    assert_eq!((held.epoch, trial.epoch), (1, 2), "an epoch only grows, in a copy too");
    assert_eq!(place.store.leases().await.unwrap(), [held]);
}

#[tokio::test]
async fn a_database_that_was_put_back_has_no_holders_and_goes_on_counting() {
    let place = Place::sqlite().await;
    let (_, node) = prices(&place).await;
    place.store.claim_lease(&asked(&node, "r1", LONG)).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (backup, restored) = (directory.path().join("backup"), directory.path().join("restored.sqlite"));
    back_up(&place.path(), &backup, false).await.unwrap();
    restore(&restored, &backup, false, at(0)).await.unwrap();
    let store = SqliteStore::open(&restored).await.unwrap();
    assert_eq!(store.leases().await.unwrap(), []);
    assert_eq!(store.claim_lease(&asked(&node, "r2", LONG)).await.unwrap().epoch, 2);
}

/// The client lost the answer of its commit, and so takes its run for one that has failed.
async fn the_record_of_a_commit_stands_when_its_run_is_said_to_have_failed(place: Place) {
    let (table, node) = prices(&place).await;
    let lease = place.store.claim_lease(&asked(&node, "r1", LONG)).await.unwrap();
    let stored = place.store.commit_run(commit(&table, run(&node, "r1"), &lease, 1)).await.unwrap().record;
    let failed = RunRecord { status: RunStatus::Failed, ..run(&node, "r1") };
    assert_eq!(place.store.record_run(&failed, None).await.unwrap(), stored);
    assert_eq!(place.store.run("r1").await.unwrap(), stored);
    // Where no commit is there, the failure stands, the first time and again.
    let failed = RunRecord { run_id: "r2".to_owned(), ..failed };
    assert_eq!(place.store.record_run(&failed, None).await.unwrap(), failed);
    let skipped = RunRecord { status: RunStatus::Skipped, ..failed.clone() };
    assert_eq!(place.store.record_run(&skipped, None).await.unwrap(), failed);
}

/// The same while the commit is still under way, as it may be in a server whose client was cut off.
async fn a_commit_under_way_is_waited_for(place: Place) {
    let (table, node) = prices(&place).await;
    let lease = place.store.claim_lease(&asked(&node, "r1", LONG)).await.unwrap();
    let (reached, wait_for_rows) = tokio::sync::oneshot::channel();
    let (go_on, wait_to_go_on) = std::sync::mpsc::channel::<()>();
    let mut reached = Some(reached);
    let slow = commit(&table, run(&node, "r1"), &lease, 1);
    let rows = slow.rows.inspect(move |_| {
        if let Some(reached) = reached.take() {
            reached.send(()).unwrap();
            wait_to_go_on.recv().unwrap();
        }
    });
    let slow = CommitRun { rows: Box::new(rows), ..slow };
    let committing = {
        let store = Arc::clone(&place.store);
        tokio::spawn(async move { store.commit_run(slow).await })
    };
    wait_for_rows.await.unwrap();
    let mut recording = {
        let (store, failed) =
            (Arc::clone(&place.store), RunRecord { status: RunStatus::Failed, ..run(&node, "r1") });
        tokio::spawn(async move { store.record_run(&failed, None).await })
    };
    let early = tokio::time::timeout(Duration::from_millis(300), &mut recording).await;
    assert!(early.is_err(), "while nobody knows the outcome, none is answered: {early:?}");
    go_on.send(()).unwrap();
    let stored = committing.await.unwrap().unwrap().record;
    assert_eq!(stored.status, RunStatus::Ok);
    assert_eq!(recording.await.unwrap().unwrap(), stored);
    assert_eq!(place.number("SELECT count(*) FROM prices"), 1);
}

async fn the_clock_of_the_database_decides(place: Place) {
    let (_, node) = prices(&place).await;
    let before = place.now();
    let lease = place.store.claim_lease(&asked(&node, "r1", Duration::from_millis(1_500))).await.unwrap();
    let after = place.now();
    assert!((at(before + 1_500_000)..=at(after + 1_500_000)).contains(&lease.expires_at));
    // As if the time had passed.
    place.execute("UPDATE _leases SET expires_at = expires_at - 1500000");
    assert_eq!(place.store.claim_lease(&asked(&node, "r2", LONG)).await.unwrap().epoch, 2);
}

async fn of_many_that_claim_at_once_one_gets_it(place: Place) {
    let (_, node) = prices(&place).await;
    let mut processes = Vec::new();
    for _ in 0..8 {
        processes.push(place.database().open().await.unwrap());
    }
    for round in 0..10 {
        let claims = (0..).zip(&processes).map(|(number, process): (u32, _)| {
            let (process, asked) = (Arc::clone(process), asked(&node, &format!("{round}-{number}"), LONG));
            tokio::spawn(async move { process.claim_lease(&asked).await })
        });
        let mut won = Vec::new();
        for claim in claims.collect::<Vec<_>>() {
            match claim.await.unwrap() {
                Ok(lease) => won.push(lease),
                Err(StoreError::LeaseHeld { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won.len(), 1, "{won:?}");
        assert_eq!(won[0].epoch, round + 1);
        place.store.release_lease(&won[0]).await.unwrap();
    }
}

on_both_databases!(
    a_node_has_one_holder_and_others_learn_who_and_until_when,
    the_claim_of_a_run_that_holds_the_node_already_is_a_new_lease,
    there_is_no_lease_on_what_is_no_node,
    an_expired_lease_may_be_extended_and_committed_under_until_somebody_claims,
    a_run_whose_lease_was_claimed_by_another_stores_nothing,
    a_lease_is_given_up_with_the_outcome_of_its_run,
    a_commit_that_fails_keeps_the_lease_for_the_record_of_the_failure,
    the_clock_of_the_database_decides,
    of_many_that_claim_at_once_one_gets_it,
    the_record_of_a_commit_stands_when_its_run_is_said_to_have_failed,
    a_commit_under_way_is_waited_for,
);

/// A process that is stopped in the midst of a heartbeat holds nothing: the row of a node would stay locked between two
/// statements of a transaction, and nobody could take the node over, however long ago its lease expired.
#[tokio::test]
async fn a_heartbeat_is_one_statement() {
    let place = Place::postgres().await;
    let (_, node) = prices(&place).await;
    let held = place.store.claim_lease(&asked(&node, "r1", LONG)).await.unwrap();
    let statements = Statements::count();
    let held = place.store.extend_lease(&held, LONG).await.unwrap();
    assert_eq!(statements.take(), 1, "the heartbeat");
    place.store.release_lease(&held).await.unwrap();
    assert_eq!(statements.take(), 1, "giving it up");
}

/// Ended while it waited behind a commit: nobody is left to use the node, or to give it up.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_not_waited_for_takes_nothing() {
    let place = Arc::new(Place::postgres().await);
    let (_, node) = prices(&place).await;
    place.store.claim_lease(&asked(&node, "r1", Duration::ZERO)).await.unwrap();
    let committing = Arc::clone(&place);
    let committing = std::thread::spawn(move || {
        committing.on_server("SELECT FROM datanode.leases FOR UPDATE; SELECT pg_sleep(2)");
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let second = asked(&node, "r2", LONG);
    let claiming = place.store.claim_lease(&second);
    assert!(tokio::time::timeout(Duration::from_millis(500), claiming).await.is_err(), "it did not wait");
    committing.join().unwrap();
    let third = place.store.claim_lease(&asked(&node, "r3", LONG)).await.unwrap();
    assert_eq!((third.run_id.as_str(), third.epoch), ("r3", 2));
}
