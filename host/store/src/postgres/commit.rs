//! What one run leaves behind, written in one transaction.

use std::time::Instant;

use datanode_core::progress::Progress;
use datanode_core::quality;
use datanode_core::run::{Durations, RunRecord};
use sqlx::PgConnection;

use super::ddl::table_name;
use super::write::Caller;
use super::{
    append, backfill_windows, checks, journals, lease, ledger, nodes, overwrite, progress, revision, runs,
    tables,
};
use crate::checks::look_back;
use crate::fault::{self, Step};
use crate::write_mode::Written;
use crate::{CommitOutcome, CommitRun, CommitWindow, StoreError, WriteMode};

/// Check the lease and the table, write progress, rows, the window of the node, record and lineage, and give the lease up. The caller commits,
/// or rolls back on an error. The steps are those of docs/commit-protocol.md. The future must not be dropped, see
/// [`write`](super::write). `window` is that of a backfill, where the run is one.
pub(super) async fn commit(
    connection: &mut PgConnection,
    commit: CommitRun,
    window: Option<&CommitWindow>,
    caller: Caller,
) -> Result<CommitOutcome, StoreError> {
    let begin = Instant::now();
    let CommitRun { lease: held, table: seen, record, journal, mode, rows, added, on_rows } = commit;
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
    // A run without rows has nothing to be judged.
    let checks = if added.rows() > 0 { quality::stored(&seen.contract) } else { Vec::new() };
    let table = if mode == WriteMode::Append && checks.is_empty() {
        // Other nodes may append to the table meanwhile, but nobody deletes from it, overwrites, loads or moves it.
        tables::shared(connection, &seen.uid).await?
    } else {
        // Nobody else writes to the table meanwhile: what is found to be there or not stays so, and two that judge side by
        // side would not see each other's rows.
        tables::locked(connection, &seen.uid).await?
    };
    // Windows of one backfill lie apart: what others of it have changed, this one has not read. Asked behind the lock of
    // the table, under which they raise its epoch.
    let raised = match window {
        Some(window) => backfill_windows::check(connection, window).await?,
        None => 0,
    };
    // Rows or none: the window that this run is going to close may have been opened meanwhile.
    if table.epoch != seen.epoch + raised {
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
    let before =
        if look_back(&checks) { progress::read(connection, &table).await? } else { Progress::default() };
    let on_rows = |rows| {
        on_rows(rows);
        if rows * 2 >= added.rows() {
            fault::reached(Step::HalfTheRowsStored);
        }
    };
    let written = match mode {
        WriteMode::Append => {
            // Before the rows: it decides whether they may come at all, and of two that append to one coordinate the
            // second waits here.
            progress::extend(connection, &table.uid, &table.contract, &added).await?;
            fault::reached(Step::ProgressStored);
            let name = table_name(&table.contract);
            let inserted = append::append(connection, &table.contract, &name, rows, &on_rows, caller).await?;
            fault::reached(Step::RowsStored);
            Written::new(inserted)
        }
        WriteMode::Overwrite | WriteMode::FillGaps => {
            overwrite::store(connection, &table, mode, rows, &added, &on_rows, caller).await?
        }
    };
    if written.rows() != added.rows() {
        // Progress that differs from the rows would drop or repeat rows in every later run.
        return Err(StoreError::Damaged(format!(
            "run {} brought {} rows for table `{}` and progress that counts {}; nothing was stored",
            record.run_id,
            written.rows(),
            table.contract.identifier,
            added.rows()
        )));
    }
    // All rows are there, and nobody else sees one.
    let found = checks::judge(connection, &seen.contract, &checks, &added, &before).await?;
    let warnings = quality::settle(&table.contract.identifier, found)?;
    fault::reached(Step::ChecksPassed);
    // What is still to come, the commit itself, cannot be in the record that it commits.
    let commit_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
    let durations = Durations { commit_us, ..record.durations };
    let mut record = RunRecord {
        rows_inserted: written.inserted,
        rows_updated: written.updated,
        rows_unchanged: written.unchanged,
        durations,
        ..record
    };
    record.warnings.extend(warnings.iter().map(ToString::to_string));
    record.violations.extend(warnings);
    // Its foreign key would refuse the window of a node that is not there, too, but not say which.
    nodes::update_hash(connection, &record.node_uid).await?;
    ledger::succeeded(connection, &record, &table, added.max_time()).await?;
    fault::reached(Step::LedgerStored);
    runs::insert(connection, &record).await?;
    fault::reached(Step::RecordStored);
    runs::insert_lineage(connection, &record).await?;
    if let Some(journal) = &journal {
        journals::insert(connection, &record.run_id, journal).await?;
    }
    fault::reached(Step::LineageStored);
    if let Some(window) = window {
        let epochs = tables::by_uid(connection, &table.uid).await?.epoch - table.epoch;
        backfill_windows::committed_window(connection, window, &record, epochs).await?;
        fault::reached(Step::WindowStored);
    }
    lease::release(connection, &held).await?;
    fault::reached(Step::LeaseReleased);
    Ok(CommitOutcome { record, repeated: false })
}
