//! Values of catalogue rows, and the errors of PostgreSQL.

use crate::StoreError;

pub(super) use crate::catalogue::stored::{class, count, damaged, from_json, timestamp, to_integer, to_json};

/// For `map_err`: the statement failed.
pub(super) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Database { doing, source }
}
