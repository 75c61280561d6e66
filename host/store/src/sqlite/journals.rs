//! Journals of runs.

use std::collections::HashSet;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::digest::Digest;
use rusqlite::{Connection, OptionalExtension, params};

use super::SqliteStore;
use super::stored::failed;
use crate::catalogue::audit as entries;
use crate::{Journals, RunJournal, StoreError};

/// Store the journal of a run whose record is there.
pub(super) fn insert(connection: &Connection, run_id: &str, journal: &RunJournal) -> Result<(), StoreError> {
    let failed = failed("storing a journal");
    connection
        .execute(
            "INSERT INTO _run_journals (run_id, document) VALUES (?1, ?2)",
            params![run_id, journal.document],
        )
        .map_err(&failed)?;
    let mut statement = connection
        .prepare("INSERT INTO _journal_contents (run_id, digest) VALUES (?1, ?2)")
        .map_err(&failed)?;
    for digest in &journal.contents {
        statement.execute(params![run_id, digest.to_string()]).map_err(&failed)?;
    }
    Ok(())
}

/// The document of a run.
pub(super) fn document(connection: &Connection, run_id: &str) -> Result<Option<Vec<u8>>, StoreError> {
    connection
        .query_row("SELECT document FROM _run_journals WHERE run_id = ?1", [run_id], |row| row.get(0))
        .optional()
        .map_err(failed("reading a journal"))
}

/// How many journals are of runs that started before.
pub(super) fn count(connection: &Connection, before: Timestamp) -> Result<u64, StoreError> {
    let count: i64 = connection
        .query_row(
            "SELECT count(*) FROM _run_journals JOIN _runs USING (run_id) WHERE started_at < ?1",
            [before.micros()],
            |row| row.get(0),
        )
        .map_err(failed("counting journals"))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Remove them.
pub(super) fn remove(connection: &Connection, before: Timestamp) -> Result<u64, StoreError> {
    const OLD: &str = "(SELECT run_id FROM _runs WHERE started_at < ?1)";
    let failed = failed("removing journals");
    connection
        .execute(&format!("DELETE FROM _journal_contents WHERE run_id IN {OLD}"), [before.micros()])
        .map_err(&failed)?;
    let removed = connection
        .execute(&format!("DELETE FROM _run_journals WHERE run_id IN {OLD}"), [before.micros()])
        .map_err(&failed)?;
    Ok(removed as u64)
}

/// What the journals of runs since a moment name.
pub(super) fn contents(
    connection: &Connection,
    since: Option<Timestamp>,
) -> Result<HashSet<Digest>, StoreError> {
    let failed = failed("reading the contents of journals");
    let mut statement = connection
        .prepare(
            "SELECT DISTINCT digest FROM _journal_contents JOIN _runs USING (run_id) \
             WHERE ?1 IS NULL OR started_at >= ?1",
        )
        .map_err(&failed)?;
    let rows = statement
        .query_map([since.map(Timestamp::micros)], |row| row.get::<_, String>(0))
        .map_err(&failed)?;
    rows.map(|row| row.map_err(&failed)?.parse().map_err(StoreError::Damaged)).collect()
}

#[async_trait]
impl Journals for SqliteStore {
    async fn run_journal(&self, run_id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let run_id = run_id.to_owned();
        self.read("reading a journal", move |connection| document(connection, &run_id)).await
    }

    async fn remove_journals(&self, before: Timestamp, only_look: bool) -> Result<u64, StoreError> {
        if only_look {
            return self.read("counting journals", move |connection| count(connection, before)).await;
        }
        self.change(
            "removing journals",
            move |connection| remove(connection, before),
            |removed| entries::journals_removed(*removed),
        )
        .await
    }

    async fn journal_contents(&self, since: Option<Timestamp>) -> Result<HashSet<Digest>, StoreError> {
        self.read("reading the contents of journals", move |connection| contents(connection, since)).await
    }
}
