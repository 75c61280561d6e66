//! The producer protocol of that client: programs elsewhere that compute rows and send them.
//!
//! **One idea:** a request becomes a step of [`Host`](datanode_runtime::Host)'s productions, and nothing is decided here
//! but how it is written. The client repeats what it had no answer to: every route may be asked twice.
//!
//! * `nodes`: update processes and what they read; `execution`: an update from its begin to its end.
//! * `schedulers`: the processes that run them, and their heartbeats; `constants`.
//! * `payload`: what is packed in an upload; `objects`: update processes and schedulers as the client has them.

mod execution;
mod nodes;
mod objects;
mod payload;
mod schedulers;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use datanode_core::Diagnostic;
use datanode_core::access::Action;
use datanode_store::{Producer, Table};
use serde_json::{Map, Value, json};

use super::error::{CompatError, refuse};
use super::parameters::object;
use crate::auth::Caller;
use crate::routes::{Body, Demand, Route};
use crate::{AppState, Problem};

const READ: Demand = Demand::To(Action::ReadTable);
const SEND: Demand = Demand::To(Action::EditTable);

/// What there is.
pub(crate) const ROUTES: &[Route] = &[
    Route::new("GET", LIST, READ, "update processes of producers, by update hash and table"),
    Route::new("POST", GET_OR_CREATE, SEND, "find or create an update process").taking(Body::Document),
    Route::new("POST", STATES, SEND, "the state of a tree of update processes").taking(Body::Document),
    Route::new("GET", ONE, READ, "an update process"),
    Route::new("PATCH", ONE, SEND, "change what is kept of an update process").taking(Body::Document),
    Route::new("PATCH", CONNECT, SEND, "depend on another update process").taking(Body::Document),
    Route::new("PATCH", CONNECT_TABLE, SEND, "depend on a published table").taking(Body::Document),
    Route::new("POST", CLEAR, SEND, "forget all dependencies").taking(Body::Document),
    Route::new("GET", PRIORITIES, READ, "what an update process needs, in the order to run it"),
    Route::new("GET", VERIFY, READ, "whether its dependencies have succeeded"),
    Route::new("PATCH", TAGS, SEND, "add tags").taking(Body::Document),
    Route::new("PATCH", START, SEND, "begin an update").taking(Body::Document),
    Route::new("POST", INSERT, SEND, "send rows of an update").taking(Body::Rows).long(),
    Route::new("POST", STATISTICS, SEND, "store what was sent").taking(Body::Rows).long(),
    Route::new("PATCH", END, SEND, "end an update").taking(Body::Document).long(),
    Route::new("GET", DETAILS, READ, "how an update process stands"),
    Route::new("PATCH", DETAILS, SEND, "change how an update process stands").taking(Body::Document),
    Route::new("POST", BUILD, SEND, "announce a process that runs producers").taking(Body::Document),
    Route::new("GET", FOR_NODE, READ, "the process that runs an update process"),
    Route::new("GET", SCHEDULER, READ, "a process that runs producers"),
    Route::new("PATCH", SCHEDULER, SEND, "a heartbeat").taking(Body::Document),
    Route::new("PATCH", ACTIVE_TREE, SEND, "what such a process is going to run").taking(Body::Document),
    Route::new("PATCH", ASSIGN, SEND, "let such a process run more").taking(Body::Document),
    Route::new("GET", CONSTANTS, Demand::Caller, "how often a heartbeat is expected"),
];

const LIST: &str = "/orm/api/ts_manager/local_time_serie/";
const GET_OR_CREATE: &str = "/orm/api/ts_manager/local_time_serie/get_or_create/";
const STATES: &str = "/orm/api/ts_manager/local_time_serie/get_metadatas_and_set_updates/";
const ONE: &str = "/orm/api/ts_manager/local_time_serie/{uid}/";
const CONNECT: &str = "/orm/api/ts_manager/local_time_serie/{uid}/depends_on_connect/";
const CONNECT_TABLE: &str = "/orm/api/ts_manager/local_time_serie/{uid}/depends_on_connect_to_api_table/";
const CLEAR: &str = "/orm/api/ts_manager/local_time_serie/{uid}/clear-dependencies/";
const PRIORITIES: &str = "/orm/api/ts_manager/local_time_serie/{uid}/get_all_dependencies_update_priority/";
const VERIFY: &str = "/orm/api/ts_manager/local_time_serie/{uid}/verify_if_direct_dependencies_are_updated/";
const TAGS: &str = "/orm/api/ts_manager/local_time_serie/{uid}/add_tags/";
const START: &str = "/orm/api/ts_manager/local_time_serie/{uid}/set_start_of_execution/";
const INSERT: &str = "/orm/api/ts_manager/local_time_serie/{uid}/insert_data_into_table/";
const STATISTICS: &str =
    "/orm/api/ts_manager/local_time_serie/{uid}/set_last_update_index_time_from_update_stats/";
const END: &str = "/orm/api/ts_manager/local_time_serie/{uid}/set_end_of_execution/";
const DETAILS: &str = "/orm/api/ts_manager/local_time_serie_update_details/{uid}/";
const BUILD: &str = "/orm/api/ts_manager/scheduler/build_and_assign_to_update_nodes/";
const FOR_NODE: &str = "/orm/api/ts_manager/scheduler/for-update-node/";
const SCHEDULER: &str = "/orm/api/ts_manager/scheduler/{uid}/";
const ACTIVE_TREE: &str = "/orm/api/ts_manager/scheduler/{uid}/in-active-tree/";
const ASSIGN: &str = "/orm/api/ts_manager/scheduler/{uid}/assign/";
const CONSTANTS: &str = "/orm/api/ts_manager/api/constants";

/// The routes; what each demands is asked before a handler is called.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route(LIST, get(nodes::list))
        .route(GET_OR_CREATE, post(nodes::get_or_create))
        .route(STATES, post(nodes::states))
        .route(ONE, get(nodes::show).patch(nodes::edit))
        .route(CONNECT, patch(nodes::connect))
        .route(CONNECT_TABLE, patch(nodes::connect_table))
        .route(CLEAR, post(nodes::clear))
        .route(PRIORITIES, get(nodes::priorities))
        .route(VERIFY, get(nodes::verify))
        .route(TAGS, patch(nodes::add_tags))
        .route(START, patch(execution::start))
        .route(INSERT, post(execution::insert))
        .route(STATISTICS, post(execution::complete))
        .route(END, patch(execution::end))
        .route(DETAILS, get(nodes::details).patch(nodes::edit_details))
        .route(BUILD, post(schedulers::build))
        .route(FOR_NODE, get(schedulers::for_node))
        .route(SCHEDULER, get(schedulers::show).patch(schedulers::beat))
        .route(ACTIVE_TREE, patch(schedulers::in_active_tree))
        .route(ASSIGN, patch(schedulers::assign))
        .route(CONSTANTS, get(constants))
}

/// A heartbeat is expected three times in a lease, as runs give theirs.
async fn constants(State(state): State<AppState>) -> Response {
    let seconds = (state.host().producer_lease().as_secs() / 3).max(1);
    ok(&json!({"SCHEDULER_HEART_BEAT_FREQUENCY_SECONDS": seconds}))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, axum::Json(body)).into_response()
}

fn ok(body: &Value) -> Response {
    answer(StatusCode::OK, body)
}

/// An error of the host. Of a producer's mistakes those are conflicts that another state of the update would not be.
fn problem(error: impl Diagnostic) -> Problem {
    const CONFLICTS: [&str; 9] = [
        "producer.no_update",
        "producer.other_caller",
        "producer.of_component",
        "producer.statistics",
        "producer.cycle",
        "producer.table_changed",
        "producer.too_much",
        "producer.more_uploads",
        "producer.ended",
    ];
    let is_conflict = CONFLICTS.contains(&error.code());
    let problem = Problem::from(error);
    if is_conflict { problem.with_status(StatusCode::CONFLICT) } else { problem }
}

/// Who sends, as updates know it: two tokens of one user are one sender, for a token may be renewed in the middle.
fn sender(caller: &Caller) -> String {
    caller.principal().actor(None).name().to_owned()
}

/// A producer and its table, where the caller may do this with it.
async fn producer(
    state: &AppState,
    caller: &Caller,
    uid: &str,
    action: Action,
) -> Result<(Producer, Table), Problem> {
    let producer = match state.host().store().producer(uid).await {
        Ok(producer) => producer,
        Err(error) => {
            // It is not there, for whoever asks.
            caller.needs_no_role();
            return Err(problem(error));
        }
    };
    let table = state.host().store().table(&producer.node.table_uid).await?;
    caller.may_of(action, &table, "node", uid)?;
    Ok((producer, table))
}

/// A text of a body that must be there.
fn required<'b>(body: &'b Map<String, Value>, field: &'static str) -> Result<&'b str, Problem> {
    match body.get(field).and_then(Value::as_str).map(str::trim) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(refuse(CompatError::field(field, "a text is required here"))),
    }
}

/// Characters of a text that is only kept.
const MAX_TEXT_CHARS: usize = 4_096;

/// A text that is only kept; null is none.
fn text(field: &str, value: &Value) -> Result<Option<String>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.chars().count() <= MAX_TEXT_CHARS => Ok(Some(text.clone())),
        _ => Err(refuse(CompatError::field(
            field,
            format!("a text of at most {MAX_TEXT_CHARS} characters is expected"),
        ))),
    }
}

fn flag(field: &str, value: &Value) -> Result<bool, Problem> {
    value.as_bool().ok_or_else(|| refuse(CompatError::field(field, "it is neither true nor false")))
}

/// The most texts in one list.
const MAX_ITEMS: usize = 1_000;

/// A list of texts.
fn texts(field: &str, value: &Value) -> Result<Vec<String>, Problem> {
    let wrong =
        || refuse(CompatError::field(field, format!("a list of at most {MAX_ITEMS} texts is expected")));
    let items = value.as_array().filter(|items| items.len() <= MAX_ITEMS).ok_or_else(wrong)?;
    items.iter().map(|item| text(field, item)?.ok_or_else(wrong)).collect()
}

/// The refusal of a field that is not known here: it would silently mean nothing.
fn unknown(field: &str) -> Problem {
    let field: String = field.chars().take(80).collect();
    refuse(CompatError::field(field, "this cannot be changed here"))
}
