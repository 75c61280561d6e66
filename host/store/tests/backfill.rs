//! Backfills: windows that are claimed, lost, taken over and committed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{Model, Place, at, batch, contract, node, on_both_databases, progress, run, table};
use datanode_core::backfill::{
    BackfillMode, BackfillPlace, BackfillRequest, BackfillState, Control, WindowCounts, WindowStatus,
};
use datanode_core::coordinate::Coordinate;
use datanode_core::ledger::WindowState;
use datanode_core::run::{BACKFILL, RunRecord, RunStatus};
use datanode_core::window::Window;
use datanode_core::{Diagnostic, ErrorClass};
use datanode_store::{
    Backfill, BackfillWindow, ClaimLease, ClaimWindow, ClaimedWindow, CommitRun, CommitWindow, HeldWindow,
    NewBackfill, Node, StoreError, Table, WindowError, WriteMode,
};

pub(crate) const LONG: Duration = Duration::from_hours(1);

fn rows(times: impl IntoIterator<Item = (i64, i64)>) -> Model {
    times.into_iter().map(|(time, value)| ((time, Coordinate(Vec::new())), Some(value))).collect()
}

async fn rates(place: &Place) -> (Table, Node) {
    let table = table(&*place.store, &contract("rates", &[])).await;
    let node = node(&*place.store, &table).await;
    (table, node)
}

pub(crate) fn request(from: i64, to: i64, mode: BackfillMode) -> BackfillRequest {
    BackfillRequest {
        from: at(from),
        to: at(to),
        step: None,
        mode,
        concurrency: 2,
        keep_going: false,
        options: BTreeMap::new(),
    }
}

/// A backfill whose windows are so many moments long.
pub(crate) async fn begin(
    place: &Place,
    node: &Node,
    uid: &str,
    request: BackfillRequest,
    step: i64,
) -> Backfill {
    let (from, to) = (request.from.micros(), request.to.micros());
    let windows = (from..=to).step_by(usize::try_from(step).unwrap());
    let windows = windows.map(|first| Window { start: Some(at(first)), end: at((first + step - 1).min(to)) });
    let new = NewBackfill {
        uid: uid.to_owned(),
        node_uid: node.uid.clone(),
        request,
        windows: windows.collect(),
        created_at: at(0),
    };
    place.store.add_backfill(&new).await.unwrap()
}

pub(crate) async fn claim_window(
    place: &Place,
    uid: &str,
    run_id: &str,
    duration: Duration,
) -> ClaimedWindow {
    let claim = ClaimWindow {
        backfill_uid: uid.to_owned(),
        holder: "a test".to_owned(),
        run_id: run_id.to_owned(),
        duration,
    };
    place.store.claim_window(&claim).await.unwrap()
}

async fn window(place: &Place, uid: &str, run_id: &str) -> HeldWindow {
    match claim_window(place, uid, run_id, LONG).await {
        ClaimedWindow::Window(held) => held,
        other => panic!("no window, but {other:?}"),
    }
}

/// What a run over a window has read: the table, and how often the backfill had raised its epoch.
pub(crate) async fn seen(place: &Place, table: &Table, held: &HeldWindow) -> (Table, i64) {
    let mut snapshot = place.store.snapshot().await.unwrap();
    let raised = snapshot.backfill_raised(&held.backfill_uid).await.unwrap();
    (snapshot.table(&table.uid).await.unwrap(), raised)
}

pub(crate) async fn commit_window(
    place: &Place,
    node: &Node,
    held: &HeldWindow,
    (table, raised): &(Table, i64),
    mode: WriteMode,
    rows: &Model,
) -> Result<RunRecord, StoreError> {
    let lease = place
        .store
        .claim_for_window(&ClaimLease {
            node_uid: node.uid.clone(),
            holder: "a test".to_owned(),
            run_id: held.run_id.clone(),
            duration: Duration::ZERO,
        })
        .await?;
    let record = RunRecord {
        kind: BACKFILL.to_owned(),
        status: if rows.is_empty() { RunStatus::Empty } else { RunStatus::Ok },
        window: held.window,
        backfill: Some(BackfillPlace { backfill_id: held.backfill_uid.clone(), window: held.position }),
        ..run(node, &held.run_id)
    };
    let batches = if rows.is_empty() { Vec::new() } else { vec![batch(&table.contract, rows)] };
    let commit = CommitRun {
        lease,
        table: table.clone(),
        record,
        journal: None,
        mode,
        rows: Box::new(batches.into_iter().map(Ok)),
        added: progress(rows.keys()),
        on_rows: Box::new(|_| {}),
    };
    let window = CommitWindow { held: held.clone(), raised: Some(*raised) };
    place.store.commit_window(commit, &window).await.map(|outcome| outcome.record)
}

async fn windows(place: &Place, uid: &str) -> Vec<BackfillWindow> {
    place.store.backfill_windows(uid).await.unwrap()
}

async fn statuses(place: &Place, uid: &str) -> String {
    let windows = windows(place, uid).await;
    windows.iter().map(|window| window.status.as_str()).collect::<Vec<_>>().join(" ")
}

fn failure() -> WindowError {
    WindowError { code: "test.failed".to_owned(), message: "asked to".to_owned() }
}

/// The run over a window fails.
pub(crate) async fn fails(place: &Place, node: &Node, held: &HeldWindow) -> RunRecord {
    let record = RunRecord {
        kind: BACKFILL.to_owned(),
        status: RunStatus::Failed,
        window: held.window,
        backfill: Some(BackfillPlace { backfill_id: held.backfill_uid.clone(), window: held.position }),
        ..run(node, &held.run_id)
    };
    place.store.fail_window(held, &failure(), &record, None).await.unwrap()
}

/// First and last moment, state and run of the windows of a node.
async fn ledger(place: &Place, node: &Node) -> Vec<(i64, i64, WindowState, String)> {
    let ledger = place.store.node_windows(&node.uid).await.unwrap();
    let windows = ledger.windows().iter();
    windows.map(|w| (w.first.micros(), w.last.micros(), w.state, w.run_id.clone())).collect()
}

async fn windows_are_claimed_in_their_order_and_committed_with_their_rows(place: Place) {
    let (table, node) = rates(&place).await;
    let begun = begin(&place, &node, "b-1", request(10, 18, BackfillMode::AppendOnly), 3).await;
    assert_eq!((begun.state(), begun.windows.total()), (BackfillState::Interrupted, 3));
    let (a, b) = (window(&place, "b-1", "a").await, window(&place, "b-1", "b").await);
    assert_eq!((a.position, a.is_ahead, b.position, b.is_ahead), (1, false, 2, true));
    assert_eq!(place.store.backfill("b-1").await.unwrap().state(), BackfillState::Running);
    let (first, second) = (seen(&place, &table, &a).await, seen(&place, &table, &b).await);
    commit_window(&place, &node, &b, &second, WriteMode::FillGaps, &rows([(13, 1)])).await.unwrap();
    // It lies before the other, and has raised the epoch since; that was of this backfill.
    commit_window(&place, &node, &a, &first, WriteMode::FillGaps, &rows([(10, 1)])).await.unwrap();
    let c = window(&place, "b-1", "c").await;
    assert_eq!(claim_window(&place, "b-1", "d", LONG).await, ClaimedWindow::Wait);
    let third = seen(&place, &table, &c).await;
    commit_window(&place, &node, &c, &third, WriteMode::FillGaps, &rows([])).await.unwrap();
    assert_eq!(claim_window(&place, "b-1", "d", LONG).await, ClaimedWindow::Nothing);
    place.store.leave_backfill("b-1").await.unwrap();
    let done = place.store.backfill("b-1").await.unwrap();
    assert_eq!(done.windows, WindowCounts { done: 2, empty: 1, ..WindowCounts::default() });
    assert_eq!((done.state(), done.rows.inserted), (BackfillState::Done, 2));
    assert_eq!(place.store.backfills(Some(&node.uid)).await.unwrap(), std::slice::from_ref(&done));
    assert_eq!(place.store.backfills(None).await.unwrap(), [done]);
    let noted = place.store.node_windows(&node.uid).await.unwrap();
    assert!(noted.covers(&Window { start: Some(at(10)), end: at(18) }));
    assert!(noted.windows().iter().all(|window| window.is_backfill));
    for control in Control::ALL {
        let over = place.store.control_backfill("b-1", control).await.unwrap_err();
        assert_eq!((over.code(), over.class()), ("backfill.over", ErrorClass::Refused), "{over}");
    }
    let nobody = place.store.backfill("nobody").await.unwrap_err();
    assert_eq!(nobody.code(), "store.backfill_not_found");
}

async fn a_window_that_was_taken_over_is_lost_for_good(place: Place) {
    let (table, node) = rates(&place).await;
    begin(&place, &node, "b-1", request(1, 4, BackfillMode::Overwrite), 2).await;
    let ClaimedWindow::Window(killed) = claim_window(&place, "b-1", "a", Duration::ZERO).await else {
        panic!("no window")
    };
    let read = seen(&place, &table, &killed).await;
    let other = window(&place, "b-1", "b").await;
    let taken = window(&place, "b-1", "c").await;
    assert_eq!((killed.position, other.position, taken.position), (1, 2, 1), "what is pending comes first");
    let lost = |error: StoreError| {
        assert_eq!(
            (error.code(), error.class()),
            ("backfill.window_lost", ErrorClass::Infrastructure),
            "{error}"
        );
    };
    lost(
        commit_window(&place, &node, &killed, &read, WriteMode::Overwrite, &rows([(1, 1)]))
            .await
            .unwrap_err(),
    );
    lost(place.store.extend_window(&killed, LONG).await.unwrap_err());
    lost(place.store.pass_window(&killed, "d").await.unwrap_err());
    // What others have does not change.
    fails(&place, &node, &killed).await;
    place.store.order_windows(&killed).await.unwrap();
    assert_eq!(statuses(&place, "b-1").await, "running running");
    place.store.extend_window(&taken, LONG).await.unwrap();
    let passed = place.store.pass_window(&taken, "e").await.unwrap();
    lost(place.store.extend_window(&taken, LONG).await.unwrap_err());
    let read = seen(&place, &table, &passed).await;
    commit_window(&place, &node, &passed, &read, WriteMode::Overwrite, &rows([(1, 5)])).await.unwrap();
    let first = windows(&place, "b-1").await.remove(0);
    assert_eq!((first.status, first.attempts, first.run_id.as_deref()), (WindowStatus::Done, 3, Some("e")));
    // A commit that is sent again is answered with its first outcome.
    let again =
        commit_window(&place, &node, &passed, &read, WriteMode::Overwrite, &rows([(1, 6)])).await.unwrap();
    assert_eq!(again.rows_inserted, 1);
    assert_eq!(place.number("SELECT count(*) FROM rates WHERE value = 5"), 1);
}

async fn failures_stop_a_backfill_unless_it_keeps_going(place: Place) {
    let (table, node) = rates(&place).await;
    begin(&place, &node, "b-1", request(1, 6, BackfillMode::Overwrite), 2).await;
    let held = window(&place, "b-1", "a").await;
    fails(&place, &node, &held).await;
    assert_eq!(claim_window(&place, "b-1", "b", LONG).await, ClaimedWindow::Nothing);
    place.store.leave_backfill("b-1").await.unwrap();
    assert_eq!(place.store.backfill("b-1").await.unwrap().state(), BackfillState::Failed);
    assert_eq!(windows(&place, "b-1").await[0].error, Some(failure()));
    // Resumed: another chance.
    place.store.control_backfill("b-1", Control::Go).await.unwrap();
    assert_eq!(window(&place, "b-1", "c").await.position, 1);
    place.store.control_backfill("b-1", Control::Pause).await.unwrap();
    assert_eq!(claim_window(&place, "b-1", "d", LONG).await, ClaimedWindow::Nothing);
    place.store.control_backfill("b-1", Control::Cancel).await.unwrap();
    assert_eq!(claim_window(&place, "b-1", "d", LONG).await, ClaimedWindow::Nothing);
    assert_eq!(place.store.control_backfill("b-1", Control::Go).await.unwrap_err().code(), "backfill.over");
    assert_eq!(
        place.store.control_backfill("b-1", Control::Cancel).await.unwrap().state(),
        BackfillState::Cancelled
    );

    let going = BackfillRequest { keep_going: true, ..request(1, 6, BackfillMode::Overwrite) };
    begin(&place, &node, "b-2", going, 2).await;
    let held = window(&place, "b-2", "e").await;
    fails(&place, &node, &held).await;
    let second = window(&place, "b-2", "f").await;
    assert!(second.is_ahead, "the first has failed");
    let read = seen(&place, &table, &second).await;
    commit_window(&place, &node, &second, &read, WriteMode::Overwrite, &rows([(3, 1)])).await.unwrap();
    assert_eq!(statuses(&place, "b-2").await, "failed done pending");
}

async fn a_backfill_in_order_claims_one_window_after_the_other(place: Place) {
    let (table, node) = rates(&place).await;
    begin(&place, &node, "b-1", request(1, 6, BackfillMode::Overwrite), 2).await;
    let (a, b) = (window(&place, "b-1", "a").await, window(&place, "b-1", "b").await);
    place.store.order_windows(&b).await.unwrap();
    assert!(place.store.backfill("b-1").await.unwrap().is_ordered);
    assert_eq!(statuses(&place, "b-1").await, "running pending pending");
    assert_eq!(claim_window(&place, "b-1", "c", LONG).await, ClaimedWindow::Wait);
    let read = seen(&place, &table, &a).await;
    commit_window(&place, &node, &a, &read, WriteMode::Overwrite, &rows([(1, 1)])).await.unwrap();
    let again = window(&place, "b-1", "d").await;
    assert_eq!((again.position, again.is_ahead, again.window), (2, false, b.window));
    assert_eq!(claim_window(&place, "b-1", "e", LONG).await, ClaimedWindow::Wait);
    fails(&place, &node, &again).await;
    assert_eq!(claim_window(&place, "b-1", "e", LONG).await, ClaimedWindow::Nothing);
}

/// What a window has failed at is in the ledger of its node, with the record and the state of the window: or none of it is.
async fn a_window_that_fails_is_noted_by_its_node(place: Place) {
    let (table, node) = rates(&place).await;
    begin(&place, &node, "b-1", request(1, 6, BackfillMode::Overwrite), 2).await;
    let held = window(&place, "b-1", "a").await;
    assert_eq!(fails(&place, &node, &held).await.run_id, "a");
    assert_eq!(ledger(&place, &node).await, [(1, 2, WindowState::Failed, "a".to_owned())]);
    assert_eq!(place.store.run("a").await.unwrap().status, RunStatus::Failed);
    assert_eq!(statuses(&place, "b-1").await, "failed pending pending");
    // Said again, as by a client that has lost the answer: nothing more happens.
    fails(&place, &node, &held).await;
    assert_eq!(place.store.node_windows(&node.uid).await.unwrap().windows()[0].failures, 1);

    // Resumed and killed: who comes too late leaves a record, and no more.
    place.store.control_backfill("b-1", Control::Go).await.unwrap();
    let ClaimedWindow::Window(killed) = claim_window(&place, "b-1", "b", Duration::ZERO).await else {
        panic!("no window")
    };
    let second = window(&place, "b-1", "c").await;
    let third = window(&place, "b-1", "d").await;
    let taken = window(&place, "b-1", "e").await;
    assert_eq!((killed.position, second.position, third.position, taken.position), (1, 2, 3, 1));
    fails(&place, &node, &killed).await;
    assert_eq!(place.store.run("b").await.unwrap().status, RunStatus::Failed);
    assert_eq!(ledger(&place, &node).await, [(1, 2, WindowState::Failed, "a".to_owned())]);
    assert_eq!(statuses(&place, "b-1").await, "running running running");

    // Once it succeeds, nothing of the failure is left; and of one whose commit is there, that stands.
    let read = seen(&place, &table, &taken).await;
    commit_window(&place, &node, &taken, &read, WriteMode::Overwrite, &rows([(2, 1)])).await.unwrap();
    assert_eq!(fails(&place, &node, &taken).await.status, RunStatus::Ok);
    assert_eq!(ledger(&place, &node).await, [(1, 2, WindowState::Done, "e".to_owned())]);
    assert_eq!(statuses(&place, "b-1").await, "done running running");
    // What was done stays done.
    fails(&place, &node, &second).await;
    begin(&place, &node, "b-2", request(1, 3, BackfillMode::Overwrite), 3).await;
    let again = window(&place, "b-2", "f").await;
    fails(&place, &node, &again).await;
    let noted = ledger(&place, &node).await;
    let states: Vec<_> = noted.iter().map(|(first, last, state, _)| (*first, *last, *state)).collect();
    assert_eq!(states, [(1, 2, WindowState::Done), (3, 3, WindowState::Failed), (4, 4, WindowState::Failed)]);
}

async fn a_window_that_is_given_back_is_as_one_that_nobody_has_begun(place: Place) {
    let (_, node) = rates(&place).await;
    begin(&place, &node, "b-1", request(1, 4, BackfillMode::Overwrite), 2).await;
    let held = window(&place, "b-1", "a").await;
    place.store.release_window(&held).await.unwrap();
    assert_eq!(statuses(&place, "b-1").await, "pending pending");
    assert!(!place.store.backfill("b-1").await.unwrap().is_ordered);
    let next = window(&place, "b-1", "b").await;
    assert_eq!((next.position, next.is_ahead), (1, false));
    // It is another's by now.
    place.store.release_window(&held).await.unwrap();
    assert_eq!(statuses(&place, "b-1").await, "running pending");
    assert_eq!(ledger(&place, &node).await, []);
}

/// Windows of a backfill keep behind runs that want the node.
async fn a_run_that_waits_for_its_node_comes_before_windows_of_backfills(place: Place) {
    let (_, node) = rates(&place).await;
    let asked = |run_id: &str| ClaimLease {
        node_uid: node.uid.clone(),
        holder: "a test".to_owned(),
        run_id: run_id.to_owned(),
        duration: LONG,
    };
    let store = &place.store;
    let lease = store.claim_for_window(&asked("window")).await.unwrap();
    let held = store.claim_lease(&asked("run")).await.unwrap_err();
    assert!(matches!(held, StoreError::LeaseHeld { gives_way: true, .. }), "{held}");
    store.release_lease(&lease).await.unwrap();
    let behind = store.claim_for_window(&asked("another window")).await.unwrap_err();
    assert!(matches!(behind, StoreError::LeaseHeld { .. }), "{behind}");
    let lease = store.claim_lease(&asked("run")).await.unwrap();
    let held = store.claim_for_window(&asked("another window")).await.unwrap_err();
    assert!(matches!(held, StoreError::LeaseHeld { gives_way: false, .. }), "{held}");
    store.release_lease(&lease).await.unwrap();
    store.claim_for_window(&asked("another window")).await.unwrap();
}

on_both_databases!(
    windows_are_claimed_in_their_order_and_committed_with_their_rows,
    a_window_that_was_taken_over_is_lost_for_good,
    failures_stop_a_backfill_unless_it_keeps_going,
    a_backfill_in_order_claims_one_window_after_the_other,
    a_window_that_fails_is_noted_by_its_node,
    a_window_that_is_given_back_is_as_one_that_nobody_has_begun,
    a_run_that_waits_for_its_node_comes_before_windows_of_backfills,
);
