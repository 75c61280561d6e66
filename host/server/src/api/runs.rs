//! Runs that are over, and what can be done with their records.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use datanode_core::Timestamp;
use datanode_core::access::{Action, Target};
use datanode_core::run::{RunRecord, RunStatus};
use datanode_runtime::{Observer, Pruned, RunOptions};
use datanode_sandbox::Cell;
use datanode_store::{RunFilter, StoreError, Table};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::nodes::{Readable, about, begun, bounded, may_run, node_of, readable, wait};
use crate::auth::Caller;
use crate::executions::{Kind, follow_log};
use crate::input::{Document, OptionalDocument, Params, Place};
use crate::page::Page;
use crate::{AppState, Problem, accept, cursor};

/// Bytes of a bundle that are read at a time.
const PIECE: usize = 64 << 10;
/// Runs that are looked at at a time, where some are not for the caller.
const STEP: usize = 1_000;
/// Runs that are looked at for one page: it ends there, however few it has.
const MOST_LOOKED_AT: usize = 20_000;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/runs", get(list))
        .route("/api/v1/runs/prune", post(prune))
        .route("/api/v1/runs/{id}", get(show))
        .route("/api/v1/runs/{id}/logs", get(logs))
        .route("/api/v1/runs/{id}/replay", post(replay))
        .route("/api/v1/runs/{id}/determinism", post(determinism))
        .route("/api/v1/runs/{id}/retry", post(retry))
        .route("/api/v1/runs/{id}/bundle", get(bundle))
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    let (node, table, status) = (params.text("node")?, params.text("table")?, params.text("status")?);
    params.end()?;
    let host = state.host();
    let node_uid = match node {
        Some(node) => Some(node_of(host, &caller, &node, Action::ReadTable).await?.0.uid),
        None => None,
    };
    let table_uid = match table {
        Some(table) => Some(caller.table(host, &table, Action::ReadTable).await?.uid),
        None => None,
    };
    let all = [RunStatus::Ok, RunStatus::Empty, RunStatus::Failed, RunStatus::Skipped, RunStatus::Blocked];
    let status = match status {
        None => None,
        Some(name) => Some(all.into_iter().find(|status| status.as_str() == name).ok_or_else(|| {
            Problem::usage("the parameter `status` is ok, empty, failed, skipped or blocked")
        })?),
    };
    let readable = readable(host, &caller).await?;
    // Where some are not for the caller, more are looked at than a page has, but not without an end.
    let (mut items, mut before, mut next, mut looked_at) = (Vec::new(), page.after.clone(), None, 0);
    let step = if matches!(readable, Readable::All) { page.limit + 1 } else { STEP.max(page.limit + 1) };
    'pages: loop {
        let filter = RunFilter {
            node_uid: node_uid.clone(),
            table_uid: table_uid.clone(),
            status,
            before: before.clone(),
            limit: Some(u32::try_from(step).unwrap_or(u32::MAX)),
        };
        let runs = host.store().runs(&filter).await?;
        let is_last = runs.len() < step;
        looked_at += runs.len();
        before = runs.last().map(|run| run.run_id.clone());
        for run in runs.into_iter().filter(|run| readable.has(&run.table_uid)) {
            if items.len() == page.limit {
                next = items.last().map(|run: &RunRecord| cursor::encode(&run.run_id));
                break 'pages;
            }
            items.push(run);
        }
        if is_last {
            break;
        }
        if looked_at >= MOST_LOOKED_AT {
            next = before.as_deref().map(cursor::encode);
            break;
        }
    }
    Ok(Json(json!({"items": items, "next_cursor": next})))
}

/// A run whose table the caller may see, and do this with.
async fn run_of(
    state: &AppState,
    caller: &Caller,
    id: &str,
    action: Action,
) -> Result<(RunRecord, Table), Problem> {
    let store = state.host().store();
    let run = store.run(id).await?;
    let table = store.table(&run.table_uid).await?;
    if !caller.can_with(Action::ReadTable, &table) {
        caller.hide(id, "run")?;
    }
    caller.may_with(action, &table)?;
    Ok((run, table))
}

/// What is kept of a run holds all that it was given: the caller must be allowed to read it. Of a table that is gone, nobody
/// has a role but on everything.
async fn may_read_given(state: &AppState, caller: &Caller, run: &RunRecord) -> Result<(), Problem> {
    for input in &run.inputs {
        match state.host().store().table(&input.table_uid).await {
            Ok(table) => caller.may_with(Action::ReadTable, &table)?,
            Err(StoreError::NotFound { .. }) => caller.may(Action::ReadTable, &Target::Organisation)?,
            Err(error) => return Err(error.into()),
        }
    }
    if !run.fetches.is_empty() {
        caller.may(Action::ReadSources, &Target::Organisation)?;
    }
    Ok(())
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<RunRecord>, Problem> {
    Ok(Json(run_of(&state, &caller, &id, Action::ReadTable).await?.0))
}

async fn logs(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // One that is under way has no record yet; it is known by its whole id.
    if let Some((execution, table)) = state.executions().of_run(&id) {
        caller.table(state.host(), &table, Action::ReadTable).await?;
        if accept::wants_events(&headers) {
            return follow_log(&state, execution, &headers, &id);
        }
    }
    let (run, _) = run_of(&state, &caller, &id, Action::ReadTable).await?;
    if accept::wants_events(&headers) {
        // All that there will be.
        let mut text = String::new();
        for (number, line) in run.logs.iter().enumerate() {
            let data = json!({"event": "logged", "run_id": run.run_id, "line": line});
            text += &format!("id: {}\nevent: logged\ndata: {data}\n\n", number + 1);
        }
        return Ok(([(CONTENT_TYPE, "text/event-stream")], text).into_response());
    }
    let document =
        json!({"run_id": run.run_id, "items": run.logs, "dropped": run.logs_dropped, "next_cursor": null});
    Ok(Json(document).into_response())
}

async fn replay(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Response, Problem> {
    let (run, table) = run_of(&state, &caller, &id, Action::ReplayRun).await?;
    // A difference shows what the run was given.
    may_read_given(&state, &caller, &run).await?;
    let host = caller.host(&state);
    let about = about(Kind::Replay, &table, &run.run_id, &caller);
    let execution = state
        .executions()
        .begin(about, move |_| async move { Ok(json!(host.replay(&run.run_id).await?)) })?;
    Ok(begun(&execution, Value::Null))
}

async fn determinism(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Response, Problem> {
    let (run, table) = run_of(&state, &caller, &id, Action::ReplayRun).await?;
    may_read_given(&state, &caller, &run).await?;
    let host = caller.host(&state);
    let about = about(Kind::Check, &table, &run.run_id, &caller);
    let execution = state.executions().begin(about, move |_| async move {
        let cells: Vec<Cell> = Cell::all();
        Ok(json!(host.run_in_cells(&run.run_id, &cells, || {}).await?))
    })?;
    Ok(begun(&execution, Value::Null))
}

/// How a failed run is made again.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Retry {
    options: BTreeMap<String, Value>,
    wait_seconds: u64,
}

async fn retry(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
    OptionalDocument(asked): OptionalDocument<Retry>,
) -> Result<Response, Problem> {
    let (run, table) = run_of(&state, &caller, &id, Action::RunNode).await?;
    let options = bounded(asked.options)?;
    let wait = wait(asked.wait_seconds);
    let host = caller.host(&state);
    may_run(&host, &caller, &host.store().node(&run.node_uid).await?).await?;
    let detail = json!({ "table": table.contract.identifier, "run_id": run.run_id });
    host.note_order("run.retry", &run.node_uid, &run.update_hash, detail).await?;
    let about = about(Kind::Retry, &table, &run.run_id, &caller);
    let execution = state.executions().begin(about, move |execution| async move {
        let observer: Arc<dyn Observer> = execution.clone();
        let options =
            RunOptions { options, wait, observer, stop: execution.stop.clone(), ..RunOptions::default() };
        Ok(json!(host.retry_run(&run.run_id, &options).await?.runs))
    })?;
    Ok(begun(&execution, Value::Null))
}

async fn bundle(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Response, Problem> {
    let (run, _) = run_of(&state, &caller, &id, Action::ReadTable).await?;
    may_read_given(&state, &caller, &run).await?;
    let place = state.settings().upload_directory.clone();
    let machine = |error: std::io::Error| {
        tracing::error!(error = %error, "a bundle cannot be written");
        Problem::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "server.upload_storage",
            "the bundle cannot be written now",
        )
    };
    tokio::fs::create_dir_all(&place).await.map_err(machine)?;
    let directory = tempfile::Builder::new().prefix("bundle-").tempdir_in(&place).map_err(machine)?;
    let path = directory.path().join("run.tar");
    state.host().export_run(&run.run_id, &path).await?;
    let file = tokio::fs::File::open(&path).await.map_err(machine)?;
    let bytes = file.metadata().await.map_err(machine)?.len();
    // The directory goes with the last piece.
    let pieces = stream::unfold((file, directory), |(mut file, directory)| async move {
        let mut piece = vec![0; PIECE];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some((Ok(bytes::Bytes::from(piece)), (file, directory)))
            }
            Err(error) => Some((Err(error), (file, directory))),
        }
    });
    let mut answer = Body::from_stream(pieces.fuse()).into_response();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    headers.insert(axum::http::header::CONTENT_LENGTH, HeaderValue::from(bytes));
    if let Ok(name) = format!("attachment; filename=\"{}.tar\"", run.run_id).parse() {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(answer)
}

/// Which journals go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prune {
    before: Timestamp,
    #[serde(default)]
    dry_run: bool,
}

async fn prune(
    State(state): State<AppState>,
    caller: Caller,
    Document(Prune { before, dry_run }): Document<Prune>,
) -> Result<Json<Pruned>, Problem> {
    Ok(Json(caller.host(&state).prune_journals(before, dry_run).await?))
}
