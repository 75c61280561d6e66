//! An update: begun, its rows received, stored, ended.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use datanode_core::access::Action;
use datanode_core::digest::Digest;
use datanode_core::producer::{self as rules, Claims};
use datanode_runtime::RuntimeError;
use serde_json::{Value, json};

use super::super::error::{CompatError, refuse};
use super::super::statistics::multi_index_stats;
use super::schedulers::own;
use super::{answer, flag, object, objects, ok, payload, problem, producer, required, sender};
use crate::auth::Caller;
use crate::input::Place;
use crate::{AppState, Problem};

/// `PATCH local_time_serie/<uid>/set_start_of_execution/`
pub(super) async fn start(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    let (producer, _) = producer(&state, &caller, &uid, Action::EditTable).await?;
    let body = object(body).await?;
    let host = caller.host(&state);
    let scheduler = own(&state, &caller, required(&body, "active_update_scheduler_uid")?).await?;
    let sender = sender(&caller);
    let begun = host.begin_production(&producer, &scheduler.uid, &sender).await.map_err(problem)?;
    let direct: Vec<&str> =
        producer.node.dependencies.iter().filter_map(|edge| edge.node_uid.as_deref()).collect();
    let dimensions = begun.table.contract.dimensions().len();
    let record = &begun.begun.update.record;
    let document = json!({
        "historical_update": {
            "uid": record.run_id,
            "update_time_start": record.started_at,
            "update_time_end": null,
            "error_on_update": false,
            "trace_id": null,
            "updated_by_user_uid": null,
            "related_table_uid": producer.node.uid,
            "last_time_index_value": begun.progress.max_time(),
        },
        // Whether there is something to do, its own `update` knows best.
        "must_update": true,
        "multi_index_stats": multi_index_stats(&begun.progress, dimensions),
        "multi_index_column_stats": null,
        "direct_dependency_uids": direct,
    });
    Ok(answer(StatusCode::CREATED, &document))
}

/// `POST local_time_serie/<uid>/insert_data_into_table/`
pub(super) async fn insert(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    let (producer, _) = producer(&state, &caller, &uid, Action::EditTable).await?;
    let host = caller.host(&state);
    // Asked before anything is unpacked; and again by the store, when the rows are kept.
    let (update, table) = host.open_production(&producer, &sender(&caller)).await.map_err(problem)?;
    // The turn begins when all of it is there: it is not for the network to end it.
    let body = payload::body(body).await?;
    let turn = payload::turn().await?;
    let contract = Arc::new(table.contract);
    let judging = tokio::task::spawn_blocking(move || {
        let text = payload::unpack(&body, payload::MAX_ROWS_BYTES).map_err(problem)?;
        drop(body);
        let upload = rules::upload(&text, &contract).map_err(problem)?;
        // The turn goes with the work, which is done also where nobody waits for it any more.
        Ok::<_, Problem>((Digest::of(text.as_bytes()), upload, turn))
    });
    let (sent, upload, turn) = judging.await.map_err(|_| Problem::bug("an upload was being judged"))??;
    let stored = match &upload.batch {
        Some(batch) => host.stage_rows(&update, sent, batch).await.map_err(problem)?,
        None => false,
    };
    drop(turn);
    Ok(ok(&json!({"ok": true, "rows": upload.rows, "repeated": upload.rows > 0 && !stored})))
}

/// `POST local_time_serie/<uid>/set_last_update_index_time_from_update_stats/`
pub(super) async fn complete(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    let (found, table) = producer(&state, &caller, &uid, Action::EditTable).await?;
    let dimensions = table.contract.dimensions().len();
    let host = caller.host(&state);
    if found.update.as_ref().is_none_or(|update| update.outcome.is_none()) {
        // Asked before anything is read; and again when it is stored.
        host.open_production(&found, &sender(&caller)).await.map_err(problem)?;
    }
    let body = payload::body(body).await?;
    let turn = payload::turn().await?;
    let reading = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let claims =
            payload::read_packed(&body, payload::MAX_STATISTICS_BYTES, |text| Claims::read(text, dimensions));
        claims.map_err(problem)?.map_err(|error| refuse(CompatError::field("multi_index_stats", error)))
    });
    let claims = reading.await.map_err(|_| Problem::bug("statistics were being read"))??;
    if claims.min.is_none() || claims.max.is_none() {
        let problem = "`_GLOBAL_` must name the earliest and the latest time of the rows that were sent";
        return Err(refuse(CompatError::field("multi_index_stats", problem)));
    }
    host.complete_production(&found, Some(claims), &sender(&caller)).await.map_err(problem)?;
    let (found, table) = producer(&state, &caller, &uid, Action::EditTable).await?;
    Ok(ok(&objects::node(&found, &objects::table(&state, &caller, &table).await?)))
}

/// `PATCH local_time_serie/<uid>/set_end_of_execution/`
pub(super) async fn end(
    State(state): State<AppState>,
    caller: Caller,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    let (producer, _) = producer(&state, &caller, &uid, Action::EditTable).await?;
    let body = object(body).await?;
    let run_id = required(&body, "historical_update_uid")?;
    let failed = match body.get("error_on_update") {
        None | Some(Value::Null) => false,
        Some(value) => flag("error_on_update", value)?,
    };
    let ended = caller.host(&state).end_production(&producer, run_id, failed, &sender(&caller)).await;
    let record = match ended {
        // It has ended before, whatever was said of it then.
        Err(RuntimeError::Production { .. }) => None,
        ended => Some(ended.map_err(problem)?),
    };
    let status = record.map(|record| record.status);
    Ok(ok(&json!({"ok": true, "historical_update_uid": run_id, "status": status})))
}
