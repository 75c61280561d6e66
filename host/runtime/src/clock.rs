//! The one place of the host that reads the clock: what is recorded as "now", and run ids, which sort by it.

use datanode_core::Timestamp;

/// Now, in UTC, cut to microseconds.
pub fn now() -> Timestamp {
    Timestamp::nearest_micros(chrono::Utc::now().timestamp_micros())
}

/// A new run id: UUID version 7, so that ids sort by start.
pub(crate) fn run_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
