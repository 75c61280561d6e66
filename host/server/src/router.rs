//! All routes with the layers around them.

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware::from_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::{AppState, Problem, api, compat, guard, health, idempotency, request};

/// The router of a server: own API, compatible API, health. From the outside in, a request passes what tells of it, what
/// catches panics, compression, what judges it, and its handler.
pub fn router(state: AppState) -> Router {
    let judged =
        |routes: Router<AppState>| routes.route_layer(from_fn_with_state(state.clone(), guard::judge));
    let once = from_fn_with_state(state.clone(), idempotency::once);
    let own = judged(api::routes().route_layer(once).merge(health::routes()));
    let compatible = judged(compat::routes()).layer(map_response(compat::shape));
    own.merge(compatible)
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        // Bodies are bounded by what their routes take.
        .layer(DefaultBodyLimit::disable())
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(guard::plain_path))
        .layer(from_fn_with_state(state.clone(), request::told))
        .with_state(state)
}

async fn nothing_here(request: Request) -> Response {
    let path: String = request.uri().path().chars().take(200).collect();
    let problem = Problem::not_found(format!("there is nothing at {path}"))
        .with_next("see what there is: GET /api/v1/openapi.json");
    compat::shape_at(request.uri().path(), problem.into_response())
}

async fn wrong_method(request: Request) -> Response {
    let detail = format!("{} is not for this path; the header Allow says what is", request.method());
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "server.method", detail);
    compat::shape_at(request.uri().path(), problem.into_response())
}

/// What panicked goes to the log and to nobody else.
#[allow(clippy::needless_pass_by_value)] // as the layer hands it over
fn panicked(what: Box<dyn std::any::Any + Send>) -> Response {
    let text = what.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| what.downcast_ref::<String>().cloned()).unwrap_or_default();
    Problem::bug(&format!("a handler panicked: {text}")).into_response()
}
