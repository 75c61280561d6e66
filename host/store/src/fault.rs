//! Fault points: steps of the commit protocol at which a test can end the process, as a crash would.
//!
//! The environment variable `DATANODE_FAULT` names a step; a process that reaches it aborts, without unwinding and
//! without answering anybody. Only builds with debug assertions listen to it, which are those that the tests build: a
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
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::LeaseClaimed,
        Self::LeaseChecked,
        Self::ProgressStored,
        Self::HalfTheRowsStored,
        Self::RowsStored,
        Self::ChecksPassed,
        Self::LedgerStored,
        Self::RecordStored,
        Self::LineageStored,
        Self::LeaseReleased,
        Self::Committed,
    ];

    /// Its name in `DATANODE_FAULT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeaseClaimed => "lease.claimed",
            Self::LeaseChecked => "commit.lease_checked",
            Self::ProgressStored => "commit.progress_stored",
            Self::HalfTheRowsStored => "commit.half_the_rows_stored",
            Self::RowsStored => "commit.rows_stored",
            Self::ChecksPassed => "commit.checks_passed",
            Self::LedgerStored => "commit.ledger_stored",
            Self::RecordStored => "commit.record_stored",
            Self::LineageStored => "commit.lineage_stored",
            Self::LeaseReleased => "commit.lease_released",
            Self::Committed => "commit.committed",
        }
    }
}

/// The variable that names a step.
pub const VARIABLE: &str = "DATANODE_FAULT";

/// Abort when a test has asked for it.
#[cfg(debug_assertions)]
pub(crate) fn reached(step: Step) {
    use std::sync::LazyLock;

    static ASKED_FOR: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(VARIABLE).ok());
    if ASKED_FOR.as_deref() == Some(step.as_str()) {
        std::process::abort();
    }
}

/// Builds without debug assertions have no fault points.
#[cfg(not(debug_assertions))]
pub(crate) fn reached(_step: Step) {}
