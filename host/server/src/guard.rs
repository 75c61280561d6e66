//! What stands before every handler: who may call it, how much it may be sent, and how long it may take.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as AxumBody, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use datanode_core::access::{Target, allowed};
use hyper::body::{Frame, SizeHint};
use thiserror::Error;
use tokio::time::Sleep;

use crate::auth::{self, Caller};
use crate::request::Matched;
use crate::routes::{self, Body, Demand, Pace, Route};
use crate::settings::{ServerSettings, seconds};
use crate::{AppState, Problem};

/// Bytes of a body that anybody may send: a token is in it, and no more.
const MAX_UNASKED_BYTES: u64 = 16 << 10;

/// Judge a request by the row of its route.
pub(crate) async fn judge(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let found = matched.and_then(|path| routes::find(request.method(), &path));
    let Some((_, route)) = found else {
        // Fail closed: what nobody has said may be called by anybody is called by nobody.
        return Problem::bug("a route without a row in its table").into_response();
    };
    let caller = match admit(&state, route, request.headers()).await {
        Ok(caller) => caller,
        Err(problem) => {
            Matched::note(&request, "");
            state.metrics().refused(&problem.code);
            return problem.into_response();
        }
    };
    Matched::note(&request, &caller.as_ref().map(Caller::name).unwrap_or_default());
    let waits = match bound(&mut request, route, state.settings()) {
        Ok(waits) => waits,
        Err(problem) => {
            state.metrics().refused(&problem.code);
            return problem.into_response();
        }
    };
    if let Some(caller) = &caller {
        request.extensions_mut().insert(caller.clone());
    }
    let limit = match route.pace {
        Pace::Ordinary => seconds(state.settings().answer_seconds),
        Pace::Long => seconds(state.settings().long_answer_seconds),
    };
    let Ok(answer) = tokio::time::timeout(limit, next.run(request)).await else {
        if waits.load(Ordering::Relaxed) {
            // It is the caller who has taken so long.
            return Problem::from(BodyProblem::TooSlow { waited: limit }).into_response();
        }
        return Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "server.too_long",
            "the answer has taken too long",
        )
        .with_next("ask for less, or try again")
        .retry_after(Duration::from_secs(5))
        .into_response();
    };
    if answer.status().is_success() && !has_asked(route, caller.as_ref()) {
        return Problem::bug("a handler has not asked for the role that its route demands").into_response();
    }
    answer
}

/// Whether the handler has asked for what the row says and the layer cannot know.
fn has_asked(route: &Route, caller: Option<&Caller>) -> bool {
    let Demand::To(action) = route.demand else { return true };
    let need = action.need();
    need.role.is_none() || need.is_of_organisation || caller.is_some_and(Caller::has_asked)
}

/// Who it is, where the route demands somebody, and whether they may.
async fn admit(state: &AppState, route: &Route, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
    if route.demand == Demand::Nothing {
        return Ok(None);
    }
    let principal = auth::authenticate(state, headers).await?;
    if let Demand::To(action) = route.demand {
        let need = action.need();
        // Where the token's right is missing, nothing else matters; a role on a table is the handler's to ask for.
        let is_decided = need.is_of_organisation || need.role.is_none() || !principal.rights.has(need.right);
        if is_decided {
            allowed(&principal, action, &Target::Organisation)?;
        }
    }
    Ok(Some(Caller::new(principal)))
}

/// Bound the body of a request by what its route reads. The answer says, at any time, whether more of it is waited for.
fn bound(
    request: &mut Request,
    route: &Route,
    settings: &ServerSettings,
) -> Result<Arc<AtomicBool>, Problem> {
    let waits = Arc::new(AtomicBool::new(false));
    let most = match route.body {
        Body::None => 0,
        Body::Document => settings.document_bytes,
        Body::Rows => settings.rows_bytes,
        Body::Component => settings.component_bytes,
    };
    let most = if route.demand == Demand::Nothing { most.min(MAX_UNASKED_BYTES) } else { most };
    if most == 0 {
        *request.body_mut() = AxumBody::empty();
        return Ok(waits);
    }
    let told =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|told| told > most) {
        return Err(BodyProblem::TooLarge { most }.into());
    }
    let body = std::mem::take(request.body_mut());
    let idle = seconds(settings.body_idle_seconds);
    *request.body_mut() =
        AxumBody::new(BoundedBody { body, left: most, most, idle, waiting: None, waits: Arc::clone(&waits) });
    Ok(waits)
}

/// Refuse a path or query that nothing here could have asked for: a zero byte is no part of any name, and databases take
/// none.
pub(crate) async fn plain_path(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let has_zero = |text: &str| text.contains("%00");
    if has_zero(uri.path()) || uri.query().is_some_and(has_zero) {
        return Problem::usage("there is a zero byte in the path or query").into_response();
    }
    next.run(request).await
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum BodyProblem {
    /// More than the route takes.
    #[error("the body has more than the {most} bytes that are taken here")]
    TooLarge {
        /// Bytes that are taken.
        most: u64,
    },
    /// Nothing came for too long.
    #[error("nothing more of the body has come for {} s", .waited.as_secs())]
    TooSlow {
        /// How long was waited.
        waited: Duration,
    },
}

impl From<BodyProblem> for Problem {
    fn from(problem: BodyProblem) -> Self {
        match problem {
            BodyProblem::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "server.body_too_large", problem.to_string())
            }
            BodyProblem::TooSlow { .. } => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "server.body_too_slow", problem.to_string())
            }
        }
    }
}

/// What became of reading a body, as a caller is told.
pub(crate) fn body_problem(error: &(dyn std::error::Error + 'static)) -> Problem {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(problem) = error.downcast_ref::<BodyProblem>() {
            return (*problem).into();
        }
        at = error.source();
    }
    // Nobody hears this where the connection is gone; where it is not, the body was no HTTP.
    Problem::new(StatusCode::BAD_REQUEST, "server.body_broken", "the body ended before it was whole")
}

/// A body of bounded size that must keep coming.
struct BoundedBody {
    body: AxumBody,
    left: u64,
    most: u64,
    idle: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// The same for whoever looks from outside.
    waits: Arc<AtomicBool>,
}

impl hyper::body::Body for BoundedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.waits.store(polled.is_pending(), Ordering::Relaxed);
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = None;
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                if bytes > self.left {
                    let most = self.most;
                    return Poll::Ready(Some(Err(BodyProblem::TooLarge { most }.into())));
                }
                self.left -= bytes;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let idle = self.idle;
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
                match waiting.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(BodyProblem::TooSlow { waited: idle }.into()))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_nobody_is_taken_little_of() {
        let is_taken = |demand, bytes: u64| {
            let route = Route::new("POST", "/", demand, "a token").taking(Body::Document);
            let mut request = Request::new(AxumBody::empty());
            request.headers_mut().insert(CONTENT_LENGTH, bytes.into());
            bound(&mut request, &route, &ServerSettings::default()).is_ok()
        };
        assert!(is_taken(Demand::Nothing, MAX_UNASKED_BYTES));
        assert!(!is_taken(Demand::Nothing, MAX_UNASKED_BYTES + 1));
        assert!(is_taken(Demand::Caller, MAX_UNASKED_BYTES + 1));
    }
}
