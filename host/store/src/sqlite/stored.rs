//! Values of catalogue rows, and the errors of SQLite.

use crate::StoreError;

pub(super) use crate::catalogue::stored::{count, damaged, from_json, timestamp, to_integer, to_json};

/// For `map_err`: the statement failed.
pub(super) fn failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| StoreError::Sqlite { doing, source }
}
