//! What one run leaves behind, written in one transaction.

use std::time::Instant;

use datanode_core::run::{Durations, RunRecord};
use sqlx::PgConnection;

use super::write::Caller;
use super::{append, progress, revision, runs, tables};
use crate::{CommitOutcome, CommitRun, StoreError};

/// Write rows, progress, record and lineage. The caller commits, or rolls back on an error. The future must
/// not be dropped, see [`write`](super::write).
pub(super) async fn commit(
    connection: &mut PgConnection,
    commit: CommitRun,
    caller: Caller,
) -> Result<CommitOutcome, StoreError> {
    let begin = Instant::now();
    let CommitRun { table: seen, record, rows, added, on_rows } = commit;
    // Until this transaction ends, nobody else commits to the table, deletes from it or moves it.
    let table = tables::locked(connection, &seen.uid).await?;
    // Asked behind the lock, for the first commit of this run may have held it until now, and before the epoch: a client
    // that lost the answer of its commit asks again, and by then the table has moved.
    if let Some(record) = runs::by_id(connection, &record.run_id).await? {
        return Ok(CommitOutcome { record, repeated: true });
    }
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
    let written = append::append(connection, &table.contract, rows, on_rows.as_ref(), caller).await?;
    if written != added.rows() {
        // Progress that differs from the rows would drop or repeat rows in every later run.
        return Err(StoreError::Damaged(format!(
            "run {} brought {written} rows for table `{}` and progress that counts {}; nothing was stored",
            record.run_id,
            table.contract.identifier,
            added.rows()
        )));
    }
    if written > 0 {
        progress::extend(connection, &table.uid, &table.contract, &added).await?;
        tables::raise_epoch(connection, &table.uid).await?;
    }
    // What is still to come, the commit itself, cannot be in the record that it commits.
    let commit_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
    let durations = Durations { commit_us, ..record.durations };
    let record = RunRecord { rows_inserted: written, durations, ..record };
    runs::insert(connection, &record).await?;
    Ok(CommitOutcome { record, repeated: false })
}
