//! Producers: programs elsewhere that compute rows and send them, by the protocol of an existing client.
//!
//! **One idea:** a producer is a node whose `update` this host does not see. What it sends is judged as what a guest
//! emits ([`frame::OutputValidator`](crate::frame::OutputValidator)), kept aside until the producer says that it has sent
//! everything, and stored by the commit that stores a run. So both write one table, and neither can break it for the
//! other. What cannot be had is a replay: nobody here knows what the rows were computed from.

mod claims;
mod error;
mod rows;
mod statistics;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use claims::Claims;
pub use error::{ProducerError, UploadError};
pub use rows::{MAX_JSON_DEPTH, Upload, upload};

/// What stands where a node names its component. No component can be called so.
pub const PRODUCER: &str = "@producer";
/// `kind` of the record of an update that a producer sent.
pub const PRODUCER_RUN: &str = "producer";
/// Characters of an `update_hash`, which is taken as a producer gives it.
pub const MAX_HASH_CHARS: usize = 63;

/// Where the rows of a run came from that no component of this host computed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Who sent them, as the audit log names it.
    pub sent_by: String,
    /// The project that the producer says it belongs to.
    pub project_uid: Option<String>,
    /// The process, as it announced itself.
    pub scheduler_uid: String,
    /// Pieces in which the rows came, each counted once.
    pub uploads: u64,
}

/// Check an `update_hash` that a producer gives.
///
/// # Errors
///
/// [`ProducerError::Hash`] unless it is 1 to [`MAX_HASH_CHARS`] visible characters of ASCII.
pub fn check_hash(update_hash: &str) -> Result<(), ProducerError> {
    let is_good = !update_hash.is_empty()
        && update_hash.len() <= MAX_HASH_CHARS
        && update_hash.bytes().all(|byte| byte.is_ascii_graphic());
    if is_good { Ok(()) } else { Err(ProducerError::Hash { given: update_hash.chars().take(80).collect() }) }
}
