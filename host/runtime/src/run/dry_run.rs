//! Dry runs: everything but the commit, and nothing at all is stored.

use std::sync::Arc;

use datanode_core::progress::Progress;
use datanode_core::quality;
use datanode_core::run::{DRY_RUN, RunError, RunRecord, RunStatus};
use datanode_core::statistics;
use datanode_store::{Rehearsal, Rehearsed, Rows, Snapshot, StoreError, Table, WriteMode};

use super::RunOptions;
use super::calls::Collected;
use super::execute::{Computed, Given, Looks, new_record, note_start};
use super::sample::Frame;
use super::stored_rows::{self, StoredRows};
use super::unique;
use crate::events::RunEvent;
use crate::{Host, RuntimeError, clock};

/// What is asked of a dry run beside what every run is given.
#[derive(Debug, Clone, Default)]
pub struct DryRunRequest {
    /// Statistics that the guest is given in place of the table's own, as JSON: see [`statistics`]. The window
    /// follows them; which rows are new is decided by the table all the same.
    pub statistics: Option<String>,
    /// At most so many rows of the frame and of the differences are shown.
    pub sample: usize,
}

/// What a run would do.
#[derive(Debug, Clone)]
pub struct DryRun {
    /// The record as a run would leave it, but of kind `dry_run`: it is stored nowhere.
    pub record: RunRecord,
    /// What would be written; None when the run failed or the node was not called.
    pub frame: Option<Frame>,
    /// What was emitted again, beside what the table has.
    pub stored: Option<StoredRows>,
}

impl Host {
    /// Do everything that a run of one node does but the commit. Its dependencies are not run, and nothing is written:
    /// a node that is not there yet (under the hash namespace, where one is given) is an error. What goes wrong while
    /// the node computes is in the record.
    pub async fn dry_run(
        &self,
        reference: &str,
        hash_namespace: &str,
        options: &RunOptions,
        request: &DryRunRequest,
    ) -> Result<DryRun, RuntimeError> {
        let node = self.store.node(reference).await?;
        let planned = self.plan_as_stored(&node, hash_namespace).await?;
        let now = clock::now();
        let mut record = new_record(&planned, options, self.sandbox.limits(), now);
        DRY_RUN.clone_into(&mut record.kind);
        let given = request.statistics.as_deref();
        let given = given.map(|text| statistics::parse(text, &planned.table.contract)).transpose()?;
        let given = Given { statistics: given.map(Arc::new), ..Given::default() };
        let prepared = self.prepare_run(&planned, now, options, given).await?;
        note_start(&mut record, &prepared);
        let observer = Arc::clone(&options.observer);
        observer.event(&RunEvent::started(&record));
        let mut answer = DryRun { record, frame: None, stored: None };
        if prepared.window.is_empty() && !options.force {
            answer.record.status = RunStatus::Skipped;
        } else {
            let looks = Looks { sample: request.sample, dropped: true };
            let guest = prepared.interrupt.clone();
            let mut unkept = None;
            let work = self.compute(&planned, prepared, options, looks, &mut answer.record, &mut unkept);
            // On the heap: futures around this one would carry all of a run with them.
            let computed = options.stop.ends(&guest, Box::pin(work)).await;
            // What the guest ended in is, where it was ended, no more than that.
            let computed = if options.stop.is_stopped() { Err(RuntimeError::Interrupted) } else { computed };
            match computed {
                Ok(computed) => self.look(computed, request.sample, &mut answer).await?,
                Err(error) => {
                    answer.record.error = Some(RunError::from_diagnostic(&error));
                    answer.record.violations.extend_from_slice(error.violations());
                }
            }
        }
        answer.record.finished_at = clock::now();
        observer.event(&RunEvent::Finished(Box::new(answer.record.clone())));
        Ok(answer)
    }

    /// What the commit would have been given, and what the table has of the rest.
    async fn look(&self, computed: Computed, sample: usize, answer: &mut DryRun) -> Result<(), RuntimeError> {
        let Computed { table, mode, collected } = computed;
        let Collected { summary, kept, dropped, mut snapshot, sample: first, .. } = collected;
        let rows = summary.added.rows();
        let kept = kept.into_rows().map_err(StoreError::Rows)?;
        let contract = &table.contract;
        // What only the database can judge, it judges: with the rows in their places, from where they are taken back.
        let is_judged = !quality::stored(contract).is_empty() || !contract.foreign_keys.is_empty();
        let counted = if rows > 0 && is_judged {
            self.rehearse(&table, mode, kept, summary.added, &mut answer.record).await
        } else {
            compare(&mut snapshot, &table, mode, kept, rows, &mut answer.record).await
        };
        if let Err(error) = counted {
            answer.record.error = Some(RunError::from_diagnostic(&error));
            answer.record.violations.extend_from_slice(error.violations());
            return Ok(());
        }
        answer.record.status = if rows > 0 { RunStatus::Ok } else { RunStatus::Empty };
        answer.frame = Some(Frame { contract: contract.clone(), rows, sample: first });
        if let (Some(dropped), Some(mut snapshot)) = (dropped, snapshot) {
            let dropped = dropped.into_rows().map_err(StoreError::Rows)?;
            answer.stored = Some(stored_rows::compare(&mut snapshot, &table, dropped, sample).await?);
            snapshot.end().await;
        }
        Ok(())
    }

    /// Let the store do with the rows what a commit does, and take it back.
    async fn rehearse(
        &self,
        table: &Table,
        mode: WriteMode,
        rows: Rows,
        added: Progress,
        record: &mut RunRecord,
    ) -> Result<(), RuntimeError> {
        let rehearsal = Rehearsal { table: table.clone(), mode, rows, added };
        let Rehearsed { inserted, updated, unchanged, warnings } = self.store.rehearse(rehearsal).await?;
        record.rows_inserted = inserted;
        record.rows_updated = updated;
        record.rows_unchanged = unchanged;
        record.warnings.extend(warnings.iter().map(ToString::to_string));
        record.violations.extend(warnings);
        Ok(())
    }
}

/// Count what a commit would do with rows, by looking at those that are there.
async fn compare(
    snapshot: &mut Option<Box<dyn Snapshot>>,
    table: &Table,
    mode: WriteMode,
    kept: Rows,
    rows: u64,
    record: &mut RunRecord,
) -> Result<(), RuntimeError> {
    let (kept, looked) = unique::watched(&table.contract, kept);
    // Where the run looks for rows that come late, the table may have them already.
    let there = match snapshot {
        Some(snapshot) if mode != WriteMode::Append => stored_rows::compare(snapshot, table, kept, 0).await?,
        _ => all_of(kept)?,
    };
    if !looked.at_all() {
        record.warnings.push(
            "not all rows were looked at for index tuples that come in two batches: a run would refuse these"
                .to_owned(),
        );
    }
    if there.not_compared > 0 {
        record.warnings.push(format!(
            "of {} rows nobody has looked whether the table has them already; they are counted as new",
            there.not_compared
        ));
    }
    record.rows_updated = if mode == WriteMode::Overwrite { there.different } else { 0 };
    record.rows_unchanged = there.equal + there.different - record.rows_updated;
    record.rows_inserted = rows - there.equal - there.different;
    Ok(())
}

/// Rows of which none can be there already.
fn all_of(rows: Rows) -> Result<StoredRows, RuntimeError> {
    let mut found = StoredRows::default();
    for batch in rows {
        found.absent += batch.map_err(StoreError::Rows)?.num_rows() as u64;
    }
    Ok(found)
}
