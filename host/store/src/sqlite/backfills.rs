//! Backfills: one row each, and one per window.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use datanode_core::backfill::Control;
use datanode_core::run::RunRecord;
use rusqlite::{Connection, Params, Row, params};

use super::lease::{self, NOW};
use super::reference::starting_with;
use super::stored::{change, failed, to_json};
use super::{SqliteStore, backfill_windows as windows, commit, nodes};
use crate::catalogue::audit as entries;
use crate::catalogue::backfill::{RawBackfill, RawSum, RawWindow, backfill, refuse_over, window};
use crate::catalogue::reference::ambiguous;
use crate::fault::{self, Step};
use crate::{
    Backfill, BackfillWindow, Backfills, ClaimLease, ClaimWindow, ClaimedWindow, CommitOutcome, CommitRun,
    CommitWindow, HeldWindow, Lease, NewBackfill, RunJournal, StoreError, WindowError,
};

const READING: &str = "reading backfills";
const STORING: &str = "storing a backfill";
const CLAIMING: &str = "claiming a window of a backfill";

fn raw(row: &Row<'_>) -> rusqlite::Result<RawBackfill> {
    Ok(RawBackfill {
        uid: row.get(0)?,
        node_uid: row.get(1)?,
        update_hash: row.get(2)?,
        table_uid: row.get(3)?,
        table: row.get(4)?,
        request: row.get(5)?,
        control: row.get(6)?,
        is_ordered: row.get(7)?,
        is_worked_on: row.get(8)?,
        created_at: row.get(9)?,
    })
}

fn select(
    connection: &Connection,
    condition: &str,
    values: impl Params,
) -> Result<Vec<Backfill>, StoreError> {
    let failed = failed(READING);
    let mut statement = connection
        .prepare(&format!(
            "SELECT b.uid, b.node_uid, n.update_hash, b.table_uid, t.identifier, b.request, b.control, b.is_ordered, \
             coalesce(b.worked_until > {NOW}, 0), b.created_at \
             FROM _backfills b JOIN _nodes n ON n.uid = b.node_uid JOIN _tables t ON t.uid = b.table_uid \
             {condition} ORDER BY b.uid DESC"
        ))
        .map_err(&failed)?;
    let rows = statement.query_map(values, raw).map_err(&failed)?;
    let rows = rows.collect::<Result<Vec<_>, _>>().map_err(&failed)?;
    let uids: Vec<&str> = rows.iter().map(|raw| raw.uid.as_str()).collect();
    let mut sums = sums(connection, &uids)?;
    rows.into_iter()
        .map(|raw| {
            let sums = sums.remove(&raw.uid).unwrap_or_default();
            backfill(raw, sums)
        })
        .collect()
}

/// What has become of the windows of backfills, by the uid of each.
fn sums(connection: &Connection, uids: &[&str]) -> Result<HashMap<String, Vec<RawSum>>, StoreError> {
    let failed = failed(READING);
    let mut statement = connection
        .prepare_cached(
            "SELECT backfill_uid, status, count(*), sum(rows_inserted), sum(rows_updated), sum(rows_unchanged), \
             coalesce(sum(finished_at - started_at), 0) FROM _backfill_windows \
             WHERE backfill_uid IN (SELECT value FROM json_each(?1)) GROUP BY backfill_uid, status",
        )
        .map_err(&failed)?;
    let sum = |row: &Row<'_>| -> rusqlite::Result<(String, RawSum)> {
        Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?)))
    };
    let rows = statement.query_map([to_json(READING, &uids)?], sum).map_err(&failed)?;
    let mut sums: HashMap<String, Vec<RawSum>> = HashMap::new();
    for row in rows {
        let (uid, sum) = row.map_err(&failed)?;
        sums.entry(uid).or_default().push(sum);
    }
    Ok(sums)
}

fn by_uid(connection: &Connection, uid: &str) -> Result<Backfill, StoreError> {
    let found = select(connection, "WHERE b.uid = ?1", [uid])?.pop();
    found.ok_or_else(|| StoreError::NotFound { kind: "backfill", reference: uid.to_owned() })
}

fn by_reference(connection: &Connection, reference: &str) -> Result<Backfill, StoreError> {
    let mut found = select(connection, "WHERE b.uid = ?1", [reference])?;
    if let Some(found) = found.pop() {
        return Ok(found);
    }
    let mut uids = starting_with(connection, "uid", "_backfills", reference)?;
    if uids.len() > 1 {
        return Err(ambiguous("backfill", reference, uids));
    }
    by_uid(connection, &uids.pop().unwrap_or_else(|| reference.to_owned()))
}

fn add(connection: &Connection, new: &NewBackfill) -> Result<Backfill, StoreError> {
    let failed = failed(STORING);
    let node = nodes::by_reference(connection, &new.node_uid)?;
    connection
        .execute(
            "INSERT INTO _backfills (uid, node_uid, table_uid, request, control, is_ordered, raised, created_at) \
             VALUES (?1, ?2, ?3, ?4, 'go', 0, 0, ?5)",
            params![
                new.uid,
                node.uid,
                node.table_uid,
                to_json(STORING, &new.request)?,
                new.created_at.micros()
            ],
        )
        .map_err(&failed)?;
    let mut insert = connection
        .prepare(
            "INSERT INTO _backfill_windows (backfill_uid, position, first, last, status, attempts) \
             VALUES (?1, ?2, ?3, ?4, 'pending', 0)",
        )
        .map_err(&failed)?;
    for (position, window) in (1_i64..).zip(&new.windows) {
        let first = window.start.unwrap_or(new.request.from).micros();
        insert.execute(params![new.uid, position, first, window.end.micros()]).map_err(&failed)?;
    }
    by_uid(connection, &new.uid)
}

fn list_windows(connection: &Connection, uid: &str) -> Result<Vec<BackfillWindow>, StoreError> {
    let failed = failed(READING);
    let mut statement = connection
        .prepare(
            "SELECT position, first, last, status, attempts, run_id, started_at, finished_at, rows_inserted, \
             rows_updated, rows_unchanged, error_code, error_message \
             FROM _backfill_windows WHERE backfill_uid = ?1 ORDER BY position",
        )
        .map_err(&failed)?;
    let rows = statement
        .query_map([uid], |row| {
            let code: Option<String> = row.get(11)?;
            Ok(RawWindow {
                position: row.get(0)?,
                first: row.get(1)?,
                last: row.get(2)?,
                status: row.get(3)?,
                attempts: row.get(4)?,
                run_id: row.get(5)?,
                started_at: row.get(6)?,
                finished_at: row.get(7)?,
                rows: [row.get(8)?, row.get(9)?, row.get(10)?],
                error: code.zip(row.get(12)?),
            })
        })
        .map_err(&failed)?;
    rows.map(|raw| window(uid, raw.map_err(&failed)?)).collect()
}

fn control(connection: &Connection, uid: &str, control: Control) -> Result<Backfill, StoreError> {
    refuse_over(&by_uid(connection, uid)?, control)?;
    if control == Control::Go {
        connection
            .execute(
                "UPDATE _backfill_windows SET status = 'pending', error_code = NULL, error_message = NULL \
                 WHERE backfill_uid = ?1 AND status = 'failed'",
                [uid],
            )
            .map_err(failed(STORING))?;
    }
    connection
        .execute("UPDATE _backfills SET control = ?2 WHERE uid = ?1", params![uid, control.as_str()])
        .map_err(failed(STORING))?;
    by_uid(connection, uid)
}

fn leave(connection: &Connection, uid: &str) -> Result<(), StoreError> {
    if windows::is_there(connection, uid, &format!("status = 'running' AND expires_at > {NOW}"))? {
        return Ok(());
    }
    change(connection, "UPDATE _backfills SET worked_until = NULL WHERE uid = ?1", [uid])
        .map(|_| ())
        .map_err(failed(STORING))
}

#[async_trait]
impl Backfills for SqliteStore {
    async fn add_backfill(&self, new: &NewBackfill) -> Result<Backfill, StoreError> {
        let new = new.clone();
        self.change(STORING, move |connection| add(connection, &new), entries::backfill_ordered).await
    }

    async fn backfills(&self, node_uid: Option<&str>) -> Result<Vec<Backfill>, StoreError> {
        let uid = node_uid.map(ToOwned::to_owned);
        self.read(READING, move |connection| match uid {
            Some(uid) => select(connection, "WHERE b.node_uid = ?1", [uid]),
            None => select(connection, "", ()),
        })
        .await
    }

    async fn backfill(&self, reference: &str) -> Result<Backfill, StoreError> {
        let reference = reference.to_owned();
        self.read(READING, move |connection| by_reference(connection, &reference)).await
    }

    async fn backfill_windows(&self, uid: &str) -> Result<Vec<BackfillWindow>, StoreError> {
        let uid = uid.to_owned();
        self.read(READING, move |connection| list_windows(connection, &uid)).await
    }

    async fn control_backfill(&self, uid: &str, said: Control) -> Result<Backfill, StoreError> {
        let uid = uid.to_owned();
        self.change(
            STORING,
            move |connection| control(connection, &uid, said),
            move |backfill| entries::backfill_controlled(said, backfill),
        )
        .await
    }

    async fn claim_window(&self, asked: &ClaimWindow) -> Result<ClaimedWindow, StoreError> {
        let asked = asked.clone();
        let claimed = self
            .write_until_power_is_lost(CLAIMING, move |connection| windows::claim(connection, &asked))
            .await?;
        if matches!(claimed, ClaimedWindow::Window(_)) {
            fault::reached(Step::WindowClaimed);
        }
        Ok(claimed)
    }

    async fn extend_window(&self, held: &HeldWindow, duration: Duration) -> Result<(), StoreError> {
        let held = held.clone();
        self.write_until_power_is_lost(CLAIMING, move |connection| {
            windows::extend(connection, &held, duration)
        })
        .await
    }

    async fn pass_window(&self, held: &HeldWindow, run_id: &str) -> Result<HeldWindow, StoreError> {
        let (held, run_id) = (held.clone(), run_id.to_owned());
        self.write_until_power_is_lost(CLAIMING, move |connection| windows::pass(connection, &held, &run_id))
            .await
    }

    async fn fail_window(
        &self,
        held: &HeldWindow,
        error: &WindowError,
        record: &RunRecord,
        journal: Option<&RunJournal>,
    ) -> Result<RunRecord, StoreError> {
        let (held, error) = (held.clone(), error.clone());
        let (record, journal) = (record.clone(), journal.cloned());
        self.write(STORING, move |connection| {
            windows::fail(connection, &held, &error, record, journal.as_ref())
        })
        .await
    }

    async fn release_window(&self, held: &HeldWindow) -> Result<(), StoreError> {
        let held = held.clone();
        self.write(STORING, move |connection| windows::release(connection, &held)).await
    }

    async fn order_windows(&self, held: &HeldWindow) -> Result<(), StoreError> {
        let held = held.clone();
        self.write(STORING, move |connection| windows::order(connection, &held)).await
    }

    async fn leave_backfill(&self, uid: &str) -> Result<(), StoreError> {
        let uid = uid.to_owned();
        self.write_until_power_is_lost(STORING, move |connection| leave(connection, &uid)).await
    }

    async fn claim_for_window(&self, asked: &ClaimLease) -> Result<Lease, StoreError> {
        let asked = asked.clone();
        let lease = self
            .write_until_power_is_lost("claiming a lease", move |connection| {
                lease::claim_for_window(connection, &asked)
            })
            .await?;
        fault::reached(Step::LeaseClaimed);
        Ok(lease)
    }

    async fn commit_window(
        &self,
        commit: CommitRun,
        window: &CommitWindow,
    ) -> Result<CommitOutcome, StoreError> {
        let window = window.clone();
        let outcome = self
            .write("committing a run", move |connection| commit::commit(connection, commit, Some(&window)))
            .await?;
        fault::reached(Step::Committed);
        Ok(outcome)
    }
}
