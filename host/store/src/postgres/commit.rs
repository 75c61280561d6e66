//! What one run leaves behind, written in one transaction.

use std::time::Instant;

use datanode_core::run::{Durations, RunRecord};
use sqlx::PgConnection;

use super::write::Caller;
use super::{append, journals, lease, progress, revision, runs, tables};
use crate::fault::{self, Step};
use crate::{CommitOutcome, CommitRun, StoreError};

/// Check the lease and the table, write progress, rows, record and lineage, and give the lease up. The caller commits,
/// or rolls back on an error. The steps are those of docs/commit-protocol.md. The future must not be dropped, see
/// [`write`](super::write).
pub(super) async fn commit(
    connection: &mut PgConnection,
    commit: CommitRun,
    caller: Caller,
) -> Result<CommitOutcome, StoreError> {
    let begin = Instant::now();
    let CommitRun { lease: held, table: seen, record, journal, rows, added, on_rows } = commit;
    // Until this transaction ends, nobody claims the node.
    lease::lock(connection, &held.node_uid).await?;
    // Asked behind the lock, for the first commit of this run may have held it until now, and before anything else: a
    // client that lost the answer of its commit asks again, and by then its lease is given up and the table may have
    // moved.
    if let Some(record) = runs::by_id(connection, &record.run_id).await? {
        return Ok(CommitOutcome { record, repeated: true });
    }
    lease::check(connection, &held).await?;
    fault::reached(Step::LeaseChecked);
    // Other nodes may append to the table meanwhile, but nobody deletes from it, loads or moves it.
    let table = tables::shared(connection, &seen.uid).await?;
    // A run without rows takes nothing from the table and puts nothing in: it cannot clash.
    if table.epoch != seen.epoch && added.rows() > 0 {
        return Err(StoreError::TableMoved {
            table: table.contract.identifier,
            current: table.epoch,
            read: seen.epoch,
        });
    }
    if added.rows() > 0 {
        // Rows must not go into a table that somebody has altered behind the catalogue's back.
        revision::refuse_drift(connection, &table).await?;
    }
    // Before the rows: it decides whether they may come at all, and of two that append to one coordinate the second waits
    // here.
    progress::extend(connection, &table.uid, &table.contract, &added).await?;
    fault::reached(Step::ProgressStored);
    let on_rows = |rows| {
        on_rows(rows);
        if rows * 2 >= added.rows() {
            fault::reached(Step::HalfTheRowsStored);
        }
    };
    let written = append::append(connection, &table.contract, rows, &on_rows, caller).await?;
    if written != added.rows() {
        // Progress that differs from the rows would drop or repeat rows in every later run.
        return Err(StoreError::Damaged(format!(
            "run {} brought {written} rows for table `{}` and progress that counts {}; nothing was stored",
            record.run_id,
            table.contract.identifier,
            added.rows()
        )));
    }
    fault::reached(Step::RowsStored);
    // What is still to come, the commit itself, cannot be in the record that it commits.
    let commit_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
    let durations = Durations { commit_us, ..record.durations };
    let record = RunRecord { rows_inserted: written, durations, ..record };
    runs::insert(connection, &record).await?;
    fault::reached(Step::RecordStored);
    runs::insert_lineage(connection, &record).await?;
    if let Some(journal) = &journal {
        journals::insert(connection, &record.run_id, journal).await?;
    }
    fault::reached(Step::LineageStored);
    lease::release(connection, &held).await?;
    fault::reached(Step::LeaseReleased);
    Ok(CommitOutcome { record, repeated: false })
}
