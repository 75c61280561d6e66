//! A run from start to commit.
//!
//! **One idea:** a run is a pipeline with one door at each end. Everything the guest observes comes in through
//! `run::RunCalls`, which reads one snapshot and records what it hands out; everything that it leaves behind goes out
//! through one commit of the store.
//!
//! **May depend on:** `datanode-core`, `datanode-sandbox`, `datanode-store`, tokio, readers of files with
//! rows (CSV, Parquet, Arrow), and the clock (in one function).
//! **Never on:** a particular database, a terminal, a server of its own.
//!
//! Invariants:
//!
//! * *Dependencies first*, each node at most once per run tree; a node whose dependency failed is `blocked`.
//! * *The snapshot is taken after the dependencies have committed* and the node is claimed; a run that has lost its lease
//!   stores nothing.
//! * *No write transaction is open while a guest runs.*
//! * *Memory is bounded by the batch*, not by the run: output beyond a cap goes to a file until the commit, and reading
//!   ahead has a budget.
//! * *Whatever the guest observes is in the journal* before the guest has it, and a run whose journal cannot be written fails.
//! * *The guest's only notion of now is the window's end*, which is decided here and recorded.

mod access;
pub mod answers;
mod check;
mod clock;
mod declared;
mod error;
mod events;
mod export;
mod graph;
mod host;
mod identify;
mod identity;
mod journal;
mod load;
mod moved;
mod producer;
mod replay;
mod revision;
pub mod run;
mod search;
mod secret;
mod signature;
mod source;
mod table_reader;
pub mod tls;
mod upload;

pub use access::AccessError;
pub use check::{CheckRequest, CheckSubject, Checked};
pub use clock::now;
pub use error::RuntimeError;
pub use events::{Observer, RunEvent, Silent};
pub use export::{AtomicFile, ExportError, ExportFormat, RowsWriter};
pub use graph::{NodeRequest, PlannedNode, TreeTables};
pub use host::{Host, Seen};
pub use identify::{Identity, IdentityRequest};
pub use journal::{ContentError, Contents, JournalSettings, Pruned};
pub use load::{FileFormat, LoadError};
pub use moved::MovedIdentifier;
pub use producer::{BegunProduction, MAX_STAGED_BYTES};
pub use replay::{
    BundleError, CellResult, CellVerdict, Difference as ReplayDifference, MatrixRun, Replayed, Verdict,
    bundle_in_cells, replay_bundle,
};
pub use revision::{Direction, HistoryEntry, Standing, Step, Steps, WrittenRevision};
pub use run::{
    BackfillObserver, BackfillOrder, BackfillWork, BegunBackfill, DEFAULT_RETRIES, Difference, DryRun,
    DryRunRequest, Frame, LeaseSettings, MAX_SAMPLE_ROWS, RunOptions, RunTree, Scope, SpillSettings, Stop,
    StoredRows,
};
pub use search::{
    ColumnHit, ColumnSearch, FoundTable, Refreshed, SearchState, TableHit, TableSearch, Visible,
};
pub use secret::{ListedSecret, NewSecret, SecretError, SecretKeys, SecretValue};
pub use signature::{SignatureError, TrustedKeys};
pub use source::{Courier, Resolver};
pub use table_reader::{ReadError, TableQuery, TableReader};
pub use upload::{Upload, Uploaded};
