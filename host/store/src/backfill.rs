//! Backfills and their windows, as the catalogue keeps them.
//!
//! A window is worked on by whoever has claimed it: for a while, and again by a heartbeat. Several processes may work on
//! one backfill, and what one of them leaves behind when it is killed, another takes over. The claim is the guard of the
//! commit, too: a run whose window has been claimed since stores nothing.

use std::time::Duration;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::backfill::{
    BackfillRequest, BackfillState, Control, WindowCounts, WindowStatus, time_left_us,
};
use datanode_core::run::RunRecord;
use datanode_core::window::Window;
use serde::{Deserialize, Serialize};

use crate::{ClaimLease, CommitOutcome, CommitRun, Lease, RunJournal, StoreError};

/// A backfill as it is begun.
#[derive(Debug, Clone, PartialEq)]
pub struct NewBackfill {
    /// UUID version 7.
    pub uid: String,
    /// The node.
    pub node_uid: String,
    /// What is asked for.
    pub request: BackfillRequest,
    /// Its windows, by time; each has a start.
    pub windows: Vec<Window>,
    /// When.
    pub created_at: Timestamp,
}

/// A backfill of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Backfill {
    /// UUID version 7: sorts by when it was begun.
    pub uid: String,
    /// The node.
    pub node_uid: String,
    /// Its identity, which people know.
    pub update_hash: String,
    /// The node's output table.
    pub table_uid: String,
    /// Its identifier now.
    pub table: String,
    /// What was asked for.
    pub request: BackfillRequest,
    /// What a person last said of it.
    pub control: Control,
    /// One window at a time, in their order: the node reads what it has written.
    pub is_ordered: bool,
    /// Whether a process works on it, as far as the database knows.
    pub is_worked_on: bool,
    /// How many windows are in which state.
    pub windows: WindowCounts,
    /// What became of the rows of all windows.
    pub rows: BackfillRows,
    /// How long the runs took that have finished a window, in microseconds, one after the other.
    pub finished_us: u64,
    /// When it was begun.
    pub created_at: Timestamp,
}

impl Backfill {
    /// How it stands.
    pub fn state(&self) -> BackfillState {
        BackfillState::of(self.control, &self.windows, self.is_worked_on)
    }

    /// How long what is left may take, in microseconds, as far as the windows before tell.
    pub fn time_left_us(&self) -> Option<u64> {
        let at_once = if self.is_ordered { 1 } else { self.request.concurrency };
        time_left_us(&self.windows, self.finished_us, at_once)
    }
}

/// What became of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BackfillRows {
    /// Were not there.
    pub inserted: u64,
    /// Were there with other values.
    pub updated: u64,
    /// Were there, and stayed as they were.
    pub unchanged: u64,
}

/// One window of a backfill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackfillWindow {
    /// Counted from 1, by time.
    #[serde(rename = "window")]
    pub position: u32,
    /// First moment, inclusive.
    pub start: Timestamp,
    /// Last moment, inclusive.
    pub end: Timestamp,
    /// What has become of it.
    pub status: WindowStatus,
    /// Runs over it so far, the one that is under way too.
    pub attempts: u32,
    /// The last of them. One that was killed has left no record.
    pub run_id: Option<String>,
    /// When that run began, by the clock of the database.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What became of the rows of the run that has finished it.
    pub rows: BackfillRows,
    /// Why it failed.
    pub error: Option<WindowError>,
}

/// Why the last run over a window failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowError {
    /// Stable dotted code.
    pub code: String,
    /// What failed and where.
    pub message: String,
}

/// What a run asks for before it begins: some window of a backfill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimWindow {
    /// The backfill.
    pub backfill_uid: String,
    /// Who asks, for messages: host name and process.
    pub holder: String,
    /// The run.
    pub run_id: String,
    /// How long the claim holds without a heartbeat.
    pub duration: Duration,
}

/// The window of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldWindow {
    /// The backfill.
    pub backfill_uid: String,
    /// Counted from 1, by time.
    pub position: u32,
    /// The run that holds it.
    pub run_id: String,
    /// What it covers; it has a start.
    pub window: Window,
    /// Whether a window before it was not finished when it was claimed.
    pub is_ahead: bool,
}

/// The answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimedWindow {
    /// This one.
    Window(HeldWindow),
    /// Others are at work on what is left. Should they end without a word, it can be claimed later.
    Wait,
    /// There is nothing to do: all is done, or no further window is to be begun.
    Nothing,
}

/// What the commit of a window brings beside what every commit does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitWindow {
    /// Refused unless the run still holds it.
    pub held: HeldWindow,
    /// How often the backfill had raised the epoch of the table when the run's snapshot was taken: by how much it has done
    /// so since, the epoch may have moved. None: not at all, for the run has read its own table.
    pub raised: Option<i64>,
}

/// Backfills. References are a uid, or a prefix of one that is unique (at least 4 characters).
#[async_trait]
pub trait Backfills {
    /// Begin a backfill. All of its windows are pending.
    async fn add_backfill(&self, new: &NewBackfill) -> Result<Backfill, StoreError>;

    /// Backfills, newest first; of one node, where its uid is given.
    async fn backfills(&self, node_uid: Option<&str>) -> Result<Vec<Backfill>, StoreError>;

    /// A backfill by reference.
    async fn backfill(&self, reference: &str) -> Result<Backfill, StoreError>;

    /// The windows of a backfill, by its uid, by time.
    async fn backfill_windows(&self, uid: &str) -> Result<Vec<BackfillWindow>, StoreError>;

    /// Say something of a backfill, by its uid. To go on gives windows that have failed another chance. One that was
    /// cancelled, or is done, stays so: [`StoreError::BackfillOver`].
    async fn control_backfill(&self, uid: &str, control: Control) -> Result<Backfill, StoreError>;

    /// Claim the first window that nobody works on. One whose run has been silent for too long is one of these.
    async fn claim_window(&self, claim: &ClaimWindow) -> Result<ClaimedWindow, StoreError>;

    /// Let a claim hold for `duration` from now on. Refused with [`StoreError::WindowLost`] when another run has claimed
    /// the window since.
    async fn extend_window(&self, held: &HeldWindow, duration: Duration) -> Result<(), StoreError>;

    /// Give a window to another run of the same process, which makes it again. Refused as above.
    async fn pass_window(&self, held: &HeldWindow, run_id: &str) -> Result<HeldWindow, StoreError>;

    /// The last run over a window has failed. Its record is stored as [`Store::record_run`](crate::Store::record_run) does,
    /// and in the same transaction the window has failed, and the ledger of the node says so; the record that stands.
    /// Nothing happens to a window that another run has claimed since, nor to the ledger for it.
    async fn fail_window(
        &self,
        held: &HeldWindow,
        error: &WindowError,
        record: &RunRecord,
        journal: Option<&RunJournal>,
    ) -> Result<RunRecord, StoreError>;

    /// Give a window back whose run was ended from outside: nobody works on it any more. Nothing happens to one that another
    /// run has claimed since.
    async fn release_window(&self, held: &HeldWindow) -> Result<(), StoreError>;

    /// Give a window back that is to be made again once all before it are finished, and work on this backfill in the order
    /// of its windows from now on.
    async fn order_windows(&self, held: &HeldWindow) -> Result<(), StoreError>;

    /// A process works on a backfill no longer. Where no other one does, nobody does.
    async fn leave_backfill(&self, uid: &str) -> Result<(), StoreError>;

    /// Claim a node for the commit of a window, as [`Leases::claim_lease`](crate::Leases::claim_lease) does, but behind
    /// every other run that waits for the node.
    async fn claim_for_window(&self, claim: &ClaimLease) -> Result<Lease, StoreError>;

    /// Commit a run as [`Store::commit_run`](crate::Store::commit_run) does, and note in the same transaction what has
    /// become of its window. Refused with [`StoreError::WindowLost`] when another run has claimed that.
    async fn commit_window(
        &self,
        commit: CommitRun,
        window: &CommitWindow,
    ) -> Result<CommitOutcome, StoreError>;
}
