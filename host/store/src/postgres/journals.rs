//! Journals of runs.

use std::collections::HashSet;

use datanode_core::Timestamp;
use datanode_core::digest::Digest;
use sqlx::PgConnection;

use super::stored::failed;
use crate::{RunJournal, StoreError};

/// Store the journal of a run whose record is there.
pub(super) async fn insert(
    connection: &mut PgConnection,
    run_id: &str,
    journal: &RunJournal,
) -> Result<(), StoreError> {
    let failed = failed("storing a journal");
    sqlx::query("INSERT INTO datanode.run_journals (run_id, document) VALUES ($1, $2)")
        .bind(run_id)
        .bind(&journal.document)
        .execute(&mut *connection)
        .await
        .map_err(&failed)?;
    let digests: Vec<String> = journal.contents.iter().map(Digest::to_string).collect();
    if digests.is_empty() {
        return Ok(());
    }
    sqlx::query("INSERT INTO datanode.journal_contents (run_id, digest) SELECT $1, unnest($2::text[])")
        .bind(run_id)
        .bind(digests)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

/// The document of a run.
pub(super) async fn document(
    connection: &mut PgConnection,
    run_id: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query_scalar("SELECT document FROM datanode.run_journals WHERE run_id = $1")
        .bind(run_id)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading a journal"))
}

/// How many journals are of runs that started before.
pub(super) async fn count(connection: &mut PgConnection, before: Timestamp) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM datanode.run_journals JOIN datanode.runs USING (run_id) WHERE started_at < $1",
    )
    .bind(before.micros())
    .fetch_one(connection)
    .await
    .map_err(failed("counting journals"))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Remove them; what they named goes with them.
pub(super) async fn remove(connection: &mut PgConnection, before: Timestamp) -> Result<u64, StoreError> {
    let removed = sqlx::query(
        "DELETE FROM datanode.run_journals WHERE run_id IN \
         (SELECT run_id FROM datanode.runs WHERE started_at < $1)",
    )
    .bind(before.micros())
    .execute(connection)
    .await
    .map_err(failed("removing journals"))?;
    Ok(removed.rows_affected())
}

/// What the journals of runs since a moment name.
pub(super) async fn contents(
    connection: &mut PgConnection,
    since: Option<Timestamp>,
) -> Result<HashSet<Digest>, StoreError> {
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT digest FROM datanode.journal_contents JOIN datanode.runs USING (run_id) \
         WHERE $1::bigint IS NULL OR started_at >= $1",
    )
    .bind(since.map(Timestamp::micros))
    .fetch_all(connection)
    .await
    .map_err(failed("reading the contents of journals"))?;
    found.iter().map(|digest| digest.parse().map_err(StoreError::Damaged)).collect()
}
