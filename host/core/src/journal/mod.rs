//! Journals: everything that the guest of one run was given, in the order in which it asked for it.
//!
//! A journal is a text of JSON lines: a [`Header`], an [`Entry`] for each host call, and an [`End`]. With the contents
//! that it names by digest, and the bytes of the component, it is all that a run depended on: a guest that is given the
//! same again must ask for the same and answer the same.

mod lines;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;
use crate::backfill::BackfillPlace;
use crate::cadence::Cadence;
use crate::component::ComponentClass;
use crate::coordinate::{Coordinate, CoordinateValue};
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::guest_failure::AuthorError;
use crate::node_settings::LateRows;
use crate::progress::{CoordinateProgress, Progress};
use crate::run::RunRecord;
use crate::window::Window;

pub use lines::{
    JournalError, JournalReader, MAX_CALL_BYTES, MAX_CONFIG_BYTES, MAX_LINE_BYTES, MAX_SETTINGS_BYTES, fits,
    line,
};

/// The form that this host writes. It reads those before it, too: the first one has no [`About`].
pub const FORMAT: u32 = 2;

/// What is kept of the contents that a guest was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JournalMode {
    /// All of it: the run can be executed again whatever became of its tables and sources.
    #[default]
    Full,
    /// Its digests only: what was given can be proven, and not be given again.
    Digest,
}

impl JournalMode {
    /// The name used in JSON and in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Digest => "digest",
        }
    }
}

/// What a run record says of the journal that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalSummary {
    /// What was kept.
    pub mode: JournalMode,
    /// SHA-256 of the journal's text, uncompressed.
    pub sha256: Digest,
    /// Host calls of the guest.
    pub calls: u64,
    /// Bytes of the contents that the guest was given, by all calls together.
    pub content_bytes: u64,
}

/// What a guest is called with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// The run.
    pub run_id: String,
    /// Component name.
    pub component: String,
    /// Component bytes.
    pub component_digest: Digest,
    /// Identity of the update process.
    pub update_hash: String,
    /// Config with defaults filled in, as the run record has it.
    pub config: Value,
    /// The text that the guest was given as its config.
    pub guest_config: String,
    /// Index of the output table: `time_index`, then the identity dimensions.
    pub index: Vec<String>,
    /// What the guest was told that the output table holds, by coordinate.
    pub statistics: Vec<Held>,
    /// What the run might cover.
    pub window: Window,
    /// Whether an explicit range of the past was filled.
    pub is_backfill: bool,
    /// Runtime options.
    pub options: BTreeMap<String, Value>,
    /// Limits of the guest.
    pub limits: Value,
    /// Engine, host and contract versions.
    pub host: BTreeMap<String, String>,
    /// What the record says of the run beside that. Journals of the first form have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Box<About>>,
}

/// What is known of a run before its guest is called, and is nothing that the guest is given: the record says it too, so
/// that neither of them can be altered alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Node.
    pub node_uid: String,
    /// Output table.
    pub table_uid: String,
    /// Its identifier at the time.
    pub table: String,
    /// `update` or `backfill`.
    pub kind: String,
    /// Host's clock at the start.
    pub started_at: Timestamp,
    /// The failed run whose window it covers again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<String>,
    /// How far before the latest rows it looked for late ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookback: Option<Cadence>,
    /// What it did with late rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_rows: Option<LateRows>,
    /// Which window of which backfill it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<BackfillPlace>,
    /// Component release.
    pub component_version: Version,
    /// What the component imports.
    pub component_class: ComponentClass,
    /// Hash namespace, empty for none.
    pub hash_namespace: String,
    /// Tables that the guest may read, by the key that it knows them by.
    pub tables: BTreeMap<String, NamedTable>,
}

/// A table, as a record names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedTable {
    /// Its uid.
    pub uid: String,
    /// Its identifier at the time.
    pub identifier: String,
}

impl About {
    /// What this record says of a run that may read these tables.
    pub fn of(record: &RunRecord, tables: BTreeMap<String, NamedTable>) -> Self {
        Self {
            node_uid: record.node_uid.clone(),
            table_uid: record.table_uid.clone(),
            table: record.table.clone(),
            kind: record.kind.clone(),
            started_at: record.started_at,
            retry_of: record.retry_of.clone(),
            lookback: record.lookback,
            late_rows: record.late_rows,
            backfill: record.backfill.clone(),
            component_version: record.component_version.clone(),
            component_class: record.component_class,
            hash_namespace: record.hash_namespace.clone(),
            tables,
        }
    }
}

/// What a table holds for one coordinate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// One value per identity dimension.
    pub coordinate: Vec<CoordinateValue>,
    /// Earliest time.
    pub min: Timestamp,
    /// Latest time.
    pub max: Timestamp,
    /// Rows.
    pub rows: u64,
}

impl Held {
    /// Progress as a journal has it.
    pub fn of(progress: &Progress) -> Vec<Self> {
        let held = |(coordinate, held): (&Coordinate, &CoordinateProgress)| Self {
            coordinate: coordinate.0.clone(),
            min: held.min,
            max: held.max,
            rows: held.rows,
        };
        progress.iter().map(held).collect()
    }

    /// And back.
    pub fn progress(held: &[Self]) -> Progress {
        let entry = |held: &Self| {
            let progress = CoordinateProgress { min: held.min, max: held.max, rows: held.rows };
            (Coordinate(held.coordinate.clone()), progress)
        };
        held.iter().map(entry).collect()
    }
}

/// One host call and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Counted from 1.
    pub call: u64,
    /// The function as the contract names it.
    pub function: String,
    /// SHA-256 of the canonical arguments.
    pub arguments: Digest,
    /// The beginning of the arguments, for people.
    pub shown: String,
    /// What was answered.
    pub reply: Reply,
}

/// The answer of a host call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// Nothing to say.
    Done,
    /// A message was taken; rows of the run so far.
    Emitted(u64),
    /// A reader was opened under this number.
    Opened(u32),
    /// Bytes.
    Bytes(Content),
    /// No more bytes.
    End,
    /// A source answered.
    Fetched {
        /// As in HTTP.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Number of the body.
        body: u32,
    },
    /// An option's value as JSON text, if it is set.
    Option(Option<String>),
    /// Refused with a value that the guest could go on with.
    Refused {
        /// Stable dotted code.
        code: String,
        /// What was refused and why.
        message: String,
    },
    /// A rule was broken, which ended the guest.
    Failed {
        /// Stable dotted code of the error.
        code: String,
    },
}

/// Bytes that a guest was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Their digest.
    pub sha256: Digest,
    /// How many.
    pub bytes: u64,
    /// They themselves in base64 (RFC 4648), where they are few; otherwise they are kept by digest, or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
}

/// How a guest ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Host calls in all.
    pub calls: u64,
    /// None: it returned.
    pub error: Option<Ended>,
    /// SHA-256 over the emitted bytes in the order of emission; None when nothing was emitted.
    pub output_digest: Option<Digest>,
    /// Fuel used. Compares only within one engine version.
    pub fuel: u64,
}

/// The error that a guest ended in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// Stable dotted code.
    pub code: String,
    /// What the author's code returned, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<AuthorError>,
}

impl Ended {
    /// What is told of an error.
    pub fn of(error: &(impl Diagnostic + ?Sized)) -> Self {
        let author = error.guest().and_then(|failure| failure.author.clone());
        Self { code: error.code().to_owned(), author }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.author.as_ref().map_or(Ok(()), |author| write!(f, ": {author}"))
    }
}

/// What a line of a journal may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The first one.
    Run(Box<Header>),
    /// A host call.
    Call(Entry),
    /// The last one.
    End(End),
}
