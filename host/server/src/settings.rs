//! What bounds a server. Every setting has a default and may be left out.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// `[server]` of `datanode.toml`. None of it changes what is computed.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Connections at once; more wait to be accepted.
    pub connections: NonZeroU32,
    /// Seconds in which the head of a request must be there.
    pub head_seconds: NonZeroU32,
    /// Seconds that may pass between two pieces of a body that is sent to the server.
    pub body_idle_seconds: NonZeroU32,
    /// Seconds for which a caller may take nothing of an answer.
    pub write_idle_seconds: NonZeroU32,
    /// Seconds until an ordinary answer begins.
    pub answer_seconds: NonZeroU32,
    /// Seconds until an answer begins that takes long by its nature: an upload, a revision, a load.
    pub long_answer_seconds: NonZeroU32,
    /// Bytes of a body that is a document: JSON, TOML.
    pub document_bytes: u64,
    /// Bytes of a body with rows, or a piece of one.
    pub rows_bytes: u64,
    /// Bytes of a component.
    pub component_bytes: u64,
    /// Requests a minute of one token that says nothing else.
    pub requests_per_minute: NonZeroU32,
    /// Runs, backfills and replays that are worked on at once; more wait.
    pub executions: NonZeroU32,
    /// Executions that wait; more are refused.
    pub executions_waiting: NonZeroU32,
    /// Executions that are over and can still be looked at.
    pub executions_kept: NonZeroU32,
    /// Events that are kept of one execution; of more, the oldest go.
    pub events: NonZeroU32,
    /// Streams of events that are open at once.
    pub event_streams: NonZeroU32,
    /// As many of them may be those of one user.
    pub event_streams_of_one: NonZeroU32,
    /// Answers of rows that are written at once.
    pub row_streams: NonZeroU32,
    /// As many of them may be those of one user.
    pub row_streams_of_one: NonZeroU32,
    /// Components whose upload has begun and not ended.
    pub uploads: NonZeroU32,
    /// Hours after which such an upload is forgotten.
    pub upload_hours: NonZeroU32,
    /// Seconds that requests and runs under way are given when the server ends.
    pub shutdown_seconds: NonZeroU32,
    /// Where callers reach this server, as in `https://data.example`: for the addresses of further pages. Left out: as each
    /// caller has reached it.
    pub public_url: Option<String>,
    /// Let admins name directories, files and variables of this machine, in sources and secrets.
    pub machine_paths: bool,
    /// Where uploads wait; set by whoever starts the server.
    #[serde(skip)]
    pub upload_directory: PathBuf,
    /// Demand a token of everybody, also where the store has none; set by whoever starts the server.
    #[serde(skip)]
    pub require_token: bool,
}

/// A number that is none.
const fn number(value: u32) -> NonZeroU32 {
    match NonZeroU32::new(value) {
        Some(value) => value,
        None => NonZeroU32::MIN,
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            connections: number(1_024),
            head_seconds: number(15),
            body_idle_seconds: number(30),
            write_idle_seconds: number(60),
            answer_seconds: number(60),
            long_answer_seconds: number(900),
            document_bytes: 16 << 20,
            rows_bytes: 256 << 20,
            component_bytes: 128 << 20,
            requests_per_minute: number(6_000),
            executions: number(4),
            executions_waiting: number(256),
            executions_kept: number(500),
            events: number(2_000),
            event_streams: number(256),
            event_streams_of_one: number(64),
            row_streams: number(16),
            row_streams_of_one: number(8),
            uploads: number(32),
            upload_hours: number(24),
            shutdown_seconds: number(20),
            machine_paths: false,
            public_url: None,
            upload_directory: std::env::temp_dir().join("datanode-uploads"),
            require_token: false,
        }
    }
}

/// Seconds as a duration.
pub(crate) fn seconds(setting: NonZeroU32) -> Duration {
    Duration::from_secs(setting.get().into())
}

/// A setting as a size.
pub(crate) fn size(setting: NonZeroU32) -> usize {
    usize::try_from(setting.get()).unwrap_or(usize::MAX)
}
