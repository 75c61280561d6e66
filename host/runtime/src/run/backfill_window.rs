//! One window of a backfill: a run like any other, but for when it holds its node.
//!
//! The window is claimed before anything is read, and its claim kept by a heartbeat. The node is claimed for the commit
//! alone, behind every other run that wants it: so a backfill never keeps a run of today waiting for longer than a commit
//! takes, and never overtakes one that is under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datanode_core::backfill::BackfillPlace;
use datanode_core::ledger::Ledger;
use datanode_core::run::{BACKFILL, RunRecord, RunStatus};
use datanode_core::window::{Decided, Window};
use datanode_core::{Diagnostic, Timestamp};
use datanode_store::{
    ClaimLease, CommitOutcome, CommitWindow, HeldWindow, Lease, RunJournal, Store, StoreError, WindowError,
};
use tracing::{Instrument as _, info_span};

use super::backfill::Job;
use super::execute::{Computed, Given, Looks, commit_of, new_record, note_start};
use super::heartbeat::Heartbeat;
use super::lease::pause;
use super::spans;
use crate::events::RunEvent;
use crate::{Host, RuntimeError, clock};

/// Between two attempts to claim the node for a commit.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a commit is put off because runs of other nodes that write the table are under way, which it may overtake.
const COURTESY: Duration = Duration::from_secs(20);
/// Characters of an error that a window keeps; all of it is in the record of the run.
const ERROR_CHARS: usize = 2_000;

/// How a run over a window ended.
enum Ended {
    /// Stored or failed, or another run has the window now: there is nothing more to do here.
    Over,
    /// Others have written the table meanwhile: it is made again.
    Overtaken,
    /// It has read what earlier windows have not stored yet.
    Ahead,
    /// It was ended from outside.
    Stopped,
}

/// The claim of a window, kept while its run is under way.
struct Claim {
    held: HeldWindow,
    heartbeat: Heartbeat,
    duration: Duration,
    store: Arc<dyn Store>,
}

impl Claim {
    /// Do the work of the run, and keep the claim beside it.
    async fn keep<T>(&self, work: impl Future<Output = T>) -> T {
        self.heartbeat.keep(|| self.store.extend_window(&self.held, self.duration), work).await
    }
}

impl Host {
    /// Run a window that is claimed, and again as often as the node is set while others write its table meanwhile. An error
    /// here means that not even how it ended could be stored.
    pub(super) async fn run_window(&self, job: &Job, mut held: HeldWindow) -> Result<(), RuntimeError> {
        let mut retries = job.planned.node.settings.retries.unwrap_or(self.retries);
        let mut first = None;
        loop {
            let claim = Claim {
                held: held.clone(),
                heartbeat: Heartbeat::new(self.leases.duration, &job.options.stop),
                duration: self.leases.duration,
                store: Arc::clone(&self.store),
            };
            let run = Box::pin(self.run_claimed(&claim, job, first.clone(), retries > 0));
            match claim.keep(run).await? {
                Ended::Over => return Ok(()),
                Ended::Ahead => return Ok(self.store.order_windows(&held).await?),
                Ended::Stopped => return Ok(self.store.release_window(&held).await?),
                Ended::Overtaken => {
                    retries -= 1;
                    first.get_or_insert(held.run_id.clone());
                    match self.store.pass_window(&held, &clock::run_id()).await {
                        Ok(passed) => held = passed,
                        Err(StoreError::WindowLost { .. }) => return Ok(()),
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
    }

    /// One run over a window. `first` is the run that is made again; `may_repeat` says whether this one may be.
    async fn run_claimed(
        &self,
        claim: &Claim,
        job: &Job,
        first: Option<String>,
        may_repeat: bool,
    ) -> Result<Ended, RuntimeError> {
        let mut record = self.record_of(&claim.held, job, first);
        let mut journal = None;
        let span = spans::run(&record);
        let done = self.compute_and_commit(claim, job, &mut record, &mut journal);
        match done.instrument(span.clone()).await {
            Ok(CommitOutcome { record, .. }) => {
                spans::ended(&span, Some(&record));
                job.options.observer.event(&RunEvent::Finished(Box::new(record)));
                Ok(Ended::Over)
            }
            Err(error) => {
                spans::failed(&span, error.code());
                self.end_window(&claim.held, record, journal.as_ref(), error, job, may_repeat).await
            }
        }
    }

    fn record_of(&self, held: &HeldWindow, job: &Job, first: Option<String>) -> RunRecord {
        RunRecord {
            run_id: held.run_id.clone(),
            kind: BACKFILL.to_owned(),
            window: held.window,
            retry_of: first,
            // It looks at its window alone.
            lookback: None,
            late_rows: None,
            backfill: Some(BackfillPlace { backfill_id: held.backfill_uid.clone(), window: held.position }),
            ..new_record(&job.planned, &job.options, self.sandbox.limits(), job.now)
        }
    }

    async fn compute_and_commit(
        &self,
        claim: &Claim,
        job: &Job,
        record: &mut RunRecord,
        journal: &mut Option<RunJournal>,
    ) -> Result<CommitOutcome, RuntimeError> {
        let held = &claim.held;
        let Job { planned, options, .. } = job;
        let window = Some(Decided { window: held.window, behind: None });
        let given = Given { window, is_backfill: true, ..Given::default() };
        let mut prepared = self.prepare_run(planned, job.now, options, given).await?;
        let raised = prepared.snapshot.backfill_raised(&held.backfill_uid).await?;
        let ledger = prepared.snapshot.node_windows(&planned.node.uid).await?;
        prepared.interrupt = claim.heartbeat.interrupt.clone();
        note_start(record, &prepared);
        options.observer.event(&RunEvent::started(record));
        let computed = self.compute(planned, prepared, options, Looks::default(), record, journal).await;
        // What the guest ended in is then that it was ended.
        claim.heartbeat.check()?;
        let computed = Computed { mode: job.mode, ..computed? };

        // What it has read of its own table may have been written by earlier windows: as long as these come later, it has
        // read too little.
        let reads_itself = record.inputs.iter().any(|input| input.table_uid == record.table_uid);
        if reads_itself && held.is_ahead {
            return Err(RuntimeError::WindowAhead {
                backfill: held.backfill_uid.clone(),
                window: held.position,
            });
        }
        // Nor does the backfill go back to what somebody has opened again behind it.
        if reads_itself && is_open_before(&ledger, job.backfill.request.from, held.window) {
            return Err(RuntimeError::RangeOpened {
                backfill: held.backfill_uid.clone(),
                window: held.position,
                node: planned.node.update_hash.clone(),
            });
        }
        let window = CommitWindow { held: held.clone(), raised: Some(raised).filter(|_| !reads_itself) };
        let _turn = job.committing.lock().await;
        self.give_way(claim, job).await?;
        let lease = self.claim_for_commit(claim, job).instrument(info_span!("claim")).await?;
        let commit = commit_of(lease, computed, record, journal.clone(), options)?;
        Ok(self.store.commit_window(commit, &window).instrument(info_span!("commit")).await?)
    }

    /// Let runs of other nodes that write the table end first, but not for ever.
    async fn give_way(&self, claim: &Claim, job: &Job) -> Result<(), RuntimeError> {
        let begin = Instant::now();
        while !job.sharing.is_empty() && begin.elapsed() < COURTESY {
            let leases = self.store.leases().await?;
            if !leases.iter().any(|lease| job.sharing.contains(&lease.node_uid)) {
                break;
            }
            claim.heartbeat.check()?;
            pause(PAUSE, &job.options.stop).await?;
        }
        Ok(())
    }

    /// Claim the node, once no run holds it or waits for it.
    async fn claim_for_commit(&self, claim: &Claim, job: &Job) -> Result<Lease, RuntimeError> {
        let asked = ClaimLease {
            node_uid: job.planned.node.uid.clone(),
            holder: self.leases.holder.clone(),
            run_id: claim.held.run_id.clone(),
            duration: self.leases.duration,
        };
        loop {
            match self.store.claim_for_window(&asked).await {
                Err(StoreError::LeaseHeld { .. }) => {
                    claim.heartbeat.check()?;
                    pause(PAUSE, &job.options.stop).await?;
                }
                answer => return Ok(answer?),
            }
        }
    }

    /// Record a run that has stored nothing, and say what is to become of its window. That it has failed for good is stored
    /// with the record.
    async fn end_window(
        &self,
        held: &HeldWindow,
        record: RunRecord,
        journal: Option<&RunJournal>,
        error: RuntimeError,
        job: &Job,
        may_repeat: bool,
    ) -> Result<Ended, RuntimeError> {
        let told = WindowError {
            code: error.code().to_owned(),
            message: error.to_string().chars().take(ERROR_CHARS).collect(),
        };
        let may_succeed =
            error.is_overtaken() || matches!(error, RuntimeError::Store(StoreError::LeaseLost { .. }));
        let ended = match &error {
            RuntimeError::Store(StoreError::WindowLost { .. }) => Some(Ended::Over),
            RuntimeError::WindowAhead { .. } => Some(Ended::Ahead),
            RuntimeError::Interrupted => Some(Ended::Stopped),
            _ if may_succeed && job.options.stop.is_stopped() => Some(Ended::Stopped),
            _ if may_succeed && may_repeat => Some(Ended::Overtaken),
            _ => None,
        };
        let failed = ended.is_none().then_some((held, &told));
        let executed = self.end_of(failed, record, journal, error, &job.options).await?;
        Ok(match executed.record.status {
            // Its commit is there, and only the answer was lost.
            RunStatus::Ok | RunStatus::Empty => Ended::Over,
            _ => ended.unwrap_or(Ended::Over),
        })
    }
}

/// Whether something between the first moment of a backfill and one of its windows is open. All windows before it have been
/// stored, and account for every moment.
fn is_open_before(ledger: &Ledger, from: Timestamp, window: Window) -> bool {
    window.start.is_some_and(|start| {
        let before = Timestamp::nearest_micros(start.micros() - 1);
        !ledger.open_within(Some(from), before).is_empty()
    })
}
