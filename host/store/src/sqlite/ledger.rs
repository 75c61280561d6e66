//! Windows of nodes, kept by commits, failed runs and tail deletes.

use std::sync::Arc;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::access::Actor;
use datanode_core::ledger::Ledger;
use datanode_core::node_settings::SettingChange;
use datanode_core::run::RunRecord;
use rusqlite::{Connection, params};

use super::stored::{failed, to_json};
use super::{SqliteStore, audit, nodes, tables};
use crate::catalogue::audit as entries;
use crate::catalogue::ledger::{Moves, Raw, ledger, visit};
use crate::{Ledgers, Node, NodeChange, NodeSet, Reopened, StoreError, Table};

const STORING: &str = "storing the windows of a node";

/// The windows of a node.
pub(super) fn read(connection: &Connection, node_uid: &str) -> Result<Ledger, StoreError> {
    let failed = failed("reading the windows of a node");
    let mut statement = connection
        .prepare(
            "SELECT first, last, state, run_id, failures, updated_at, is_backfill FROM _node_windows \
             WHERE node_uid = ?1 ORDER BY first",
        )
        .map_err(&failed)?;
    let rows = statement
        .query_map([node_uid], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
        })
        .map_err(&failed)?;
    ledger(node_uid, rows.collect::<Result<Vec<Raw>, _>>().map_err(&failed)?)
}

/// A run has succeeded; `latest` is the time of the latest row that it brought.
pub(super) fn succeeded(
    connection: &Connection,
    record: &RunRecord,
    table: &Table,
    latest: Option<Timestamp>,
) -> Result<(), StoreError> {
    let before = read(connection, &record.node_uid)?;
    let mut after = before.clone();
    after.succeed(&visit(record, table.contract.cadence), latest);
    write(connection, &record.node_uid, &before, &after)
}

/// A run has failed.
pub(super) fn fail(connection: &Connection, record: &RunRecord) -> Result<(), StoreError> {
    let table = tables::by_uid(connection, &record.table_uid)?;
    let before = read(connection, &record.node_uid)?;
    let mut after = before.clone();
    after.fail(&visit(record, table.contract.cadence));
    write(connection, &record.node_uid, &before, &after)
}

/// Open the windows of all nodes that write a table, from a moment on; `latest` is the latest row that is left.
pub(super) fn reopen(
    connection: &Connection,
    table_uid: &str,
    from: Timestamp,
    latest: Option<Timestamp>,
) -> Result<Vec<Reopened>, StoreError> {
    let mut reopened = Vec::new();
    for (node_uid, update_hash) in nodes::writing(connection, table_uid)? {
        let before = read(connection, &node_uid)?;
        let mut after = before.clone();
        let windows = after.reopen(from, latest);
        if !windows.is_empty() {
            write(connection, &node_uid, &before, &after)?;
            reopened.push(Reopened { node_uid, update_hash, windows });
        }
    }
    Ok(reopened)
}

fn write(connection: &Connection, node_uid: &str, before: &Ledger, after: &Ledger) -> Result<(), StoreError> {
    let failed = failed(STORING);
    let moves = Moves::between(before, after);
    let mut delete = connection
        .prepare("DELETE FROM _node_windows WHERE node_uid = ?1 AND first = ?2")
        .map_err(&failed)?;
    for first in moves.gone {
        delete.execute(params![node_uid, first]).map_err(&failed)?;
    }
    let mut insert = connection
        .prepare(
            "INSERT INTO _node_windows (node_uid, first, last, state, run_id, failures, updated_at, is_backfill) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .map_err(&failed)?;
    for window in moves.come {
        insert
            .execute(params![
                node_uid,
                window.first.micros(),
                window.last.micros(),
                window.state.as_str(),
                window.run_id,
                window.failures,
                window.updated_at.micros(),
                window.is_backfill,
            ])
            .map_err(&failed)?;
    }
    Ok(())
}

/// Change what people change of a node, and write down that this actor has done so.
fn change(
    connection: &Connection,
    actor: &Actor,
    node_uid: &str,
    change: &NodeChange,
) -> Result<NodeSet, StoreError> {
    let mut node = nodes::by_reference(connection, node_uid)?;
    change.refuse_changed(&node)?;
    let mut unpinned = false;
    if change.unpin {
        (node, unpinned) = nodes::unpin(connection, &node.uid)?;
        if let Some(entry) = entries::node_unpinned(unpinned, &node) {
            audit::record(connection, actor, &entry)?;
        }
    }
    let set = set(connection, node, &change.settings)?;
    if let Some(entry) = entries::node_set(&set) {
        audit::record(connection, actor, &entry)?;
    }
    Ok(NodeSet { changed: set.changed || unpinned, ..set })
}

fn set(connection: &Connection, mut node: Node, changes: &[SettingChange]) -> Result<NodeSet, StoreError> {
    let settings = changes.iter().fold(node.settings, |settings, change| settings.with(*change));
    let changed = settings != node.settings;
    if changed {
        const DOING: &str = "changing the settings of a node";
        connection
            .execute(
                "UPDATE _nodes SET settings = ?2 WHERE uid = ?1",
                params![node.uid, to_json(DOING, &settings)?],
            )
            .map_err(failed(DOING))?;
        node.settings = settings;
    }
    Ok(NodeSet { node, changed })
}

#[async_trait]
impl Ledgers for SqliteStore {
    async fn node_windows(&self, node_uid: &str) -> Result<Ledger, StoreError> {
        let uid = node_uid.to_owned();
        self.read("reading the windows of a node", move |connection| read(connection, &uid)).await
    }

    async fn change_node(&self, node_uid: &str, asked: &NodeChange) -> Result<NodeSet, StoreError> {
        let (uid, asked, actor) = (node_uid.to_owned(), asked.clone(), Arc::clone(&self.actor));
        let work = move |connection: &Connection| change(connection, &actor, &uid, &asked);
        self.write("changing the settings of a node", work).await
    }
}
