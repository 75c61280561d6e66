//! Processes that run producers. Each announcement is one of its own, whatever it calls itself: two processes that run one
//! update process announce themselves by one name, and must not be taken for each other.

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use datanode_core::Timestamp;
use datanode_core::access::Action;
use datanode_store::{Scheduler, SchedulerState};
use serde_json::{Map, Number, Value};

use super::super::error::{CompatError, refuse};
use super::super::parameters::Parameters;
use super::{answer, flag, object, objects, ok, problem, producer, required, sender, text, texts, unknown};
use crate::auth::Caller;
use crate::input::Place;
use crate::{AppState, Problem};

/// A process, when it is the caller's. One of others is not there.
pub(super) async fn own(state: &AppState, caller: &Caller, uid: &str) -> Result<Scheduler, Problem> {
    caller.needs_no_role();
    let scheduler = state.host().store().scheduler(uid).await.map_err(problem)?;
    if scheduler.made_by == sender(caller) {
        return Ok(scheduler);
    }
    let missing = datanode_store::StoreError::NotFound { kind: "scheduler", reference: uid.to_owned() };
    Err(problem(missing))
}

/// What a process says of itself, beside what it has said before.
fn state_of(fields: &Map<String, Value>, mut state: SchedulerState) -> Result<SchedulerState, Problem> {
    let number = |field: &str, value: &Value| match value {
        Value::Null => Ok(None),
        value => match value.as_i64() {
            Some(number) => Ok(Some(number)),
            None => Err(refuse(CompatError::field(field, "a whole number is expected"))),
        },
    };
    for (field, value) in fields {
        match field.as_str() {
            "is_running" => state.is_running = flag(field, value)?,
            "running_in_debug_mode" => state.is_debugging = flag(field, value)?,
            "updates_halted" => state.is_halted = flag(field, value)?,
            "running_process_pid" => state.process_id = number(field, value)?,
            "api_port" => state.api_port = number(field, value)?,
            "host" => state.host = text(field, value)?,
            "api_address" => state.api_address = text(field, value)?,
            "last_heart_beat" => state.heart_beat = heart_beat(value)?,
            "name" => {}
            _ => return Err(unknown(field)),
        }
    }
    Ok(state)
}

/// A moment as seconds since 1970, or as text.
fn heart_beat(value: &Value) -> Result<Option<Timestamp>, Problem> {
    let wrong =
        || refuse(CompatError::field("last_heart_beat", "seconds since 1970 or a moment are expected"));
    match value {
        Value::Null => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(|_| wrong()),
        Value::Number(seconds) => {
            let seconds = Number::as_f64(seconds).filter(|seconds| seconds.abs() < 1e12).ok_or_else(wrong)?;
            #[allow(clippy::cast_possible_truncation)] // below 1e18
            let micros = (seconds * 1e6) as i64;
            Timestamp::from_micros(micros).map(Some).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

/// `POST scheduler/build_and_assign_to_update_nodes/`
pub(super) async fn build(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Response, Problem> {
    caller.needs_no_role();
    let body = object(body).await?;
    let name = required(&body, "scheduler_name")?;
    if name.chars().count() > 255 {
        return Err(refuse(CompatError::field("scheduler_name", "at most 255 characters are allowed")));
    }
    let node_uids = texts("update_node_uids", body.get("update_node_uids").unwrap_or(&Value::Null))?;
    objects::writable(&state, &caller, &node_uids).await?;
    let said = match body.get("scheduler_kwargs") {
        None | Some(Value::Null) => SchedulerState::default(),
        Some(Value::Object(fields)) => state_of(fields, SchedulerState::default())?,
        Some(_) => return Err(refuse(CompatError::field("scheduler_kwargs", "an object is expected"))),
    };
    let host = caller.host(&state);
    let scheduler =
        host.announce_scheduler(name, &sender(&caller), said, &node_uids).await.map_err(problem)?;
    Ok(answer(StatusCode::CREATED, &objects::scheduler(&scheduler)))
}

/// `GET scheduler/for-update-node/?update_node_uid=`
pub(super) async fn for_node(
    State(state): State<AppState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Problem> {
    caller.needs_no_role();
    let parameters = Parameters::of_query(uri.query()).map_err(refuse)?;
    let missing = || refuse(CompatError::field("update_node_uid", "a text is required here"));
    let uid = parameters.last("update_node_uid").ok_or_else(missing)?;
    let (producer, _) = producer(&state, &caller, uid, Action::ReadTable).await?;
    let Some(uid) = &producer.scheduler_uid else {
        return Err(Problem::not_found("no process runs this update process"));
    };
    Ok(ok(&objects::scheduler(&state.host().store().scheduler(uid).await.map_err(problem)?)))
}

/// `GET scheduler/<uid>/`
pub(super) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
) -> Result<Response, Problem> {
    Ok(ok(&objects::scheduler(&own(&state, &caller, &uid).await?)))
}

/// `PATCH scheduler/<uid>/`
pub(super) async fn beat(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    let known = own(&state, &caller, &uid).await?;
    let body = object(body).await?;
    let said = state_of(&body, known.state)?;
    let heard = caller.host(&state).hear_scheduler(&uid, &said).await.map_err(problem)?;
    Ok(ok(&objects::scheduler(&heard)))
}

/// `PATCH scheduler/<uid>/in-active-tree/`
pub(super) async fn in_active_tree(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    let known = own(&state, &caller, &uid).await?;
    let body = object(body).await?;
    let node_uids = texts("update_node_uids", body.get("update_node_uids").unwrap_or(&Value::Null))?;
    objects::writable(&state, &caller, &node_uids).await?;
    let said = SchedulerState { active_tree: node_uids, ..known.state };
    caller.host(&state).hear_scheduler(&uid, &said).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `PATCH scheduler/<uid>/assign/`
pub(super) async fn assign(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    own(&state, &caller, &uid).await?;
    let body = object(body).await?;
    let node_uids = texts("update_node_uids", body.get("update_node_uids").unwrap_or(&Value::Null))?;
    objects::writable(&state, &caller, &node_uids).await?;
    let host = caller.host(&state);
    host.store().assign_scheduler(&uid, &node_uids).await.map_err(problem)?;
    Ok(ok(&objects::scheduler(&host.store().scheduler(&uid).await.map_err(problem)?)))
}
