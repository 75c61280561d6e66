//! Components whose upload is resumed, by their digest.
//!
//! `PUT` begins, `PATCH` goes on from `Upload-Offset`, `HEAD` tells how much is there. When as much has come as
//! `Upload-Length` says, the component is admitted, if its digest is the one of the path.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use datanode_core::digest::Digest;

use super::components::{Said, admit};
use crate::auth::Caller;
use crate::guard::BodyProblem;
use crate::input::{Params, Place};
use crate::uploads::Part;
use crate::{AppState, Problem};

/// How much is there, or from where on more comes.
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// How much there will be.
const LENGTH: HeaderName = HeaderName::from_static("upload-length");

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/components/uploads/{digest}", get(offset).put(begin).patch(go_on).delete(give_up))
}

fn digest_of(text: &str) -> Result<Digest, Problem> {
    text.parse()
        .map_err(|_| Problem::usage("the path ends with the SHA-256 of the component: 64 hexadecimal digits"))
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Problem> {
    let text = headers.get(name).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Problem::usage(format!("the header {name} is a number of bytes")))
}

fn at(status: StatusCode, offset: u64) -> Response {
    let mut answer = status.into_response();
    answer.headers_mut().insert(OFFSET, HeaderValue::from(offset));
    answer
}

fn not_begun() -> Problem {
    Problem::not_found("no upload of this digest has begun at this server, or it is over")
        .with_next("begin it: PUT")
}

async fn offset(State(state): State<AppState>, Place(digest): Place<String>) -> Result<Response, Problem> {
    let offset = state.uploads().offset(&digest_of(&digest)?).await?.ok_or_else(not_begun)?;
    Ok(at(StatusCode::NO_CONTENT, offset))
}

async fn give_up(State(state): State<AppState>, Place(digest): Place<String>) -> Result<StatusCode, Problem> {
    state.uploads().part(&digest_of(&digest)?)?.remove().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn begin(
    State(state): State<AppState>,
    caller: Caller,
    Place(digest): Place<String>,
    params: Params,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let (digest, said) = (digest_of(&digest)?, Said::of(params)?);
    let length = number(&headers, &LENGTH)?;
    let part = state.uploads().part(&digest)?;
    if part.offset().await?.is_none() {
        state.uploads().make_room().await?;
    }
    take(&state, &caller, &part, (0, length), request, said.with_digest(digest)).await
}

async fn go_on(
    State(state): State<AppState>,
    caller: Caller,
    Place(digest): Place<String>,
    params: Params,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let (digest, said) = (digest_of(&digest)?, Said::of(params)?);
    let (from, length) = (number(&headers, &OFFSET)?, number(&headers, &LENGTH)?);
    let part = state.uploads().part(&digest)?;
    let there = part.offset().await?.ok_or_else(not_begun)?;
    if from != there {
        let problem = Problem::new(
            StatusCode::CONFLICT,
            "server.upload_offset",
            format!("{there} bytes are there, and not {from}"),
        );
        let mut answer = problem.with_next("send what comes behind them").into_response();
        answer.headers_mut().insert(OFFSET, HeaderValue::from(there));
        return Ok(answer);
    }
    take(&state, &caller, &part, (from, length), request, said.with_digest(digest)).await
}

/// Take what comes; all of it is admitted.
async fn take(
    state: &AppState,
    caller: &Caller,
    part: &Part,
    (from, length): (u64, u64),
    request: Request,
    said: Said,
) -> Result<Response, Problem> {
    let most = state.settings().component_bytes;
    if length > most {
        return Err(BodyProblem::TooLarge { most }.into());
    }
    let there = part.append(from, request.into_body()).await?;
    if there < length {
        return Ok(at(StatusCode::ACCEPTED, there));
    }
    if there > length {
        part.remove().await?;
        return Err(Problem::usage(format!(
            "{there} bytes have come, and {length} were announced; what had come is forgotten"
        )));
    }
    let _place = state.uploads().in_memory.acquire().await.map_err(|_| Problem::bug("uploads are closed"))?;
    let bytes = part.bytes().await?;
    let answer = admit(state, caller, bytes, said).await;
    // Refused as it is, it would be refused again; where the machine has failed, it is kept for the next attempt.
    if answer.as_ref().map_or_else(|problem| !problem.status.is_server_error(), |_| true) {
        part.remove().await?;
    }
    answer
}
