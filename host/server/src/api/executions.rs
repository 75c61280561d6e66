//! Runs, backfills and replays that this server works on.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use datanode_core::access::{Action, Target};
use serde_json::{Value, json};

use super::nodes::readable;
use crate::auth::Caller;
use crate::executions::{Execution, follow};
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

/// An execution that the caller may see, and do this with: by its tables, or as an editor of everything.
async fn execution_of(
    state: &AppState,
    caller: &Caller,
    id: &str,
    action: Action,
) -> Result<Arc<Execution>, Problem> {
    let execution = state.executions().get(id)?;
    match &execution.about.table_uid {
        Some(uid) => {
            for uid in std::iter::once(uid).chain(&execution.about.others) {
                caller.table(state.host(), uid, action).await?;
            }
        }
        None if execution.about.by == caller.principal().actor(None).name() => caller.needs_no_role(),
        None => caller.may(action, &Target::Organisation)?,
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
    let is_seen = |execution: &Arc<Execution>| match &execution.about.table_uid {
        Some(uid) => readable.has(uid) && execution.about.others.iter().all(|uid| readable.has(uid)),
        None => execution.about.by == name || caller.can(Action::ReadTable, &Target::Organisation),
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
    follow(&state, execution, &headers)
}

async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<Value>, Problem> {
    let execution = execution_of(&state, &caller, &id, Action::RunNode).await?;
    execution.stop.stop();
    Ok(Json(execution.document()))
}
