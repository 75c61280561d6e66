//! Windows of backfills: who works on which, and what has become of them. Every statement that asks for the time asks SQLite
//! within the statement, and all that change something run under the lock to write.

use std::time::Duration;

use datanode_core::run::RunRecord;
use datanode_core::window::Window;
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::lease::{NOW, micros};
use super::runs;
use super::stored::{change, count, failed, find, timestamp, to_integer};
use crate::catalogue::backfill::{Head, committed, lost};
use crate::{ClaimWindow, ClaimedWindow, CommitWindow, HeldWindow, RunJournal, StoreError, WindowError};

const READING: &str = "reading backfills";
const STORING: &str = "storing a backfill";
const CLAIMING: &str = "claiming a window of a backfill";

/// Whether a window of this condition is there.
pub(super) fn is_there(connection: &Connection, uid: &str, condition: &str) -> Result<bool, StoreError> {
    let sql = format!("SELECT 1 FROM _backfill_windows WHERE backfill_uid = ?1 AND {condition} LIMIT 1");
    let found = find(connection, &sql, [uid], |_| Ok(())).map_err(failed(CLAIMING))?;
    Ok(found.is_some())
}

/// The first window of a condition: its position, and whether it is one that can be claimed.
fn first(connection: &Connection, uid: &str, condition: &str) -> Result<Option<(i64, bool)>, StoreError> {
    let sql = format!(
        "SELECT position, status = 'pending' OR (status = 'running' AND expires_at <= {NOW}) \
         FROM _backfill_windows WHERE backfill_uid = ?1 AND {condition} ORDER BY position LIMIT 1"
    );
    find(connection, &sql, [uid], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed(CLAIMING))
}

/// Whether windows of a backfill may be begun, and in which order; without counting them, for it is asked for each.
fn head(connection: &Connection, uid: &str) -> Result<Head, StoreError> {
    let sql = "SELECT request, control, is_ordered FROM _backfills WHERE uid = ?1";
    let found = find(connection, sql, [uid], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    Head::of(uid, found.map_err(failed(CLAIMING))?)
}

pub(super) fn claim(connection: &Connection, claim: &ClaimWindow) -> Result<ClaimedWindow, StoreError> {
    let uid = claim.backfill_uid.as_str();
    let head = head(connection, uid)?;
    if !head.goes_on(is_there(connection, uid, "status = 'failed'")?) {
        return Ok(ClaimedWindow::Nothing);
    }
    let silent = format!("status = 'running' AND expires_at <= {NOW}");
    let found = if head.is_ordered {
        first(connection, uid, "status NOT IN ('done', 'empty')")?
    } else {
        match first(connection, uid, "status = 'pending'")? {
            None => first(connection, uid, &silent)?,
            pending => pending,
        }
    };
    let Some((position, true)) = found else {
        let is_at_work = is_there(connection, uid, "status = 'running'")?;
        return Ok(if is_at_work { ClaimedWindow::Wait } else { ClaimedWindow::Nothing });
    };
    let before = |status: &str| format!("status = '{status}' AND position < {position}");
    let is_ahead = is_there(connection, uid, &before("pending"))?
        || is_there(connection, uid, &before("running"))?
        || is_there(connection, uid, &before("failed"))?;
    let failed = failed(CLAIMING);
    let sql = format!(
        "UPDATE _backfill_windows SET status = 'running', attempts = attempts + 1, run_id = ?3, holder = ?4, \
         expires_at = {NOW} + ?5, started_at = {NOW}, finished_at = NULL \
         WHERE backfill_uid = ?1 AND position = ?2 RETURNING first, last"
    );
    let values = params![uid, position, claim.run_id, claim.holder, micros(claim.duration)];
    let (start, end): (i64, i64) =
        connection.query_row(&sql, values, |row| Ok((row.get(0)?, row.get(1)?))).map_err(&failed)?;
    work_on(connection, uid, claim.duration)?;
    let place = format!("window {position} of backfill {uid}");
    Ok(ClaimedWindow::Window(HeldWindow {
        backfill_uid: uid.to_owned(),
        position: u32::try_from(count(&place, position)?)
            .map_err(|error| StoreError::Damaged(format!("{place}: {error}")))?,
        run_id: claim.run_id.clone(),
        window: Window { start: Some(timestamp(&place, start)?), end: timestamp(&place, end)? },
        is_ahead,
    }))
}

/// Note that somebody works on a backfill.
fn work_on(connection: &Connection, uid: &str, duration: Duration) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE _backfills SET worked_until = max(coalesce(worked_until, 0), {NOW} + ?2) WHERE uid = ?1"
    );
    change(connection, &sql, params![uid, micros(duration)]).map(|_| ()).map_err(failed(CLAIMING))
}

pub(super) fn extend(
    connection: &Connection,
    held: &HeldWindow,
    duration: Duration,
) -> Result<(), StoreError> {
    let sql = format!("expires_at = {NOW} + ?4");
    update(connection, held, &sql, [micros(duration)])?;
    work_on(connection, &held.backfill_uid, duration)
}

/// Change the window of a run that still holds it.
fn update<const N: usize>(
    connection: &Connection,
    held: &HeldWindow,
    set: &str,
    values: [i64; N],
) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE _backfill_windows SET {set} \
         WHERE backfill_uid = ?1 AND position = ?2 AND run_id = ?3 AND status = 'running'"
    );
    let failed = failed(CLAIMING);
    let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
    let mut all: Vec<Value> =
        vec![held.backfill_uid.clone().into(), i64::from(held.position).into(), held.run_id.clone().into()];
    all.extend(values.map(Into::into));
    let changed = statement.execute(params_from_iter(all)).map_err(&failed)?;
    if changed == 0 { Err(lost(held)) } else { Ok(()) }
}

pub(super) fn pass(
    connection: &Connection,
    held: &HeldWindow,
    run_id: &str,
) -> Result<HeldWindow, StoreError> {
    let changed = change(
        connection,
        "UPDATE _backfill_windows SET run_id = ?4, attempts = attempts + 1 \
         WHERE backfill_uid = ?1 AND position = ?2 AND run_id = ?3 AND status = 'running'",
        params![held.backfill_uid, held.position, held.run_id, run_id],
    );
    if changed.map_err(failed(CLAIMING))? == 0 {
        return Err(lost(held));
    }
    Ok(HeldWindow { run_id: run_id.to_owned(), ..held.clone() })
}

/// The last run over a window has failed: what is told of the window, the record, and what the ledger of the node says.
pub(super) fn fail(
    connection: &Connection,
    held: &HeldWindow,
    error: &WindowError,
    record: RunRecord,
    journal: Option<&RunJournal>,
) -> Result<RunRecord, StoreError> {
    let sql = format!(
        "UPDATE _backfill_windows SET status = 'failed', expires_at = NULL, finished_at = {NOW}, error_code = ?4, \
         error_message = ?5 WHERE backfill_uid = ?1 AND position = ?2 AND run_id = ?3 AND status = 'running'"
    );
    let values = params![held.backfill_uid, held.position, held.run_id, error.code, error.message];
    // Where a commit of the run is there, the window is not running any more.
    let holds = change(connection, &sql, values).map_err(failed(STORING))? > 0;
    runs::end(connection, record, journal, holds)
}

/// Give a window back that was not finished.
pub(super) fn release(connection: &Connection, held: &HeldWindow) -> Result<(), StoreError> {
    match update(connection, held, "status = 'pending', expires_at = NULL", []) {
        Err(StoreError::WindowLost { .. }) => Ok(()),
        answer => answer,
    }
}

pub(super) fn order(connection: &Connection, held: &HeldWindow) -> Result<(), StoreError> {
    change(connection, "UPDATE _backfills SET is_ordered = 1 WHERE uid = ?1", [&held.backfill_uid])
        .map_err(failed(STORING))?;
    release(connection, held)
}

/// How often commits of a backfill have raised the epoch of its table.
pub(super) fn raised(connection: &Connection, uid: &str) -> Result<i64, StoreError> {
    let found = find(connection, "SELECT raised FROM _backfills WHERE uid = ?1", [uid], |row| row.get(0));
    found
        .map_err(failed(READING))?
        .ok_or_else(|| StoreError::NotFound { kind: "backfill", reference: uid.to_owned() })
}

/// Refuse a commit whose window has passed to another run. By how much the epoch of the table may have moved since its
/// snapshot: as often as commits of this backfill have raised it.
pub(super) fn check(connection: &Connection, window: &CommitWindow) -> Result<i64, StoreError> {
    let CommitWindow { held, raised: seen } = window;
    let sql = "SELECT 1 FROM _backfill_windows \
         WHERE backfill_uid = ?1 AND position = ?2 AND run_id = ?3 AND status = 'running'";
    let values = params![held.backfill_uid, held.position, held.run_id];
    if find(connection, sql, values, |_| Ok(())).map_err(failed(CLAIMING))?.is_none() {
        return Err(lost(held));
    }
    match seen {
        Some(seen) => Ok(raised(connection, &held.backfill_uid)? - seen),
        None => Ok(0),
    }
}

/// Note what a commit has made of its window, and by how much it has raised the epoch of the table.
pub(super) fn committed_window(
    connection: &Connection,
    window: &CommitWindow,
    record: &RunRecord,
    epochs: i64,
) -> Result<(), StoreError> {
    let status = committed(record);
    let set = format!(
        "status = '{}', expires_at = NULL, finished_at = {NOW}, rows_inserted = ?4, rows_updated = ?5, \
         rows_unchanged = ?6",
        status.as_str()
    );
    let rows = |rows| to_integer("rows of a window", rows);
    let values = [rows(record.rows_inserted)?, rows(record.rows_updated)?, rows(record.rows_unchanged)?];
    update(connection, &window.held, &set, values)?;
    let sql = "UPDATE _backfills SET raised = raised + ?2 WHERE uid = ?1";
    change(connection, sql, params![window.held.backfill_uid, epochs]).map(|_| ()).map_err(failed(STORING))
}
