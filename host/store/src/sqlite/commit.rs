//! What one run leaves behind, written in one transaction.

use std::time::Instant;

use datanode_core::progress::Progress;
use datanode_core::quality::{self, Violation};
use datanode_core::run::{Durations, RunRecord};
use rusqlite::Connection;

use super::ddl::quote;
use super::stored::failed;
use super::{
    append, backfill_windows, checks, journals, lease, ledger, nodes, overwrite, producer_updates, progress,
    revision, runs, tables,
};
use crate::checks::look_back;
use crate::fault::{self, Step};
use crate::write_mode::Written;
use crate::{
    CommitOutcome, CommitRun, CommitWindow, Rehearsal, Rehearsed, Rows, StoreError, Table, WriteMode,
};

/// Hears how many rows are written.
type OnRows<'h> = &'h (dyn Fn(u64) + Send + Sync);

/// Check the lease and the table, write progress, rows, the window of the node, record and lineage, and give the lease up. The caller commits,
/// or rolls back on an error. The steps are those of docs/commit-protocol.md. `window` is that of a backfill, where the run
/// is one.
pub(super) fn commit(
    connection: &Connection,
    commit: CommitRun,
    window: Option<&CommitWindow>,
) -> Result<CommitOutcome, StoreError> {
    let begin = Instant::now();
    let CommitRun { lease: held, table: seen, record, journal, mode, rows, added, on_rows } = commit;
    // Asked first: a client that lost the answer of its commit asks again, and by then its lease is given up and the
    // table may have moved.
    if let Some(record) = runs::by_id(connection, &record.run_id)? {
        return Ok(CommitOutcome { record, repeated: true });
    }
    lease::check(connection, &held)?;
    fault::reached(Step::LeaseChecked);
    producer_updates::refuse_unseen(connection, &record)?;
    // Windows of one backfill lie apart: what others of it have changed, this one has not read.
    let raised = window.map(|window| backfill_windows::check(connection, window)).transpose()?.unwrap_or(0);
    let table = unmoved(connection, &seen, raised)?;
    let brought = Brought { seen: &seen, mode, added: &added };
    let (written, warnings) = bring(connection, &table, brought, rows, &*on_rows)?;
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
    nodes::must_exist(connection, &record.node_uid)?;
    ledger::succeeded(connection, &record, &table, added.max_time())?;
    fault::reached(Step::LedgerStored);
    runs::insert(connection, &record)?;
    fault::reached(Step::RecordStored);
    runs::insert_lineage(connection, &record)?;
    if let Some(journal) = &journal {
        journals::insert(connection, &record.run_id, journal)?;
    }
    fault::reached(Step::LineageStored);
    if record.producer.is_some() {
        producer_updates::discard(connection, &record.run_id)?;
        fault::reached(Step::UploadsForgotten);
    }
    if let Some(window) = window {
        let epochs = tables::by_uid(connection, &table.uid)?.epoch - table.epoch;
        backfill_windows::committed_window(connection, window, &record, epochs)?;
        fault::reached(Step::WindowStored);
    }
    lease::release(connection, &held)?;
    fault::reached(Step::LeaseReleased);
    Ok(CommitOutcome { record, repeated: false })
}

/// The table, unless it was changed other than by appending since a snapshot saw it. Rows or none: the window that a run is
/// going to close may have been opened meanwhile.
fn unmoved(connection: &Connection, seen: &Table, raised: i64) -> Result<Table, StoreError> {
    let table = tables::by_uid(connection, &seen.uid)?;
    if table.epoch != seen.epoch + raised {
        return Err(StoreError::TableMoved {
            table: table.contract.identifier,
            current: table.epoch,
            read: seen.epoch,
        });
    }
    Ok(table)
}

/// What is said of rows before they are written.
#[derive(Clone, Copy)]
struct Brought<'b> {
    /// The table as the snapshot saw it.
    seen: &'b Table,
    mode: WriteMode,
    added: &'b Progress,
}

/// Write rows and progress, and let the checks of the contract judge them; what was done, and what only warns.
fn bring(
    connection: &Connection,
    table: &Table,
    Brought { seen, mode, added }: Brought<'_>,
    rows: Rows,
    on_rows: OnRows<'_>,
) -> Result<(Written, Vec<Violation>), StoreError> {
    if added.rows() > 0 {
        // Rows must not go into a table that somebody has altered behind the catalogue's back.
        revision::refuse_drift_since(connection, table)?;
    }
    // A run without rows has nothing to be judged.
    let checks = if added.rows() > 0 { quality::stored(&seen.contract) } else { Vec::new() };
    let before = if look_back(&checks) { progress::read(connection, table)? } else { Progress::default() };
    let on_rows = |rows| {
        on_rows(rows);
        if rows * 2 >= added.rows() {
            fault::reached(Step::HalfTheRowsStored);
        }
    };
    let written = match mode {
        WriteMode::Append => {
            // Before the rows: it decides whether they may come at all.
            progress::extend(connection, &table.uid, &table.contract, added)?;
            fault::reached(Step::ProgressStored);
            let name = quote(table.contract.physical_name());
            let inserted = append::append(connection, &table.contract, &name, rows, &on_rows)?;
            fault::reached(Step::RowsStored);
            Written::new(inserted)
        }
        WriteMode::Overwrite | WriteMode::FillGaps => {
            overwrite::store(connection, table, mode, rows, added, &on_rows)?
        }
    };
    if written.rows() != added.rows() {
        // Progress that differs from the rows would drop or repeat rows in every later run.
        return Err(StoreError::Damaged(format!(
            "{} rows came for table `{}` and progress that counts {}; nothing was stored",
            written.rows(),
            table.contract.identifier,
            added.rows()
        )));
    }
    // All rows are there, and nobody else sees one.
    let found = checks::judge(connection, &seen.contract, &checks, added, &before)?;
    let warnings = quality::settle(&table.contract.identifier, found)?;
    fault::reached(Step::ChecksPassed);
    Ok((written, warnings))
}

/// Do with rows what a commit does, and take it back. The caller ends the transaction, which has changed nothing.
pub(super) fn rehearse(connection: &Connection, rehearsal: Rehearsal) -> Result<Rehearsed, StoreError> {
    let Rehearsal { table: seen, mode, rows, added } = rehearsal;
    let save = failed("rehearsing a commit");
    connection.execute_batch("SAVEPOINT _rehearsal").map_err(&save)?;
    // Where this fails, the whole transaction is rolled back.
    let table = unmoved(connection, &seen, 0)?;
    let brought = Brought { seen: &seen, mode, added: &added };
    let (written, warnings) = bring(connection, &table, brought, rows, &|_| {})?;
    connection.execute_batch("ROLLBACK TO _rehearsal; RELEASE _rehearsal").map_err(&save)?;
    let Written { inserted, updated, unchanged } = written;
    Ok(Rehearsed { inserted, updated, unchanged, warnings })
}
