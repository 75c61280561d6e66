//! Running a tree of nodes.

mod backfill;
mod backfill_window;
mod calls;
mod dry_run;
mod execute;
mod heartbeat;
mod inputs;
mod journal;
mod lease;
mod logs;
mod retry;
mod sample;
mod spans;
mod spill;
mod stop;
mod stored_rows;
mod tree;
mod unique;

pub use backfill::{BackfillObserver, BackfillOrder, BackfillWork, BegunBackfill};
pub(crate) use calls::RunCalls;
pub use dry_run::{DryRun, DryRunRequest};
pub use lease::LeaseSettings;
pub(crate) use logs::Logs;
pub use retry::DEFAULT_RETRIES;
pub use sample::{Frame, MAX_SAMPLE_ROWS};
pub(crate) use spill::Spill;
pub use spill::SpillSettings;
pub use stop::Stop;
pub use stored_rows::{Difference, StoredRows};
pub use tree::{RunOptions, RunTree, Scope};
