//! What nodes have done, kept by commits, failed runs and tail deletes, each in its own transaction.

use crate::support::{
    Model, Place, at, batch, claim, commit, contract, new_node, node, on_both_databases, progress, run,
    table, text,
};
use datanode_core::coordinate::Coordinate;
use datanode_core::data_type::DataType;
use datanode_core::ledger::NodeWindow;
use datanode_core::node_settings::{NodeSettings, SettingChange};
use datanode_core::run::{RunRecord, RunStatus};
use datanode_core::window::Window;
use datanode_store::{DeleteAfter, DeleteScope, Node, StoreError, Table};

fn rows(times: impl IntoIterator<Item = i64>) -> Model {
    times.into_iter().map(|time| ((time, Coordinate(Vec::new())), Some(time))).collect()
}

/// A run over a window; None: from the beginning.
fn over(node: &Node, run_id: &str, start: Option<i64>, end: i64) -> RunRecord {
    RunRecord { window: Window { start: start.map(at), end: at(end) }, ..run(node, run_id) }
}

/// Commit rows as one run.
async fn fill(place: &Place, table: &Table, record: RunRecord, rows: &Model) -> Result<(), StoreError> {
    let batches = if rows.is_empty() { Vec::new() } else { vec![batch(&table.contract, rows)] };
    let commit = commit(&*place.store, table, record, batches, progress(rows.keys())).await;
    place.store.commit_run(commit).await.map(|_| ())
}

async fn rates(place: &Place) -> (Table, Node) {
    let table = table(&*place.store, &contract("rates", &[])).await;
    let node = node(&*place.store, &table).await;
    (table, node)
}

async fn other_node(place: &Place, table: &Table) -> Node {
    place.store.ensure_node(new_node(table, "c_fedcba9876543210")).await.unwrap().value
}

fn delete(table: &Table, after: i64) -> DeleteAfter {
    DeleteAfter { table_uid: table.uid.clone(), after: at(after), scope: DeleteScope::All }
}

fn texts(windows: &[NodeWindow]) -> Vec<String> {
    let text = |window: &NodeWindow| {
        let start = window.start().map_or("…".to_owned(), |start| start.micros().to_string());
        let state = window.state.as_str();
        let failures = if window.failures > 0 { format!(" {}", window.failures) } else { String::new() };
        format!("{start}-{} {state}{failures} {}", window.last.micros(), window.run_id)
    };
    windows.iter().map(text).collect()
}

async fn windows(place: &Place, node: &Node) -> Vec<String> {
    let ledger = place.store.node_windows(&node.uid).await.unwrap();
    // A run reads them in its snapshot.
    let mut snapshot = place.store.snapshot().await.unwrap();
    assert_eq!(snapshot.node_windows(&node.uid).await.unwrap(), ledger);
    texts(ledger.windows())
}

async fn a_commit_notes_its_window(place: Place) {
    let (table, node) = rates(&place).await;
    assert_eq!(windows(&place, &node).await, [""; 0]);
    fill(&place, &table, over(&node, "a", None, 10), &rows([3, 7])).await.unwrap();
    assert_eq!(windows(&place, &node).await, ["…-7 done a", "8-10 empty a"]);
    fill(&place, &table, over(&node, "b", Some(8), 20), &rows([9, 20])).await.unwrap();
    assert_eq!(windows(&place, &node).await, ["…-20 done b"]);
    fill(&place, &table, over(&node, "c", Some(21), 30), &rows([])).await.unwrap();
    // A run over what is done, with nothing to add.
    fill(&place, &table, over(&node, "d", Some(15), 20), &rows([])).await.unwrap();
    // A window without a moment, as a forced run may have.
    fill(&place, &table, over(&node, "e", Some(31), 30), &rows([])).await.unwrap();
    assert_eq!(windows(&place, &node).await, ["…-20 done b", "21-30 empty c"]);
}

async fn a_commit_that_is_refused_notes_nothing(place: Place) {
    let (table, node) = rates(&place).await;
    fill(&place, &table, over(&node, "a", None, 10), &rows([3, 7])).await.unwrap();
    let twice = vec![batch(&table.contract, &rows([15])), batch(&table.contract, &rows([15]))];
    let keys = [(15, Coordinate(Vec::new())), (15, Coordinate(Vec::new()))];
    let refused = commit(&*place.store, &table, over(&node, "b", Some(8), 20), twice, progress(&keys)).await;
    let error = place.store.commit_run(refused).await.unwrap_err();
    assert!(matches!(error, StoreError::DuplicateKey { .. }), "{error}");
    assert_eq!(windows(&place, &node).await, ["…-7 done a", "8-10 empty a"]);
}

async fn a_failed_run_notes_its_window_while_it_holds_its_node(place: Place) {
    let (table, node) = rates(&place).await;
    fill(&place, &table, over(&node, "a", None, 10), &rows([10])).await.unwrap();
    let end = async |run_id: &str, status, last| {
        let record = RunRecord { status, ..over(&node, run_id, Some(5), last) };
        place.store.record_run(&record, None).await.unwrap();
    };
    // It has never held the node: it was blocked, or another run held it.
    end("b", RunStatus::Failed, 20).await;
    claim(&*place.store, &node.uid, "c").await;
    end("c", RunStatus::Skipped, 20).await;
    assert_eq!(windows(&place, &node).await, ["…-10 done a"]);
    claim(&*place.store, &node.uid, "d").await;
    end("d", RunStatus::Failed, 20).await;
    // The first outcome of a run stands.
    end("d", RunStatus::Failed, 40).await;
    claim(&*place.store, &node.uid, "e").await;
    end("e", RunStatus::Failed, 30).await;
    assert_eq!(windows(&place, &node).await, ["…-10 done a", "11-30 failed 2 e"]);
    // Another run has claimed the node meanwhile.
    claim(&*place.store, &node.uid, "f").await;
    claim(&*place.store, &node.uid, "g").await;
    end("f", RunStatus::Failed, 50).await;
    assert_eq!(windows(&place, &node).await, ["…-10 done a", "11-30 failed 2 e"]);
    fill(&place, &table, over(&node, "h", Some(11), 25), &rows([20])).await.unwrap();
    assert_eq!(
        windows(&place, &node).await,
        ["…-20 done h", "21-25 empty h", "26-30 failed 2 e"],
        "a success erases what failed before, and no more than its window"
    );
}

async fn a_tail_delete_opens_the_windows_of_all_nodes(place: Place) {
    let (table, node) = rates(&place).await;
    let other = other_node(&place, &table).await;
    fill(&place, &table, over(&node, "a", None, 10), &rows([2, 5])).await.unwrap();
    fill(&place, &table, over(&other, "b", Some(6), 20), &rows([8, 20])).await.unwrap();
    let deleted = place.store.delete_after(&delete(&table, 7)).await.unwrap();
    assert_eq!((deleted.rows, deleted.table.epoch), (2, table.epoch + 1));
    let mut reopened: Vec<_> =
        deleted.reopened.iter().map(|node| (node.node_uid.clone(), texts(&node.windows))).collect();
    let mut expected = vec![
        (node.uid.clone(), vec!["7-10 empty a".to_owned()]),
        (other.uid.clone(), vec!["7-20 done b".to_owned()]),
    ];
    reopened.sort();
    expected.sort();
    assert_eq!(reopened, expected);
    assert_eq!(windows(&place, &node).await, ["…-5 done a", "6-6 empty a"]);
    assert_eq!(windows(&place, &other).await, ["6-6 empty b"], "of its rows none is left");
    // Nothing is left to delete or to open, and no commit in flight is disturbed.
    let again = place.store.delete_after(&delete(&table, 7)).await.unwrap();
    assert_eq!((again.reopened.len(), again.table.epoch), (0, deleted.table.epoch));
    // No row goes, but windows are opened, which a commit in flight must not close.
    let empty = place.store.delete_after(&delete(&table, 6)).await.unwrap();
    assert_eq!((empty.rows, empty.reopened.len(), empty.table.epoch), (0, 2, deleted.table.epoch + 1));
}

/// Windows know no coordinates.
async fn a_tail_delete_of_one_coordinate_opens_all_of_a_window(place: Place) {
    let table = table(&*place.store, &contract("prices", &[("name", DataType::String)])).await;
    let node = node(&*place.store, &table).await;
    let key = |time, name| (time, Coordinate(vec![text(name)]));
    let rows: Model = [key(4, "a"), key(9, "b")].map(|key| (key, Some(1))).into();
    fill(&place, &table, over(&node, "a", None, 10), &rows).await.unwrap();
    let scope = DeleteScope::DimensionFilters(vec![("name".to_owned(), vec![text("a")])]);
    let deleted = place.store.delete_after(&DeleteAfter { scope, ..delete(&table, 3) }).await.unwrap();
    assert_eq!(
        (deleted.rows, texts(&deleted.reopened[0].windows)),
        (1, vec!["3-9 done a".to_owned(), "10-10 empty a".to_owned()])
    );
    assert_eq!(windows(&place, &node).await, ["…-2 done a"]);
}

/// Two nodes write one table. While a run of the one computes, and finds that it has nothing to bring, a tail is deleted
/// that it had been told of: were its commit accepted, the window that the delete opened would be empty for good.
async fn an_empty_commit_never_closes_a_window_that_was_opened_meanwhile(place: Place) {
    let (table, node) = rates(&place).await;
    let other = other_node(&place, &table).await;
    fill(&place, &table, over(&node, "a", None, 10), &rows([5, 10])).await.unwrap();
    fill(&place, &table, over(&other, "b", None, 12), &rows([12])).await.unwrap();
    let in_flight = [(&node, "c"), (&other, "d")];
    let mut commits = Vec::new();
    for (node, run_id) in in_flight {
        let record = over(node, run_id, Some(1), 20);
        commits.push(commit(&*place.store, &table, record, Vec::new(), progress(&[])).await);
    }
    let deleted = place.store.delete_after(&delete(&table, 8)).await.unwrap();
    assert_eq!((deleted.rows, deleted.reopened.len()), (2, 2));
    let (before, other_before) = (windows(&place, &node).await, windows(&place, &other).await);
    for commit in commits {
        let error = place.store.commit_run(commit).await.unwrap_err();
        assert!(matches!(error, StoreError::TableMoved { .. }), "{error}");
    }
    assert_eq!(windows(&place, &node).await, before);
    assert_eq!(windows(&place, &other).await, other_before);
    let ledger = place.store.node_windows(&node.uid).await.unwrap();
    assert_eq!(ledger.open_within(None, at(20)), [Window { start: Some(at(8)), end: at(20) }]);
    // Made again, over the same window, it has seen the delete.
    fill(&place, &deleted.table, over(&node, "e", Some(8), 20), &rows([])).await.unwrap();
    let ledger = place.store.node_windows(&node.uid).await.unwrap();
    assert!(ledger.covers(&Window { start: None, end: at(20) }));
}

async fn settings_are_kept_and_taken_back(place: Place) {
    let (table, node) = rates(&place).await;
    assert_eq!(node.settings, NodeSettings::default());
    let changes =
        |texts: &[&str]| texts.iter().map(|text| SettingChange::parse(text).unwrap()).collect::<Vec<_>>();
    let set = place.store.set_node(&node.uid, &changes(&["lookback=7d", "retries=3"])).await.unwrap();
    let expected = NodeSettings { lookback: Some("7d".parse().unwrap()), retries: Some(3), late_rows: None };
    assert_eq!((set.node.settings, set.changed), (expected, true));
    assert!(!place.store.set_node(&node.uid, &changes(&["retries=3"])).await.unwrap().changed);
    // Creating the node again changes none of it.
    let again = place.store.ensure_node(new_node(&table, &node.update_hash)).await.unwrap();
    assert_eq!((again.value.settings, again.created), (expected, false));
    let back = place.store.set_node(&node.uid, &changes(&["lookback="])).await.unwrap();
    assert_eq!(back.node.settings, NodeSettings { retries: Some(3), ..NodeSettings::default() });
    assert_eq!(place.store.node(&node.uid).await.unwrap(), back.node);
    let error = place.store.set_node("nobody", &changes(&["retries=1"])).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { kind: "node", .. }), "{error}");
}

/// A catalogue of an earlier release has runs and no windows.
async fn nodes_that_ran_before_there_were_windows_have_done_what_their_table_holds(place: Place) {
    let (table, node) = rates(&place).await;
    let idle = other_node(&place, &table).await;
    fill(&place, &table, over(&node, "a", None, 10), &rows([3])).await.unwrap();
    let later = RunRecord { started_at: at(11), ..over(&node, "b", Some(4), 20) };
    fill(&place, &table, later, &rows([20])).await.unwrap();
    place.execute("DELETE FROM _node_windows");
    let statement = if place.is_embedded() {
        include_str!("../../../migrations/sqlite/0005_node_windows.sql")
    } else {
        include_str!("../../../migrations/postgres/0024_windows_of_earlier_runs.sql")
    };
    let (_, insert) = statement.split_once("INSERT INTO").unwrap();
    place.execute(&format!("INSERT INTO{insert}"));
    assert_eq!(windows(&place, &node).await, ["…-20 done b"]);
    assert_eq!(windows(&place, &idle).await, [""; 0]);
}

on_both_databases!(
    a_commit_notes_its_window,
    a_commit_that_is_refused_notes_nothing,
    a_failed_run_notes_its_window_while_it_holds_its_node,
    a_tail_delete_opens_the_windows_of_all_nodes,
    a_tail_delete_of_one_coordinate_opens_all_of_a_window,
    an_empty_commit_never_closes_a_window_that_was_opened_meanwhile,
    settings_are_kept_and_taken_back,
    nodes_that_ran_before_there_were_windows_have_done_what_their_table_holds,
);
