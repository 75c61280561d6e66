//! Windows of nodes, kept by commits, failed runs and tail deletes.
//!
//! Two things keep the windows of a node from being written twice at once: whoever writes them for a run has locked its
//! lease, and shares its table; a tail delete has locked the table alone.

use datanode_core::Timestamp;
use datanode_core::access::Actor;
use datanode_core::ledger::Ledger;
use datanode_core::node_settings::SettingChange;
use datanode_core::run::RunRecord;
use sqlx::PgConnection;

use super::stored::{failed, to_json};
use super::{audit, nodes, tables};
use crate::catalogue::audit as entries;
use crate::catalogue::ledger::{Moves, Raw, ledger, visit};
use crate::{Node, NodeChange, NodeSet, Reopened, StoreError, Table};

const STORING: &str = "storing the windows of a node";

/// The windows of a node.
pub(super) async fn read(connection: &mut PgConnection, node_uid: &str) -> Result<Ledger, StoreError> {
    let rows: Vec<Raw> = sqlx::query_as(
        "SELECT first, last, state, run_id, failures, updated_at, is_backfill FROM datanode.node_windows \
         WHERE node_uid = $1 ORDER BY first",
    )
    .bind(node_uid)
    .fetch_all(connection)
    .await
    .map_err(failed("reading the windows of a node"))?;
    ledger(node_uid, rows)
}

/// A run has succeeded; `latest` is the time of the latest row that it brought. The caller shares the table.
pub(super) async fn succeeded(
    connection: &mut PgConnection,
    record: &RunRecord,
    table: &Table,
    latest: Option<Timestamp>,
) -> Result<(), StoreError> {
    let before = read(connection, &record.node_uid).await?;
    let mut after = before.clone();
    after.succeed(&visit(record, table.contract.cadence), latest);
    write(connection, &record.node_uid, &before, &after).await
}

/// A run has failed. The caller has locked its lease.
pub(super) async fn fail(connection: &mut PgConnection, record: &RunRecord) -> Result<(), StoreError> {
    let table = tables::shared(connection, &record.table_uid).await?;
    let before = read(connection, &record.node_uid).await?;
    let mut after = before.clone();
    after.fail(&visit(record, table.contract.cadence));
    write(connection, &record.node_uid, &before, &after).await
}

/// Open the windows of all nodes that write a table, from a moment on; `latest` is the latest row that is left. The caller
/// has locked the table.
pub(super) async fn reopen(
    connection: &mut PgConnection,
    table_uid: &str,
    from: Timestamp,
    latest: Option<Timestamp>,
) -> Result<Vec<Reopened>, StoreError> {
    let mut reopened = Vec::new();
    for (node_uid, update_hash) in nodes::writing(connection, table_uid).await? {
        let before = read(connection, &node_uid).await?;
        let mut after = before.clone();
        let windows = after.reopen(from, latest);
        if !windows.is_empty() {
            write(connection, &node_uid, &before, &after).await?;
            reopened.push(Reopened { node_uid, update_hash, windows });
        }
    }
    Ok(reopened)
}

async fn write(
    connection: &mut PgConnection,
    node_uid: &str,
    before: &Ledger,
    after: &Ledger,
) -> Result<(), StoreError> {
    let moves = Moves::between(before, after);
    sqlx::query("DELETE FROM datanode.node_windows WHERE node_uid = $1 AND first = ANY ($2)")
        .bind(node_uid)
        .bind(moves.gone)
        .execute(&mut *connection)
        .await
        .map_err(failed(STORING))?;
    for window in moves.come {
        sqlx::query(
            "INSERT INTO datanode.node_windows (node_uid, first, last, state, run_id, failures, updated_at, is_backfill) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(node_uid)
        .bind(window.first.micros())
        .bind(window.last.micros())
        .bind(window.state.as_str())
        .bind(&window.run_id)
        .bind(i64::from(window.failures))
        .bind(window.updated_at.micros())
        .bind(window.is_backfill)
        .execute(&mut *connection)
        .await
        .map_err(failed(STORING))?;
    }
    Ok(())
}

/// Change what people change of a node, and write down that this actor has done so.
pub(super) async fn change(
    connection: &mut PgConnection,
    actor: &Actor,
    node_uid: &str,
    change: &NodeChange,
) -> Result<NodeSet, StoreError> {
    let mut node = nodes::by_reference(connection, node_uid).await?;
    change.refuse_changed(&node)?;
    let mut unpinned = false;
    if change.unpin {
        (node, unpinned) = nodes::unpin(connection, &node.uid).await?;
        if let Some(entry) = entries::node_unpinned(unpinned, &node) {
            audit::record(connection, actor, &entry).await?;
        }
    }
    let set = set(connection, node, &change.settings).await?;
    if let Some(entry) = entries::node_set(&set) {
        audit::record(connection, actor, &entry).await?;
    }
    Ok(NodeSet { changed: set.changed || unpinned, ..set })
}

async fn set(
    connection: &mut PgConnection,
    mut node: Node,
    changes: &[SettingChange],
) -> Result<NodeSet, StoreError> {
    let settings = changes.iter().fold(node.settings, |settings, change| settings.with(*change));
    let changed = settings != node.settings;
    if changed {
        const DOING: &str = "changing the settings of a node";
        sqlx::query("UPDATE datanode.nodes SET settings = $2 WHERE uid = $1")
            .bind(&node.uid)
            .bind(to_json(DOING, &settings)?)
            .execute(connection)
            .await
            .map_err(failed(DOING))?;
        node.settings = settings;
    }
    Ok(NodeSet { node, changed })
}
