//! Producers: what they send waits in the database, is committed once, and goes when its update has ended.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{
    self, Model, Place, at, batch, contract, new_node, on_both_databases, progress, table, text,
};
use datanode_core::coordinate::Coordinate;
use datanode_core::data_type::DataType;
use datanode_core::digest::Digest;
use datanode_core::producer::{PRODUCER, PRODUCER_RUN, ProducerError, Provenance};
use datanode_core::run::{RunError, RunRecord, RunStatus};
use datanode_core::{Diagnostic, ErrorClass};
use datanode_store::{
    BegunUpdate, CommitRun, Lease, NewProducer, NewUpdate, NewUpload, Producer, ProducerEdge, ProducerEdit,
    ProducerFilter, Scheduler, SchedulerState, Store, StoreError, Table, WriteMode,
};
use serde_json::json;

const LONG: Duration = Duration::from_hours(1);
const NO_TIME: Duration = Duration::ZERO;

fn new_producer(table: &Table, update_hash: &str) -> NewProducer {
    NewProducer {
        update_hash: update_hash.to_owned(),
        config: json!({"window": 5}),
        table_uid: table.uid.clone(),
        project_uid: Some("project-1".to_owned()),
        now: at(5),
    }
}

async fn prices(place: &Place) -> (Table, Producer) {
    let table = table(&*place.store, &contract("prices", &[("name", DataType::String)])).await;
    let producer = place.store.ensure_producer(&new_producer(&table, "prices_1")).await.unwrap().value;
    (table, producer)
}

fn record(producer: &Producer, run_id: &str) -> RunRecord {
    let node = &producer.node;
    RunRecord {
        kind: PRODUCER_RUN.to_owned(),
        status: RunStatus::Failed,
        producer: Some(Provenance { sent_by: "ada".to_owned(), ..Provenance::default() }),
        ..support::run(node, run_id)
    }
}

fn new_update(producer: &Producer, scheduler: &str, run_id: &str, duration: Duration) -> NewUpdate {
    NewUpdate {
        node_uid: producer.node.uid.clone(),
        scheduler_uid: scheduler.to_owned(),
        sent_by: "ada".to_owned(),
        holder: format!("a producer of {run_id}"),
        duration,
        record: record(producer, run_id),
    }
}

async fn begin(
    store: &dyn Store,
    producer: &Producer,
    scheduler: &str,
    run_id: &str,
    duration: Duration,
) -> BegunUpdate {
    store.begin_update(&new_update(producer, scheduler, run_id, duration)).await.unwrap()
}

fn upload(producer: &Producer, run_id: &str, bytes: &[u8]) -> NewUpload {
    NewUpload {
        run_id: run_id.to_owned(),
        node_uid: producer.node.uid.clone(),
        digest: Digest::of(bytes),
        rows: 1,
        bytes: bytes.to_vec(),
        most_bytes: 100,
        duration: LONG,
    }
}

fn commit(table: &Table, record: RunRecord, lease: Lease, time: i64, value: i64) -> CommitRun {
    let rows: Model = [((time, Coordinate(vec![text("a")])), Some(value))].into_iter().collect();
    CommitRun {
        lease,
        table: table.clone(),
        record: RunRecord { status: RunStatus::Ok, ..record },
        journal: None,
        mode: WriteMode::Overwrite,
        added: progress(rows.keys()),
        rows: Box::new([Ok(batch(&table.contract, &rows))].into_iter()),
        on_rows: Box::new(|_| {}),
    }
}

/// The record of an update whose rows are of so many uploads.
fn received(record: &RunRecord, uploads: u64) -> RunRecord {
    let producer = record.producer.clone().map(|producer| Provenance { uploads, ..producer });
    RunRecord { producer, ..record.clone() }
}

/// How many uploads wait, of all updates.
fn waiting(place: &Place) -> i64 {
    place.number("SELECT count(*) FROM _producer_uploads")
}

#[track_caller]
fn assert_no_update(error: &StoreError) {
    assert_eq!((error.code(), error.class()), ("producer.no_update", ErrorClass::Refused), "{error}");
}

async fn a_producer_is_a_node_that_is_made_once_and_found_again(place: Place) {
    let (table, producer) = prices(&place).await;
    assert_eq!(
        (producer.node.component.as_str(), producer.node.update_hash.as_str()),
        (PRODUCER, "prices_1")
    );
    assert_eq!(producer.project_uid.as_deref(), Some("project-1"));
    let again = place.store.ensure_producer(&new_producer(&table, "prices_1")).await.unwrap();
    assert!(!again.created);
    assert_eq!(again.value, producer);
    assert_eq!(place.store.node("prices_1").await.unwrap().uid, producer.node.uid);

    // A node that a component computes is none, and stays as it is.
    let computed = place.store.ensure_node(new_node(&table, "c_0123456789abcdef")).await.unwrap().value;
    let refused = place.store.ensure_producer(&new_producer(&table, "c_0123456789abcdef")).await.unwrap_err();
    assert_eq!(refused.code(), "producer.of_component");
    assert!(place.store.producer(&computed.uid).await.is_err());
    assert_eq!(place.store.node(&computed.uid).await.unwrap(), computed);

    let other = table_of(&place, "other").await;
    place.store.ensure_producer(&new_producer(&other, "prices_1")).await.unwrap();
    let filter = |filter: ProducerFilter| ProducerFilter { limit: 10, ..filter };
    let count = async |asked: ProducerFilter| place.store.producers(&filter(asked)).await.unwrap().count;
    assert_eq!(count(ProducerFilter::default()).await, 2);
    let hash = Some("prices_1".to_owned());
    assert_eq!(count(ProducerFilter { update_hash: hash.clone(), ..ProducerFilter::default() }).await, 2);
    let of_table = ProducerFilter {
        update_hash: hash,
        table_uids: Some(vec![table.uid.clone()]),
        ..ProducerFilter::default()
    };
    let page = place.store.producers(&filter(of_table)).await.unwrap();
    assert_eq!((page.count, page.producers), (1, vec![producer.clone()]));
    let none = ProducerFilter { uids: Some(Vec::new()), ..ProducerFilter::default() };
    assert_eq!(count(none).await, 0);
    let second = ProducerFilter { limit: 1, offset: 1, ..ProducerFilter::default() };
    let page = place.store.producers(&second).await.unwrap();
    assert_eq!((page.count, page.producers.len()), (2, 1));
}

async fn table_of(place: &Place, identifier: &str) -> Table {
    table(&*place.store, &contract(identifier, &[("name", DataType::String)])).await
}

async fn what_is_kept_of_a_producer_changes_by_what_is_given(place: Place) {
    let (_, producer) = prices(&place).await;
    let uid = &producer.node.uid;
    let edit = ProducerEdit {
        tags: Some(vec!["a".to_owned()]),
        dependencies_linked: Some(true),
        description: Some(Some("daily".to_owned())),
        ..ProducerEdit::default()
    };
    place.store.edit_producer(uid, &edit).await.unwrap();
    let more = ProducerEdit { more_tags: vec!["b".to_owned(), "a".to_owned()], ..ProducerEdit::default() };
    let facts = place.store.edit_producer(uid, &more).await.unwrap().facts;
    assert_eq!((facts.tags, facts.dependencies_linked), (vec!["a".to_owned(), "b".to_owned()], true));
    assert_eq!(facts.description.as_deref(), Some("daily"));
    let missing = place.store.edit_producer("nobody", &edit).await.unwrap_err();
    assert_eq!(missing.code(), "store.node_not_found");
}

async fn edges_are_kept_once_and_lead_to_no_circle(place: Place) {
    let (table, first) = prices(&place).await;
    let second = place.store.ensure_producer(&new_producer(&table, "prices_2")).await.unwrap().value;
    let published = table_of(&place, "published").await;
    let edge = |from: &Producer, to: &Producer| ProducerEdge {
        node_uid: from.node.uid.clone(),
        table_uid: table.uid.clone(),
        writer_uid: Some(to.node.uid.clone()),
    };
    for _ in 0..2 {
        place.store.connect_producer(&edge(&second, &first)).await.unwrap();
        let to_table =
            ProducerEdge { table_uid: published.uid.clone(), writer_uid: None, ..edge(&second, &first) };
        place.store.connect_producer(&to_table).await.unwrap();
    }
    let edges = place.store.producer(&second.node.uid).await.unwrap().node.dependencies;
    let writers: Vec<_> = edges.iter().map(|edge| edge.node_uid.as_deref()).collect();
    assert_eq!(writers, [Some(first.node.uid.as_str()), None]);
    assert_eq!(edges[1].key, "published");

    for (from, to) in [(&first, &second), (&first, &first)] {
        let circle = place.store.connect_producer(&edge(from, to)).await.unwrap_err();
        assert_eq!(circle.code(), "producer.cycle");
    }
    place.store.disconnect_producer(&second.node.uid).await.unwrap();
    assert_eq!(place.store.producer(&second.node.uid).await.unwrap().node.dependencies, []);
    place.store.connect_producer(&edge(&first, &second)).await.unwrap();
}

async fn uploads_wait_once_each_and_are_committed_once(place: Place) {
    let (table, producer) = prices(&place).await;
    let begun = begin(&*place.store, &producer, "s1", "r1", LONG).await;
    assert!(!begun.repeated && begun.update.is_open());
    assert!(place.store.stage_upload(&upload(&producer, "r1", b"one")).await.unwrap());
    assert!(!place.store.stage_upload(&upload(&producer, "r1", b"one")).await.unwrap(), "it is there");
    // Another host on the same database takes the next one, and commits.
    let second = place.database().open().await.unwrap();
    assert!(second.stage_upload(&upload(&producer, "r1", b"two")).await.unwrap());
    let staged = second.staged_uploads("r1").await.unwrap();
    assert_eq!(
        staged.iter().map(|upload| (upload.position, upload.bytes)).collect::<Vec<_>>(),
        [(1, 3), (2, 3)]
    );
    assert_eq!(second.staged_rows("r1", 2).await.unwrap(), b"two");

    let update = second.producer(&producer.node.uid).await.unwrap().update.unwrap();
    assert_eq!(update.uploads, 2);
    let lease = update.lease.clone().unwrap();
    let record = received(&update.record, 2);
    let outcome = second.commit_run(commit(&table, record.clone(), lease.clone(), 7, 1)).await.unwrap();
    assert!(!outcome.repeated);
    assert_eq!(waiting(&place), 0, "they go with the commit");
    // The answer was lost: the first host is asked again.
    let update = place.store.producer(&producer.node.uid).await.unwrap().update.unwrap();
    assert!(!update.is_open());
    assert_eq!(update.outcome.as_ref().unwrap().rows_inserted, 1);
    let again = place.store.commit_run(commit(&table, record, lease, 8, 2)).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.record, outcome.record);
    assert_eq!(place.number("SELECT count(*) FROM prices"), 1);

    assert_no_update(&place.store.stage_upload(&upload(&producer, "r1", b"late")).await.unwrap_err());
    begin(&*place.store, &producer, "s1", "r2", LONG).await;
    assert_no_update(&place.store.stage_upload(&upload(&producer, "r1", b"late")).await.unwrap_err());
}

/// What was answered while others were looked through is not forgotten with them: the commit is refused, and the next one
/// has it.
async fn an_upload_that_the_commit_has_not_seen_is_not_lost(place: Place) {
    let (table, producer) = prices(&place).await;
    let begun = begin(&*place.store, &producer, "s1", "r1", LONG).await;
    place.store.stage_upload(&upload(&producer, "r1", b"one")).await.unwrap();
    let (record, lease) = (begun.update.record, begun.update.lease.unwrap());
    let seen = place.store.staged_uploads("r1").await.unwrap().len() as u64;
    let second = place.database().open().await.unwrap();
    assert!(second.stage_upload(&upload(&producer, "r1", b"two")).await.unwrap());
    let refused = place.store.commit_run(commit(&table, received(&record, seen), lease.clone(), 7, 1)).await;
    let refused = refused.unwrap_err();
    assert_eq!((refused.code(), refused.class()), ("producer.more_uploads", ErrorClass::Refused));
    assert!(refused.to_string().contains("2 uploads wait, of which 1"), "{refused}");
    assert_eq!((waiting(&place), place.number("SELECT count(*) FROM prices")), (2, 0));
    // Nor one that names more than there are.
    let ahead = place.store.commit_run(commit(&table, received(&record, 3), lease.clone(), 7, 1)).await;
    assert_eq!(ahead.unwrap_err().code(), "producer.more_uploads");
    place.store.commit_run(commit(&table, received(&record, 2), lease, 7, 1)).await.unwrap();
    assert_eq!((waiting(&place), place.number("SELECT count(*) FROM prices")), (0, 1));
}

/// An upload that comes while the rows are being written waits for the commit, and is refused.
async fn an_upload_that_comes_during_the_commit_is_refused(place: Place) {
    let (table, producer) = prices(&place).await;
    let begun = begin(&*place.store, &producer, "s1", "r1", LONG).await;
    place.store.stage_upload(&upload(&producer, "r1", b"one")).await.unwrap();
    let (record, lease) = (received(&begun.update.record, 1), begun.update.lease.unwrap());
    let (reached, wait_for_rows) = tokio::sync::oneshot::channel();
    let (go_on, wait_to_go_on) = std::sync::mpsc::channel::<()>();
    let mut reached = Some(reached);
    let slow = commit(&table, record, lease, 7, 1);
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
    let second = place.database().open().await.unwrap();
    let late = upload(&producer, "r1", b"late");
    let mut staging = tokio::spawn(async move { second.stage_upload(&late).await });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut staging).await;
    assert!(early.is_err(), "while nobody knows the outcome, none is answered: {early:?}");
    go_on.send(()).unwrap();
    assert!(!committing.await.unwrap().unwrap().repeated);
    assert_no_update(&staging.await.unwrap().unwrap_err());
    assert_eq!((waiting(&place), place.number("SELECT count(*) FROM prices")), (0, 1));
}

async fn the_same_process_that_asks_again_is_answered_again_until_it_has_sent_something(place: Place) {
    let (_, producer) = prices(&place).await;
    begin(&*place.store, &producer, "s1", "r1", LONG).await;
    let again = begin(&*place.store, &producer, "s1", "r2", LONG).await;
    assert!(again.repeated);
    assert_eq!(again.update.run_id, "r1");
    place.store.stage_upload(&upload(&producer, "r1", b"one")).await.unwrap();
    let anew = begin(&*place.store, &producer, "s1", "r3", LONG).await;
    assert!(!anew.repeated);
    assert_eq!((anew.update.run_id.as_str(), waiting(&place)), ("r3", 0));
    let ended = place.store.run("r1").await.unwrap();
    assert_eq!(
        (ended.status, ended.error.unwrap().code.as_str()),
        (RunStatus::Failed, "producer.begun_again")
    );
    assert_eq!(ended.producer.unwrap().uploads, 1);
}

async fn of_two_processes_one_writes(place: Place) {
    let (table, producer) = prices(&place).await;
    begin(&*place.store, &producer, "s1", "r1", LONG).await;
    let second = place.database().open().await.unwrap();
    let held = second.begin_update(&new_update(&producer, "s2", "r2", LONG)).await.unwrap_err();
    assert_eq!(held.code(), "lease.held");
    assert!(held.to_string().contains("a producer of r1"), "{held}");
    let other = NewUpdate { sent_by: "eve".to_owned(), ..new_update(&producer, "s1", "r2", LONG) };
    assert_eq!(second.begin_update(&other).await.unwrap_err().code(), "lease.held");
    // Of another node it may.
    let sibling = place.store.ensure_producer(&new_producer(&table, "prices_2")).await.unwrap().value;
    begin(&*second, &sibling, "s2", "r3", LONG).await;
}

async fn a_lease_that_has_ended_is_taken_and_its_uploads_are_gone(place: Place) {
    let (table, producer) = prices(&place).await;
    begin(&*place.store, &producer, "s1", "r1", NO_TIME).await;
    let short = NewUpload { duration: NO_TIME, ..upload(&producer, "r1", b"one") };
    place.store.stage_upload(&short).await.unwrap();
    let lost = place.store.producer(&producer.node.uid).await.unwrap().update.unwrap();
    assert!(lost.is_open(), "nobody else has come");
    begin(&*place.store, &producer, "s2", "r2", LONG).await;
    assert_eq!(waiting(&place), 0);
    assert_no_update(&place.store.stage_upload(&upload(&producer, "r1", b"two")).await.unwrap_err());
    let ended = place.store.run("r1").await.unwrap();
    assert_eq!((ended.status, ended.error.unwrap().code.as_str()), (RunStatus::Failed, "producer.abandoned"));
    // Its commit, which comes late, is answered as it ended, and stores nothing.
    let late = commit(&table, received(&lost.record, 1), lost.lease.clone().unwrap(), 7, 1);
    let answer = place.store.commit_run(late).await.unwrap();
    assert_eq!((answer.repeated, answer.record.status), (true, RunStatus::Failed));
    assert_eq!(place.number("SELECT count(*) FROM prices"), 0);
    assert!(place.store.producer(&producer.node.uid).await.unwrap().update.unwrap().is_open());
}

async fn an_update_that_fails_is_recorded_and_its_uploads_are_gone(place: Place) {
    let (_, producer) = prices(&place).await;
    let begun = begin(&*place.store, &producer, "s1", "r1", LONG).await;
    place.store.stage_upload(&upload(&producer, "r1", b"one")).await.unwrap();
    let error = RunError::from_diagnostic(&ProducerError::Reported { uploads: 1 });
    // It was looked at before the upload came.
    assert_eq!(begun.update.uploads, 0);
    let first = place.store.fail_update(&begun.update, &error, at(30)).await.unwrap();
    assert_eq!((first.status, first.finished_at), (RunStatus::Failed, at(30)));
    assert_eq!(first.producer.as_ref().unwrap().uploads, 1);
    let again = place.store.fail_update(&begun.update, &error, at(40)).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(waiting(&place), 0);
    assert_eq!(place.store.leases().await.unwrap(), [], "it was given up");
    assert_no_update(&place.store.stage_upload(&upload(&producer, "r1", b"two")).await.unwrap_err());
    begin(&*place.store, &producer, "s2", "r2", LONG).await;
}

async fn more_than_may_wait_is_refused(place: Place) {
    let (_, producer) = prices(&place).await;
    begin(&*place.store, &producer, "s1", "r1", LONG).await;
    assert!(place.store.stage_upload(&upload(&producer, "r1", &[1; 60])).await.unwrap());
    let refused = place.store.stage_upload(&upload(&producer, "r1", &[2; 60])).await.unwrap_err();
    assert_eq!(refused.code(), "producer.too_much");
    assert!(refused.to_string().contains("120 bytes"), "{refused}");
    // The one that is there may be sent again.
    assert!(!place.store.stage_upload(&upload(&producer, "r1", &[1; 60])).await.unwrap());
    assert!(place.store.stage_upload(&upload(&producer, "r1", &[3; 40])).await.unwrap());
}

async fn updates_that_nobody_comes_back_to_are_ended(place: Place) {
    let (table, producer) = prices(&place).await;
    let living = place.store.ensure_producer(&new_producer(&table, "prices_2")).await.unwrap().value;
    begin(&*place.store, &producer, "s1", "r1", NO_TIME).await;
    let short = NewUpload { duration: NO_TIME, ..upload(&producer, "r1", b"one") };
    place.store.stage_upload(&short).await.unwrap();
    begin(&*place.store, &living, "s2", "r2", LONG).await;
    assert_eq!(place.store.abandon_updates(LONG, at(50)).await.unwrap(), 0, "it may still come back");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(place.store.abandon_updates(NO_TIME, at(50)).await.unwrap(), 1);
    assert_eq!(place.store.abandon_updates(NO_TIME, at(50)).await.unwrap(), 0);
    assert_eq!(place.store.run("r1").await.unwrap().error.unwrap().code, "producer.abandoned");
    assert_eq!(waiting(&place), 0);
    assert!(place.store.producer(&living.node.uid).await.unwrap().update.unwrap().is_open());
}

async fn a_heartbeat_keeps_the_updates_of_its_process(place: Place) {
    let (_, producer) = prices(&place).await;
    let uid = producer.node.uid.clone();
    let scheduler = |uid: &str, node: &str, seen_at| Scheduler {
        uid: uid.to_owned(),
        name: "DEBUG_x".to_owned(),
        made_by: "ada".to_owned(),
        state: SchedulerState::default(),
        seen_at,
        node_uids: vec![node.to_owned()],
    };
    place.store.add_scheduler(&scheduler("s1", &uid, at(1))).await.unwrap();
    begin(&*place.store, &producer, "s1", "r1", NO_TIME).await;
    assert_eq!(place.store.leases().await.unwrap(), []);
    let state = SchedulerState { is_running: true, process_id: Some(7), ..SchedulerState::default() };
    let heard = place.store.beat_scheduler("s1", &state, at(9), LONG).await.unwrap();
    assert_eq!((heard.state, heard.seen_at, heard.node_uids), (state.clone(), at(9), vec![uid.clone()]));
    assert_eq!(place.store.leases().await.unwrap().len(), 1);
    assert!(place.store.begin_update(&new_update(&producer, "s2", "r2", LONG)).await.is_err());

    // A second announcement is another process, which takes the node over.
    let week = 8 * 86_400 * 1_000_000;
    place.store.add_scheduler(&scheduler("s2", &uid, at(week))).await.unwrap();
    assert_eq!(place.store.producer(&uid).await.unwrap().scheduler_uid.as_deref(), Some("s2"));
    let forgotten = place.store.scheduler("s1").await.unwrap_err();
    assert_eq!(forgotten.code(), "store.scheduler_not_found");
    assert!(place.store.beat_scheduler("s1", &state, at(9), LONG).await.is_err());
    assert!(place.store.add_scheduler(&scheduler("s3", "nobody", at(week))).await.is_err());
    assert!(place.store.scheduler("s3").await.is_err(), "nothing of it is there");
    assert!(place.store.assign_scheduler("s2", &["nobody".to_owned()]).await.is_err());
}

/// Two hosts receive the same upload at once, as after an answer that was lost on its way, and begin at once.
async fn what_comes_twice_at_once_counts_once(place: Place) {
    let (_, producer) = prices(&place).await;
    let second = place.database().open().await.unwrap();
    let (one, other) = (new_update(&producer, "s1", "r1", LONG), new_update(&producer, "s2", "r2", LONG));
    let (one, other) = tokio::join!(place.store.begin_update(&one), second.begin_update(&other));
    let begun: Vec<_> = [&one, &other].into_iter().filter_map(|begun| begun.as_ref().ok()).collect();
    assert_eq!(begun.len(), 1, "{one:?} {other:?}");
    let run_id = begun[0].update.run_id.clone();
    for bytes in [b"one", b"two", b"six"] {
        let sent = upload(&producer, &run_id, bytes);
        let (one, other) = tokio::join!(place.store.stage_upload(&sent), second.stage_upload(&sent));
        assert_eq!([one.unwrap(), other.unwrap()].into_iter().filter(|stored| *stored).count(), 1);
    }
    assert_eq!(waiting(&place), 3);
}

on_both_databases!(
    a_producer_is_a_node_that_is_made_once_and_found_again,
    what_is_kept_of_a_producer_changes_by_what_is_given,
    edges_are_kept_once_and_lead_to_no_circle,
    uploads_wait_once_each_and_are_committed_once,
    an_upload_that_the_commit_has_not_seen_is_not_lost,
    an_upload_that_comes_during_the_commit_is_refused,
    the_same_process_that_asks_again_is_answered_again_until_it_has_sent_something,
    of_two_processes_one_writes,
    a_lease_that_has_ended_is_taken_and_its_uploads_are_gone,
    an_update_that_fails_is_recorded_and_its_uploads_are_gone,
    more_than_may_wait_is_refused,
    updates_that_nobody_comes_back_to_are_ended,
    a_heartbeat_keeps_the_updates_of_its_process,
    what_comes_twice_at_once_counts_once,
);
