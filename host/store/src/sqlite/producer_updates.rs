//! Updates of producers, and the uploads that wait for their commit.
//!
//! Whether an update is open is what its lease says: rows are kept aside under the latest lease of the node alone.

use std::time::Duration;

use datanode_core::Timestamp;
use datanode_core::producer::ProducerError;
use datanode_core::run::{RunError, RunRecord};
use rusqlite::{Connection, Row, params};

use super::stored::{count, damaged, failed, from_json, timestamp, to_integer, to_json};
use super::{lease, nodes, runs};
use crate::producer::failed_record;
use crate::{BegunUpdate, ClaimLease, Lease, NewUpdate, NewUpload, ProducerUpdate, StagedUpload, StoreError};

const READING: &str = "reading an update";

const SELECT: &str = "SELECT u.run_id, u.node_uid, u.scheduler_uid, u.sent_by, u.record, \
     (SELECT count(*) FROM _producer_uploads p WHERE p.run_id = u.run_id), l.epoch, l.holder, l.expires_at, r.record \
     FROM _producer_updates u LEFT JOIN _leases l ON l.node_uid = u.node_uid AND l.run_id = u.run_id \
     LEFT JOIN _runs r ON r.run_id = u.run_id";

/// A row of [`SELECT`].
struct Raw {
    run_id: String,
    node_uid: String,
    scheduler_uid: String,
    sent_by: String,
    record: String,
    uploads: i64,
    lease: Option<(i64, String, i64)>,
    outcome: Option<String>,
}

impl Raw {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let epoch: Option<i64> = row.get(6)?;
        let lease = epoch.map(|epoch| Ok::<_, rusqlite::Error>((epoch, row.get(7)?, row.get(8)?)));
        Ok(Self {
            run_id: row.get(0)?,
            node_uid: row.get(1)?,
            scheduler_uid: row.get(2)?,
            sent_by: row.get(3)?,
            record: row.get(4)?,
            uploads: row.get(5)?,
            lease: lease.transpose()?,
            outcome: row.get(9)?,
        })
    }

    fn update(self) -> Result<ProducerUpdate, StoreError> {
        let place = format!("update {}", self.run_id);
        let lease = |(epoch, holder, expires_at)| {
            Ok::<_, StoreError>(Lease {
                node_uid: self.node_uid.clone(),
                epoch,
                holder,
                run_id: self.run_id.clone(),
                expires_at: timestamp(&place, expires_at)?,
            })
        };
        Ok(ProducerUpdate {
            record: from_json(&place, &self.record)?,
            uploads: count(&place, self.uploads)?,
            lease: self.lease.map(lease).transpose()?,
            outcome: self.outcome.map(|outcome| from_json(&place, &outcome)).transpose()?,
            run_id: self.run_id,
            node_uid: self.node_uid,
            scheduler_uid: self.scheduler_uid,
            sent_by: self.sent_by,
        })
    }
}

/// The latest update of a node.
pub(super) fn of_node(connection: &Connection, node_uid: &str) -> Result<Option<ProducerUpdate>, StoreError> {
    super::stored::find(connection, &format!("{SELECT} WHERE u.node_uid = ?1"), [node_uid], Raw::read)
        .map_err(failed(READING))?
        .map(Raw::update)
        .transpose()
}

fn must_be_there(
    connection: &Connection,
    node_uid: &str,
    found: Option<ProducerUpdate>,
) -> Result<ProducerUpdate, StoreError> {
    match found {
        Some(update) => Ok(update),
        None => Err(ProducerError::NoUpdate { node: nodes::update_hash(connection, node_uid)? }.into()),
    }
}

/// Begin an update. An answer that is an error is one that must be committed.
pub(super) fn begin(
    connection: &Connection,
    new: &NewUpdate,
) -> Result<Result<BegunUpdate, StoreError>, StoreError> {
    const DOING: &str = "beginning an update";
    nodes::must_exist(connection, &new.node_uid)?;
    let now = new.record.started_at;
    let known = of_node(connection, &new.node_uid)?;
    if let Some(known) = known.as_ref().filter(|known| known.outcome.is_none()) {
        let is_same = known.scheduler_uid == new.scheduler_uid && known.sent_by == new.sent_by;
        match &known.lease {
            Some(held) if is_same && known.uploads == 0 => {
                let lease = Some(lease::extend(connection, held, new.duration)?);
                let update = ProducerUpdate { lease, ..known.clone() };
                return Ok(Ok(BegunUpdate { update, repeated: true }));
            }
            Some(_) if is_same => {
                let error = ProducerError::BegunAgain { uploads: known.uploads };
                fail(connection, known, RunError::from_diagnostic(&error), now)?;
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
    if let Err(held) = lease::claim(connection, &claim)? {
        return Ok(Err(held));
    }
    // Its lease has just been taken: it had expired.
    if let Some(known) = known.filter(|known| known.outcome.is_none()) {
        let error = ProducerError::Abandoned { uploads: known.uploads };
        fail(connection, &known, RunError::from_diagnostic(&error), now)?;
    }
    connection
        .execute(
            "DELETE FROM _producer_uploads WHERE run_id IN \
             (SELECT run_id FROM _producer_updates WHERE node_uid = ?1)",
            [&new.node_uid],
        )
        .map_err(failed(DOING))?;
    connection
        .execute(
            "INSERT INTO _producer_updates (node_uid, run_id, scheduler_uid, sent_by, record) \
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (node_uid) DO UPDATE SET run_id = excluded.run_id, \
             scheduler_uid = excluded.scheduler_uid, sent_by = excluded.sent_by, record = excluded.record",
            params![
                new.node_uid,
                new.record.run_id,
                new.scheduler_uid,
                new.sent_by,
                to_json(DOING, &new.record)?
            ],
        )
        .map_err(failed(DOING))?;
    let update = of_node(connection, &new.node_uid)?;
    let update = must_be_there(connection, &new.node_uid, update)?;
    Ok(Ok(BegunUpdate { update, repeated: false }))
}

/// Keep rows aside; false when they were there.
pub(super) fn stage(connection: &Connection, upload: &NewUpload) -> Result<bool, StoreError> {
    const DOING: &str = "keeping an upload";
    let open = of_node(connection, &upload.node_uid)?
        .filter(|update| update.run_id == upload.run_id && update.outcome.is_none());
    let update = must_be_there(connection, &upload.node_uid, open)?;
    let Some(held) = &update.lease else {
        return Err(
            ProducerError::NoUpdate { node: nodes::update_hash(connection, &upload.node_uid)? }.into()
        );
    };
    lease::extend(connection, held, upload.duration)?;
    let held: i64 = connection
        .query_row(
            "SELECT coalesce(sum(size), 0) FROM _producer_uploads WHERE run_id = ?1 AND digest <> ?2",
            params![upload.run_id, upload.digest.to_string()],
            |row| row.get(0),
        )
        .map_err(failed(DOING))?;
    let bytes = count(DOING, held)? + upload.bytes.len() as u64;
    if bytes > upload.most_bytes {
        let node = nodes::update_hash(connection, &upload.node_uid)?;
        return Err(ProducerError::TooMuch { node, bytes, limit: upload.most_bytes }.into());
    }
    connection
        .execute(
            "INSERT INTO _producer_uploads (run_id, position, digest, row_count, size, rows) \
             SELECT ?1, coalesce(max(position), 0) + 1, ?2, ?3, ?4, ?5 FROM _producer_uploads WHERE run_id = ?1 \
             ON CONFLICT (run_id, digest) DO NOTHING",
            params![
                upload.run_id,
                upload.digest.to_string(),
                to_integer(DOING, upload.rows)?,
                to_integer(DOING, upload.bytes.len() as u64)?,
                upload.bytes,
            ],
        )
        .map(|inserted| inserted > 0)
        .map_err(failed(DOING))
}

/// What waits for the commit of a run.
pub(super) fn staged(connection: &Connection, run_id: &str) -> Result<Vec<StagedUpload>, StoreError> {
    let failed = failed("reading uploads");
    let mut statement = connection
        .prepare(
            "SELECT position, digest, row_count, size FROM _producer_uploads WHERE run_id = ?1 ORDER BY position",
        )
        .map_err(&failed)?;
    let rows = statement
        .query_map([run_id], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, i64>(3)?,
            ))
        })
        .map_err(&failed)?;
    let place = format!("uploads of update {run_id}");
    rows.map(|row| {
        let (position, digest, rows, bytes) = row.map_err(&failed)?;
        Ok(StagedUpload {
            position,
            digest: digest.parse().map_err(damaged::<String>(&place))?,
            rows: count(&place, rows)?,
            bytes: count(&place, bytes)?,
        })
    })
    .collect()
}

/// The rows of one of these.
pub(super) fn rows(connection: &Connection, run_id: &str, position: i64) -> Result<Vec<u8>, StoreError> {
    let found = super::stored::find(
        connection,
        "SELECT rows FROM _producer_uploads WHERE run_id = ?1 AND position = ?2",
        params![run_id, position],
        |row| row.get(0),
    );
    found
        .map_err(failed("reading an upload"))?
        .ok_or_else(|| StoreError::Damaged(format!("update {run_id} has no upload {position}")))
}

/// Refuse the commit of an update whose rows are not those of all uploads: one that has come since they were looked
/// through would be forgotten with the others.
pub(super) fn refuse_unseen(connection: &Connection, record: &RunRecord) -> Result<(), StoreError> {
    const DOING: &str = "counting uploads";
    let Some(producer) = &record.producer else { return Ok(()) };
    let kept: i64 = connection
        .query_row("SELECT count(*) FROM _producer_uploads WHERE run_id = ?1", [&record.run_id], |row| {
            row.get(0)
        })
        .map_err(failed(DOING))?;
    let (node, seen, kept) = (record.update_hash.clone(), producer.uploads, count(DOING, kept)?);
    if seen == kept { Ok(()) } else { Err(ProducerError::MoreUploads { node, seen, kept }.into()) }
}

/// Forget what waits for the commit of a run; how many uploads these were.
pub(super) fn discard(connection: &Connection, run_id: &str) -> Result<u64, StoreError> {
    connection
        .execute("DELETE FROM _producer_uploads WHERE run_id = ?1", [run_id])
        .map(|gone| gone as u64)
        .map_err(failed("removing uploads"))
}

/// End an update that stores nothing.
pub(super) fn fail(
    connection: &Connection,
    update: &ProducerUpdate,
    error: RunError,
    now: Timestamp,
) -> Result<RunRecord, StoreError> {
    // As many as there are by now: the last may have come since the update was looked at.
    let uploads = discard(connection, &update.run_id)?;
    runs::end(connection, failed_record(update, uploads, error, now), None, false)
}

/// End the updates whose lease ended so long ago.
pub(super) fn abandon(connection: &Connection, idle: Duration, now: Timestamp) -> Result<u64, StoreError> {
    let failed = failed("ending updates");
    let mut statement = connection
        .prepare(&format!(
            "{SELECT} WHERE r.run_id IS NULL AND (l.run_id IS NULL OR l.expires_at < {} - ?1)",
            lease::NOW
        ))
        .map_err(&failed)?;
    let rows = statement.query_map([lease::micros(idle)], Raw::read).map_err(&failed)?;
    let rows = rows.collect::<Result<Vec<_>, _>>().map_err(&failed)?;
    let ended = rows.len() as u64;
    for raw in rows {
        let update = raw.update()?;
        let error = ProducerError::Abandoned { uploads: update.uploads };
        fail(connection, &update, RunError::from_diagnostic(&error), now)?;
    }
    Ok(ended)
}
