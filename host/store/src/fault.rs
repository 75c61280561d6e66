//! Fault points: steps of the commit protocol at which a test can end the process, as a crash would, or stop it.
//!
//! The environment variable `DATANODE_FAULT` names a step; a process that reaches it aborts, without unwinding and
//! without answering anybody. With `:stop` behind the name it stops there, as by `SIGSTOP`, until somebody continues it:
//! then others meet it at exactly this point. Only builds with debug assertions listen to it, which are those that the tests build: a
//! release build has no such variable, and none of this code. A cargo feature would do the same, but would have to be
//! asked for in each build and would compile everything above this crate twice.

/// A step of the commit protocol, named by what has just been done. In the order in which a run comes to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The node is claimed, and nothing else has happened.
    LeaseClaimed,
    /// In the transaction: the lease is the latest one.
    LeaseChecked,
    /// In the transaction: the progress is that of all rows.
    ProgressStored,
    /// In the transaction: some rows of a batch are sent, and others are not; on a server the copy is open.
    RowsBegun,
    /// In the transaction: at least half of the rows are there.
    HalfTheRowsStored,
    /// In the transaction: all rows are there.
    RowsStored,
    /// In the transaction: no check of the contract refuses the rows.
    ChecksPassed,
    /// In the transaction: the window is the node's.
    LedgerStored,
    /// In the transaction: the record of the run is there.
    RecordStored,
    /// In the transaction: its lineage is there.
    LineageStored,
    /// In the transaction: the lease is given up, and only the `COMMIT` is left to do.
    LeaseReleased,
    /// The transaction is committed, and nobody has been told.
    Committed,
    /// Of a backfill: a window is claimed, and nothing else has happened.
    WindowClaimed,
    /// Of a backfill, in the transaction: what became of the window is noted.
    WindowStored,
    /// Of a producer, in the transaction: the uploads that its rows are of do not wait any more.
    UploadsForgotten,
}

impl Step {
    /// Those that every run comes to.
    pub const ALL: [Self; 12] = [
        Self::LeaseClaimed,
        Self::LeaseChecked,
        Self::ProgressStored,
        Self::RowsBegun,
        Self::HalfTheRowsStored,
        Self::RowsStored,
        Self::ChecksPassed,
        Self::LedgerStored,
        Self::RecordStored,
        Self::LineageStored,
        Self::LeaseReleased,
        Self::Committed,
    ];

    /// Those that only runs of a backfill come to.
    pub const OF_BACKFILLS: [Self; 2] = [Self::WindowClaimed, Self::WindowStored];

    /// Those that only updates of producers come to.
    pub const OF_PRODUCERS: [Self; 1] = [Self::UploadsForgotten];

    /// Its name in `DATANODE_FAULT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeaseClaimed => "lease.claimed",
            Self::LeaseChecked => "commit.lease_checked",
            Self::ProgressStored => "commit.progress_stored",
            Self::RowsBegun => "commit.rows_begun",
            Self::HalfTheRowsStored => "commit.half_the_rows_stored",
            Self::RowsStored => "commit.rows_stored",
            Self::ChecksPassed => "commit.checks_passed",
            Self::LedgerStored => "commit.ledger_stored",
            Self::RecordStored => "commit.record_stored",
            Self::LineageStored => "commit.lineage_stored",
            Self::LeaseReleased => "commit.lease_released",
            Self::Committed => "commit.committed",
            Self::WindowClaimed => "backfill.window_claimed",
            Self::WindowStored => "commit.window_stored",
            Self::UploadsForgotten => "commit.uploads_forgotten",
        }
    }
}

/// The variable that names a step.
pub const VARIABLE: &str = "DATANODE_FAULT";

/// Behind the name of a step: the process stops there, and does not end.
pub const STOP: &str = ":stop";

/// Abort or stop when a test has asked for it.
#[cfg(debug_assertions)]
pub(crate) fn reached(step: Step) {
    use std::sync::LazyLock;

    static ASKED_FOR: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(VARIABLE).ok());
    let Some(asked_for) = ASKED_FOR.as_deref() else { return };
    if asked_for == step.as_str() {
        std::process::abort();
    }
    if asked_for.strip_suffix(STOP) == Some(step.as_str()) {
        stop();
    }
}

/// Stop this process, the first time. It cannot send itself a signal without unsafe code, but the command `kill` can:
/// it is there wherever such signals are.
#[cfg(debug_assertions)]
fn stop() {
    use std::sync::Once;

    static STOPPED: Once = Once::new();
    STOPPED.call_once(|| {
        let this = std::process::id().to_string();
        let _ = std::process::Command::new("kill").args(["-STOP", &this]).status();
    });
}

/// Builds without debug assertions have no fault points.
#[cfg(not(debug_assertions))]
pub(crate) fn reached(_step: Step) {}
