//! Run records: what one execution was given, did and left behind.

use std::collections::BTreeMap;
use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;
use crate::backfill::BackfillPlace;
use crate::cadence::Cadence;
use crate::component::ComponentClass;
use crate::coordinate::Coordinate;
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::guest_failure::GuestFailure;
use crate::journal::JournalSummary;
use crate::node_settings::LateRows;
use crate::producer;
use crate::progress::Progress;
use crate::quality::Violation;
use crate::window::Window;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Rows were stored, or were there already as the run would have stored them.
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

/// `kind` of the record of a dry run.
pub const DRY_RUN: &str = "dry_run";
/// `kind` of the record of a window of a backfill.
pub const BACKFILL: &str = "backfill";

/// Which coordinates a run reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Coverage {
    /// Coordinates of the output that had rows inside the window, new ones or not.
    pub coordinates: u64,
    /// Coordinates that had progress before, and of which no new row came. In a table that several nodes write, those
    /// of the others count too.
    pub gaps: u64,
    /// The first few of these, as text.
    pub gap_examples: Vec<String>,
}

/// Coordinates named as examples of gaps.
const GAP_EXAMPLES: usize = 10;
/// Characters of the name of one.
const GAP_CHARS: usize = 100;

impl Coverage {
    /// Coverage of a run that found `before` and adds `added`.
    pub fn of(coordinates: u64, before: &Progress, added: &Progress) -> Self {
        let gaps =
            || before.iter().map(|(coordinate, _)| coordinate).filter(|known| added.get(known).is_none());
        let name = |coordinate: &Coordinate| coordinate.to_string().chars().take(GAP_CHARS).collect();
        Self {
            coordinates,
            gaps: gaps().count() as u64,
            gap_examples: gaps().take(GAP_EXAMPLES).map(name).collect(),
        }
    }
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
    /// `update`, `backfill`, `producer`, or `dry_run`, which is never stored.
    pub kind: String,
    /// How it ended.
    pub status: RunStatus,
    /// Host's clock at the start.
    pub started_at: Timestamp,
    /// Host's clock at the end, just before the commit.
    pub finished_at: Timestamp,
    /// What it might cover.
    pub window: Window,
    /// The failed run whose window it covers again. Older records have none.
    #[serde(default)]
    pub retry_of: Option<String>,
    /// How far before the latest rows it looked for late ones, as its node was set.
    #[serde(default)]
    pub lookback: Option<Cadence>,
    /// What it did with late rows that were there already, as its node was set. Absent: it left them as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_rows: Option<LateRows>,
    /// Where its rows came from, when a producer sent them: no component was called. Absent for all other runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<producer::Provenance>,
    /// Which window of which backfill it was. Absent for all other runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<BackfillPlace>,
    /// Component name.
    pub component: String,
    /// Component release.
    pub component_version: Version,
    /// Component bytes.
    pub component_digest: Digest,
    /// What it imports. Older records are of components that import nothing but the contract.
    #[serde(default)]
    pub component_class: ComponentClass,
    /// Config with defaults filled in.
    pub config: Value,
    /// Hash namespace, empty for none.
    pub hash_namespace: String,
    /// Runtime options.
    pub options: BTreeMap<String, Value>,
    /// What the run was told that the table held before: all of it, but for what it looked for again.
    pub statistics: StatisticsSummary,
    /// Frames read, in the order in which they were opened.
    pub inputs: Vec<InputRecord>,
    /// Answers of sources, in order.
    pub fetches: Vec<FetchRecord>,
    /// Rows that the guest emitted.
    pub rows_emitted: u64,
    /// Of these, rows at or before the progress of their coordinate, or before the window.
    pub rows_dropped: u64,
    /// Rows that were not there and are stored now; of a dry run, rows that would be.
    pub rows_inserted: u64,
    /// Rows that were there with other values and have the run's now. Older records have none.
    #[serde(default)]
    pub rows_updated: u64,
    /// Rows that were there and stay as they are. Older records have none.
    #[serde(default)]
    pub rows_unchanged: u64,
    /// Coordinates that it reached, and those that it did not. Older records have none.
    #[serde(default)]
    pub coverage: Coverage,
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
    /// What checks of the contract found, whether it failed the run or only warned. Older records have none.
    #[serde(default)]
    pub violations: Vec<Violation>,
    /// Log lines of the guest, bounded.
    pub logs: Vec<LogLine>,
    /// Log lines beyond the bound.
    pub logs_dropped: u64,
    /// The journal that it can be executed again from. Absent where the guest was not called, where the run ended by the
    /// fault of a machine, and in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalSummary>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinate::CoordinateValue;
    use crate::progress::CoordinateProgress;
    use serde_json::json;

    fn progress(names: impl IntoIterator<Item = String>) -> Progress {
        let time = Timestamp::from_micros(0).unwrap();
        let held = CoordinateProgress { min: time, max: time, rows: 1 };
        names.into_iter().map(|name| (Coordinate(vec![CoordinateValue::Text(name)]), held)).collect()
    }

    #[test]
    fn gaps_are_counted_and_a_few_are_named() {
        let of = |names: &[&str]| progress(names.iter().map(|name| (*name).to_owned()));
        let coverage = Coverage::of(2, &of(&["CYP", "GBP", "USD"]), &of(&["USD", "XAU"]));
        assert_eq!((coverage.coordinates, coverage.gaps), (2, 2));
        assert_eq!(coverage.gap_examples, ["(CYP)", "(GBP)"]);
        assert_eq!(Coverage::of(1, &Progress::default(), &of(&["USD"])).gaps, 0);

        let many = Coverage::of(0, &progress((0..1_000).map(|n| format!("{n:0500}"))), &Progress::default());
        assert_eq!((many.gaps, many.gap_examples.len()), (1_000, 10));
        assert!(many.gap_examples.iter().all(|name| name.len() == 100));
    }

    /// A record of the first release, which knew no coverage.
    #[test]
    fn older_records_still_load() {
        let old = json!({
            "run_id": "r", "node_uid": "n", "update_hash": "h", "table_uid": "u", "table": "t", "kind": "update",
            "status": "ok", "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:00Z",
            "window": {"start": null, "end": "2026-01-01T00:00:00Z"}, "component": "c",
            "component_version": "0.1.0", "component_digest": "0".repeat(64), "config": {}, "hash_namespace": "",
            "options": {}, "statistics": {"coordinates": 0, "rows": 0, "min_time": null, "max_time": null},
            "inputs": [], "fetches": [], "rows_emitted": 1, "rows_dropped": 0, "rows_inserted": 1,
            "bytes_emitted": 8, "output_digest": null, "fuel": 1, "peak_memory": 1,
            "durations": {"load_us": 1, "update_us": 1, "commit_us": 1}, "limits": {}, "host": {}, "error": null,
            "warnings": [], "logs": [], "logs_dropped": 0,
        });
        let record: RunRecord = serde_json::from_value(old).unwrap();
        assert_eq!((record.rows_inserted, record.rows_updated, record.rows_unchanged), (1, 0, 0));
        assert_eq!(record.coverage, Coverage::default());
        assert_eq!(record.violations, []);
    }

    #[test]
    fn errors_of_older_records_still_load() {
        let old = r#"{"code": "sandbox.trap", "class": "failed", "message": "it trapped"}"#;
        let error: RunError = serde_json::from_str(old).unwrap();
        assert_eq!((error.code.as_str(), error.next_step, error.guest), ("sandbox.trap", None, None));
    }
}
