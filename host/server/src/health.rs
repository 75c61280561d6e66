//! Whether the server lives, whether it can do its work, and its numbers.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use datanode_store::RunFilter;
use serde_json::json;

use crate::routes::{Demand, Route};
use crate::{AppState, Problem};

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Routes of no API.
pub(crate) const ROUTES: &[Route] = &[
    Route::new("GET", "/healthz", Demand::Nothing, "whether the server lives"),
    Route::new(
        "GET",
        "/readyz",
        Demand::Nothing,
        "whether it can do its work: the database answers, and it is not about to end",
    ),
    Route::new("GET", "/metrics", Demand::Nothing, "its numbers, for Prometheus"),
];

pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/healthz", get(lives)).route("/readyz", get(ready)).route("/metrics", get(metrics))
}

async fn lives() -> Json<serde_json::Value> {
    Json(json!({"status": "ok"}))
}

async fn ready(State(state): State<AppState>) -> Result<Response, Problem> {
    let not = |what: &str| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "server.not_ready", what)
            .retry_after(Duration::from_secs(2))
    };
    if state.is_draining() {
        return Err(not("the server is about to end"));
    }
    // A question that every version of the catalogue answers, and none with a schema of another.
    let filter = RunFilter { limit: Some(1), ..RunFilter::default() };
    match tokio::time::timeout(PATIENCE, state.host().store().runs(&filter)).await {
        Ok(Ok(_)) => Ok(Json(json!({"status": "ok"})).into_response()),
        Ok(Err(error)) => {
            tracing::warn!(error = %error, "not ready");
            Err(not("the database does not answer"))
        }
        Err(_) => Err(not("the database does not answer in time")),
    }
}

async fn metrics(State(state): State<AppState>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics().text()).into_response()
}
