//! `run_query`: SQL of users over one table, in an envelope.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use datanode_core::access::Action;
use datanode_core::diagnostic::Diagnostic;
use datanode_core::sql::{SqlAnswer, SqlError, SqlErrorKind, SqlLimits};
use datanode_store::{StoreError, Table};
use serde_json::Value;

use super::catalogue::by_uid;
use super::registering::Root;
use crate::auth::Caller;
use crate::input::{Place, whole};
use crate::{AppState, Problem, request};

/// `POST <root>/<uid>/run_query/`: SQL as it is, or as a JSON string. What is wrong with it is told in the envelope, with a
/// status of the caller's: on a 5xx the client would send the same four times.
pub(crate) async fn run(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    let body = whole(body).await?;
    let table = by_uid(&caller, state.host(), root, &uid, Action::ReadTable).await?;
    let limits = SqlLimits::default();
    let answer = match statement(&body) {
        Ok(sql) => ask(&state, &table, &sql, &limits).await,
        Err(error) => refused(&table, &limits, error),
    };
    Ok((status(&answer), Json(answer)).into_response())
}

async fn ask(state: &AppState, table: &Table, sql: &str, limits: &SqlLimits) -> SqlAnswer {
    let store = state.host().store();
    let reader = match store.read_only_sql() {
        Ok(reader) => reader,
        Err(error) => return refused(table, limits, failure(&error)),
    };
    match reader.run_sql(table, sql, limits).await {
        Ok(answer) => answer,
        Err(error) => refused(table, limits, failure(&error)),
    }
}

/// The database itself has failed, which says nothing of the statement.
fn failure(error: &StoreError) -> SqlError {
    tracing::error!(request_id = request::id(), code = error.code(), error = %error, "a statement could not be run");
    let kind = SqlErrorKind::RuntimeError;
    let (message, retryable) = match error {
        StoreError::Reader(_) => {
            ("this server has no login for statements of users yet: ask its operator", false)
        }
        _ => ("the database cannot answer now; the server's log says more", true),
    };
    SqlError { retryable, ..SqlError::new(kind, message) }
}

fn refused(table: &Table, limits: &SqlLimits, error: SqlError) -> SqlAnswer {
    SqlAnswer::of(uuid::Uuid::new_v4().to_string(), table.uid.clone(), limits.max_rows, Err(error))
}

/// The statement of a body: a JSON string, or the text itself. No SQL begins with a quote and ends with one.
fn statement(body: &[u8]) -> Result<String, SqlError> {
    let wrong = |message: &str| SqlError::new(SqlErrorKind::SyntaxError, message);
    let text = std::str::from_utf8(body).map_err(|_| wrong("the statement is not UTF-8"))?.trim();
    let sql = if text.starts_with('"') {
        match serde_json::from_str::<Value>(text) {
            Ok(Value::String(sql)) => sql.trim().to_owned(),
            _ => text.to_owned(),
        }
    } else {
        text.to_owned()
    };
    if sql.is_empty() { Err(wrong("there is no statement")) } else { Ok(sql) }
}

fn status(answer: &SqlAnswer) -> StatusCode {
    match answer.error.as_ref().map(|error| error.kind) {
        None => StatusCode::OK,
        Some(SqlErrorKind::ForbiddenStatement | SqlErrorKind::PermissionDenied) => StatusCode::FORBIDDEN,
        Some(_) => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_comes_as_text_or_as_a_json_string() {
        assert_eq!(statement(" SELECT 'é漢😀' \n".as_bytes()).unwrap(), "SELECT 'é漢😀'");
        assert_eq!(statement(b"\"SELECT 1\"").unwrap(), "SELECT 1");
        assert_eq!(statement(br#""SELECT \"a\" FROM t""#).unwrap(), "SELECT \"a\" FROM t");
        // Quoted names stay as they are.
        assert_eq!(statement(b"\"a\" b").unwrap(), "\"a\" b");
        for wrong in [&b""[..], b"  ", b"\"\"", b"\xff"] {
            assert_eq!(statement(wrong).unwrap_err().kind, SqlErrorKind::SyntaxError);
        }
    }

    #[test]
    fn no_status_is_tried_again() {
        let of =
            |kind| status(&SqlAnswer::of(String::new(), String::new(), 1, Err(SqlError::new(kind, "x"))));
        for kind in [
            SqlErrorKind::SyntaxError,
            SqlErrorKind::ForbiddenStatement,
            SqlErrorKind::UnknownTable,
            SqlErrorKind::UnknownColumn,
            SqlErrorKind::PermissionDenied,
            SqlErrorKind::Timeout,
            SqlErrorKind::ResultTooLarge,
            SqlErrorKind::RuntimeError,
        ] {
            assert!(of(kind).is_client_error() && of(kind) != StatusCode::TOO_MANY_REQUESTS, "{kind:?}");
        }
    }
}
