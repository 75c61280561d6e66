//! Dry runs: everything but the commit, and nothing at all is stored.

use std::sync::Arc;

use datanode_core::quality;
use datanode_core::run::{DRY_RUN, RunError, RunRecord, RunStatus};
use datanode_core::statistics;
use datanode_store::{Rows, StoreError, WriteMode};

use super::RunOptions;
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
            match self.compute(&planned, prepared, options, looks, &mut answer.record, &mut None).await {
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
        let rows = collected.summary.added.rows();
        let mut snapshot = collected.snapshot;
        let (kept, looked) =
            unique::watched(&table.contract, collected.kept.into_rows().map_err(StoreError::Rows)?);
        // Where the run looks for rows that come late, the table may have them already.
        let there = match &mut snapshot {
            Some(snapshot) if mode != WriteMode::Append => {
                stored_rows::compare(snapshot, &table, kept, 0).await
            }
            _ => all_of(kept),
        };
        let there = match there {
            Ok(there) => there,
            Err(error) => {
                answer.record.error = Some(RunError::from_diagnostic(&error));
                return Ok(());
            }
        };
        if !looked.at_all() {
            answer.record.warnings.push(
                "not all rows were looked at for index tuples that come in two batches: a run would refuse these"
                    .to_owned(),
            );
        }
        if there.not_compared > 0 {
            answer.record.warnings.push(format!(
                "of {} rows nobody has looked whether the table has them already; they are counted as new",
                there.not_compared
            ));
        }
        if rows > 0 {
            let checks = quality::stored(&table.contract);
            let names: Vec<String> = checks.iter().map(|check| format!("`{}`", check.name())).collect();
            if !names.is_empty() {
                answer.record.warnings.push(format!(
                    "not judged: {}, which compare new rows with stored ones; a run is judged when its rows are in the \
                     table, before anybody sees them",
                    names.join(", ")
                ));
            }
        }
        answer.record.status = if rows > 0 { RunStatus::Ok } else { RunStatus::Empty };
        answer.record.rows_updated = if mode == WriteMode::Overwrite { there.different } else { 0 };
        answer.record.rows_unchanged = there.equal + there.different - answer.record.rows_updated;
        answer.record.rows_inserted = rows - there.equal - there.different;
        answer.frame = Some(Frame { contract: table.contract.clone(), rows, sample: collected.sample });
        if let (Some(dropped), Some(mut snapshot)) = (collected.dropped, snapshot) {
            let dropped = dropped.into_rows().map_err(StoreError::Rows)?;
            answer.stored = Some(stored_rows::compare(&mut snapshot, &table, dropped, sample).await?);
            snapshot.end().await;
        }
        Ok(())
    }
}

/// Rows of which none can be there already.
fn all_of(rows: Rows) -> Result<StoredRows, RuntimeError> {
    let mut found = StoredRows::default();
    for batch in rows {
        found.absent += batch.map_err(StoreError::Rows)?.num_rows() as u64;
    }
    Ok(found)
}
