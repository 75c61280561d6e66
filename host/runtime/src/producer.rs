//! Updates of producers: what programs elsewhere send, from the claim of a node to the commit.
//!
//! The same steps as those of a run, but for the one in the middle, which happens elsewhere and over many requests: claim,
//! receive (each piece is judged as it comes, and kept in the database, so that any host on it may take the next one),
//! commit. Everything here may be asked twice: the first outcome is the answer to both.

mod collect;
mod record;
mod rows;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use datanode_core::contract::TableKind;
use datanode_core::diagnostic::Diagnostic;
use datanode_core::digest::Digest;
use datanode_core::producer::{self, Claims, ProducerError};
use datanode_core::run::{RunError, RunRecord, RunStatus};
use datanode_store::{
    BegunUpdate, CommitRun, NewProducer, NewUpdate, NewUpload, Opened, Producer, ProducerUpdate, Registered,
    Scheduler, SchedulerState, StoreError, Table, WriteMode,
};
use serde_json::Value;

use self::collect::Collected;
use crate::{Host, RuntimeError, clock};

/// How long a producer waits for another process to give its node up: one that has just ended may still be about to say so.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// An update whose lease ended so long ago is ended: nobody comes back to it.
const ABANDONED_AFTER: Duration = Duration::from_mins(5);
/// Bytes of rows that may wait for one commit.
pub const MAX_STAGED_BYTES: u64 = 8 << 30;
/// How often a commit is tried whose table others have changed meanwhile.
const ATTEMPTS: u32 = 5;

/// An update that has begun, and what its table held then.
#[derive(Debug)]
pub struct BegunProduction {
    /// The update.
    pub begun: BegunUpdate,
    /// The table.
    pub table: Table,
    /// What it holds.
    pub progress: datanode_core::progress::Progress,
}

impl Host {
    /// For how long an update lives without a sign of its producer: as long as the lease of a run.
    pub fn producer_lease(&self) -> Duration {
        self.leases.duration
    }

    /// Find the producer of an update hash and a table, or create it.
    ///
    /// # Errors
    ///
    /// [`ProducerError::Hash`], [`ProducerError::OfComponent`], [`RuntimeError::OutputIsReference`].
    pub async fn register_producer(
        &self,
        update_hash: &str,
        config: Value,
        table: &Table,
        project_uid: Option<String>,
    ) -> Result<Registered<Producer>, RuntimeError> {
        producer::check_hash(update_hash).map_err(StoreError::from)?;
        if table.contract.kind != TableKind::TimeIndexed {
            return Err(RuntimeError::OutputIsReference { table: table.contract.identifier.clone() });
        }
        let (update_hash, table_uid) = (update_hash.to_owned(), table.uid.clone());
        let new = NewProducer { update_hash, config, table_uid, project_uid, now: clock::now() };
        Ok(self.store.ensure_producer(&new).await?)
    }

    /// Note a process that runs these producers. Each announcement is a process of its own, whatever it calls itself.
    pub async fn announce_scheduler(
        &self,
        name: &str,
        made_by: &str,
        state: SchedulerState,
        node_uids: &[String],
    ) -> Result<Scheduler, RuntimeError> {
        let scheduler = Scheduler {
            uid: uuid::Uuid::new_v4().to_string(),
            name: name.to_owned(),
            made_by: made_by.to_owned(),
            state,
            seen_at: clock::now(),
            node_uids: node_uids.to_vec(),
        };
        self.store.add_scheduler(&scheduler).await?;
        Ok(self.store.scheduler(&scheduler.uid).await?)
    }

    /// A process was heard of: its updates live on.
    pub async fn hear_scheduler(&self, uid: &str, state: &SchedulerState) -> Result<Scheduler, RuntimeError> {
        Ok(self.store.beat_scheduler(uid, state, clock::now(), self.producer_lease()).await?)
    }

    /// End the updates whose lease ended some time ago, and remove what waits for them; how many there were. A server does so
    /// now and then.
    pub async fn abandon_productions(&self) -> Result<u64, RuntimeError> {
        Ok(self.store.abandon_updates(ABANDONED_AFTER, clock::now()).await?)
    }

    /// Begin an update of a producer. While another process holds the node, this waits for some seconds.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseHeld`].
    pub async fn begin_production(
        &self,
        producer: &Producer,
        scheduler_uid: &str,
        sent_by: &str,
    ) -> Result<BegunProduction, RuntimeError> {
        self.abandon_productions().await?;
        let begin = Instant::now();
        let begun = loop {
            let new = NewUpdate {
                node_uid: producer.node.uid.clone(),
                scheduler_uid: scheduler_uid.to_owned(),
                sent_by: sent_by.to_owned(),
                holder: format!("a producer of {sent_by}, by {}", self.leases.holder),
                duration: self.producer_lease(),
                record: record::begun(producer, scheduler_uid, sent_by),
            };
            match self.store.begin_update(&new).await {
                Err(StoreError::LeaseHeld { .. }) if begin.elapsed() < PATIENCE => {
                    tokio::time::sleep(PAUSE).await;
                }
                answer => break answer?,
            }
        };
        let Opened { snapshot, table, progress } = self.store.snapshot_of(&producer.node.table_uid).await?;
        snapshot.end().await;
        Ok(BegunProduction { begun, table, progress })
    }

    /// The update of a producer to which rows may be sent, and the table that they are for.
    ///
    /// # Errors
    ///
    /// [`ProducerError::NoUpdate`], [`ProducerError::OtherCaller`].
    pub async fn open_production(
        &self,
        producer: &Producer,
        sent_by: &str,
    ) -> Result<(ProducerUpdate, Table), RuntimeError> {
        let update = of_caller(producer, sent_by)?;
        if !update.is_open() {
            return Err(no_update(producer));
        }
        Ok((update.clone(), self.store.table(&producer.node.table_uid).await?))
    }

    /// Keep rows of an update aside, which [`producer::upload`] has judged; false when the same were there. `sent` is the
    /// digest of what was sent.
    ///
    /// # Errors
    ///
    /// [`ProducerError::NoUpdate`], [`ProducerError::TooMuch`].
    pub async fn stage_rows(
        &self,
        update: &ProducerUpdate,
        sent: Digest,
        batch: &RecordBatch,
    ) -> Result<bool, RuntimeError> {
        let upload = NewUpload {
            run_id: update.run_id.clone(),
            node_uid: update.node_uid.clone(),
            digest: sent,
            rows: batch.num_rows() as u64,
            bytes: rows::pack(batch)?,
            most_bytes: MAX_STAGED_BYTES,
            duration: self.producer_lease(),
        };
        Ok(self.store.stage_upload(&upload).await?)
    }

    /// Store what was sent, in one commit. `claims` is what the producer says of it; None: that it has sent nothing.
    ///
    /// An upload that comes while this looks through the others is looked through as well: whatever was answered is stored,
    /// or the update is not. A refusal that asking again cannot mend ends the update, and is its outcome.
    ///
    /// # Errors
    ///
    /// What a commit is refused for, [`ProducerError::Claims`], [`ProducerError::NoUpdate`], or
    /// [`RuntimeError::Production`] when it had ended otherwise before.
    pub async fn complete_production(
        &self,
        producer: &Producer,
        claims: Option<Claims>,
        sent_by: &str,
    ) -> Result<RunRecord, RuntimeError> {
        let update = of_caller(producer, sent_by)?;
        if let Some(outcome) = &update.outcome {
            return succeeded(outcome);
        }
        let mut attempt = 1;
        let committed = loop {
            match self.commit_production(producer, update, claims).await {
                Err(error) if error.is_overtaken() && attempt < ATTEMPTS => attempt += 1,
                answer => break answer,
            }
        };
        let error = match committed {
            // What stands may be that it was ended meanwhile.
            Ok(record) => return succeeded(&record),
            Err(error) => error,
        };
        // Another request may have been quicker, and have taken away with its commit what this one was reading.
        if let Ok(Some(outcome)) = self.outcome_of(&update.run_id).await {
            return succeeded(&outcome);
        }
        if !is_final(&error) {
            return Err(error);
        }
        let outcome =
            self.store.fail_update(update, &RunError::from_diagnostic(&error), clock::now()).await?;
        if is_success(outcome.status) { Ok(outcome) } else { Err(error) }
    }

    /// How a run has ended, which is named in full; None: it has not.
    async fn outcome_of(&self, run_id: &str) -> Result<Option<RunRecord>, RuntimeError> {
        match self.store.run(run_id).await {
            Ok(record) => Ok(Some(record).filter(|record| record.run_id == run_id)),
            // What begins so are other runs.
            Err(StoreError::NotFound { .. } | StoreError::Ambiguous { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn commit_production(
        &self,
        producer: &Producer,
        update: &ProducerUpdate,
        claims: Option<Claims>,
    ) -> Result<RunRecord, RuntimeError> {
        let Some(lease) = update.lease.clone() else { return Err(no_update(producer)) };
        let lease = self.store.extend_lease(&lease, self.producer_lease()).await?;
        let Opened { snapshot, table, progress } = self.store.snapshot_of(&producer.node.table_uid).await?;
        snapshot.end().await;
        let Collected { summary, kept, quality, bytes, digest, uploads } =
            self.collect(update, &table).await?;
        let node = &producer.node.update_hash;
        let claimed = claims.unwrap_or_default();
        if let Some(problem) = claimed.differ_from(&summary.added) {
            return Err(StoreError::from(ProducerError::Claims { node: node.clone(), problem }).into());
        }
        let mut record = record::received(update, producer, &table, &progress, &summary);
        record.bytes_emitted = bytes;
        record.output_digest = digest;
        if let Some(provenance) = &mut record.producer {
            provenance.uploads = uploads;
        }
        let newest = progress.max_time().max(summary.added.max_time());
        let warnings = quality.finish(newest, record.window.end)?;
        record.warnings.extend(warnings.iter().map(ToString::to_string));
        record.violations.extend(warnings);
        let commit = CommitRun {
            lease,
            table,
            record,
            journal: None,
            mode: WriteMode::Overwrite,
            rows: kept.into_rows().map_err(StoreError::Rows)?,
            added: summary.added,
            on_rows: Box::new(|_| {}),
        };
        Ok(self.store.commit_run(commit).await?.record)
    }

    /// End an update, as its producer says that it has. One that has ended stays as it ended.
    ///
    /// # Errors
    ///
    /// Those of [`Host::complete_production`], for an update that brought nothing; no such run.
    pub async fn end_production(
        &self,
        producer: &Producer,
        run_id: &str,
        failed: bool,
        sent_by: &str,
    ) -> Result<RunRecord, RuntimeError> {
        let current = producer.update.as_ref().filter(|update| update.run_id == run_id);
        let Some(update) = current else {
            // Another has begun since: then this one has ended.
            let known = self.outcome_of(run_id).await?.filter(|known| known.node_uid == producer.node.uid);
            return known
                .ok_or_else(|| StoreError::NotFound { kind: "run", reference: run_id.to_owned() }.into());
        };
        if let Some(outcome) = &update.outcome {
            return Ok(outcome.clone());
        }
        let update = of_caller(producer, sent_by).map(|_| update)?;
        let uploads = update.uploads;
        let error = if failed {
            ProducerError::Reported { uploads }
        } else if uploads > 0 {
            ProducerError::NotCompleted { uploads }
        } else {
            return self.complete_production(producer, None, sent_by).await;
        };
        Ok(self.store.fail_update(update, &RunError::from_diagnostic(&error), clock::now()).await?)
    }
}

fn is_success(status: RunStatus) -> bool {
    matches!(status, RunStatus::Ok | RunStatus::Empty)
}

/// How an update ended that is asked about again.
fn succeeded(outcome: &RunRecord) -> Result<RunRecord, RuntimeError> {
    if is_success(outcome.status) {
        return Ok(outcome.clone());
    }
    Err(RuntimeError::Production {
        run_id: outcome.run_id.clone(),
        error: outcome.error.clone().map(Arc::new),
    })
}

/// Whether asking again would be refused again. What a database or a machine has failed with is not, nor what others have
/// written meanwhile.
fn is_final(error: &RuntimeError) -> bool {
    use datanode_core::ErrorClass;
    !error.is_overtaken()
        && matches!(error.class(), ErrorClass::Failed | ErrorClass::Refused | ErrorClass::Usage)
}

fn no_update(producer: &Producer) -> RuntimeError {
    StoreError::from(ProducerError::NoUpdate { node: producer.node.update_hash.clone() }).into()
}

/// The update of a producer, when it is the caller's.
fn of_caller<'p>(producer: &'p Producer, sent_by: &str) -> Result<&'p ProducerUpdate, RuntimeError> {
    let Some(update) = &producer.update else { return Err(no_update(producer)) };
    if update.sent_by == sent_by {
        return Ok(update);
    }
    let (node, holder) = (producer.node.update_hash.clone(), update.sent_by.clone());
    Err(StoreError::from(ProducerError::OtherCaller { node, holder }).into())
}
