//! `Idempotency-Key`: a request that is sent again, because its answer was lost, is answered again and not done again.
//!
//! Keys are in the store, so that it does not matter which of several servers the second attempt reaches. The work goes on
//! when its caller has gone: what becomes of it is what the caller is told who comes back.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use datanode_core::Timestamp;
use datanode_core::digest::Digest;
use datanode_store::{BegunRequest, KeptAnswer, KeyedRequest};
use http_body_util::BodyExt;

use crate::auth::Caller;
use crate::settings::seconds;
use crate::{AppState, Problem, input, request, routes};

/// The header.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Characters of a key.
const MOST_KEY: usize = 200;
/// How long answers are kept.
const KEPT: Duration = Duration::from_hours(24);
/// Bytes of an answer that is kept.
const MOST_ANSWER: usize = 4 << 20;
/// Headers that are kept with it.
const HEADERS: [HeaderName; 3] = [CONTENT_TYPE, ETAG, LOCATION];

/// Answer a request with a key once.
pub(crate) async fn once(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match answer(&state, request, next).await {
        Ok(answer) => answer,
        Err(problem) => problem.into_response(),
    }
}

async fn answer(state: &AppState, request: Request, next: Next) -> Result<Response, Problem> {
    let Some(key) = request.headers().get(KEY) else { return Ok(next.run(request).await) };
    let is_key = |text: &&str| {
        (1..=MOST_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let key = key.to_str().ok().filter(is_key).map(str::to_owned).ok_or_else(|| {
        Problem::usage(format!("the header Idempotency-Key has 1 to {MOST_KEY} visible characters"))
    })?;
    let matched =
        request.extensions().get::<axum::extract::MatchedPath>().map(|path| path.as_str().to_owned());
    let route = matched.and_then(|path| routes::find(request.method(), &path)).map(|(_, route)| route);
    let asks = request.extensions().get::<Caller>().cloned();
    let caller = asks.as_ref().map(Caller::name);
    let is_kept = route.is_some_and(routes::Route::takes_key);
    let (Some(caller), true) = (caller, is_kept) else { return Ok(next.run(request).await) };

    let (parts, body) = request.into_parts();
    let bytes = input::whole(body).await?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let head = format!("{} {path}\n", parts.method);
    let now = datanode_runtime::now();
    let settings = state.settings();
    let hold = seconds(settings.long_answer_seconds).max(seconds(settings.answer_seconds));
    let keyed = KeyedRequest {
        caller,
        key,
        digest: Digest::of(&[head.as_bytes(), &bytes].concat()).to_string(),
        attempt: uuid::Uuid::new_v4().to_string(),
        now,
        held_until: moved(now, hold, true),
        forget_before: moved(now, KEPT, false),
    };
    match state.host().store().begin_request(&keyed).await? {
        BegunRequest::New => {}
        BegunRequest::Answered(answer) => {
            // It was given to this very caller, by a handler that had asked.
            asks.iter().for_each(Caller::needs_no_role);
            return Ok(again(&answer));
        }
        BegunRequest::UnderWay => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "server.key_under_way",
                "the request with this Idempotency-Key is being answered",
            )
            .with_next("wait, then send it again with the same key")
            .retry_after(Duration::from_secs(1)));
        }
        BegunRequest::Other => {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "server.key_of_another",
                "this Idempotency-Key has come with another request",
            )
            .with_next("take a new key for each request"));
        }
    }
    let request = Request::from_parts(parts, Body::from(bytes));
    let (known, ended) = (state.clone(), keyed.clone());
    // A task of its own: it goes on when the caller has gone.
    let work = request::carried(async move {
        let answer = next.run(request).await;
        keep(&known, &ended, answer).await
    });
    if let Ok(answer) = tokio::spawn(work).await {
        return Ok(answer);
    }
    state.host().store().end_request(&keyed, None).await?;
    Err(Problem::bug("a handler panicked"))
}

/// A moment so much later, or earlier.
fn moved(now: Timestamp, by: Duration, later: bool) -> Timestamp {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::nearest_micros(if later {
        now.micros().saturating_add(by)
    } else {
        now.micros().saturating_sub(by)
    })
}

/// Keep an answer for the next time. One that may be another when the request comes again is none.
async fn keep(state: &AppState, keyed: &KeyedRequest, answer: Response) -> Response {
    let passes = matches!(answer.status().as_u16(), 408 | 429 | 500..=599);
    let (parts, body) = answer.into_parts();
    let whole = body.collect().await.map(http_body_util::Collected::to_bytes);
    let (kept, body) = match whole {
        Ok(bytes) if !passes && bytes.len() <= MOST_ANSWER => {
            let headers: Vec<(String, String)> = HEADERS
                .iter()
                .filter_map(|name| {
                    Some((name.to_string(), parts.headers.get(name)?.to_str().ok()?.to_owned()))
                })
                .collect();
            let headers = serde_json::to_string(&headers).unwrap_or_default();
            let kept = KeptAnswer { status: parts.status.as_u16(), headers, body: bytes.to_vec() };
            (Some(kept), Body::from(bytes))
        }
        Ok(bytes) => (None, Body::from(bytes)),
        Err(error) => {
            tracing::warn!(error = %error, "an answer could not be read to be kept");
            (None, Body::empty())
        }
    };
    if let Err(error) = state.host().store().end_request(keyed, kept.as_ref()).await {
        tracing::warn!(request_id = request::id(), error = %error, "the answer to a request with a key is not kept");
    }
    Response::from_parts(parts, body)
}

/// An answer that was given before.
fn again(kept: &KeptAnswer) -> Response {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let mut answer = (status, kept.body.clone()).into_response();
    let headers: Vec<(String, String)> = serde_json::from_str(&kept.headers).unwrap_or_default();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    answer
}
