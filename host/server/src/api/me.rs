//! Who one is.

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::AppState;
use crate::auth::Caller;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/v1/me", get(me))
}

/// The user, the token, what it may be used for, and the roles.
async fn me(caller: Caller) -> Json<Value> {
    let principal = caller.principal();
    let roles = principal.roles.iter().map(|(subject, role)| json!({"subject": subject, "role": role}));
    Json(json!({
        "name": principal.actor(None).name(),
        "user": principal.user,
        "token": principal.token,
        "rights": principal.rights,
        "roles": roles.collect::<Vec<_>>(),
        "per_minute": principal.per_minute,
    }))
}
