//! Runs, backfills and replays that this server works on.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use datanode_core::access::{Action, Target};
use datanode_store::StoreError;
use serde_json::{Value, json};

use super::nodes::readable;
use crate::auth::Caller;
use crate::executions::{About, Execution, Kind, follow, not_found};
use crate::input::{Params, Place};
use crate::page::Page;
use crate::{AppState, Problem};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/executions", get(list))
        .route("/api/v1/executions/{id}", get(show))
        .route("/api/v1/executions/{id}/events", get(events))
        .route("/api/v1/executions/{id}/cancel", post(cancel))
}

/// An execution that the caller may see, and do this with: by all tables that it tells of, or as an editor of everything.
/// For one who may not see one of them it is not there.
async fn execution_of(
    state: &AppState,
    caller: &Caller,
    id: &str,
    action: Action,
) -> Result<Arc<Execution>, Problem> {
    caller.has_right_to(action)?;
    let execution = state.executions().get(id)?;
    let About { table_uid, others, reads, sources, by, .. } = &execution.about;
    if table_uid.is_none() && *by == caller.principal().actor(None).name() {
        caller.needs_no_role();
        return Ok(execution);
    }
    if (table_uid.is_none() || *sources) && !caller.sees_all() {
        return Err(not_found(id));
    }
    let (mut written, mut is_of_all) = (Vec::new(), table_uid.is_none());
    for (place, uid) in table_uid.iter().chain(others).chain(reads).enumerate() {
        match state.host().store().table(uid).await {
            Ok(table) if !caller.sees(&table) => return Err(not_found(id)),
            Ok(table) if place <= others.len() => written.push(table),
            Ok(_) => {}
            // What has gone belongs to those who have a role on everything.
            Err(StoreError::NotFound { .. }) if caller.sees_all() => is_of_all = true,
            Err(StoreError::NotFound { .. }) => return Err(not_found(id)),
            Err(error) => return Err(error.into()),
        }
    }
    for table in &written {
        caller.may_with(action, table)?;
    }
    if is_of_all {
        caller.may(action, &Target::Organisation)?;
    }
    Ok(execution)
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    params.end()?;
    let readable = readable(state.host(), &caller).await?;
    let name = caller.principal().actor(None).name().to_owned();
    let is_seen = |execution: &Arc<Execution>| {
        let About { table_uid, others, reads, sources, by, .. } = &execution.about;
        let Some(table_uid) = table_uid else {
            return *by == name || caller.can(Action::ReadTable, &Target::Organisation);
        };
        std::iter::once(table_uid).chain(others).chain(reads).all(|uid| readable.has(uid))
            && (!sources || caller.can(Action::ReadSources, &Target::Organisation))
    };
    let seen: Vec<_> = state.executions().list().into_iter().filter(is_seen).collect();
    // The newest first: of time-ordered ids the complement grows.
    let key = |execution: &Arc<Execution>| {
        execution.id.chars().map(|digit| digit.to_digit(16).map_or(digit, complement)).collect::<String>()
    };
    let cut = page.cut(seen, key);
    let items = cut.items.iter().map(|execution| {
        let mut document = execution.document();
        // Each has it by itself.
        if let Some(fields) = document.as_object_mut() {
            fields.remove("result");
        }
        document
    });
    Ok(Json(json!({"items": items.collect::<Vec<_>>(), "next_cursor": cut.next})))
}

fn complement(digit: u32) -> char {
    char::from_digit(15 - digit, 16).unwrap_or('0')
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(execution_of(&state, &caller, &id, Action::ReadTable).await?.document()))
}

async fn events(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let execution = execution_of(&state, &caller, &id, Action::ReadTable).await?;
    follow(&state, &caller, execution, &headers)
}

async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<Value>, Problem> {
    // Whoever may begin a replay may end it.
    let kind = state.executions().get(&id).ok().map(|execution| execution.about.kind);
    let action = match kind {
        Some(Kind::Replay | Kind::Check) => Action::ReplayRun,
        _ => Action::RunNode,
    };
    let execution = execution_of(&state, &caller, &id, action).await?;
    execution.stop.stop();
    Ok(Json(execution.document()))
}
