//! Updates of producers, and the uploads that wait for their commit.
//!
//! Whether an update is open is what its lease says: rows are kept aside under the latest lease of the node alone. Whoever
//! begins, feeds or ends an update locks its lease first, as its commit does: of two that come at once, the second sees
//! what the first has done.

use std::time::Duration;

use datanode_core::Timestamp;
use datanode_core::producer::ProducerError;
use datanode_core::run::{RunError, RunRecord};
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use super::stored::{count, damaged, failed, from_json, timestamp, to_integer, to_json};
use super::{lease, nodes, runs};
use crate::producer::failed_record;
use crate::{BegunUpdate, ClaimLease, Lease, NewUpdate, NewUpload, ProducerUpdate, StagedUpload, StoreError};

const READING: &str = "reading an update";

const SELECT: &str = "SELECT u.run_id, u.node_uid, u.scheduler_uid, u.sent_by, u.record, \
     (SELECT count(*) FROM datanode.producer_uploads p WHERE p.run_id = u.run_id) AS uploads, \
     l.epoch, l.holder, l.expires_at, r.record AS outcome \
     FROM datanode.producer_updates u \
     LEFT JOIN datanode.leases l ON l.node_uid = u.node_uid AND l.run_id = u.run_id \
     LEFT JOIN datanode.runs r ON r.run_id = u.run_id";

/// A row of [`SELECT`].
#[derive(FromRow)]
struct Raw {
    run_id: String,
    node_uid: String,
    scheduler_uid: String,
    sent_by: String,
    record: String,
    uploads: i64,
    epoch: Option<i64>,
    holder: Option<String>,
    expires_at: Option<i64>,
    outcome: Option<String>,
}

impl Raw {
    fn update(self) -> Result<ProducerUpdate, StoreError> {
        let place = format!("update {}", self.run_id);
        let lease = match (self.epoch, self.holder, self.expires_at) {
            (Some(epoch), Some(holder), Some(expires_at)) => Some(Lease {
                node_uid: self.node_uid.clone(),
                epoch,
                holder,
                run_id: self.run_id.clone(),
                expires_at: timestamp(&place, expires_at)?,
            }),
            _ => None,
        };
        Ok(ProducerUpdate {
            record: from_json(&place, &self.record)?,
            uploads: count(&place, self.uploads)?,
            lease,
            outcome: self.outcome.map(|outcome| from_json(&place, &outcome)).transpose()?,
            run_id: self.run_id,
            node_uid: self.node_uid,
            scheduler_uid: self.scheduler_uid,
            sent_by: self.sent_by,
        })
    }
}

/// The latest update of a node.
pub(super) async fn of_node(
    connection: &mut PgConnection,
    node_uid: &str,
) -> Result<Option<ProducerUpdate>, StoreError> {
    let raw: Option<Raw> = sqlx::query_as(AssertSqlSafe(format!("{SELECT} WHERE u.node_uid = $1")))
        .bind(node_uid)
        .fetch_optional(connection)
        .await
        .map_err(failed(READING))?;
    raw.map(Raw::update).transpose()
}

async fn no_update(connection: &mut PgConnection, node_uid: &str) -> StoreError {
    match nodes::update_hash(connection, node_uid).await {
        Ok(node) => ProducerError::NoUpdate { node }.into(),
        Err(error) => error,
    }
}

/// Begin an update. An answer that is an error is one that must be committed.
pub(super) async fn begin(
    connection: &mut PgConnection,
    new: &NewUpdate,
) -> Result<Result<BegunUpdate, StoreError>, StoreError> {
    const DOING: &str = "beginning an update";
    nodes::update_hash(connection, &new.node_uid).await?;
    // Of the first two updates of a node there is no lease to lock yet: the row of the producer is.
    sqlx::query("SELECT FROM datanode.producers WHERE node_uid = $1 FOR UPDATE")
        .bind(&new.node_uid)
        .execute(&mut *connection)
        .await
        .map_err(failed(DOING))?;
    lease::lock(connection, &new.node_uid).await?;
    let now = new.record.started_at;
    let known = of_node(connection, &new.node_uid).await?;
    if let Some(known) = known.as_ref().filter(|known| known.outcome.is_none()) {
        let is_same = known.scheduler_uid == new.scheduler_uid && known.sent_by == new.sent_by;
        match &known.lease {
            Some(held) if is_same && known.uploads == 0 => {
                let lease = Some(lease::extend(connection, held, new.duration).await?);
                let update = ProducerUpdate { lease, ..known.clone() };
                return Ok(Ok(BegunUpdate { update, repeated: true }));
            }
            Some(_) if is_same => {
                let error = ProducerError::BegunAgain { uploads: known.uploads };
                fail(connection, known, RunError::from_diagnostic(&error), now).await?;
            }
            _ => {}
        }
    }
    let claim = ClaimLease {
        node_uid: new.node_uid.clone(),
        holder: new.holder.clone(),
        run_id: new.record.run_id.clone(),
        duration: new.duration,
    };
    if let Err(held) = lease::claim(connection, &claim).await? {
        return Ok(Err(held));
    }
    // Its lease has just been taken: it had expired.
    if let Some(known) = known.filter(|known| known.outcome.is_none()) {
        let error = ProducerError::Abandoned { uploads: known.uploads };
        fail(connection, &known, RunError::from_diagnostic(&error), now).await?;
    }
    sqlx::query(
        "DELETE FROM datanode.producer_uploads WHERE run_id IN \
         (SELECT run_id FROM datanode.producer_updates WHERE node_uid = $1)",
    )
    .bind(&new.node_uid)
    .execute(&mut *connection)
    .await
    .map_err(failed(DOING))?;
    sqlx::query(
        "INSERT INTO datanode.producer_updates (node_uid, run_id, scheduler_uid, sent_by, record) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (node_uid) DO UPDATE SET run_id = excluded.run_id, \
         scheduler_uid = excluded.scheduler_uid, sent_by = excluded.sent_by, record = excluded.record",
    )
    .bind(&new.node_uid)
    .bind(&new.record.run_id)
    .bind(&new.scheduler_uid)
    .bind(&new.sent_by)
    .bind(to_json(DOING, &new.record)?)
    .execute(&mut *connection)
    .await
    .map_err(failed(DOING))?;
    match of_node(connection, &new.node_uid).await? {
        Some(update) => Ok(Ok(BegunUpdate { update, repeated: false })),
        None => Err(no_update(connection, &new.node_uid).await),
    }
}

/// Keep rows aside; false when they were there.
pub(super) async fn stage(connection: &mut PgConnection, upload: &NewUpload) -> Result<bool, StoreError> {
    const DOING: &str = "keeping an upload";
    lease::lock(connection, &upload.node_uid).await?;
    let open = of_node(connection, &upload.node_uid)
        .await?
        .filter(|update| update.run_id == upload.run_id && update.outcome.is_none());
    let Some(held) = open.and_then(|update| update.lease) else {
        return Err(no_update(connection, &upload.node_uid).await);
    };
    lease::extend(connection, &held, upload.duration).await?;
    let digest = upload.digest.to_string();
    let held: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(size), 0)::bigint FROM datanode.producer_uploads WHERE run_id = $1 AND digest <> $2",
    )
    .bind(&upload.run_id)
    .bind(&digest)
    .fetch_one(&mut *connection)
    .await
    .map_err(failed(DOING))?;
    let bytes = count(DOING, held)? + upload.bytes.len() as u64;
    if bytes > upload.most_bytes {
        let node = nodes::update_hash(connection, &upload.node_uid).await?;
        return Err(ProducerError::TooMuch { node, bytes, limit: upload.most_bytes }.into());
    }
    sqlx::query(
        "INSERT INTO datanode.producer_uploads (run_id, position, digest, row_count, size, rows) \
         SELECT $1, coalesce(max(position), 0) + 1, $2, $3, $4, $5 FROM datanode.producer_uploads WHERE run_id = $1 \
         ON CONFLICT (run_id, digest) DO NOTHING",
    )
    .bind(&upload.run_id)
    .bind(&digest)
    .bind(to_integer(DOING, upload.rows)?)
    .bind(to_integer(DOING, upload.bytes.len() as u64)?)
    .bind(&upload.bytes)
    .execute(connection)
    .await
    .map(|done| done.rows_affected() > 0)
    .map_err(failed(DOING))
}

/// What waits for the commit of a run.
pub(super) async fn staged(
    connection: &mut PgConnection,
    run_id: &str,
) -> Result<Vec<StagedUpload>, StoreError> {
    let rows: Vec<(i64, String, i64, i64)> = sqlx::query_as(
        "SELECT position, digest, row_count, size FROM datanode.producer_uploads WHERE run_id = $1 ORDER BY position",
    )
    .bind(run_id)
    .fetch_all(connection)
    .await
    .map_err(failed("reading uploads"))?;
    let place = format!("uploads of update {run_id}");
    let staged = |(position, digest, rows, bytes): (i64, String, i64, i64)| {
        Ok(StagedUpload {
            position,
            digest: digest.parse().map_err(damaged::<String>(&place))?,
            rows: count(&place, rows)?,
            bytes: count(&place, bytes)?,
        })
    };
    rows.into_iter().map(staged).collect()
}

/// The rows of one of these.
pub(super) async fn rows(
    connection: &mut PgConnection,
    run_id: &str,
    position: i64,
) -> Result<Vec<u8>, StoreError> {
    sqlx::query_scalar("SELECT rows FROM datanode.producer_uploads WHERE run_id = $1 AND position = $2")
        .bind(run_id)
        .bind(position)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading an upload"))?
        .ok_or_else(|| StoreError::Damaged(format!("update {run_id} has no upload {position}")))
}

/// Refuse the commit of an update whose rows are not those of all uploads: one that has come since they were looked
/// through would be forgotten with the others.
pub(super) async fn refuse_unseen(
    connection: &mut PgConnection,
    record: &RunRecord,
) -> Result<(), StoreError> {
    const DOING: &str = "counting uploads";
    let Some(producer) = &record.producer else { return Ok(()) };
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM datanode.producer_uploads WHERE run_id = $1")
        .bind(&record.run_id)
        .fetch_one(connection)
        .await
        .map_err(failed(DOING))?;
    let (node, seen, kept) = (record.update_hash.clone(), producer.uploads, count(DOING, kept)?);
    if seen == kept { Ok(()) } else { Err(ProducerError::MoreUploads { node, seen, kept }.into()) }
}

/// Forget what waits for the commit of a run; how many uploads these were.
pub(super) async fn discard(connection: &mut PgConnection, run_id: &str) -> Result<u64, StoreError> {
    sqlx::query("DELETE FROM datanode.producer_uploads WHERE run_id = $1")
        .bind(run_id)
        .execute(connection)
        .await
        .map(|gone| gone.rows_affected())
        .map_err(failed("removing uploads"))
}

/// End an update that stores nothing.
pub(super) async fn fail(
    connection: &mut PgConnection,
    update: &ProducerUpdate,
    error: RunError,
    now: Timestamp,
) -> Result<RunRecord, StoreError> {
    // Before anything of it is touched, as its commit does: neither waits for what the other holds.
    lease::lock(connection, &update.node_uid).await?;
    // As many as there are by now: the last may have come since the update was looked at.
    let uploads = discard(connection, &update.run_id).await?;
    runs::end(connection, &failed_record(update, uploads, error, now), None, false).await
}

/// End the updates whose lease ended so long ago.
pub(super) async fn abandon(
    connection: &mut PgConnection,
    idle: Duration,
    now: Timestamp,
) -> Result<u64, StoreError> {
    const DOING: &str = "ending updates";
    // Skipped when somebody is at work on them.
    let nodes: Vec<String> = sqlx::query_scalar(
        "SELECT u.node_uid FROM datanode.producer_updates u JOIN datanode.leases l ON l.node_uid = u.node_uid \
         WHERE NOT EXISTS (SELECT FROM datanode.runs r WHERE r.run_id = u.run_id) \
         AND (l.run_id IS DISTINCT FROM u.run_id OR l.expires_at < datanode.now_micros() - $1) \
         ORDER BY u.node_uid FOR UPDATE OF l SKIP LOCKED",
    )
    .bind(lease::micros(idle))
    .fetch_all(&mut *connection)
    .await
    .map_err(failed(DOING))?;
    let mut ended = 0;
    for node_uid in nodes {
        let update = of_node(connection, &node_uid).await?;
        if let Some(update) = update.filter(|update| update.outcome.is_none()) {
            let error = ProducerError::Abandoned { uploads: update.uploads };
            fail(connection, &update, RunError::from_diagnostic(&error), now).await?;
            ended += 1;
        }
    }
    Ok(ended)
}
