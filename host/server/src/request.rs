//! What is known of a request while it is answered: its id, its path. Answers name both, and so do the lines of the log.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument as _, Span};

use crate::{AppState, metrics, traces};

/// The header of the id, in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of an id that is taken over.
const MOST_ID: usize = 128;
/// Characters of a path that are told.
const MOST_PATH: usize = 512;

#[derive(Debug, Clone)]
struct Current {
    id: String,
    path: String,
}

tokio::task_local! {
    static CURRENT: Current;
}

/// The id of the request that is answered; empty outside of one.
pub(crate) fn id() -> String {
    CURRENT.try_with(|current| current.id.clone()).unwrap_or_default()
}

/// The path of the request that is answered.
pub(crate) fn path() -> String {
    CURRENT.try_with(|current| current.path.clone()).unwrap_or_default()
}

/// The same request, for work that becomes a task of its own.
pub(crate) fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let current =
        CURRENT.try_with(Clone::clone).unwrap_or_else(|_| Current { id: String::new(), path: String::new() });
    CURRENT.scope(current, work.in_current_span())
}

/// The id that a caller has sent, where it is one: visible characters that neither end a line of a log nor leave a quote.
fn given(request: &Request) -> Option<String> {
    let text = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte);
    (!text.is_empty() && text.len() <= MOST_ID && text.bytes().all(is_plain)).then(|| text.to_owned())
}

/// The outermost layer: gives the request its id, and tells the log and the metrics what became of it.
pub(crate) async fn told(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = given(&request).unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let method = request.method().clone();
    // Without the query, which may hold what somebody looks for.
    let path: String = request.uri().path().chars().take(MOST_PATH).collect();
    if let Ok(value) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    let span = traces::of_request(metrics::known(&method), request.headers(), &id);
    let seen = std::sync::Arc::new(std::sync::OnceLock::new());
    let matched = Matched { seen: std::sync::Arc::clone(&seen), span: span.clone() };
    request.extensions_mut().insert(matched);
    let under_way = state.metrics().begin();
    let current = Current { id: id.clone(), path: path.clone() };
    let mut answer = CURRENT.scope(current, next.run(request)).instrument(span.clone()).await;
    drop(under_way);
    let headers = answer.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    // What is answered is what it says that it is, and is asked for again before it is used again.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    let took = begun.elapsed();
    let status = answer.status().as_u16();
    traces::answered(&span, status);
    drop(span);
    let Seen { route, who } = seen.get().cloned().unwrap_or_default();
    state.metrics().answered(&method, &route, status, took);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    tracing::info!(request_id = id, method = method.as_str(), path, route, status, micros, who, "answered");
    answer
}

/// What inner layers find out about a request, for the outermost one.
#[derive(Debug, Clone)]
pub(crate) struct Matched {
    seen: std::sync::Arc<std::sync::OnceLock<Seen>>,
    span: Span,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    route: String,
    who: String,
}

impl Matched {
    /// Note which route it was, and who has asked.
    pub(crate) fn note(request: &Request, who: &str) {
        let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
        if let Some(Self { seen, span }) = request.extensions().get::<Self>() {
            if let Some(route) = &route {
                traces::routed(span, metrics::known(request.method()), route);
            }
            // Noted before, it stays as it was.
            let _ = seen.set(Seen { route: route.unwrap_or_default(), who: who.to_owned() });
        }
    }
}
