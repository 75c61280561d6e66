//! Values of catalogue rows, and the errors of PostgreSQL.

use crate::StoreError;

pub(super) use crate::catalogue::stored::{class, count, damaged, from_json, timestamp, to_integer, to_json};

/// What PostgreSQL answers to who has waited for a lock for as long as it may.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// What it answers a statement whose time was over, and one that somebody has ended.
const QUERY_CANCELED: &str = "57014";

/// For `map_err`: the statement failed.
pub(super) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| {
        if is_busy(&source) { StoreError::Busy { doing } } else { StoreError::Database { doing, source } }
    }
}

/// Whether a lock could not be had in time.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    has_code(error, LOCK_NOT_AVAILABLE)
}

/// Whether a statement was given up.
pub(super) fn is_canceled(error: &sqlx::Error) -> bool {
    has_code(error, QUERY_CANCELED)
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|found| found == code)
}
