//! Nodes and the edges between them.

use std::collections::HashMap;

use rusqlite::types::Value;
use rusqlite::{Connection, Params, Row, params, params_from_iter};

use super::reference::starting_with;
use super::stored::{damaged, failed, find, from_json, timestamp, to_json};
use super::{components, tables};
use crate::catalogue::audit::Ensured;
use crate::catalogue::nodes::{created, not_found, only, plain_first};
use crate::{NewNode, Node, NodeDependency, NodeFilter, NodePlace, Registered, StoreError};

const DOING: &str = "storing a node";
const READING: &str = "reading nodes";

const COLUMNS: &str = "n.uid, n.update_hash, n.component, n.pinned_digest, n.config, n.hashed_document, \
     n.hash_namespace, n.table_uid, t.identifier, n.settings, n.created_at";
const FROM: &str = "FROM _nodes n JOIN _tables t ON t.uid = n.table_uid";

/// A row of [`COLUMNS`] as SQLite has it.
struct Raw {
    uid: String,
    update_hash: String,
    component: String,
    pinned_digest: Option<String>,
    config: String,
    hashed_document: String,
    hash_namespace: String,
    table_uid: String,
    table: String,
    settings: String,
    created_at: i64,
}

impl Raw {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            uid: row.get(0)?,
            update_hash: row.get(1)?,
            component: row.get(2)?,
            pinned_digest: row.get(3)?,
            config: row.get(4)?,
            hashed_document: row.get(5)?,
            hash_namespace: row.get(6)?,
            table_uid: row.get(7)?,
            table: row.get(8)?,
            settings: row.get(9)?,
            created_at: row.get(10)?,
        })
    }

    fn node(self, dependencies: Vec<NodeDependency>) -> Result<Node, StoreError> {
        let place = format!("node {}", self.uid);
        let pinned = self.pinned_digest.map(|digest| digest.parse().map_err(damaged::<String>(&place)));
        Ok(Node {
            update_hash: self.update_hash,
            component: self.component,
            pinned_digest: pinned.transpose()?,
            config: from_json(&place, &self.config)?,
            hashed_document: self.hashed_document,
            hash_namespace: self.hash_namespace,
            table_uid: self.table_uid,
            table: self.table,
            dependencies,
            settings: from_json(&place, &self.settings)?,
            created_at: timestamp(&place, self.created_at)?,
            uid: self.uid,
        })
    }
}

fn select(connection: &Connection, condition: &str, values: impl Params) -> Result<Vec<Node>, StoreError> {
    fetch(
        connection,
        &format!("SELECT {COLUMNS} {FROM} {condition} ORDER BY t.identifier, n.update_hash"),
        values,
    )
}

/// The nodes that a statement answers, in its order.
fn fetch(connection: &Connection, sql: &str, values: impl Params) -> Result<Vec<Node>, StoreError> {
    let failed = failed(READING);
    let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
    let raw = statement.query_map(values, Raw::read).map_err(&failed)?;
    let raw = raw.collect::<Result<Vec<_>, _>>().map_err(&failed)?;
    let mut dependencies = match raw.as_slice() {
        [] => return Ok(Vec::new()),
        [one] => edges(connection, "WHERE node_uid = ?1", [&one.uid])?,
        _ => {
            let uids: Vec<&str> = raw.iter().map(|raw| raw.uid.as_str()).collect();
            let uids = to_json(READING, &uids)?;
            edges(connection, "WHERE node_uid IN (SELECT value FROM json_each(?1))", [uids])?
        }
    };
    raw.into_iter()
        .map(|raw| {
            let dependencies = dependencies.remove(&raw.uid).unwrap_or_default();
            raw.node(dependencies)
        })
        .collect()
}

/// Nodes of a filter, by output table and `update_hash`.
pub(super) fn some(connection: &Connection, filter: &NodeFilter) -> Result<Vec<Node>, StoreError> {
    let (mut conditions, mut values) = (Vec::new(), Vec::new());
    for (condition, uids) in [
        ("n.uid IN (SELECT value FROM json_each(?))", &filter.uids),
        ("t.uid IN (SELECT value FROM json_each(?))", &filter.table_uids),
    ] {
        if let Some(uids) = uids {
            conditions.push(condition);
            values.push(Value::Text(to_json(READING, uids)?));
        }
    }
    if let Some(NodePlace { table, update_hash }) = &filter.after {
        conditions.push("t.identifier >= ? AND (t.identifier, n.update_hash) > (?, ?)");
        values.extend([table, table, update_hash].map(|text| Value::Text(text.clone())));
    }
    // To SQLite a negative limit is none.
    values.push(Value::Integer(filter.limit.map_or(-1, i64::from)));
    // Tables in the order of their identifiers, and the nodes of each, until there are enough: SQLite knows no numbers by which
    // it would find that out.
    let by_table = "FROM _tables t CROSS JOIN _nodes n ON n.table_uid = t.uid";
    let from = if filter.uids.is_some() { FROM } else { by_table };
    let condition =
        if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    let sql = format!("SELECT {COLUMNS} {from} {condition} ORDER BY t.identifier, n.update_hash LIMIT ?");
    fetch(connection, &sql, params_from_iter(values))
}

/// Dependencies by the uid of the node that has them, each list in its order.
fn edges(
    connection: &Connection,
    condition: &str,
    values: impl Params,
) -> Result<HashMap<String, Vec<NodeDependency>>, StoreError> {
    let failed = failed("reading the dependencies of nodes");
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT node_uid, key, table_uid, provider_uid, declared FROM _node_dependencies {condition} \
             ORDER BY node_uid, position"
        ))
        .map_err(&failed)?;
    let rows = statement
        .query_map(values, |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get::<_, String>(4)?))
        })
        .map_err(&failed)?;
    let mut edges: HashMap<String, Vec<NodeDependency>> = HashMap::new();
    for row in rows {
        let (holder, key, table_uid, node_uid, declared) = row.map_err(&failed)?;
        let declared = from_json(&format!("node {holder}, dependency `{key}`"), &declared)?;
        edges.entry(holder).or_default().push(NodeDependency { key, table_uid, node_uid, declared });
    }
    Ok(edges)
}

/// All nodes, by output table and `update_hash`.
pub(super) fn all(connection: &Connection) -> Result<Vec<Node>, StoreError> {
    select(connection, "", ())
}

/// Refuse a node that is not there.
pub(super) fn must_exist(connection: &Connection, uid: &str) -> Result<(), StoreError> {
    update_hash(connection, uid).map(|_| ())
}

/// What errors call a node, by uid.
pub(super) fn update_hash(connection: &Connection, uid: &str) -> Result<String, StoreError> {
    let found = find(connection, "SELECT update_hash FROM _nodes WHERE uid = ?1", [uid], |row| row.get(0))
        .map_err(failed("looking a node up"))?;
    found.ok_or_else(|| not_found(uid))
}

/// Uid and `update_hash` of the nodes that write a table.
pub(super) fn writing(connection: &Connection, table_uid: &str) -> Result<Vec<(String, String)>, StoreError> {
    let failed = failed("reading the nodes of a table");
    let mut statement = connection
        .prepare("SELECT uid, update_hash FROM _nodes WHERE table_uid = ?1 ORDER BY update_hash, uid")
        .map_err(&failed)?;
    let rows = statement.query_map([table_uid], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(&failed)
}

/// By uid, `update_hash`, identifier of an output table (of those that write it, the one without a hash namespace comes
/// first), or prefix of an `update_hash`. What is written in full comes first: a table is often called like the component, and so like the beginning of the hash, of another node.
pub(super) fn by_reference(connection: &Connection, reference: &str) -> Result<Node, StoreError> {
    for condition in ["WHERE n.uid = ?1", "WHERE n.update_hash = ?1", "WHERE t.identifier = ?1"] {
        let found = plain_first(select(connection, condition, [reference])?);
        if !found.is_empty() {
            return one(connection, reference, found);
        }
    }
    let hashes = starting_with(connection, "update_hash", "_nodes", reference)?;
    let mut found = Vec::new();
    for hash in &hashes {
        found.extend(select(connection, "WHERE n.update_hash = ?1", [hash])?);
    }
    one(connection, reference, found)
}

fn one(connection: &Connection, reference: &str, found: Vec<Node>) -> Result<Node, StoreError> {
    let sharing = if found.len() > 1 { all(connection)? } else { Vec::new() };
    only(reference, found, &sharing)
}

/// Take the pin of a node back; whether it had one.
pub(super) fn unpin(connection: &Connection, reference: &str) -> Result<(Node, bool), StoreError> {
    let node = by_reference(connection, reference)?;
    connection
        .execute("UPDATE _nodes SET pinned_digest = NULL WHERE uid = ?1", [&node.uid])
        .map_err(failed("unpinning a node"))?;
    let changed = node.pinned_digest.is_some();
    Ok((Node { pinned_digest: None, ..node }, changed))
}

/// Find the node of the same (`update_hash`, output table) or create it. A found node takes over a pin that is given,
/// and the dependencies of the release that runs now.
pub(super) fn ensure(
    connection: &Connection,
    node: NewNode,
) -> Result<(Registered<Node>, Ensured), StoreError> {
    let same = "WHERE n.update_hash = ?1 AND n.table_uid = ?2";
    // Foreign keys would refuse these too, but not say which.
    let table = tables::by_uid(connection, &node.table_uid)?;
    if let Some(digest) = &node.pinned_digest {
        components::by_digest(connection, digest)?;
    }
    for dependency in &node.dependencies {
        tables::by_uid(connection, &dependency.table_uid)?;
        if let Some(provider) = &dependency.node_uid {
            must_exist(connection, provider)?;
        }
    }
    if let Some(mut known) = select(connection, same, [&node.update_hash, &node.table_uid])?.pop() {
        let mut ensured = Ensured::Nothing;
        if node.pinned_digest.is_some() && node.pinned_digest != known.pinned_digest {
            ensured = Ensured::Pinned;
            known.pinned_digest = node.pinned_digest;
            let pin = known.pinned_digest.as_ref().map(ToString::to_string);
            connection
                .execute("UPDATE _nodes SET pinned_digest = ?2 WHERE uid = ?1", params![known.uid, pin])
                .map_err(failed(DOING))?;
        }
        if node.dependencies != known.dependencies {
            // A pin is what somebody has asked for, other dependencies are what comes of it.
            if ensured == Ensured::Nothing {
                ensured = Ensured::Linked;
            }
            known.dependencies = node.dependencies;
            connection
                .execute("DELETE FROM _node_dependencies WHERE node_uid = ?1", [&known.uid])
                .map_err(failed(DOING))?;
            insert_edges(connection, &known)?;
        }
        return Ok((Registered { value: known, created: false }, ensured));
    }
    let value = created(node, table.contract.identifier);
    insert(connection, &value)?;
    Ok((Registered { value, created: true }, Ensured::Created))
}

/// Find the node of the same (`update_hash`, output table), whatever it is, or create it. A found node stays as it is.
pub(super) fn ensure_as_it_is(
    connection: &Connection,
    node: NewNode,
) -> Result<Registered<Node>, StoreError> {
    let same = "WHERE n.update_hash = ?1 AND n.table_uid = ?2";
    match select(connection, same, [&node.update_hash, &node.table_uid])?.pop() {
        Some(value) => Ok(Registered { value, created: false }),
        None => Ok(ensure(connection, node)?.0),
    }
}

fn insert(connection: &Connection, node: &Node) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO _nodes (uid, update_hash, component, pinned_digest, config, hashed_document, \
             hash_namespace, table_uid, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                node.uid,
                node.update_hash,
                node.component,
                node.pinned_digest.as_ref().map(ToString::to_string),
                to_json(DOING, &node.config)?,
                node.hashed_document,
                node.hash_namespace,
                node.table_uid,
                node.created_at.micros(),
            ],
        )
        .map_err(failed(DOING))?;
    insert_edges(connection, node)
}

fn insert_edges(connection: &Connection, node: &Node) -> Result<(), StoreError> {
    for (position, dependency) in (0_i64..).zip(&node.dependencies) {
        connection
            .execute(
                "INSERT INTO _node_dependencies (node_uid, position, key, table_uid, provider_uid, declared) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    node.uid,
                    position,
                    dependency.key,
                    dependency.table_uid,
                    dependency.node_uid,
                    to_json(DOING, &dependency.declared)?,
                ],
            )
            .map_err(failed(DOING))?;
    }
    Ok(())
}
