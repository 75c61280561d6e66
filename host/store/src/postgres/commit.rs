//! What one run leaves behind, written in one transaction.

use std::time::Instant;

use datanode_core::progress::Progress;
use datanode_core::quality::{self, StoredCheck, Violation};
use datanode_core::run::{Durations, RunRecord};
use sqlx::PgConnection;

use super::ddl::table_name;
use super::stored::failed;
use super::write::Caller;
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
type OnRows = Box<dyn Fn(u64) + Send + Sync>;

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
    // Behind the lock of the lease, under which uploads come: from here on none does.
    producer_updates::refuse_unseen(connection, &record).await?;
    let brought = Brought { seen: &seen, mode, added: &added };
    let (table, checks) = locked(connection, brought).await?;
    // Windows of one backfill lie apart: what others of it have changed, this one has not read. Asked behind the lock of
    // the table, under which they raise its epoch.
    let raised = match window {
        Some(window) => backfill_windows::check(connection, window).await?,
        None => 0,
    };
    refuse_moved(&table, &seen, raised)?;
    let (written, warnings) = bring(connection, &table, brought, &checks, rows, on_rows, caller).await?;
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
    if record.producer.is_some() {
        producer_updates::discard(connection, &record.run_id).await?;
        fault::reached(Step::UploadsForgotten);
    }
    if let Some(window) = window {
        let epochs = tables::by_uid(connection, &table.uid).await?.epoch - table.epoch;
        backfill_windows::committed_window(connection, window, &record, epochs).await?;
        fault::reached(Step::WindowStored);
    }
    lease::release(connection, &held).await?;
    fault::reached(Step::LeaseReleased);
    Ok(CommitOutcome { record, repeated: false })
}

/// What is said of rows before they are written.
#[derive(Clone, Copy)]
struct Brought<'b> {
    /// The table as the snapshot saw it.
    seen: &'b Table,
    mode: WriteMode,
    added: &'b Progress,
}

/// The table, locked as its rows are going to be written, and the checks that are to judge them.
async fn locked(
    connection: &mut PgConnection,
    Brought { seen, mode, added }: Brought<'_>,
) -> Result<(Table, Vec<StoredCheck>), StoreError> {
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
    Ok((table, checks))
}

/// Refuse what was computed from a table that was changed since, other than by appending. Rows or none: the window that a
/// run is going to close may have been opened meanwhile.
fn refuse_moved(table: &Table, seen: &Table, raised: i64) -> Result<(), StoreError> {
    if table.epoch == seen.epoch + raised {
        return Ok(());
    }
    Err(StoreError::TableMoved {
        table: table.contract.identifier.clone(),
        current: table.epoch,
        read: seen.epoch,
    })
}

/// Write rows and progress, and let the checks of the contract judge them; what was done, and what only warns.
async fn bring(
    connection: &mut PgConnection,
    table: &Table,
    Brought { seen, mode, added }: Brought<'_>,
    checks: &[StoredCheck],
    rows: Rows,
    on_rows: OnRows,
    caller: Caller,
) -> Result<(Written, Vec<Violation>), StoreError> {
    if added.rows() > 0 {
        // Rows must not go into a table that somebody has altered behind the catalogue's back.
        revision::refuse_drift(connection, table).await?;
    }
    let before =
        if look_back(checks) { progress::read(connection, table).await? } else { Progress::default() };
    let of = added.rows();
    let on_rows = move |rows| {
        on_rows(rows);
        if rows * 2 >= of {
            fault::reached(Step::HalfTheRowsStored);
        }
    };
    let written = match mode {
        WriteMode::Append => {
            // Before the rows: it decides whether they may come at all, and of two that append to one coordinate the
            // second waits here.
            progress::extend(connection, &table.uid, &table.contract, added).await?;
            fault::reached(Step::ProgressStored);
            let name = table_name(&table.contract);
            let inserted = append::append(connection, &table.contract, &name, rows, &on_rows, caller).await?;
            fault::reached(Step::RowsStored);
            Written::new(inserted)
        }
        WriteMode::Overwrite | WriteMode::FillGaps => {
            overwrite::store(connection, table, mode, rows, added, &on_rows, caller).await?
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
    let found = checks::judge(connection, &seen.contract, checks, added, &before).await?;
    let warnings = quality::settle(&table.contract.identifier, found)?;
    fault::reached(Step::ChecksPassed);
    Ok((written, warnings))
}

/// Do with rows what a commit does, and take it back. The caller ends the transaction, which has changed nothing. The future
/// must not be dropped, as above.
pub(super) async fn rehearse(
    connection: &mut PgConnection,
    rehearsal: Rehearsal,
    caller: Caller,
) -> Result<Rehearsed, StoreError> {
    let Rehearsal { table: seen, mode, rows, added } = rehearsal;
    let save = failed("rehearsing a commit");
    sqlx::raw_sql("SAVEPOINT _rehearsal").execute(&mut *connection).await.map_err(&save)?;
    // Where this fails, the whole transaction is rolled back.
    let brought = Brought { seen: &seen, mode, added: &added };
    let (table, checks) = locked(connection, brought).await?;
    refuse_moved(&table, &seen, 0)?;
    let (written, warnings) =
        bring(connection, &table, brought, &checks, rows, Box::new(|_| {}), caller).await?;
    let back = sqlx::raw_sql("ROLLBACK TO SAVEPOINT _rehearsal; RELEASE SAVEPOINT _rehearsal");
    back.execute(connection).await.map_err(&save)?;
    let Written { inserted, updated, unchanged } = written;
    Ok(Rehearsed { inserted, updated, unchanged, warnings })
}
