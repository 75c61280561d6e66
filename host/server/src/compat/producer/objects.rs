//! Update processes and schedulers as that client has them. It refuses an answer with a key that it does not know.

use std::collections::HashMap;

use datanode_core::Timestamp;
use datanode_core::access::Action;
use datanode_core::run::RunStatus;
use datanode_store::{Producer, Scheduler, Table};
use serde_json::{Value, json};

use super::super::catalogue;
use super::super::table::Form;
use crate::auth::Caller;
use crate::{AppState, Problem};

/// How the client calls update processes.
pub(super) const NODE_TYPE: &str = "local_time_serie";
/// What the client calls an update process of which nothing else is known.
const QUEUED: &str = "Q";
/// Characters of that word.
pub(super) const MAX_STATUS_CHARS: usize = 20;
/// How long after an answer the next update may begin, for a client that waits for that moment. Without one it would wait
/// for the next full minute, and this host has no reason to let it.
const NEXT_UPDATE_MICROS: i64 = 3_000_000;

/// The table of a producer, as the catalogue tells it.
pub(super) async fn table(state: &AppState, caller: &Caller, table: &Table) -> Result<Value, Problem> {
    catalogue::tell_one(caller, &**state.host().store(), Form::TimeIndexed, &table.uid).await
}

/// The tables of update processes, by uid.
pub(super) async fn tables(
    state: &AppState,
    caller: &Caller,
    uids: &[String],
) -> Result<HashMap<String, Value>, Problem> {
    let store = state.host().store();
    let told = catalogue::tell_whole(caller, store.as_ref(), Form::TimeIndexed, uids).await?;
    let uid = |table: &Value| table["uid"].as_str().unwrap_or_default().to_owned();
    Ok(told.into_iter().map(|table| (uid(&table), table)).collect())
}

/// An update process.
pub(super) fn node(producer: &Producer, table: &Value) -> Value {
    let facts = &producer.facts;
    json!({
        "uid": producer.node.uid,
        "update_hash": producer.node.update_hash,
        "build_configuration": producer.node.config,
        "data_node_storage": table,
        "ogm_dependencies_linked": facts.dependencies_linked,
        "tags": facts.tags,
        "labels": facts.labels,
        "description": facts.description,
        "update_details": details(producer),
        "run_configuration": run_configuration(producer),
        "open_for_everyone": facts.open_for_everyone,
        "time_serie_source_code": null,
        "time_serie_source_code_git_hash": null,
    })
}

fn run_configuration(producer: &Producer) -> Value {
    match &producer.facts.update_schedule {
        Some(schedule) => json!({"update_schedule": schedule}),
        None => Value::Null,
    }
}

/// How an update process stands.
pub(super) fn details(producer: &Producer) -> Value {
    let update = producer.update.as_ref();
    let outcome = update.and_then(|update| update.outcome.as_ref());
    let is_active = update.is_some_and(datanode_store::ProducerUpdate::is_open);
    let last = outcome.map(|outcome| outcome.finished_at);
    let next = last.map(|_| {
        Timestamp::nearest_micros(datanode_runtime::now().micros().saturating_add(NEXT_UPDATE_MICROS))
    });
    json!({
        "active_update": is_active,
        "update_pid": 0,
        "error_on_last_update": outcome.is_some_and(|outcome| outcome.status == RunStatus::Failed),
        "last_update": last,
        "next_update": next,
        "update_statistics": null,
        "active_update_status": producer.facts.status.as_deref().unwrap_or(QUEUED),
        "active_update_scheduler_uid": producer.scheduler_uid,
        "update_priority": producer.facts.update_priority,
        "last_updated_by_user_uid": null,
        "related_table_uid": producer.node.uid,
        "run_configuration": run_configuration(producer),
    })
}

/// A process that runs producers.
pub(super) fn scheduler(scheduler: &Scheduler) -> Value {
    let state = &scheduler.state;
    json!({
        "uid": scheduler.uid,
        "name": scheduler.name,
        "is_running": state.is_running,
        "running_process_pid": state.process_id,
        "running_in_debug_mode": state.is_debugging,
        "updates_halted": state.is_halted,
        "host": state.host,
        "api_address": state.api_address,
        "api_port": state.api_port,
        "last_heart_beat": state.heart_beat,
    })
}

/// Refuse nodes that the caller may not write.
pub(super) async fn writable(state: &AppState, caller: &Caller, node_uids: &[String]) -> Result<(), Problem> {
    caller.needs_no_role();
    for uid in node_uids {
        super::producer(state, caller, uid, Action::EditTable).await?;
    }
    Ok(())
}
