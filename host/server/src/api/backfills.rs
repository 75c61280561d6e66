//! Backfills.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use datanode_core::access::Action;
use datanode_core::backfill::Control;
use datanode_core::journal::JournalMode;
use datanode_runtime::BackfillWork;
use datanode_runtime::answers::{BackfillDetail, BackfillDocument};
use datanode_store::{Backfill, StoreError, Table};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::nodes::{at_once, begun, bounded, may_run, node_of, only, readable, work_on};
use crate::auth::Caller;
use crate::described::Described;
use crate::input::{OptionalDocument, Params, Place};
use crate::page::Page;
use crate::{AppState, Problem};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/backfills", get(list))
        .route("/api/v1/backfills/{id}", get(show))
        .route("/api/v1/backfills/{id}/pause", post(pause))
        .route("/api/v1/backfills/{id}/resume", post(resume))
        .route("/api/v1/backfills/{id}/cancel", post(cancel))
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    let node = params.text("node")?;
    params.end()?;
    let host = state.host();
    let node = match node {
        Some(node) => Some(node_of(host, &caller, &node, Action::ReadTable).await?.0.uid),
        None => None,
    };
    let readable = readable(host, &caller).await?;
    let mut backfills = host.backfill_documents(node.as_deref()).await?;
    backfills.retain(|backfill| readable.has(&backfill.table_uid));
    // The newest first: ids grow with time, and pages with the key.
    let key = |backfill: &BackfillDocument| {
        let newest = u64::MAX - u64::try_from(backfill.created_at.micros()).unwrap_or_default();
        format!("{newest:020}/{}", backfill.backfill_id)
    };
    backfills.sort_by_cached_key(key);
    Ok(page.cut(backfills, key).answer())
}

/// A backfill whose table the caller may see, and do this with.
async fn backfill_of(
    state: &AppState,
    caller: &Caller,
    id: &str,
    action: Action,
) -> Result<(Backfill, Table), Problem> {
    caller.has_right_to(action)?;
    let store = state.host().store();
    let backfill = match store.backfill(id).await {
        Err(StoreError::Ambiguous { .. }) => store.backfill(&seen_backfill(state, caller, id).await?).await?,
        found => found?,
    };
    let table = store.table(&backfill.table_uid).await?;
    caller.may_of(action, &table, "backfill", id)?;
    Ok((backfill, table))
}

/// The id of the one backfill that begins so among those that the caller may see: others neither answer to it nor make it
/// ambiguous.
async fn seen_backfill(state: &AppState, caller: &Caller, id: &str) -> Result<String, Problem> {
    let readable = readable(state.host(), caller).await?;
    let all = state.host().backfill_documents(None).await?.into_iter();
    let seen =
        all.filter(|backfill| backfill.backfill_id.starts_with(id) && readable.has(&backfill.table_uid));
    only("backfill", id, seen.map(|backfill| backfill.backfill_id).collect())
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
    mut params: Params,
) -> Result<Json<BackfillDetail>, Problem> {
    let status = params.text("status")?;
    params.end()?;
    let (backfill, _) = backfill_of(&state, &caller, &id, Action::ReadTable).await?;
    let mut detail = state.host().backfill_detail(&backfill.uid).await?;
    detail.windows.retain(|window| status.as_ref().is_none_or(|status| status == window.status.as_str()));
    Ok(Json(detail))
}

async fn control(
    state: &AppState,
    caller: &Caller,
    id: &str,
    said: Control,
) -> Result<Json<BackfillDocument>, Problem> {
    let (backfill, _) = backfill_of(state, caller, id, Action::RunNode).await?;
    let backfill = caller.host(state).store().control_backfill(&backfill.uid, said).await?;
    Ok(Json(BackfillDocument::from(&backfill)))
}

async fn pause(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<BackfillDocument>, Problem> {
    control(&state, &caller, &id, Control::Pause).await
}

async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<BackfillDocument>, Problem> {
    control(&state, &caller, &id, Control::Cancel).await
}

/// What is sent to them.
pub(super) const DOCUMENTS: &[Described] =
    &[Described::of::<Resume>("POST", "/api/v1/backfills/{id}/resume", r#"{"concurrency": 2}"#).or_nothing()];

/// How it is gone on with.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "BackfillResumption")]
#[serde(default, deny_unknown_fields)]
struct Resume {
    /// Windows that are worked on at once, in the place of what was said when it began.
    concurrency: Option<u16>,
    /// Runtime options, in the place of single ones that it was begun with.
    options: BTreeMap<String, Value>,
    /// What is kept of that which the guests are given, in the place of the server's own setting.
    journal: Option<JournalMode>,
}

async fn resume(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
    OptionalDocument(asked): OptionalDocument<Resume>,
) -> Result<Response, Problem> {
    let (backfill, table) = backfill_of(&state, &caller, &id, Action::RunNode).await?;
    let work = BackfillWork {
        concurrency: asked.concurrency.map(at_once).transpose()?,
        options: bounded(asked.options)?,
        journal: asked.journal,
        ..BackfillWork::default()
    };
    let host = caller.host(&state);
    may_run(&host, &caller, &host.store().node(&backfill.node_uid).await?).await?;
    let place = state.executions().reserve()?;
    let backfill = host.store().control_backfill(&backfill.uid, Control::Go).await?;
    let document = BackfillDocument::from(&backfill);
    let execution = work_on(place, &caller, host, &table, &backfill.uid, work);
    Ok(begun(&execution, json!({"backfill": document})))
}
