//! Values of catalogue rows, in and out. What does not read back was not written by this host: it is reported as
//! damage, with the place, and never guessed at.

use datanode_core::Timestamp;
use datanode_core::component::ComponentClass;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

/// For `map_err`: the value at `place` is not what this host writes.
pub(crate) fn damaged<E: std::fmt::Display>(place: &str) -> impl Fn(E) -> StoreError + '_ {
    move |error| StoreError::Damaged(format!("{place}: {error}"))
}

/// A document as JSON text.
pub(crate) fn to_json(doing: &'static str, document: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(document)
        .map_err(|error| StoreError::Database { doing, source: sqlx::Error::Encode(error.into()) })
}

/// A document from JSON text.
pub(crate) fn from_json<T: DeserializeOwned>(place: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(damaged(place))
}

/// A moment.
pub(crate) fn timestamp(place: &str, micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_micros(micros).map_err(damaged(place))
}

/// The class of a component.
pub(crate) fn class(place: &str, name: &str) -> Result<ComponentClass, StoreError> {
    ComponentClass::from_name(name)
        .ok_or_else(|| damaged(place)(format!("`{name}` is no class of components")))
}

/// A count that is never negative.
pub(crate) fn count(place: &str, count: i64) -> Result<u64, StoreError> {
    u64::try_from(count).map_err(damaged(place))
}

/// A count as databases keep it.
pub(crate) fn to_integer(place: &str, count: u64) -> Result<i64, StoreError> {
    i64::try_from(count).map_err(damaged(place))
}
