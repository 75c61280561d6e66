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
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::nodes::{Readable, about, begun, bounded, may_run, node_of, of_the_node, only, readable, wait};
use crate::auth::Caller;
use crate::described::Described;
use crate::executions::{About, END, Execution, Kind, follow_log, last_seen};
use crate::input::{Document, OptionalDocument, Params, Place};
use crate::page::Page;
use crate::{AppState, Problem, accept, cursor};

/// Bytes of a bundle that are read at a time.
const PIECE: usize = 64 << 10;
/// Runs that are looked at at a time for those that begin so.
const STEP: u32 = 1_000;
/// How often that is done: the newest are meant.
const MOST_STEPS: u32 = 20;

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
    // Of a node or a table that may be read, all runs may be.
    let readable = if node_uid.is_some() || table_uid.is_some() {
        None
    } else {
        match readable(host, &caller).await? {
            Readable::All => None,
            Readable::Some(uids) => Some(uids.into_iter().collect()),
        }
    };
    let limit = u32::try_from(page.limit + 1).ok();
    let filter = RunFilter { node_uid, table_uid, readable, status, before: page.after, limit };
    let mut items = host.store().runs(&filter).await?;
    let has_more = items.len() > page.limit;
    items.truncate(page.limit);
    let next = items.last().filter(|_| has_more).map(|last| cursor::encode(&last.run_id));
    Ok(Json(json!({"items": items, "next_cursor": next})))
}

/// A run whose table the caller may see, and do this with.
async fn run_of(
    state: &AppState,
    caller: &Caller,
    id: &str,
    action: Action,
) -> Result<(RunRecord, Table), Problem> {
    caller.has_right_to(action)?;
    let store = state.host().store();
    let run = match store.run(id).await {
        Err(StoreError::Ambiguous { .. }) => store.run(&seen_run(state, caller, id).await?).await?,
        found => found?,
    };
    let table = store.table(&run.table_uid).await?;
    caller.may_of(action, &table, "run", id)?;
    Ok((run, table))
}

/// The id of the one run that begins so among those that the caller may see: others neither answer to it nor make it
/// ambiguous. The newest are looked at.
async fn seen_run(state: &AppState, caller: &Caller, id: &str) -> Result<String, Problem> {
    let readable = match readable(state.host(), caller).await? {
        Readable::All => None,
        Readable::Some(uids) => Some(uids.into_iter().collect()),
    };
    let (mut filter, mut found) =
        (RunFilter { readable, limit: Some(STEP), ..RunFilter::default() }, Vec::new());
    for _ in 0..MOST_STEPS {
        let runs = state.host().store().runs(&filter).await?;
        let Some(last) = runs.last() else { break };
        filter.before = Some(last.run_id.clone());
        found.extend(runs.into_iter().map(|run| run.run_id).filter(|run_id| run_id.starts_with(id)));
        if found.len() > 1 {
            break;
        }
    }
    only("run", id, found)
}

/// What is kept of a run holds all that it was given: the caller must be allowed to read it. Of a table that is gone, nobody
/// has a role but on everything. Which tables these are, and whether there is something of sources.
async fn may_read_given(
    state: &AppState,
    caller: &Caller,
    run: &RunRecord,
) -> Result<(Vec<String>, bool), Problem> {
    let mut reads = Vec::with_capacity(run.inputs.len());
    for input in &run.inputs {
        match state.host().store().table(&input.table_uid).await {
            Ok(table) => of_the_node(caller, Action::ReadTable, &table)?,
            Err(StoreError::NotFound { .. }) => caller.may(Action::ReadTable, &Target::Organisation)?,
            Err(error) => return Err(error.into()),
        }
        reads.push(input.table_uid.clone());
    }
    let sources = !run.fetches.is_empty();
    if sources {
        caller.may(Action::ReadSources, &Target::Organisation)?;
    }
    Ok((reads, sources))
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<RunRecord>, Problem> {
    Ok(Json(run_of(&state, &caller, &id, Action::ReadTable).await?.0))
}

/// The table of a run that is under way, by the identifier that it had; None: that is another's by now, or nobody's.
async fn table_of(
    state: &AppState,
    execution: &Execution,
    identifier: &str,
) -> Result<Option<Table>, Problem> {
    let About { table_uid, others, .. } = &execution.about;
    match state.host().store().table(identifier).await {
        Ok(table) => {
            let is_of_it = table_uid.iter().chain(others).any(|uid| *uid == table.uid);
            Ok(is_of_it.then_some(table))
        }
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn logs(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // One that is under way has no record yet; it is known by its whole id.
    if accept::wants_events(&headers)
        && let Some((execution, identifier)) = state.executions().of_run(&id)
        && let Some(table) = table_of(&state, &execution, &identifier).await?
    {
        caller.may_of(Action::ReadTable, &table, "run", &id)?;
        return follow_log(&state, &caller, execution, &headers, &id);
    }
    let (run, _) = run_of(&state, &caller, &id, Action::ReadTable).await?;
    if accept::wants_events(&headers) {
        // All that there will be, behind what was seen of it while it came.
        let seen = usize::try_from(last_seen(&headers)?).unwrap_or(usize::MAX);
        let mut text = String::new();
        for (number, line) in run.logs.iter().enumerate().skip(seen) {
            let data = json!({"event": "logged", "run_id": run.run_id, "line": line});
            text += &format!("id: {}\nevent: logged\ndata: {data}\n\n", number + 1);
        }
        text += &format!("event: {END}\ndata: {}\n\n", json!({"run_id": run.run_id, "status": run.status}));
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
    // A difference shows what the run was given: to whoever may read all of it.
    let (reads, sources) = may_read_given(&state, &caller, &run).await?;
    let host = caller.host(&state);
    let about = About { reads, sources, ..about(Kind::Replay, &table, &run.run_id, &caller) };
    let execution = state.executions().begin(about, move |execution| async move {
        Ok(json!(host.replay(&run.run_id, &execution.stop).await?))
    })?;
    Ok(begun(&execution, Value::Null))
}

async fn determinism(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Response, Problem> {
    let (run, table) = run_of(&state, &caller, &id, Action::ReplayRun).await?;
    let (reads, sources) = may_read_given(&state, &caller, &run).await?;
    let host = caller.host(&state);
    let about = About { reads, sources, ..about(Kind::Check, &table, &run.run_id, &caller) };
    let execution = state.executions().begin(about, move |execution| async move {
        let cells: Vec<Cell> = Cell::all();
        Ok(json!(host.run_in_cells(&run.run_id, &cells, &execution.stop, || {}).await?))
    })?;
    Ok(begun(&execution, Value::Null))
}

/// What is sent to them.
pub(super) const DOCUMENTS: &[Described] = &[
    Described::of::<Retry>("POST", "/api/v1/runs/{id}/retry", r#"{"wait_seconds": 60}"#).or_nothing(),
    Described::of::<Prune>("POST", "/api/v1/runs/prune", r#"{"before": "2025-01-01", "dry_run": true}"#),
];

/// How a failed run is made again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "RetryOrder")]
#[serde(default, deny_unknown_fields)]
struct Retry {
    /// Runtime options, in the place of single ones that it had.
    options: BTreeMap<String, Value>,
    /// Seconds that it waits for its node, where another run holds it: at most a day.
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
    let place = state.executions().reserve()?;
    let detail = json!({ "table": table.contract.identifier, "run_id": run.run_id });
    host.note_order("run.retry", &run.node_uid, &run.update_hash, detail).await?;
    let about = about(Kind::Retry, &table, &run.run_id, &caller);
    let execution = place.begin(about, move |execution| async move {
        let observer: Arc<dyn Observer> = execution.clone();
        let options =
            RunOptions { options, wait, observer, stop: execution.stop.clone(), ..RunOptions::default() };
        Ok(json!(host.retry_run(&run.run_id, &options).await?.runs))
    });
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
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "PruneOrder")]
#[serde(deny_unknown_fields)]
struct Prune {
    /// Those of runs that had ended before this moment.
    before: Timestamp,
    /// Count them, and remove none.
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
