//! Leases: who may write a node, judged by the clock of the database.

use std::time::Duration;

use sqlx::{PgConnection, Row};

use super::stored::{failed, timestamp};
use crate::{ClaimLease, Lease, StoreError};

const CLAIMING: &str = "claiming a lease";

/// A lease as the catalogue keeps it; a lease that was given up has expired at 0.
type Raw = (String, i64, String, String, i64);

fn lease((node_uid, epoch, holder, run_id, expires_at): Raw) -> Result<Lease, StoreError> {
    let place = format!("lease of node {node_uid}");
    Ok(Lease { epoch, holder, run_id, expires_at: timestamp(&place, expires_at)?, node_uid })
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

/// Claim a node. One statement: of two that come at once, one waits for the other's row and judges it then, by the
/// clock of that moment.
pub(super) async fn claim(connection: &mut PgConnection, claim: &ClaimLease) -> Result<Lease, StoreError> {
    let ClaimLease { node_uid, holder, run_id, duration } = claim;
    let claimed: Result<Option<Raw>, sqlx::Error> = sqlx::query_as(
        "INSERT INTO datanode.leases AS held (node_uid, epoch, holder, run_id, expires_at) \
         VALUES ($1, 1, $2, $3, datanode.now_micros() + $4) \
         ON CONFLICT (node_uid) DO UPDATE SET epoch = held.epoch + 1, holder = excluded.holder, \
         run_id = excluded.run_id, expires_at = datanode.now_micros() + $4 \
         WHERE held.expires_at <= datanode.now_micros() OR held.run_id = excluded.run_id \
         RETURNING node_uid, epoch, holder, run_id, expires_at",
    )
    .bind(node_uid)
    .bind(holder)
    .bind(run_id)
    .bind(micros(*duration))
    .fetch_optional(&mut *connection)
    .await;
    match claimed {
        Ok(Some(claimed)) => lease(claimed),
        Ok(None) => {
            let held: Raw = sqlx::query_as(
                "SELECT node_uid, epoch, holder, run_id, expires_at FROM datanode.leases WHERE node_uid = $1",
            )
            .bind(node_uid)
            .fetch_one(connection)
            .await
            .map_err(failed(CLAIMING))?;
            let Lease { node_uid, holder, run_id, expires_at, .. } = lease(held)?;
            Err(StoreError::LeaseHeld { node: node_uid, holder, run_id, expires_at })
        }
        Err(error)
            if error
                .as_database_error()
                .is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation) =>
        {
            Err(StoreError::NotFound { kind: "node", reference: node_uid.clone() })
        }
        Err(error) => Err(failed(CLAIMING)(error)),
    }
}

/// Let a lease hold for `duration` from now on.
pub(super) async fn extend(
    connection: &mut PgConnection,
    held: &Lease,
    duration: Duration,
) -> Result<Lease, StoreError> {
    let extended: Option<Raw> = sqlx::query_as(
        "UPDATE datanode.leases SET expires_at = datanode.now_micros() + $3 WHERE node_uid = $1 AND epoch = $2 \
         RETURNING node_uid, epoch, holder, run_id, expires_at",
    )
    .bind(&held.node_uid)
    .bind(held.epoch)
    .bind(micros(duration))
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed("extending a lease"))?;
    match extended {
        Some(extended) => lease(extended),
        None => Err(lost(connection, held).await?),
    }
}

/// Give a lease up; one that is lost or given up already is left as it is. Its epoch stays: the next one is higher.
pub(super) async fn release(connection: &mut PgConnection, held: &Lease) -> Result<(), StoreError> {
    sqlx::query("UPDATE datanode.leases SET expires_at = 0 WHERE node_uid = $1 AND epoch = $2")
        .bind(&held.node_uid)
        .bind(held.epoch)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed("giving a lease up"))
}

/// The leases that have not expired, by node.
pub(super) async fn all(connection: &mut PgConnection) -> Result<Vec<Lease>, StoreError> {
    let leases: Vec<Raw> = sqlx::query_as(
        "SELECT node_uid, epoch, holder, run_id, expires_at FROM datanode.leases \
         WHERE expires_at > datanode.now_micros() ORDER BY node_uid",
    )
    .fetch_all(connection)
    .await
    .map_err(failed("reading leases"))?;
    leases.into_iter().map(lease).collect()
}

/// Keep others from claiming the node until the transaction ends. Refused when one has claimed it since.
pub(super) async fn hold(connection: &mut PgConnection, held: &Lease) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT epoch FROM datanode.leases WHERE node_uid = $1 FOR UPDATE")
        .bind(&held.node_uid)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed("holding a lease"))?;
    let epoch = row.map(|row| row.try_get(0)).transpose().map_err(failed("holding a lease"))?;
    if epoch == Some(held.epoch) { Ok(()) } else { Err(lost(connection, held).await?) }
}

async fn lost(connection: &mut PgConnection, held: &Lease) -> Result<StoreError, StoreError> {
    let current: Option<i64> = sqlx::query_scalar("SELECT epoch FROM datanode.leases WHERE node_uid = $1")
        .bind(&held.node_uid)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading a lease"))?;
    Ok(StoreError::LeaseLost {
        node: held.node_uid.clone(),
        run_id: held.run_id.clone(),
        epoch: held.epoch,
        current: current.unwrap_or_default(),
    })
}
