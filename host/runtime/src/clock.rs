//! The one place of the host that reads the clock: what is recorded as "now", and run ids, which sort by it.

use datanode_core::Timestamp;

/// Now, in UTC, cut to microseconds. A clock outside the years 1 to 9999 is taken for its nearest end.
pub fn now() -> Timestamp {
    let micros = chrono::Utc::now().timestamp_micros();
    let limit = if micros < 0 { -62_135_596_800_000_000 } else { 253_402_300_799_999_999 };
    match Timestamp::from_micros(micros).or_else(|_| Timestamp::from_micros(limit)) {
        Ok(now) => now,
        Err(_) => unreachable!("both ends of the range are in the range"),
    }
}

/// A new run id: UUID version 7, so that ids sort by start.
pub(crate) fn run_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
