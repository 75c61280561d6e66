//! Windows of backfills: who works on which, and what has become of them. Whoever changes a window and its backfill locks the
//! window first, so that no two wait for each other.

use std::time::Duration;

use datanode_core::run::RunRecord;
use datanode_core::window::Window;
use sqlx::{AssertSqlSafe, PgConnection};

use super::lease::{self, BRIEFLY, micros};
use super::stored::{count, failed, timestamp, to_integer};
use super::{runs, tables};
use crate::catalogue::backfill::{Head, committed, lost};
use crate::{ClaimWindow, ClaimedWindow, CommitWindow, HeldWindow, RunJournal, StoreError, WindowError};

const READING: &str = "reading backfills";
const STORING: &str = "storing a backfill";
const CLAIMING: &str = "claiming a window of a backfill";

/// A claim that has been silent for too long.
const SILENT: &str = "(status = 'running' AND expires_at <= datanode.now_micros())";

/// Whether a window of this condition on `$2` is there.
async fn is_there(
    connection: &mut PgConnection,
    uid: &str,
    condition: &str,
    position: i64,
) -> Result<bool, StoreError> {
    let sql = format!(
        "SELECT EXISTS (SELECT FROM datanode.backfill_windows \
         WHERE backfill_uid = $1 AND {condition} AND position < $2)"
    );
    sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(uid)
        .bind(position)
        .fetch_one(connection)
        .await
        .map_err(failed(CLAIMING))
}

/// The first window of a condition, locked: its position, and whether it is one that can be claimed. One that is locked is
/// being committed or claimed.
async fn first(
    connection: &mut PgConnection,
    uid: &str,
    condition: &str,
    passing: bool,
) -> Result<Option<(i64, bool)>, StoreError> {
    let sql = format!(
        "SELECT position, status = 'pending' OR {SILENT} FROM datanode.backfill_windows \
         WHERE backfill_uid = $1 AND {condition} ORDER BY position LIMIT 1 {}",
        if passing { "FOR UPDATE SKIP LOCKED" } else { "" }
    );
    sqlx::query_as(AssertSqlSafe(sql)).bind(uid).fetch_optional(connection).await.map_err(failed(CLAIMING))
}

pub(super) async fn claim(
    connection: &mut PgConnection,
    claim: &ClaimWindow,
) -> Result<ClaimedWindow, StoreError> {
    const ALL: i64 = i64::MAX;
    let uid = claim.backfill_uid.as_str();
    // Without counting its windows, for it is asked for each.
    let head: Option<(String, String, bool)> =
        sqlx::query_as("SELECT request, control, is_ordered FROM datanode.backfills WHERE uid = $1")
            .bind(uid)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed(CLAIMING))?;
    let head = Head::of(uid, head)?;
    if !head.goes_on(is_there(connection, uid, "status = 'failed'", ALL).await?) {
        return Ok(ClaimedWindow::Nothing);
    }
    let found = if head.is_ordered {
        // Which one comes first is looked at before it is locked: one that is locked must not be passed over.
        match first(connection, uid, "status NOT IN ('done', 'empty')", false).await? {
            Some((position, true)) => {
                match first(connection, uid, &format!("position = {position}"), true).await? {
                    None => return Ok(ClaimedWindow::Wait),
                    locked => locked,
                }
            }
            other => other,
        }
    } else {
        match first(connection, uid, "status = 'pending'", true).await? {
            None => first(connection, uid, SILENT, true).await?,
            pending => pending,
        }
    };
    let Some((position, true)) = found else {
        // One that is pending and locked is being claimed.
        let left = if head.is_ordered { "status = 'running'" } else { "status IN ('pending', 'running')" };
        let is_left = is_there(connection, uid, left, ALL).await?;
        return Ok(if is_left { ClaimedWindow::Wait } else { ClaimedWindow::Nothing });
    };
    let is_ahead = is_there(connection, uid, "status IN ('pending', 'running', 'failed')", position).await?;
    let (start, end): (i64, i64) = sqlx::query_as(
        "UPDATE datanode.backfill_windows SET status = 'running', attempts = attempts + 1, run_id = $3, holder = $4, \
         expires_at = datanode.now_micros() + $5, started_at = datanode.now_micros(), finished_at = NULL \
         WHERE backfill_uid = $1 AND position = $2 RETURNING first, last",
    )
    .bind(uid)
    .bind(position)
    .bind(&claim.run_id)
    .bind(&claim.holder)
    .bind(micros(claim.duration))
    .fetch_one(&mut *connection)
    .await
    .map_err(failed(CLAIMING))?;
    work_on(connection, uid, claim.duration).await?;
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
async fn work_on(connection: &mut PgConnection, uid: &str, duration: Duration) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE datanode.backfills SET worked_until = greatest(worked_until, datanode.now_micros() + $2) WHERE uid = $1",
    )
    .bind(uid)
    .bind(micros(duration))
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed(CLAIMING))
}

/// Change the window of a run that still holds it. `$4` is a number or a text.
macro_rules! update {
    ($connection:expr, $held:expr, $set:expr $(, $value:expr)*) => {{
        let held: &HeldWindow = $held;
        let sql = format!(
            "UPDATE datanode.backfill_windows SET {} \
             WHERE backfill_uid = $1 AND position = $2 AND run_id = $3 AND status = 'running'",
            $set
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(&held.backfill_uid)
            .bind(i64::from(held.position))
            .bind(&held.run_id)
            $(.bind($value))*;
        let done = query.execute(&mut *$connection).await.map_err(failed(STORING))?;
        if done.rows_affected() == 0 { Err(lost(held)) } else { Ok(()) }
    }};
}

pub(super) async fn extend(
    connection: &mut PgConnection,
    held: &HeldWindow,
    duration: Duration,
) -> Result<(), StoreError> {
    let set = format!("expires_at = datanode.now_micros() + $4 {BRIEFLY}");
    update!(connection, held, set, micros(duration))?;
    work_on(connection, &held.backfill_uid, duration).await
}

pub(super) async fn pass(
    connection: &mut PgConnection,
    held: &HeldWindow,
    run_id: &str,
) -> Result<HeldWindow, StoreError> {
    update!(connection, held, "run_id = $4, attempts = attempts + 1", run_id)?;
    Ok(HeldWindow { run_id: run_id.to_owned(), ..held.clone() })
}

/// The last run over a window has failed: what is told of the window, the record, and what the ledger of the node says.
pub(super) async fn fail(
    connection: &mut PgConnection,
    held: &HeldWindow,
    error: &WindowError,
    record: &RunRecord,
    journal: Option<&RunJournal>,
) -> Result<RunRecord, StoreError> {
    // In the order of a commit: lease, table, window. Windows that fail side by side hold no lease of the node: it is the
    // table that keeps them, and everybody else who writes the ledger, apart.
    lease::wait_for_commit(connection, &record.node_uid, &record.run_id).await?;
    tables::locked(connection, &record.table_uid).await?;
    let set = "status = 'failed', expires_at = NULL, finished_at = datanode.now_micros(), error_code = $4, \
         error_message = $5";
    // Where a commit of the run is there, the window is not running any more.
    let holds = match update!(connection, held, set, &error.code, &error.message) {
        Ok(()) => true,
        Err(StoreError::WindowLost { .. }) => false,
        Err(error) => return Err(error),
    };
    runs::end(connection, record, journal, holds).await
}

/// Give a window back that was not finished.
pub(super) async fn release(connection: &mut PgConnection, held: &HeldWindow) -> Result<(), StoreError> {
    match update!(connection, held, "status = 'pending', expires_at = NULL") {
        Err(StoreError::WindowLost { .. }) => Ok(()),
        answer => answer,
    }
}

pub(super) async fn order(connection: &mut PgConnection, held: &HeldWindow) -> Result<(), StoreError> {
    release(connection, held).await?;
    sqlx::query("UPDATE datanode.backfills SET is_ordered = true WHERE uid = $1")
        .bind(&held.backfill_uid)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed(STORING))
}

/// How often commits of a backfill have raised the epoch of its table.
pub(super) async fn raised(connection: &mut PgConnection, uid: &str) -> Result<i64, StoreError> {
    let found = sqlx::query_scalar("SELECT raised FROM datanode.backfills WHERE uid = $1")
        .bind(uid)
        .fetch_optional(connection)
        .await
        .map_err(failed(READING))?;
    found.ok_or_else(|| StoreError::NotFound { kind: "backfill", reference: uid.to_owned() })
}

/// Refuse a commit whose window has passed to another run, and let none take it over until the transaction ends. By how
/// much the epoch of the table may have moved since its snapshot: as often as commits of this backfill have raised it.
pub(super) async fn check(connection: &mut PgConnection, window: &CommitWindow) -> Result<i64, StoreError> {
    let CommitWindow { held, raised: seen } = window;
    let holds: Option<i32> = sqlx::query_scalar(
        "SELECT 1 FROM datanode.backfill_windows \
         WHERE backfill_uid = $1 AND position = $2 AND run_id = $3 AND status = 'running' FOR UPDATE",
    )
    .bind(&held.backfill_uid)
    .bind(i64::from(held.position))
    .bind(&held.run_id)
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed(CLAIMING))?;
    if holds.is_none() {
        return Err(lost(held));
    }
    match seen {
        Some(seen) => Ok(raised(connection, &held.backfill_uid).await? - seen),
        None => Ok(0),
    }
}

/// Note what a commit has made of its window, and by how much it has raised the epoch of the table.
pub(super) async fn committed_window(
    connection: &mut PgConnection,
    window: &CommitWindow,
    record: &RunRecord,
    epochs: i64,
) -> Result<(), StoreError> {
    let rows = |rows| to_integer("rows of a window", rows);
    update!(
        connection,
        &window.held,
        "status = $4, expires_at = NULL, finished_at = datanode.now_micros(), rows_inserted = $5, rows_updated = $6, \
         rows_unchanged = $7",
        committed(record).as_str(),
        rows(record.rows_inserted)?,
        rows(record.rows_updated)?,
        rows(record.rows_unchanged)?
    )?;
    sqlx::query("UPDATE datanode.backfills SET raised = raised + $2 WHERE uid = $1")
        .bind(&window.held.backfill_uid)
        .bind(epochs)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed(STORING))
}
