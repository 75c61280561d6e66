//! The shape of tables: what refers to what, what the database has, and whether a contract would be taken.

use std::collections::{BTreeSet, HashMap};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::Uri;
use datanode_core::access::Action;
use datanode_core::contract::Contract;
use datanode_store::Table;
use serde_json::{Map, Value, json};

use super::catalogue::{by_uid, tell_one};
use super::error::{CompatError, refuse};
use super::parameters::{Parameters, object};
use super::registering::{self, Root};
use crate::auth::Caller;
use crate::input::Place;
use crate::{AppState, Problem};

/// How far a graph reaches at most.
const MAX_DEPTH: u64 = 5;
/// The most tables of a graph.
const MAX_NODES: usize = 500;

/// `GET <root>/<uid>/schema-graph/`
pub(crate) async fn graph(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::of_query(uri.query()).map_err(refuse)?;
    let depth = parameters.number("depth").map_err(refuse)?.unwrap_or(1).clamp(1, MAX_DEPTH);
    let incoming = parameters.flag("include_incoming").map_err(refuse)?.unwrap_or(false);
    let store = state.host().store();
    let first = by_uid(&caller, state.host(), root, &uid, Action::ReadTable).await?;
    let mut tables = vec![first.clone()];
    let mut edges: Vec<Value> = Vec::new();
    let mut frontier = vec![first];
    for _ in 0..depth {
        let mut next: Vec<Table> = Vec::new();
        let keys = frontier.iter().flat_map(|table| &table.contract.foreign_keys);
        let wanted: BTreeSet<String> = keys.map(|key| key.references.table.clone()).collect();
        let targets = store.tables_called(&wanted.into_iter().collect::<Vec<_>>()).await?;
        let targets: HashMap<&str, &Table> =
            targets.iter().map(|target| (target.uid.as_str(), target)).collect();
        let uids: Vec<String> = frontier.iter().map(|table| table.uid.clone()).collect();
        let referring = if incoming { store.referring_tables(&uids).await? } else { Vec::new() };
        for table in &frontier {
            let mut found = Vec::new();
            for key in &table.contract.foreign_keys {
                let Some(target) = targets.get(key.references.table.as_str()) else { continue };
                edges.push(edge(&table.uid, &target.uid, &key.columns, &key.references.columns));
                found.push((*target).clone());
            }
            for other in &referring {
                for key in other.contract.foreign_keys.iter().filter(|key| key.references.table == table.uid)
                {
                    edges.push(edge(&other.uid, &table.uid, &key.columns, &key.references.columns));
                    found.push(other.clone());
                }
            }
            for table in found.into_iter().filter(|table| caller.can_with(Action::ReadTable, table)) {
                if tables.len() < MAX_NODES && !tables.iter().any(|known| known.uid == table.uid) {
                    tables.push(table.clone());
                    next.push(table);
                }
            }
        }
        frontier = next;
    }
    let is_there = |uid: &Value| tables.iter().any(|table| uid == table.uid.as_str());
    edges.retain(|edge| is_there(&edge["source_uid"]) && is_there(&edge["target_uid"]));
    let mut once: Vec<Value> = Vec::with_capacity(edges.len());
    for edge in edges {
        if !once.contains(&edge) {
            once.push(edge);
        }
    }
    Ok(Json(json!({
        "root_uid": uid,
        "depth": depth,
        "include_incoming": incoming,
        "nodes": tables.iter().map(node).collect::<Vec<_>>(),
        "edges": once,
    })))
}

fn node(table: &Table) -> Value {
    let Contract { identifier, namespace, kind, .. } = &table.contract;
    json!({
        "uid": table.uid,
        "identifier": identifier,
        "namespace": namespace,
        "physical_table_name": table.contract.physical_name(),
        "table_kind": kind.as_str(),
    })
}

fn edge(source: &str, target: &str, columns: &[String], theirs: &[String]) -> Value {
    json!({
        "source_uid": source,
        "target_uid": target,
        "source_columns": columns,
        "target_columns": theirs,
    })
}

/// `POST <root>/<uid>/introspect/`: what the database has, and where that is not what the contract says.
pub(crate) async fn introspect(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
) -> Result<Json<Value>, Problem> {
    let table = by_uid(&caller, state.host(), root, &uid, Action::ReadTable).await?;
    let store = state.host().store();
    let drift = store.table_drift(&table.uid).await?;
    let told = tell_one(&caller, store.as_ref(), root.form(), &table.uid).await?;
    Ok(Json(json!({
        "ok": drift.is_empty(),
        "meta_table_uid": table.uid,
        "introspection_snapshot": {
            "physical_schema": told["physical_schema"],
            "physical_table_name": told["physical_table_name"],
            "columns": told["columns"],
            "indexes": told["indexes_meta"],
            "foreign_keys": told["foreign_keys"],
            "drift": drift,
        },
    })))
}

/// `POST <root>/validate-contract/`
pub(crate) async fn validate(
    State(state): State<AppState>,
    root: Root,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let body = object(body).await?;
    let source = state.host().store().data_source().await?;
    Ok(Json(judged(&body, root, &source).map_err(refuse)?))
}

/// `POST <root>/<uid>/validate-contract/`: the same, for one who may see the table.
pub(crate) async fn validate_existing(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let body = object(body).await?;
    let table = by_uid(&caller, state.host(), root, &uid, Action::ReadTable).await?;
    let source = state.host().store().data_source().await?;
    let mut judged = judged(&body, root, &source).map_err(refuse)?;
    judged["meta_table_uid"] = json!(table.uid);
    Ok(Json(judged))
}

/// Whether a contract would be taken, and why not.
fn judged(body: &Map<String, Value>, root: Root, source: &str) -> Result<Value, CompatError> {
    if !body.get("table_contract").is_some_and(Value::is_object) {
        return Err(CompatError::field("table_contract", "it is missing"));
    }
    Ok(match registering::registration(body, "", root, source) {
        Ok(new) => json!({"ok": true, "errors": [], "warnings": new.contract.warnings()}),
        Err(error) => json!({"ok": false, "errors": [error.to_string()], "warnings": []}),
    })
}
