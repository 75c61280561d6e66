//! Nodes and the edges between them.

use std::collections::HashMap;

use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Postgres, QueryBuilder};

use super::reference::starting_with;
use super::stored::{damaged, failed, from_json, timestamp, to_json};
use super::{components, tables};
use crate::catalogue::audit::Ensured;
use crate::catalogue::nodes::{created, not_found, only, plain_first};
use crate::{NewNode, Node, NodeDependency, NodeFilter, NodePlace, Registered, StoreError};

const DOING: &str = "storing a node";
const READING: &str = "reading nodes";

const SELECT: &str = "SELECT n.uid, n.update_hash, n.component, n.pinned_digest, n.config, n.hashed_document, \
     n.hash_namespace, n.table_uid, t.identifier, n.settings, n.created_at FROM datanode.nodes n \
     JOIN datanode.tables t ON t.uid = n.table_uid";

/// A row of [`SELECT`].
#[derive(FromRow)]
struct Raw {
    uid: String,
    update_hash: String,
    component: String,
    pinned_digest: Option<String>,
    config: String,
    hashed_document: String,
    hash_namespace: String,
    table_uid: String,
    identifier: String,
    settings: String,
    created_at: i64,
}

impl Raw {
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
            table: self.identifier,
            dependencies,
            settings: from_json(&place, &self.settings)?,
            created_at: timestamp(&place, self.created_at)?,
            uid: self.uid,
        })
    }
}

/// `condition` is text of this file; `bind` gives its values.
async fn select(
    connection: &mut PgConnection,
    condition: &'static str,
    values: &[&str],
) -> Result<Vec<Node>, StoreError> {
    let sql = format!("{SELECT} {condition} ORDER BY t.identifier, n.update_hash");
    let mut query: QueryAs<'_, Postgres, Raw, PgArguments> = sqlx::query_as(AssertSqlSafe(sql));
    for value in values {
        query = query.bind((*value).to_owned());
    }
    let rows = query.fetch_all(&mut *connection).await.map_err(failed(READING))?;
    with_edges(connection, rows).await
}

/// Nodes of a filter, by output table and `update_hash`.
pub(super) async fn some(
    connection: &mut PgConnection,
    filter: &NodeFilter,
) -> Result<Vec<Node>, StoreError> {
    // Only conditions that were asked for, so that each has its index.
    let mut query = QueryBuilder::<Postgres>::new(SELECT);
    query.push(" WHERE true");
    if let Some(uids) = &filter.uids {
        query.push(" AND n.uid = ANY(").push_bind(uids).push(")");
    }
    if let Some(uids) = &filter.table_uids {
        query.push(" AND n.table_uid = ANY(").push_bind(uids).push(")");
    }
    if let Some(NodePlace { table, update_hash }) = &filter.after {
        query.push(" AND t.identifier >= ").push_bind(table);
        query.push(" AND (t.identifier, n.update_hash) > (").push_bind(table).push(", ");
        query.push_bind(update_hash).push(")");
    }
    query.push(" ORDER BY t.identifier, n.update_hash");
    if let Some(limit) = filter.limit {
        query.push(" LIMIT ").push_bind(i64::from(limit));
    }
    let rows = query.build_query_as().fetch_all(&mut *connection).await.map_err(failed(READING))?;
    with_edges(connection, rows).await
}

async fn with_edges(connection: &mut PgConnection, rows: Vec<Raw>) -> Result<Vec<Node>, StoreError> {
    let uids: Vec<String> = rows.iter().map(|row| row.uid.clone()).collect();
    let mut dependencies = edges(connection, uids).await?;
    let node = |raw: Raw| {
        let dependencies = dependencies.remove(&raw.uid).unwrap_or_default();
        raw.node(dependencies)
    };
    rows.into_iter().map(node).collect()
}

/// Dependencies by the uid of the node that has them, each list in its order.
async fn edges(
    connection: &mut PgConnection,
    nodes: Vec<String>,
) -> Result<HashMap<String, Vec<NodeDependency>>, StoreError> {
    let rows: Vec<(String, String, String, Option<String>, String)> = sqlx::query_as(
        "SELECT node_uid, key, table_uid, provider_uid, declared FROM datanode.node_dependencies \
         WHERE node_uid = ANY($1) ORDER BY node_uid, position",
    )
    .bind(nodes)
    .fetch_all(connection)
    .await
    .map_err(failed("reading the dependencies of nodes"))?;
    let mut edges: HashMap<String, Vec<NodeDependency>> = HashMap::new();
    for (holder, key, table_uid, node_uid, declared) in rows {
        let declared = from_json(&format!("node {holder}, dependency `{key}`"), &declared)?;
        edges.entry(holder).or_default().push(NodeDependency { key, table_uid, node_uid, declared });
    }
    Ok(edges)
}

/// All nodes, by output table and `update_hash`.
pub(super) async fn all(connection: &mut PgConnection) -> Result<Vec<Node>, StoreError> {
    select(connection, "", &[]).await
}

/// The hash of a node, which people know; refused when there is no such node.
pub(super) async fn update_hash(connection: &mut PgConnection, uid: &str) -> Result<String, StoreError> {
    sqlx::query_scalar("SELECT update_hash FROM datanode.nodes WHERE uid = $1")
        .bind(uid)
        .fetch_optional(connection)
        .await
        .map_err(failed("looking a node up"))?
        .ok_or_else(|| not_found(uid))
}

/// Uid and `update_hash` of the nodes that write a table.
pub(super) async fn writing(
    connection: &mut PgConnection,
    table_uid: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    sqlx::query_as(
        "SELECT uid, update_hash FROM datanode.nodes WHERE table_uid = $1 ORDER BY update_hash, uid",
    )
    .bind(table_uid)
    .fetch_all(connection)
    .await
    .map_err(failed("reading the nodes of a table"))
}

/// By uid, `update_hash`, identifier of an output table (of those that write it, the one without a hash namespace comes
/// first), or prefix of an `update_hash`. What is written in full comes first: a table is often called like the
/// component, and so like the beginning of the hash, of another node.
pub(super) async fn by_reference(connection: &mut PgConnection, reference: &str) -> Result<Node, StoreError> {
    for condition in ["WHERE n.uid = $1", "WHERE n.update_hash = $1", "WHERE t.identifier = $1"] {
        let found = plain_first(select(connection, condition, &[reference]).await?);
        if !found.is_empty() {
            return one(connection, reference, found).await;
        }
    }
    let hashes = starting_with(
        connection,
        "SELECT DISTINCT update_hash FROM datanode.nodes WHERE update_hash >= $1 AND update_hash < $2 \
         ORDER BY update_hash LIMIT $3",
        reference,
    )
    .await?;
    let mut found = Vec::new();
    for hash in &hashes {
        found.extend(select(connection, "WHERE n.update_hash = $1", &[hash]).await?);
    }
    one(connection, reference, found).await
}

async fn one(connection: &mut PgConnection, reference: &str, found: Vec<Node>) -> Result<Node, StoreError> {
    let sharing = if found.len() > 1 { all(connection).await? } else { Vec::new() };
    only(reference, found, &sharing)
}

/// Take the pin of a node back; whether it had one.
pub(super) async fn unpin(
    connection: &mut PgConnection,
    reference: &str,
) -> Result<(Node, bool), StoreError> {
    let node = by_reference(connection, reference).await?;
    sqlx::query("UPDATE datanode.nodes SET pinned_digest = NULL WHERE uid = $1")
        .bind(&node.uid)
        .execute(connection)
        .await
        .map_err(failed("unpinning a node"))?;
    let changed = node.pinned_digest.is_some();
    Ok((Node { pinned_digest: None, ..node }, changed))
}

/// Find the node of the same (`update_hash`, output table) or create it. A found node takes over a pin that is given,
/// and the dependencies of the release that runs now.
pub(super) async fn ensure(
    connection: &mut PgConnection,
    node: NewNode,
) -> Result<(Registered<Node>, Ensured), StoreError> {
    // Foreign keys would refuse these too, but not say which.
    let table = tables::by_uid(connection, &node.table_uid).await?;
    if let Some(digest) = &node.pinned_digest {
        components::by_digest(connection, digest).await?;
    }
    for dependency in &node.dependencies {
        tables::by_uid(connection, &dependency.table_uid).await?;
        if let Some(provider) = &dependency.node_uid {
            update_hash(connection, provider).await?;
        }
    }
    let same = "WHERE n.update_hash = $1 AND n.table_uid = $2";
    if let Some(mut known) = select(connection, same, &[&node.update_hash, &node.table_uid]).await?.pop() {
        let mut ensured = Ensured::Nothing;
        if node.pinned_digest.is_some() && node.pinned_digest != known.pinned_digest {
            ensured = Ensured::Pinned;
            known.pinned_digest = node.pinned_digest;
            sqlx::query("UPDATE datanode.nodes SET pinned_digest = $2 WHERE uid = $1")
                .bind(&known.uid)
                .bind(known.pinned_digest.as_ref().map(ToString::to_string))
                .execute(&mut *connection)
                .await
                .map_err(failed(DOING))?;
        }
        if node.dependencies != known.dependencies {
            // A pin is what somebody has asked for, other dependencies are what comes of it.
            if ensured == Ensured::Nothing {
                ensured = Ensured::Linked;
            }
            known.dependencies = node.dependencies;
            sqlx::query("DELETE FROM datanode.node_dependencies WHERE node_uid = $1")
                .bind(&known.uid)
                .execute(&mut *connection)
                .await
                .map_err(failed(DOING))?;
            insert_edges(connection, &known).await?;
        }
        return Ok((Registered { value: known, created: false }, ensured));
    }
    let value = created(node, table.contract.identifier);
    insert(connection, &value).await?;
    Ok((Registered { value, created: true }, Ensured::Created))
}

/// Find the node of the same (`update_hash`, output table), whatever it is, or create it. A found node stays as it is.
pub(super) async fn ensure_as_it_is(
    connection: &mut PgConnection,
    node: NewNode,
) -> Result<Registered<Node>, StoreError> {
    let same = "WHERE n.update_hash = $1 AND n.table_uid = $2";
    match select(connection, same, &[&node.update_hash, &node.table_uid]).await?.pop() {
        Some(value) => Ok(Registered { value, created: false }),
        None => Ok(ensure(connection, node).await?.0),
    }
}

async fn insert(connection: &mut PgConnection, node: &Node) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO datanode.nodes (uid, update_hash, component, pinned_digest, config, hashed_document, \
         hash_namespace, table_uid, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&node.uid)
    .bind(&node.update_hash)
    .bind(&node.component)
    .bind(node.pinned_digest.as_ref().map(ToString::to_string))
    .bind(to_json(DOING, &node.config)?)
    .bind(&node.hashed_document)
    .bind(&node.hash_namespace)
    .bind(&node.table_uid)
    .bind(node.created_at.micros())
    .execute(&mut *connection)
    .await
    .map_err(failed(DOING))?;
    insert_edges(connection, node).await
}

async fn insert_edges(connection: &mut PgConnection, node: &Node) -> Result<(), StoreError> {
    for (position, dependency) in (0_i64..).zip(&node.dependencies) {
        sqlx::query(
            "INSERT INTO datanode.node_dependencies (node_uid, position, key, table_uid, provider_uid, declared) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&node.uid)
        .bind(position)
        .bind(&dependency.key)
        .bind(&dependency.table_uid)
        .bind(&dependency.node_uid)
        .bind(to_json(DOING, &dependency.declared)?)
        .execute(&mut *connection)
        .await
        .map_err(failed(DOING))?;
    }
    Ok(())
}
