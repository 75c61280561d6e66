//! What this server is.

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::{AppState, openapi};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/v1/version", get(version)).route("/api/v1/openapi.json", get(document))
}

async fn version() -> Json<Value> {
    Json(json!({"name": "datanode", "version": env!("CARGO_PKG_VERSION"), "api": "v1"}))
}

async fn document() -> Json<Value> {
    Json(openapi::document())
}
