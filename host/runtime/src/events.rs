//! What a run tells while it goes on: for progress bars, for scripts, and for tests that stop it at a chosen point.

use datanode_core::run::RunRecord;
use datanode_core::window::Window;
use serde::Serialize;

/// A moment in the life of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// A node's turn has come.
    Started {
        /// Run.
        run_id: String,
        /// Identity of the update process.
        update_hash: String,
        /// Identifier of the output table.
        table: String,
        /// What it may cover.
        window: Window,
    },
    /// The component is being compiled or loaded.
    Loading {
        /// Run.
        run_id: String,
        /// Component name.
        component: String,
    },
    /// `update` was called.
    Updating {
        /// Run.
        run_id: String,
    },
    /// The guest was handed a batch of a dependency.
    RowsRead {
        /// Run.
        run_id: String,
        /// Rows so far.
        rows: u64,
    },
    /// The guest emitted a batch, which was accepted.
    RowsEmitted {
        /// Run.
        run_id: String,
        /// Rows so far.
        rows: u64,
    },
    /// The commit began.
    Committing {
        /// Run.
        run_id: String,
        /// Rows that will be stored.
        rows: u64,
    },
    /// A batch was written inside the transaction; not visible to anybody yet.
    RowsWritten {
        /// Run.
        run_id: String,
        /// Rows so far.
        rows: u64,
    },
    /// The run is over and recorded.
    Finished(Box<RunRecord>),
}

/// Receives events. Called from the run's own threads: be quick.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &RunEvent);
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &RunEvent) {}
}
