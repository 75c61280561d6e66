//! Values of catalogue rows, in and out.

use datanode_core::Timestamp;

use crate::StoreError;

/// For `map_err`: the statement failed.
pub(super) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Database { doing, source }
}

/// For `map_err`: the value at `place` is not what this host writes.
pub(super) fn damaged<E: std::fmt::Display>(place: &str) -> impl Fn(E) -> StoreError + '_ {
    move |error| StoreError::Damaged(format!("{place}: {error}"))
}

/// A moment.
pub(super) fn timestamp(place: &str, micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_micros(micros).map_err(damaged(place))
}

/// A count that is never negative.
pub(super) fn count(place: &str, count: i64) -> Result<u64, StoreError> {
    u64::try_from(count).map_err(damaged(place))
}

/// A count as the database keeps it.
pub(super) fn to_integer(place: &str, count: u64) -> Result<i64, StoreError> {
    i64::try_from(count).map_err(damaged(place))
}
