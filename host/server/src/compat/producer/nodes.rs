//! Update processes: found, created, changed, and what they read.

use std::collections::{BTreeSet, HashSet};

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use datanode_core::access::Action;
use datanode_core::dependency::MAX_GRAPH_NODES;
use datanode_core::run::RunStatus;
use datanode_core::search::Page;
use datanode_store::{Listing, Producer, ProducerEdge, ProducerEdit, ProducerFilter};
use serde_json::{Map, Value, json};

use super::super::catalogue;
use super::super::error::{CompatError, refuse};
use super::super::parameters::Parameters;
use super::super::statistics::multi_index_stats;
use super::schedulers::own;
use super::{answer, flag, object, objects, ok, problem, producer, required, text, texts, unknown};
use crate::auth::Caller;
use crate::input::Place;
use crate::{AppState, Problem};

/// The most update processes of a list, over all its pages.
const MAX_LISTED: u32 = 10_000;
/// What a list may be asked by.
const FILTERS: &str = "uid, uid__in, update_hash, remote_table__uid, remote_table__uid__in, \
     remote_table__data_source__uid, remote_table__data_source__uid__in, related_table__namespace__contains, \
     related_table__namespace__in, related_table__namespace__isnull, include_relations_detail, limit, offset";
/// Bytes of a build configuration.
const MAX_CONFIG_BYTES: usize = 1 << 20;

/// Values of a list: with commas, or repeated. No uid and no namespace has a comma.
fn values(parameters: &Parameters, name: &str) -> Vec<String> {
    let parts = parameters.all(name).flat_map(|value| value.split(',')).map(str::trim);
    parts.filter(|part| !part.is_empty()).map(ToOwned::to_owned).collect()
}

/// What is asked for by one value, by a list, or by both; None: by neither.
fn one_of(parameters: &Parameters, exact: &str, list: &str) -> Option<Vec<String>> {
    let all = values(parameters, list);
    let exact = parameters.last(exact).map(ToOwned::to_owned);
    match (exact, all.is_empty() && parameters.last(list).is_none()) {
        (None, true) => None,
        (Some(exact), true) => Some(vec![exact]),
        (None, false) => Some(all),
        (Some(exact), false) => Some(all.into_iter().filter(|uid| *uid == exact).collect()),
    }
}

/// `GET local_time_serie/`
pub(super) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.needs_no_role();
    let parameters = Parameters::of_query(uri.query()).map_err(refuse)?;
    let known: Vec<&str> = FILTERS.split(", ").collect();
    if let Some((filter, _)) = parameters.pairs().find(|(name, _)| !known.contains(name)) {
        let filter: String = filter.chars().take(80).collect();
        return Err(refuse(CompatError::field(
            filter,
            format!("there is no such filter; there are {FILTERS}"),
        )));
    }
    let wanted = catalogue::page_of(&parameters)?;
    let table_uids = one_of(&parameters, "remote_table__uid", "remote_table__uid__in");
    let filter = ProducerFilter {
        uids: one_of(&parameters, "uid", "uid__in"),
        update_hash: parameters.last("update_hash").map(ToOwned::to_owned),
        table_uids: in_namespaces(&state, &parameters, table_uids).await?,
        limit: MAX_LISTED,
        offset: 0,
    };
    let host = state.host();
    let mut producers = host.store().producers(&filter).await?.producers;
    let tables = Listing::Uids(table_uids_of(&producers));
    let readable: HashSet<String> = host
        .store()
        .listed_tables(&tables)
        .await?
        .into_iter()
        .filter(|table| caller.can_with_listed(Action::ReadTable, table))
        .map(|table| table.uid)
        .collect();
    producers.retain(|producer| readable.contains(&producer.node.table_uid));
    let Page { count, offset, limit, items } = Page::of(producers, wanted);
    // The tables as objects, whether they are asked for or not: without them the client refuses to write.
    let tables = objects::tables(&state, &caller, &table_uids_of(&items)).await?;
    let told = items
        .iter()
        .filter_map(|producer| Some(objects::node(producer, tables.get(&producer.node.table_uid)?)))
        .collect();
    let page = Page { count, offset, limit, items: told };
    Ok(ok(&catalogue::page_answer(state.settings(), &headers, &uri, &parameters, &page)))
}

/// The tables that update processes write, each once.
fn table_uids_of(producers: &[Producer]) -> Vec<String> {
    let uids: BTreeSet<&String> = producers.iter().map(|producer| &producer.node.table_uid).collect();
    uids.into_iter().cloned().collect()
}

/// Of the tables that are asked for, or of all, those of a namespace; None: no namespace is asked for, nor a table.
async fn in_namespaces(
    state: &AppState,
    parameters: &Parameters,
    tables: Option<Vec<String>>,
) -> Result<Option<Vec<String>>, Problem> {
    let contains = parameters.last("related_table__namespace__contains");
    let within = values(parameters, "related_table__namespace__in");
    let without = parameters.flag("related_table__namespace__isnull").map_err(refuse)?;
    if contains.is_none() && within.is_empty() && without.is_none() {
        return Ok(tables);
    }
    let all = state.host().store().listed_tables(&Listing::All).await?;
    let fits = |namespace: Option<&str>| {
        contains.is_none_or(|part| namespace.is_some_and(|namespace| namespace.contains(part)))
            && (within.is_empty()
                || namespace.is_some_and(|namespace| within.iter().any(|one| one == namespace)))
            && without.is_none_or(|without| without == namespace.is_none())
    };
    let fitting = all.into_iter().filter(|table| fits(table.namespace.as_deref())).map(|table| table.uid);
    Ok(Some(fitting.filter(|uid| tables.as_ref().is_none_or(|tables| tables.contains(uid))).collect()))
}

/// `GET local_time_serie/<uid>/`
pub(super) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
) -> Result<Response, Problem> {
    let (producer, table) = producer(&state, &caller, &uid, Action::ReadTable).await?;
    Ok(ok(&objects::node(&producer, &objects::table(&state, &caller, &table).await?)))
}

/// `POST local_time_serie/get_or_create/`
pub(super) async fn get_or_create(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Response, Problem> {
    caller.needs_no_role();
    let body = object(body).await?;
    let update_hash = required(&body, "update_hash")?;
    let table_uid = required(&body, "meta_table_uid")?;
    let config = match body.get("build_configuration") {
        None | Some(Value::Null) => json!({}),
        Some(config @ Value::Object(_)) if config.to_string().len() <= MAX_CONFIG_BYTES => config.clone(),
        Some(_) => {
            let problem = format!("an object of at most {MAX_CONFIG_BYTES} bytes is expected");
            return Err(refuse(CompatError::field("build_configuration", problem)));
        }
    };
    let project =
        body.get("current_project_uid").map(|uid| text("current_project_uid", uid)).transpose()?.flatten();
    let host = caller.host(&state);
    let table = caller.table(&host, table_uid, Action::EditTable).await?;
    let registered = host.register_producer(update_hash, config, &table, project).await.map_err(problem)?;
    let status = if registered.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer(status, &objects::node(&registered.value, &objects::table(&state, &caller, &table).await?)))
}

/// What a body changes of an update process.
fn edit_of(body: &Map<String, Value>) -> Result<ProducerEdit, Problem> {
    let mut edit = ProducerEdit::default();
    for (field, value) in body {
        match field.as_str() {
            "ogm_dependencies_linked" => edit.dependencies_linked = Some(flag(field, value)?),
            "open_for_everyone" => edit.open_for_everyone = Some(flag(field, value)?),
            "tags" => edit.tags = Some(texts(field, value)?),
            "labels" => edit.labels = Some(texts(field, value)?),
            "description" => edit.description = Some(text(field, value)?),
            "run_configuration" => {
                let schedule = value.get("update_schedule").unwrap_or(&Value::Null);
                edit.update_schedule = Some(text("run_configuration.update_schedule", schedule)?);
            }
            // The client sends them, and nobody here reads them.
            "time_serie_source_code" | "time_serie_source_code_git_hash" => {}
            _ => return Err(unknown(field)),
        }
    }
    Ok(edit)
}

/// `PATCH local_time_serie/<uid>/`
pub(super) async fn edit(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    let (_, table) = producer(&state, &caller, &uid, Action::EditTable).await?;
    let body = object(body).await?;
    let edit = edit_of(&body)?;
    let producer = caller.host(&state).store().edit_producer(&uid, &edit).await?;
    Ok(ok(&objects::node(&producer, &objects::table(&state, &caller, &table).await?)))
}

/// `PATCH local_time_serie/<uid>/add_tags/`
pub(super) async fn add_tags(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    producer(&state, &caller, &uid, Action::EditTable).await?;
    let body = object(body).await?;
    let more_tags = texts("tags", body.get("tags").unwrap_or(&Value::Null))?;
    let edit = ProducerEdit { more_tags, ..ProducerEdit::default() };
    let producer = caller.host(&state).store().edit_producer(&uid, &edit).await?;
    Ok(ok(&json!({"tags": producer.facts.tags})))
}

/// What a body changes of how an update process stands. What follows from its updates is not changed by anybody.
fn details_of(body: &Map<String, Value>) -> Result<ProducerEdit, Problem> {
    let mut edit = ProducerEdit::default();
    for (field, value) in body {
        match field.as_str() {
            "update_priority" => {
                let wrong = || refuse(CompatError::field(field, "a whole number is expected"));
                edit.update_priority = Some(value.as_i64().ok_or_else(wrong)?);
            }
            "active_update_status" => {
                let status = text(field, value)?.unwrap_or_default();
                if status.chars().count() > objects::MAX_STATUS_CHARS {
                    let problem = format!("at most {} characters are allowed", objects::MAX_STATUS_CHARS);
                    return Err(refuse(CompatError::field(field, problem)));
                }
                edit.status = Some(status);
            }
            "run_configuration" => {
                let schedule = value.get("update_schedule").unwrap_or(&Value::Null);
                edit.update_schedule = Some(text("run_configuration.update_schedule", schedule)?);
            }
            "active_update"
            | "update_pid"
            | "error_on_last_update"
            | "last_update"
            | "next_update"
            | "update_statistics"
            | "active_update_scheduler_uid" => {}
            _ => return Err(unknown(field)),
        }
    }
    Ok(edit)
}

/// `GET local_time_serie_update_details/<uid>/`
pub(super) async fn details(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
) -> Result<Response, Problem> {
    let (producer, _) = producer(&state, &caller, &uid, Action::ReadTable).await?;
    Ok(ok(&objects::details(&producer)))
}

/// `PATCH local_time_serie_update_details/<uid>/`
pub(super) async fn edit_details(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    producer(&state, &caller, &uid, Action::EditTable).await?;
    let body = object(body).await?;
    let edit = details_of(&body)?;
    let producer = caller.host(&state).store().edit_producer(&uid, &edit).await?;
    Ok(ok(&objects::details(&producer)))
}

/// `PATCH local_time_serie/<uid>/depends_on_connect/`
pub(super) async fn connect(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    producer(&state, &caller, &uid, Action::EditTable).await?;
    let body = object(body).await?;
    let target = required(&body, "target_update_node_uid")?;
    let (target, table) = producer(&state, &caller, target, Action::ReadTable).await?;
    let edge = ProducerEdge { node_uid: uid, table_uid: table.uid, writer_uid: Some(target.node.uid) };
    caller.host(&state).store().connect_producer(&edge).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `PATCH local_time_serie/<uid>/depends_on_connect_to_api_table/`
pub(super) async fn connect_table(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    producer(&state, &caller, &uid, Action::EditTable).await?;
    let body = object(body).await?;
    let host = caller.host(&state);
    let table = caller.table(&host, required(&body, "target_table_uid")?, Action::ReadTable).await?;
    let edge = ProducerEdge { node_uid: uid, table_uid: table.uid, writer_uid: None };
    host.store().connect_producer(&edge).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST local_time_serie/<uid>/clear-dependencies/`
pub(super) async fn clear(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
) -> Result<Response, Problem> {
    producer(&state, &caller, &uid, Action::EditTable).await?;
    caller.host(&state).store().disconnect_producer(&uid).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Everything that a producer needs and other producers write, those first that need nothing of the others; each with its
/// height in the graph, and how many it needs itself.
async fn needed(
    state: &AppState,
    caller: &Caller,
    root: &Producer,
) -> Result<Vec<(Producer, u64, u64)>, Problem> {
    let mut found: Vec<Producer> = Vec::new();
    // Those that are not for the caller, and what they need in turn, are not there.
    let mut hidden: Vec<String> = Vec::new();
    let mut open = writers(root);
    while let Some(uid) = open.pop() {
        if uid == root.node.uid || hidden.contains(&uid) || found.iter().any(|known| known.node.uid == uid) {
            continue;
        }
        if found.len() + hidden.len() >= MAX_GRAPH_NODES {
            let problem = format!("more than {MAX_GRAPH_NODES} update processes are needed");
            return Err(refuse(CompatError::Unserved { what: problem, instead: "depend on tables instead" }));
        }
        let producer = state.host().store().producer(&uid).await?;
        if !can_read(state, caller, &producer).await? {
            hidden.push(uid);
            continue;
        }
        open.extend(writers(&producer));
        found.push(producer);
    }
    let mut placed: Vec<(Producer, u64, u64)> = Vec::with_capacity(found.len());
    // Edges lead to no circle: each round places those whose needs are placed, one at least.
    for height in 0.. {
        let is_placed =
            |uid: &String| hidden.contains(uid) || placed.iter().any(|(known, ..)| known.node.uid == *uid);
        let (ready, rest): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|producer| writers(producer).iter().all(is_placed));
        if ready.is_empty() {
            break;
        }
        placed.extend(ready.into_iter().map(|producer| {
            let upstreams = writers(&producer).iter().filter(|uid| !hidden.contains(uid)).count() as u64;
            (producer, height, upstreams)
        }));
        found = rest;
    }
    Ok(placed)
}

/// Whether the caller may read the table of a producer.
async fn can_read(state: &AppState, caller: &Caller, producer: &Producer) -> Result<bool, Problem> {
    let table = state.host().store().table(&producer.node.table_uid).await?;
    Ok(caller.can_with(Action::ReadTable, &table))
}

/// Uids of the producers that a producer needs.
fn writers(producer: &Producer) -> Vec<String> {
    producer.node.dependencies.iter().filter_map(|edge| edge.node_uid.clone()).collect()
}

/// `GET local_time_serie/<uid>/get_all_dependencies_update_priority/`
pub(super) async fn priorities(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
) -> Result<Response, Problem> {
    let (producer, _) = producer(&state, &caller, &uid, Action::ReadTable).await?;
    let mut rows = Vec::new();
    for (needed, height, upstreams) in needed(&state, &caller, &producer).await? {
        let table = state.host().store().table(&needed.node.table_uid).await?;
        rows.push(json!({
            "update_node_uid": needed.node.uid,
            "update_priority": height,
            "number_of_upstreams": upstreams,
            "node_type": objects::NODE_TYPE,
            "update_hash": needed.node.update_hash,
            "physical_table_name": table.contract.physical_name(),
        }));
    }
    Ok(ok(&Value::Array(rows)))
}

/// `GET local_time_serie/<uid>/verify_if_direct_dependencies_are_updated/`
pub(super) async fn verify(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
) -> Result<Response, Problem> {
    let (producer, _) = producer(&state, &caller, &uid, Action::ReadTable).await?;
    let (mut failed, mut updated) = (false, true);
    for uid in writers(&producer) {
        let needed = state.host().store().producer(&uid).await?;
        if !can_read(&state, &caller, &needed).await? {
            continue;
        }
        let outcome = needed.update.and_then(|update| update.outcome).map(|outcome| outcome.status);
        failed |= outcome == Some(RunStatus::Failed);
        updated &= matches!(outcome, Some(RunStatus::Ok | RunStatus::Empty));
    }
    Ok(ok(&json!({"error_on_update_dependencies": failed, "updated": updated})))
}

/// `POST local_time_serie/get_metadatas_and_set_updates/`
pub(super) async fn states(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Response, Problem> {
    caller.needs_no_role();
    let body = object(body).await?;
    let wrong = || refuse(CompatError::field("update_nodes", "a list of objects with a `uid` is expected"));
    let asked = body.get("update_nodes").and_then(Value::as_array).ok_or_else(wrong)?;
    let mut uids: Vec<String> = Vec::new();
    for node in asked {
        let uid = node.get("uid").and_then(Value::as_str).ok_or_else(wrong)?;
        if !uids.iter().any(|known| known == uid) {
            uids.push(uid.to_owned());
        }
    }
    if uids.len() > MAX_GRAPH_NODES {
        return Err(refuse(CompatError::field(
            "update_nodes",
            format!("more than {MAX_GRAPH_NODES} of them"),
        )));
    }
    objects::writable(&state, &caller, &uids).await?;
    let changes = match body.get("update_details_kwargs") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(changes)) => changes.clone(),
        Some(_) => return Err(refuse(CompatError::field("update_details_kwargs", "an object is expected"))),
    };
    let edit = details_of(&changes)?;
    let host = caller.host(&state);
    if let Some(scheduler) = changes.get("active_update_scheduler_uid").and_then(Value::as_str) {
        let scheduler = own(&state, &caller, scheduler).await?;
        host.store().assign_scheduler(&scheduler.uid, &uids).await.map_err(problem)?;
    }
    let (mut profiles, mut details, mut statistics, mut nodes) =
        (Map::new(), Map::new(), Map::new(), Vec::new());
    for uid in uids {
        let producer = host.store().edit_producer(&uid, &edit).await?;
        let opened = host.store().snapshot_of(&producer.node.table_uid).await?;
        opened.snapshot.end().await;
        let dimensions = opened.table.contract.dimensions().len();
        let table = objects::table(&state, &caller, &opened.table).await?;
        profiles.insert(uid.clone(), table.get("time_indexed_profile").cloned().unwrap_or_default());
        details.insert(uid.clone(), objects::details(&producer));
        statistics.insert(uid, multi_index_stats(&opened.progress, dimensions));
        nodes.push(objects::node(&producer, &table));
    }
    Ok(ok(&json!({
        "time_indexed_profile_map": profiles,
        "state_data": details,
        "all_index_stats": statistics,
        "local_metadatas": nodes,
    })))
}
