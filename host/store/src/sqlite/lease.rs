//! Leases: one row per node, judged by the clock of SQLite.
//!
//! Every statement that asks for the time asks SQLite within the statement, and every statement that changes a lease runs
//! under the lock to write: between looking and writing nothing happens.
//!
//! Claiming, extending and giving up do not wait for the disk: after a loss of power no run of this machine is left that
//! could hold anything. (An epoch that was lost with it may be given again; [`check`] compares the run, too.) The commit,
//! which gives its lease up with everything else it writes, does wait.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::stored::{change, failed, find, timestamp};
use super::{SqliteStore, nodes};
use crate::fault::{self, Step};
use crate::{ClaimLease, Lease, Leases, StoreError};

/// Now, in microseconds. SQLite's clock has milliseconds.
pub(super) const NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000";

/// How long a run that has asked in vain keeps windows of backfills from claiming its node. It asks again sooner.
const WANTED: Duration = Duration::from_secs(2);

const COLUMNS: &str = "node_uid, epoch, holder, run_id, expires_at";

type Raw = (String, i64, String, String, i64);

/// A row that somebody holds.
fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn lease((node_uid, epoch, holder, run_id, expires_at): Raw) -> Result<Lease, StoreError> {
    let expires_at = timestamp(&format!("lease of node {node_uid}"), expires_at)?;
    Ok(Lease { node_uid, epoch, holder, run_id, expires_at })
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Claim a node whose lease has been given up or has expired, or is this run's own already. A claim in vain is noted, so
/// that windows of backfills keep behind it; the error is part of the answer, for the note must be committed.
pub(super) fn claim(
    connection: &Connection,
    claim: &ClaimLease,
) -> Result<Result<Lease, StoreError>, StoreError> {
    let failed = failed("claiming a lease");
    if let Some(lease) = take(connection, claim, false)? {
        return Ok(Ok(lease));
    }
    let sql = format!("UPDATE _leases SET wanted_until = {NOW} + ?2 WHERE node_uid = ?1");
    change(connection, &sql, params![claim.node_uid, micros(WANTED)]).map_err(&failed)?;
    Ok(Err(in_vain(connection, claim)?))
}

/// The same for the commit of a window of a backfill, which keeps behind every other run that wants the node.
pub(super) fn claim_for_window(connection: &Connection, claim: &ClaimLease) -> Result<Lease, StoreError> {
    match take(connection, claim, true)? {
        Some(lease) => Ok(lease),
        None => Err(in_vain(connection, claim)?),
    }
}

fn take(connection: &Connection, claim: &ClaimLease, gives_way: bool) -> Result<Option<Lease>, StoreError> {
    nodes::must_exist(connection, &claim.node_uid)?;
    let sql = format!(
        "INSERT INTO _leases ({COLUMNS}, gives_way) VALUES (?1, 1, ?2, ?3, {NOW} + ?4, ?5) \
         ON CONFLICT (node_uid) DO UPDATE SET epoch = epoch + 1, holder = excluded.holder, \
         run_id = excluded.run_id, expires_at = excluded.expires_at, gives_way = excluded.gives_way, \
         wanted_until = CASE WHEN excluded.gives_way THEN wanted_until ELSE 0 END \
         WHERE (run_id IS NULL OR run_id = excluded.run_id OR expires_at <= {NOW}) \
         AND NOT (excluded.gives_way AND wanted_until > {NOW}) \
         RETURNING {COLUMNS}"
    );
    let values = params![claim.node_uid, claim.holder, claim.run_id, micros(claim.duration), gives_way];
    let claimed = find(connection, &sql, values, raw).map_err(failed("claiming a lease"))?;
    claimed.map(lease).transpose()
}

/// Why a node could not be claimed: somebody holds it, or has waited for it.
fn in_vain(connection: &Connection, claim: &ClaimLease) -> Result<StoreError, StoreError> {
    let node = nodes::update_hash(connection, &claim.node_uid)?;
    let sql = "SELECT node_uid, epoch, coalesce(holder, 'another run that waits for it'), coalesce(run_id, '-'), \
         coalesce(expires_at, wanted_until), gives_way FROM _leases WHERE node_uid = ?1";
    let (held, gives_way) = connection
        .query_row(sql, [&claim.node_uid], |row| Ok((raw(row)?, row.get(5)?)))
        .map_err(failed("claiming a lease"))?;
    let Lease { holder, run_id, expires_at, .. } = lease(held)?;
    Ok(StoreError::LeaseHeld { node, holder, run_id, expires_at, gives_way })
}

/// Let a lease hold on, whether it has expired or not.
pub(super) fn extend(connection: &Connection, held: &Lease, duration: Duration) -> Result<Lease, StoreError> {
    let sql = format!(
        "UPDATE _leases SET expires_at = {NOW} + ?4 WHERE node_uid = ?1 AND epoch = ?2 AND run_id = ?3 \
         RETURNING {COLUMNS}"
    );
    let values = params![held.node_uid, held.epoch, held.run_id, micros(duration)];
    let extended = find(connection, &sql, values, raw).map_err(failed("extending a lease"))?;
    match extended {
        Some(extended) => lease(extended),
        None => Err(lost(connection, held)?),
    }
}

/// Refuse a commit under a lease that is not the latest one of its node. Whether it has expired plays no part: as long
/// as nobody else has claimed the node, nobody else has read what this commit is going to change.
pub(super) fn check(connection: &Connection, held: &Lease) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM _leases WHERE node_uid = ?1 AND epoch = ?2 AND run_id = ?3";
    let values = params![held.node_uid, held.epoch, held.run_id];
    let holds = find(connection, sql, values, |_| Ok(())).map_err(failed("checking a lease"))?;
    if holds.is_some() { Ok(()) } else { Err(lost(connection, held)?) }
}

/// What is told of a lease that is not the latest.
fn lost(connection: &Connection, held: &Lease) -> Result<StoreError, StoreError> {
    let current: Option<i64> = connection
        .query_row("SELECT epoch FROM _leases WHERE node_uid = ?1", [&held.node_uid], |row| row.get(0))
        .optional()
        .map_err(failed("reading a lease"))?;
    Ok(StoreError::LeaseLost {
        node: nodes::update_hash(connection, &held.node_uid)?,
        run_id: held.run_id.clone(),
        epoch: held.epoch,
        current: current.unwrap_or_default(),
    })
}

/// Give a lease up; the epoch stays.
pub(super) fn release(connection: &Connection, held: &Lease) -> Result<(), StoreError> {
    let sql = "UPDATE _leases SET holder = NULL, run_id = NULL, expires_at = NULL \
         WHERE node_uid = ?1 AND epoch = ?2 AND run_id = ?3";
    change(connection, sql, params![held.node_uid, held.epoch, held.run_id])
        .map(|_| ())
        .map_err(failed("giving a lease up"))
}

/// Give up whatever lease a run holds on its node: its outcome is stored, so it will not write. Whether it held one.
pub(super) fn release_of_run(
    connection: &Connection,
    node_uid: &str,
    run_id: &str,
) -> Result<bool, StoreError> {
    let sql = "UPDATE _leases SET holder = NULL, run_id = NULL, expires_at = NULL \
         WHERE node_uid = ?1 AND run_id = ?2";
    change(connection, sql, params![node_uid, run_id])
        .map(|released| released > 0)
        .map_err(failed("giving a lease up"))
}

/// Give all leases up; the epochs stay. For a copy: whoever holds a node of the original holds nothing of it.
pub(super) fn release_all(connection: &Connection) -> Result<(), StoreError> {
    connection
        .execute("UPDATE _leases SET holder = NULL, run_id = NULL, expires_at = NULL", ())
        .map(|_| ())
        .map_err(failed("giving leases up"))
}

/// Those that have not expired, the next to expire first.
fn held(connection: &Connection) -> Result<Vec<Lease>, StoreError> {
    let failed = failed("reading leases");
    let mut statement = connection
        .prepare(&format!(
            "SELECT {COLUMNS} FROM _leases WHERE expires_at > {NOW} ORDER BY expires_at, node_uid"
        ))
        .map_err(&failed)?;
    let rows = statement.query_map((), raw).map_err(&failed)?;
    rows.map(|row| lease(row.map_err(&failed)?)).collect()
}

#[async_trait]
impl Leases for SqliteStore {
    async fn claim_lease(&self, asked: &ClaimLease) -> Result<Lease, StoreError> {
        let asked = asked.clone();
        let lease = self
            .write_until_power_is_lost("claiming a lease", move |connection| claim(connection, &asked))
            .await??;
        fault::reached(Step::LeaseClaimed);
        Ok(lease)
    }

    async fn extend_lease(&self, lease: &Lease, duration: Duration) -> Result<Lease, StoreError> {
        let lease = lease.clone();
        self.write_until_power_is_lost("extending a lease", move |connection| {
            extend(connection, &lease, duration)
        })
        .await
    }

    async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.write_until_power_is_lost("giving a lease up", move |connection| release(connection, &lease))
            .await
    }

    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        self.read("reading leases", held).await
    }
}
