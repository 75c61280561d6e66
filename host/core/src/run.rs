//! Run records: what one execution was given, did and left behind.

use std::collections::BTreeMap;
use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::guest_failure::GuestFailure;
use crate::window::Window;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Rows were stored.
    Ok,
    /// The node had nothing to store.
    Empty,
    /// An error; nothing was stored.
    Failed,
    /// The window was empty, so the node was not called.
    Skipped,
    /// A dependency failed, so the node was not called.
    Blocked,
}

impl RunStatus {
    /// The name used in JSON and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Empty => "empty",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Blocked => "blocked",
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One frame that the run read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRecord {
    /// Dependency key, or `self`.
    pub key: String,
    /// Table that was read.
    pub table_uid: String,
    /// Its identifier at the time.
    pub table: String,
    /// Rows handed to the guest.
    pub rows: u64,
    /// Bytes of Arrow IPC handed to the guest.
    pub bytes: u64,
    /// SHA-256 over those bytes.
    pub digest: Digest,
    /// Earliest and latest `time_index` of the rows.
    pub min_time: Option<Timestamp>,
    /// See `min_time`.
    pub max_time: Option<Timestamp>,
}

/// One answer of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRecord {
    /// Name of the source.
    pub source: String,
    /// Method.
    pub method: String,
    /// Path within the source.
    pub path: String,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the body that the guest read.
    pub bytes: u64,
    /// SHA-256 over those bytes.
    pub digest: Digest,
}

/// A log line of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// Text.
    pub message: String,
    /// Fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// Stable dotted code.
    pub code: String,
    /// Class of the error: `failed`, `refused`, `infrastructure`, ...
    pub class: String,
    /// What failed and where.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
    /// What is known of the guest's call that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestFailure>,
}

/// Characters kept of an error: much of its text may come from a guest.
const MAX_ERROR_CHARS: usize = 32_768;

impl RunError {
    /// The record of an error.
    pub fn from_diagnostic(error: &(impl Diagnostic + ?Sized)) -> Self {
        Self {
            code: error.code().to_owned(),
            class: error.class().as_str().to_owned(),
            message: error.to_string().chars().take(MAX_ERROR_CHARS).collect(),
            next_step: error.next_step(),
            guest: error.guest().cloned(),
        }
    }
}

/// How long each phase took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Durations {
    /// Compiling or loading the component.
    pub load_us: u64,
    /// `update`, host calls and validation included.
    pub update_us: u64,
    /// Writing rows and progress in the committing transaction, up to the record itself.
    pub commit_us: u64,
}

/// What the node had stored before the run, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StatisticsSummary {
    /// Coordinates with progress.
    pub coordinates: u64,
    /// Rows of the table.
    pub rows: u64,
    /// Earliest time.
    pub min_time: Option<Timestamp>,
    /// Latest time.
    pub max_time: Option<Timestamp>,
}

/// Everything kept about one run. Stored by the commit that stores its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// UUID version 7: sorts by start.
    pub run_id: String,
    /// Node.
    pub node_uid: String,
    /// Identity of the update process.
    pub update_hash: String,
    /// Output table.
    pub table_uid: String,
    /// Its identifier at the time.
    pub table: String,
    /// `update`; backfills will have their own.
    pub kind: String,
    /// How it ended.
    pub status: RunStatus,
    /// Host's clock at the start.
    pub started_at: Timestamp,
    /// Host's clock at the end, just before the commit.
    pub finished_at: Timestamp,
    /// What it might cover.
    pub window: Window,
    /// Component name.
    pub component: String,
    /// Component release.
    pub component_version: Version,
    /// Component bytes.
    pub component_digest: Digest,
    /// Config with defaults filled in.
    pub config: Value,
    /// Hash namespace, empty for none.
    pub hash_namespace: String,
    /// Runtime options.
    pub options: BTreeMap<String, Value>,
    /// What the table held before.
    pub statistics: StatisticsSummary,
    /// Frames read, in the order in which they were opened.
    pub inputs: Vec<InputRecord>,
    /// Answers of sources, in order.
    pub fetches: Vec<FetchRecord>,
    /// Rows that the guest emitted.
    pub rows_emitted: u64,
    /// Of these, rows at or before the progress of their coordinate, or before the window.
    pub rows_dropped: u64,
    /// Rows stored.
    pub rows_inserted: u64,
    /// Bytes that the guest emitted.
    pub bytes_emitted: u64,
    /// SHA-256 over the emitted bytes in the order of emission; absent when nothing was emitted.
    pub output_digest: Option<Digest>,
    /// Fuel that `update` used. Compares only within one engine version.
    pub fuel: u64,
    /// Largest linear memory of the guest, in bytes.
    pub peak_memory: u64,
    /// Time per phase.
    pub durations: Durations,
    /// Limits of the guest.
    pub limits: Value,
    /// Engine, host and contract versions.
    pub host: BTreeMap<String, String>,
    /// Why it failed.
    pub error: Option<RunError>,
    /// Things a person should look at.
    pub warnings: Vec<String>,
    /// Log lines of the guest, bounded.
    pub logs: Vec<LogLine>,
    /// Log lines beyond the bound.
    pub logs_dropped: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_older_records_still_load() {
        let old = r#"{"code": "sandbox.trap", "class": "failed", "message": "it trapped"}"#;
        let error: RunError = serde_json::from_str(old).unwrap();
        assert_eq!((error.code.as_str(), error.next_step, error.guest), ("sandbox.trap", None, None));
    }
}
