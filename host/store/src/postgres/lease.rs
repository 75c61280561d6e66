//! Leases: one row per node, judged by the clock of the database.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};

use super::connection::Pools;
use super::nodes;
use super::stored::{failed, timestamp};
use crate::{ClaimLease, Lease, StoreError};

/// How long a run that has asked in vain keeps windows of backfills from claiming its node. It asks again sooner.
const WANTED: Duration = Duration::from_secs(2);
/// The same of one that has met a commit: it asks again when it has waited for its turn and for the row once more.
const WANTED_BESIDE_A_COMMIT: Duration = Duration::from_secs(10);

/// Of a heartbeat, which is one statement: it waits no longer than this for the row that it extends. The commit of its own run
/// has that row for as long as it takes, and keeps the node meanwhile; a heartbeat that waited for its end would keep a
/// connection from those of other runs.
pub(super) const BRIEFLY: &str = "FROM (SELECT set_config('lock_timeout', '1s', true)) AS _briefly";

const CLAIMING: &str = "claiming a lease";
const COLUMNS: &str = "node_uid, epoch, holder, run_id, expires_at";

/// The row of a lease that somebody holds.
type Raw = (String, i64, String, String, i64);

fn lease((node_uid, epoch, holder, run_id, expires_at): Raw) -> Result<Lease, StoreError> {
    let expires_at = timestamp(&format!("lease of node {node_uid}"), expires_at)?;
    Ok(Lease { node_uid, epoch, holder, run_id, expires_at })
}

/// No longer than a thousand years, so that the end of every lease is a moment.
pub(super) fn micros(duration: Duration) -> i64 {
    const MAX: i64 = 1_000 * 365 * 86_400 * 1_000_000;
    i64::try_from(duration.as_micros()).unwrap_or(MAX).min(MAX)
}

/// Claim a node in a transaction of its own, or tell who holds it. The commit of a window of a backfill gives way: it keeps
/// behind every other run that wants the node.
///
/// For another's commit, which has the row of the node, a claim waits for a moment only. Whoever is stored as its holder has
/// the node for as long as that commit takes, whether the lease has expired meanwhile or not.
pub(super) async fn claim_node(
    pools: &Pools,
    asked: &ClaimLease,
    gives_way: bool,
) -> Result<Lease, StoreError> {
    loop {
        match try_to_claim(pools, asked, gives_way).await {
            Err(StoreError::Busy { .. }) => {
                let mut connection = pools.leases().await?;
                if !gives_way {
                    want(&mut connection, asked).await?;
                }
                let node = nodes::update_hash(&mut connection, &asked.node_uid).await?;
                // Where nobody is stored, it is another claim that was not over.
                if let Some(held) = held(&mut connection, &node, asked, gives_way).await? {
                    return Err(held);
                }
            }
            answer => return answer?,
        }
    }
}

/// Note that a run waits for the node, beside the commit that has the row of its lease.
async fn want(connection: &mut PgConnection, asked: &ClaimLease) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO datanode.lease_wants AS known (node_uid, wanted_until) VALUES ($1, datanode.now_micros() + $2) \
         ON CONFLICT (node_uid) DO UPDATE SET wanted_until = greatest(known.wanted_until, excluded.wanted_until)",
    )
    .bind(&asked.node_uid)
    .bind(micros(WANTED_BESIDE_A_COMMIT))
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed(CLAIMING))
}

/// Once; [`StoreError::Busy`] where the row of the node could not be had. A refusal that is part of the answer is committed.
async fn try_to_claim(
    pools: &Pools,
    asked: &ClaimLease,
    gives_way: bool,
) -> Result<Result<Lease, StoreError>, StoreError> {
    let _turn = pools.claim_turn().await?;
    let mut transaction = pools.begin_lease().await?;
    let claimed = if gives_way {
        take(&mut transaction, asked, true).await?
    } else {
        claim(&mut transaction, asked).await?
    };
    transaction.commit().await.map_err(failed(CLAIMING))?;
    Ok(claimed)
}

/// Claim a node whose lease has been given up or has expired, or is this run's own already. One statement: of two that
/// come at once, one waits for the other's row and judges it then, by the clock of that moment.
///
/// A claim in vain is noted, so that windows of backfills keep behind it; the error is part of the answer, for the note
/// must be committed.
pub(super) async fn claim(
    connection: &mut PgConnection,
    claim: &ClaimLease,
) -> Result<Result<Lease, StoreError>, StoreError> {
    let claimed = take(connection, claim, false).await?;
    if claimed.is_err() {
        sqlx::query(
            "UPDATE datanode.leases SET wanted_until = datanode.now_micros() + $2 WHERE node_uid = $1",
        )
        .bind(&claim.node_uid)
        .bind(micros(WANTED))
        .execute(connection)
        .await
        .map_err(failed(CLAIMING))?;
    }
    Ok(claimed)
}

/// The lease, or who holds it or has waited for it.
async fn take(
    connection: &mut PgConnection,
    claim: &ClaimLease,
    gives_way: bool,
) -> Result<Result<Lease, StoreError>, StoreError> {
    let node = nodes::update_hash(connection, &claim.node_uid).await?;
    let insert = format!(
        "INSERT INTO datanode.leases AS held ({COLUMNS}, gives_way) \
         VALUES ($1, 1, $2, $3, datanode.now_micros() + $4, $5) \
         ON CONFLICT (node_uid) DO UPDATE SET epoch = held.epoch + 1, holder = excluded.holder, \
         run_id = excluded.run_id, expires_at = datanode.now_micros() + $4, gives_way = excluded.gives_way, \
         wanted_until = CASE WHEN excluded.gives_way THEN held.wanted_until ELSE 0 END \
         WHERE (held.run_id IS NULL OR held.run_id = excluded.run_id OR held.expires_at <= datanode.now_micros()) \
         AND NOT (excluded.gives_way AND greatest(held.wanted_until, (SELECT wanted_until FROM datanode.lease_wants AS wants \
         WHERE wants.node_uid = held.node_uid)) > datanode.now_micros()) \
         RETURNING {COLUMNS}"
    );
    // Somebody may give the node up between the two statements: then the first is tried again.
    loop {
        let claimed: Option<Raw> = sqlx::query_as(AssertSqlSafe(insert.as_str()))
            .bind(&claim.node_uid)
            .bind(&claim.holder)
            .bind(&claim.run_id)
            .bind(micros(claim.duration))
            .bind(gives_way)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed(CLAIMING))?;
        if let Some(claimed) = claimed {
            return lease(claimed).map(Ok);
        }
        if let Some(held) = held(connection, &node, claim, gives_way).await? {
            return Ok(Err(held));
        }
    }
}

/// Who holds a node, or has waited for it where the claim gives way, as it is stored: locks are not waited for.
async fn held(
    connection: &mut PgConnection,
    node: &str,
    claim: &ClaimLease,
    gives_way: bool,
) -> Result<Option<StoreError>, StoreError> {
    let held: Option<(String, String, i64, bool)> = sqlx::query_as(
        "SELECT coalesce(holder, 'another run that waits for it'), coalesce(run_id, '-'), \
         coalesce(expires_at, greatest(held.wanted_until, wants.wanted_until)), gives_way FROM datanode.leases AS held \
         LEFT JOIN datanode.lease_wants AS wants USING (node_uid) WHERE node_uid = $1 AND (run_id IS NOT NULL \
         OR ($2 AND greatest(held.wanted_until, wants.wanted_until) > datanode.now_micros()))",
    )
    .bind(&claim.node_uid)
    .bind(gives_way)
    .fetch_optional(connection)
    .await
    .map_err(failed(CLAIMING))?;
    let Some((holder, run_id, expires_at, gives_way)) = held else { return Ok(None) };
    let expires_at = timestamp(&format!("lease of node {}", claim.node_uid), expires_at)?;
    Ok(Some(StoreError::LeaseHeld { node: node.to_owned(), holder, run_id, expires_at, gives_way }))
}

/// Let a lease hold on, whether it has expired or not.
pub(super) async fn extend(
    connection: &mut PgConnection,
    held: &Lease,
    duration: Duration,
) -> Result<Lease, StoreError> {
    extended(connection, held, duration, "").await
}

/// The same, as one statement by itself: see [`BRIEFLY`]. [`StoreError::Busy`] where somebody has the row.
pub(super) async fn beat(
    connection: &mut PgConnection,
    held: &Lease,
    duration: Duration,
) -> Result<Lease, StoreError> {
    extended(connection, held, duration, BRIEFLY).await
}

async fn extended(
    connection: &mut PgConnection,
    held: &Lease,
    duration: Duration,
    briefly: &str,
) -> Result<Lease, StoreError> {
    let update = format!(
        "UPDATE datanode.leases SET expires_at = datanode.now_micros() + $4 {briefly} \
         WHERE node_uid = $1 AND epoch = $2 AND run_id = $3 RETURNING {COLUMNS}"
    );
    let extended: Option<Raw> = sqlx::query_as(AssertSqlSafe(update))
        .bind(&held.node_uid)
        .bind(held.epoch)
        .bind(&held.run_id)
        .bind(micros(duration))
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed("extending a lease"))?;
    match extended {
        Some(extended) => lease(extended),
        None => Err(lost(connection, held).await?),
    }
}

/// Keep others from claiming the node until the transaction ends, and its run from committing twice at once.
pub(super) async fn lock(connection: &mut PgConnection, node_uid: &str) -> Result<(), StoreError> {
    sqlx::query("SELECT FROM datanode.leases WHERE node_uid = $1 FOR UPDATE")
        .bind(node_uid)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed("locking a lease"))
}

/// Wait until no commit of a run is under way, and let none begin until the transaction ends. Where the run does not hold
/// its node any more, none can be.
pub(super) async fn wait_for_commit(
    connection: &mut PgConnection,
    node_uid: &str,
    run_id: &str,
) -> Result<(), StoreError> {
    sqlx::query("SELECT FROM datanode.leases WHERE node_uid = $1 AND run_id = $2 FOR UPDATE")
        .bind(node_uid)
        .bind(run_id)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed("waiting for a commit"))
}

/// Refuse a commit under a lease that is not the latest one of its node. Whether it has expired plays no part: as long
/// as nobody else has claimed the node, nobody else has read what this commit is going to change.
pub(super) async fn check(connection: &mut PgConnection, held: &Lease) -> Result<(), StoreError> {
    let holds: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM datanode.leases WHERE node_uid = $1 AND epoch = $2 AND run_id = $3)",
    )
    .bind(&held.node_uid)
    .bind(held.epoch)
    .bind(&held.run_id)
    .fetch_one(&mut *connection)
    .await
    .map_err(failed("checking a lease"))?;
    if holds { Ok(()) } else { Err(lost(connection, held).await?) }
}

/// What is told of a lease that is not the latest.
async fn lost(connection: &mut PgConnection, held: &Lease) -> Result<StoreError, StoreError> {
    let current: Option<i64> = sqlx::query_scalar("SELECT epoch FROM datanode.leases WHERE node_uid = $1")
        .bind(&held.node_uid)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed("reading a lease"))?;
    Ok(StoreError::LeaseLost {
        node: nodes::update_hash(connection, &held.node_uid).await?,
        run_id: held.run_id.clone(),
        epoch: held.epoch,
        current: current.unwrap_or_default(),
    })
}

/// Give a lease up; the epoch stays.
pub(super) async fn release(connection: &mut PgConnection, held: &Lease) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE datanode.leases SET holder = NULL, run_id = NULL, expires_at = NULL \
         WHERE node_uid = $1 AND epoch = $2 AND run_id = $3",
    )
    .bind(&held.node_uid)
    .bind(held.epoch)
    .bind(&held.run_id)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed("giving a lease up"))
}

/// Give up whatever lease a run holds on its node: its outcome is stored, so it will not write. Whether it held one.
pub(super) async fn release_of_run(
    connection: &mut PgConnection,
    node_uid: &str,
    run_id: &str,
) -> Result<bool, StoreError> {
    sqlx::query(
        "UPDATE datanode.leases SET holder = NULL, run_id = NULL, expires_at = NULL \
         WHERE node_uid = $1 AND run_id = $2",
    )
    .bind(node_uid)
    .bind(run_id)
    .execute(connection)
    .await
    .map(|done| done.rows_affected() > 0)
    .map_err(failed("giving a lease up"))
}

/// Those that have not expired, the next to expire first.
pub(super) async fn all(connection: &mut PgConnection) -> Result<Vec<Lease>, StoreError> {
    let select = format!(
        "SELECT {COLUMNS} FROM datanode.leases WHERE expires_at > datanode.now_micros() ORDER BY expires_at, node_uid"
    );
    let leases: Vec<Raw> = sqlx::query_as(AssertSqlSafe(select))
        .fetch_all(connection)
        .await
        .map_err(failed("reading leases"))?;
    leases.into_iter().map(lease).collect()
}
