//! What a run tells while it goes on: for progress bars, for scripts, and for tests that stop it at a chosen point.

use std::time::{Duration, Instant};

use datanode_core::run::{LogLine, RunRecord};
use datanode_core::window::Window;
use serde::{Deserialize, Serialize};

/// A moment in the life of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// The guest has logged a line that the record keeps.
    Logged {
        /// Run.
        run_id: String,
        /// The line.
        line: LogLine,
    },
    /// The guest was handed a batch of a dependency; not told of each.
    RowsRead {
        /// Run.
        run_id: String,
        /// Rows so far.
        rows: u64,
    },
    /// The guest emitted a batch, which was accepted; not told of each.
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
    /// A batch was written inside the transaction; not visible to anybody yet. Not told of each.
    RowsWritten {
        /// Run.
        run_id: String,
        /// Rows so far.
        rows: u64,
    },
    /// The run is over and recorded.
    Finished(Box<RunRecord>),
}

impl RunEvent {
    /// The event of a run that begins, from its record.
    pub(crate) fn started(record: &RunRecord) -> Self {
        Self::Started {
            run_id: record.run_id.clone(),
            update_hash: record.update_hash.clone(),
            table: record.table.clone(),
            window: record.window,
        }
    }
}

/// Receives events. Called from the run's own threads: be quick.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &RunEvent);
}

/// Between two events of one kind that come with every batch: nobody reads faster, and batches may be of one row.
const INTERVAL: Duration = Duration::from_millis(50);

/// Says which of many like events are told: the first, and then one per [`INTERVAL`].
#[derive(Debug, Default)]
pub(crate) struct Pace(Option<Instant>);

impl Pace {
    pub(crate) fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= INTERVAL);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &RunEvent) {}
}
