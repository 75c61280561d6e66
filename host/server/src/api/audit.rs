//! The audit log.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use datanode_store::AuditFilter;
use serde_json::{Value, json};

use crate::input::Params;
use crate::{AppState, Problem};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/v1/audit", get(list))
}

async fn list(State(state): State<AppState>, mut params: Params) -> Result<Json<Value>, Problem> {
    // Ids count down from page to page: the cursor is one of them.
    let before = params.value::<i64>("before")?.or(params.value("cursor")?);
    let limit = params.value::<u32>("limit")?.unwrap_or(100);
    if limit == 0 || limit > 1_000 {
        return Err(Problem::usage("the parameter `limit` is 1 to 1000"));
    }
    let filter = AuditFilter {
        since: params.value("since")?,
        actor: params.text("actor")?,
        action: params.text("action")?,
        subject: params.text("subject")?,
        before,
        limit: Some(limit),
    };
    params.end()?;
    let found = state.host().store().audit_log(&filter).await?;
    let next = found.next.map(|next| next.to_string());
    Ok(Json(json!({"items": found.entries, "next_cursor": next})))
}
