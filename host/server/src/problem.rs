//! Errors as callers get them: RFC 9457 problem details.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use datanode_core::guest_failure::GuestFailure;
use datanode_core::{Diagnostic, ErrorClass};
use serde_json::{Value, json};

use crate::request;

/// The type of the body.
const PROBLEM_JSON: &str = "application/problem+json";

/// An error on its way to the caller. It is in the extensions of its own answer, so that layers can tell it otherwise.
#[derive(Debug, Clone)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable dotted code.
    pub code: Cow<'static, str>,
    /// Who has to act.
    pub class: ErrorClass,
    /// What failed and where; what a caller may read.
    pub detail: String,
    /// What to do next.
    pub next: Option<String>,
    /// What is known of the guest's call that ended in it.
    pub guest: Option<Box<GuestFailure>>,
    /// When it is worth to try again.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// An error of the server's own.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let class = match status.as_u16() {
            400 | 402 | 404..=406 | 408..=422 => ErrorClass::Usage,
            401 | 403 | 423 | 428 => ErrorClass::Refused,
            _ => ErrorClass::Infrastructure,
        };
        Self {
            status,
            code: Cow::Borrowed(code),
            class,
            detail: detail.into(),
            next: None,
            guest: None,
            retry_after: None,
        }
    }

    /// A request that makes no sense as it was sent.
    pub(crate) fn usage(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "server.request", detail)
    }

    /// Something that is not there, which is no table, node or the like.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "server.not_found", detail)
    }

    /// A bug of this host. What it was is in the log alone.
    pub(crate) fn bug(what: &str) -> Self {
        tracing::error!(request_id = request::id(), what, "a bug of this host");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server.failed",
            "the server has failed; this is a bug of datanode",
        )
        .with_next("report it with the id of the request; the server's log says more")
    }

    /// The same, with what to do.
    #[must_use]
    pub(crate) fn with_next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// The same, which may be tried again after so long.
    #[must_use]
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same with another status.
    #[must_use]
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The document.
    pub(crate) fn document(&self) -> Value {
        let mut document = json!({
            "type": format!("urn:datanode:error:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "instance": request::path(),
            "code": self.code,
            "class": self.class.as_str(),
            "next": self.next,
            "request_id": request::id(),
        });
        if let Some(guest) = &self.guest {
            document["guest"] = json!(guest);
        }
        document
    }
}

/// The status that a code has, where its class does not say it.
fn status_of(code: &str, class: ErrorClass) -> StatusCode {
    match code {
        code if code.ends_with("_not_found") || code == "access.role_not_held" => StatusCode::NOT_FOUND,
        "store.ambiguous"
        | "contract.identifier_taken"
        | "contract.physical_name_taken"
        | "component.version_taken"
        | "component.disabled"
        | "component.in_use"
        | "component.recorded"
        | "component.new_identity"
        | "source.taken"
        | "table.in_use"
        | "table.protected"
        | "secret.in_use"
        | "lease.held"
        | "lease.lost"
        | "commit.table_moved"
        | "store.changed"
        | "backfill.over"
        | "backfill.window_lost"
        | "run.not_failed"
        | "run.blocked"
        | "run.cancelled"
        | "run.interrupted"
        | "store.still_referenced"
        | "access.name_taken"
        | "access.user_disabled" => StatusCode::CONFLICT,
        "access.no_token" | "access.bad_token" | "access.token_refused" => StatusCode::UNAUTHORIZED,
        "access.too_many_requests" => StatusCode::TOO_MANY_REQUESTS,
        "access.right_missing" | "access.role_missing" | "access.token_not_yours_to_give" => {
            StatusCode::FORBIDDEN
        }
        "runtime.panicked" | "store.damaged" | "store.migration" => StatusCode::INTERNAL_SERVER_ERROR,
        code if code.ends_with(".too_large") => StatusCode::PAYLOAD_TOO_LARGE,
        _ => match class {
            ErrorClass::Usage => StatusCode::BAD_REQUEST,
            ErrorClass::Refused | ErrorClass::Failed => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorClass::Blocked => StatusCode::CONFLICT,
            ErrorClass::Infrastructure => StatusCode::SERVICE_UNAVAILABLE,
        },
    }
}

/// Whether what is said names nothing that its reader has not named: that others have to be waited for is no fault of the
/// machine's, and whoever waits is told for whom.
fn is_told(code: &str) -> bool {
    matches!(code, "store.busy" | "revision.busy" | "revision.too_long")
}

/// When to try again, where the machine or the database has failed.
const TRY_AGAIN: Duration = Duration::from_secs(2);

impl<E: Diagnostic> From<E> for Problem {
    fn from(error: E) -> Self {
        let status = status_of(error.code(), error.class());
        let problem = Self {
            status,
            code: Cow::Borrowed(error.code()),
            class: error.class(),
            detail: error.to_string(),
            next: error.next_step(),
            guest: error.guest().cloned().map(Box::new),
            retry_after: None,
        };
        if !status.is_server_error() {
            return problem;
        }
        if is_told(error.code()) {
            tracing::warn!(request_id = request::id(), code = error.code(), error = %error, "others are in the way");
            return Self { retry_after: Some(TRY_AGAIN), ..problem };
        }
        // It may name hosts, files and statements, which are the operator's to know.
        tracing::error!(request_id = request::id(), code = error.code(), error = %error, "an operation has failed");
        let (detail, next) = if status == StatusCode::SERVICE_UNAVAILABLE {
            ("the host or its database cannot do this now", "try again; the server's log says more")
        } else {
            ("the server has failed", "report it with the id of the request; the server's log says more")
        };
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(TRY_AGAIN);
        Self { detail: detail.to_owned(), next: Some(next.to_owned()), guest: None, retry_after, ..problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut answer = (self.status, self.document().to_string()).into_response();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"datanode\""));
        }
        answer.extensions_mut().insert(self);
        answer
    }
}

#[cfg(test)]
mod tests {
    use datanode_store::StoreError;

    use super::*;

    #[test]
    fn errors_keep_their_code_and_a_callers_is_no_5xx() {
        let missing = StoreError::NotFound { kind: "table", reference: "x".to_owned() };
        let problem = Problem::from(missing);
        assert_eq!((problem.status, &*problem.code), (StatusCode::NOT_FOUND, "store.table_not_found"));
        assert_eq!(problem.next.as_deref(), Some("see what there is: datanode table list"));
    }

    #[test]
    fn whoever_must_wait_is_told_for_whom() {
        let busy = Problem::from(StoreError::Busy { doing: "registering a table" });
        assert_eq!((busy.status, &*busy.code), (StatusCode::SERVICE_UNAVAILABLE, "store.busy"));
        assert!(busy.detail.contains("registering a table") && busy.retry_after.is_some(), "{busy:?}");
        let changed = Problem::from(StoreError::Changed { kind: "table", name: "fx".to_owned() });
        assert_eq!((changed.status, &*changed.code), (StatusCode::CONFLICT, "store.changed"));
    }

    #[test]
    fn what_the_machine_says_stays_in_the_log() {
        let lost = StoreError::Damaged("the file /secret/place".to_owned());
        let problem = Problem::from(lost);
        assert_eq!(problem.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!problem.document().to_string().contains("/secret/place"));
    }
}
