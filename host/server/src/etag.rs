//! `ETag` and `If-Match`: whoever changes something says which state of it they have seen. It is compared when the request
//! comes, so that its author is answered before anything else is looked at; and what was compared then is compared once
//! more in the transaction that writes, where nobody can come between the two.

use axum::Json;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use datanode_core::digest::Digest;
use datanode_store::StoreError;
use serde::Serialize;

use crate::Problem;

/// The tag of a state, from its document.
pub(crate) fn of<T: Serialize>(state: &T) -> String {
    let text = serde_json::to_vec(state).unwrap_or_default();
    let digest = Digest::of(&text).to_string();
    format!("\"{}\"", digest.get(..32).unwrap_or(&digest))
}

/// Refuse a change of another state than the one that was seen. Without the header, any state will do.
pub(crate) fn check(headers: &HeaderMap, tag: &str) -> Result<(), Problem> {
    if matches(headers.get(IF_MATCH), tag) == Some(false) {
        return Err(other_state());
    }
    Ok(())
}

/// Whether a state is named, so that the transaction is to compare with the one that was compared here.
pub(crate) fn names_state(headers: &HeaderMap) -> bool {
    let text = headers.get(IF_MATCH).map(|value| value.to_str().unwrap_or_default());
    text.is_some_and(|text| !text.split(',').any(|given| given.trim() == "*"))
}

/// The refusal of a change in its transaction.
pub(crate) fn refused(error: StoreError) -> Problem {
    if matches!(error, StoreError::Changed { .. }) { other_state() } else { error.into() }
}

fn other_state() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "server.precondition",
        "it was changed since: If-Match names another state",
    )
    .with_next("get it again, and decide with what it is now")
}

/// A document with its tag, or that the caller has it already.
pub(crate) fn answer<T: Serialize>(headers: &HeaderMap, document: &T, tag: &str) -> Response {
    let value = HeaderValue::from_str(tag).unwrap_or(HeaderValue::from_static("\"\""));
    let mut answer = if matches(headers.get(IF_NONE_MATCH), tag) == Some(true) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(document).into_response()
    };
    answer.headers_mut().insert(ETAG, value);
    answer
}

/// Whether one of the tags of a header is this one; None: there is no such header.
fn matches(header: Option<&HeaderValue>, tag: &str) -> Option<bool> {
    let text = header?.to_str().unwrap_or_default();
    Some(text.split(',').map(str::trim).any(|given| given == "*" || given.trim_start_matches("W/") == tag))
}
