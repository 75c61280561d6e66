//! What searches need of the catalogue.

use std::collections::HashMap;

use async_trait::async_trait;
use datanode_core::digest::Digest;
use datanode_core::search::to_bytes;
use rusqlite::{Connection, params};

use super::stored::failed;
use super::{SqliteStore, components, tables};
use crate::catalogue::registrations;
use crate::catalogue::search::{RawVector, RawWriter, searched, vector};
use crate::{Registration, SearchChanges, SearchEntry, SearchIndex, StoreError, StoredVector, Table};

const READING: &str = "reading what searches need";
const KEEPING: &str = "keeping what searches need";

#[async_trait]
impl SearchIndex for SqliteStore {
    async fn search_revision(&self) -> Result<i64, StoreError> {
        self.read(READING, revision).await
    }

    async fn search_changes(&self, since: Option<i64>) -> Result<SearchChanges, StoreError> {
        self.read(READING, move |connection| changes(connection, since)).await
    }

    async fn search_vectors(
        &self,
        model: &Digest,
        table_uids: Option<&[String]>,
    ) -> Result<Vec<StoredVector>, StoreError> {
        let (model, uids) = (model.to_string(), table_uids.map(<[String]>::to_vec));
        self.read(READING, move |connection| vectors(connection, &model, uids.as_deref())).await
    }

    async fn put_search_entries(&self, model: &Digest, entries: &[SearchEntry]) -> Result<(), StoreError> {
        let (model, entries) = (model.to_string(), entries.to_vec());
        // They can be computed again.
        self.write_until_power_is_lost(KEEPING, move |connection| {
            let mut statement = connection
                .prepare_cached(
                    "INSERT INTO _search_entries (table_uid, model_digest, text_digest, text, vector, computed_at) \
                     SELECT uid, ?2, ?3, ?4, ?5, ?6 FROM _tables WHERE uid = ?1 \
                     ON CONFLICT (table_uid, model_digest) DO UPDATE SET text_digest = excluded.text_digest, \
                     text = excluded.text, vector = excluded.vector, computed_at = excluded.computed_at",
                )
                .map_err(failed(KEEPING))?;
            for entry in &entries {
                statement
                    .execute(params![
                        entry.table_uid,
                        model,
                        entry.text_digest.to_string(),
                        entry.text,
                        to_bytes(&entry.vector),
                        entry.computed_at.micros()
                    ])
                    .map_err(failed(KEEPING))?;
            }
            Ok(())
        })
        .await
    }

    async fn put_component_docs(&self, component: &Digest, docs: &str) -> Result<(), StoreError> {
        let (component, docs) = (component.to_string(), docs.to_owned());
        self.write(KEEPING, move |connection| {
            connection
                .execute(
                    "INSERT INTO _component_docs (digest, docs) SELECT digest, ?2 FROM _components WHERE digest = ?1 \
                     ON CONFLICT (digest) DO UPDATE SET docs = excluded.docs WHERE docs <> excluded.docs",
                    [component, docs],
                )
                .map(|_| ())
                .map_err(failed(KEEPING))
        })
        .await
    }
}

fn revision(connection: &Connection) -> Result<i64, StoreError> {
    connection
        .query_row("SELECT revision FROM _search_revision", (), |row| row.get(0))
        .map_err(failed(READING))
}

/// All rows of a statement whose one value is a revision.
fn rows<T>(
    connection: &Connection,
    sql: &str,
    since: i64,
    read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(failed(READING))?;
    let found = statement.query_map([since], read).map_err(failed(READING))?;
    found.collect::<rusqlite::Result<_>>().map_err(failed(READING))
}

fn changes(connection: &Connection, since: Option<i64>) -> Result<SearchChanges, StoreError> {
    let reached = revision(connection)?;
    // A later one than there has ever been: the database was restored.
    let since = since.filter(|since| *since <= reached);
    if since == Some(reached) {
        return Ok(SearchChanges { revision: reached, all: false, tables: Vec::new(), gone: Vec::new() });
    }
    let (found, gone) = match since {
        None => (tables::all(connection)?, Vec::new()),
        Some(since) => changed(connection, since)?,
    };
    // Each statement is about the tables that are marked since then; without a revision, about all.
    let after = since.unwrap_or(-1);
    let marked = "(?1 < 0 OR table_uid IN (SELECT table_uid FROM _search_marks WHERE revision > ?1))";
    let registered = rows(
        connection,
        &format!("SELECT table_uid, document FROM _registrations WHERE {marked}"),
        after,
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
    )?;
    let registered = registered.into_iter().map(|(uid, document)| {
        let place = format!("registration of table {uid}");
        Ok((uid, registrations::read(&place, Some(&document))?))
    });
    let registered: HashMap<String, Registration> = registered.collect::<Result<_, StoreError>>()?;
    let nodes: Vec<RawWriter> = rows(
        connection,
        &format!("SELECT DISTINCT table_uid, component, pinned_digest FROM _nodes WHERE {marked}"),
        after,
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let (releases, docs) = if nodes.is_empty() {
        (Vec::new(), HashMap::new())
    } else {
        let docs = rows(
            connection,
            "SELECT digest, docs FROM _component_docs WHERE ?1 IS NOT NULL",
            after,
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        (components::all(connection)?, docs.into_iter().collect())
    };
    let tables = searched(found, registered, nodes, releases, docs)?;
    Ok(SearchChanges { revision: reached, all: since.is_none(), tables, gone })
}

/// Tables that are marked since a revision: those that are there, and the uids of those that are not.
fn changed(connection: &Connection, since: i64) -> Result<(Vec<Table>, Vec<String>), StoreError> {
    let marked: Vec<String> =
        rows(connection, "SELECT table_uid FROM _search_marks WHERE revision > ?1", since, |row| row.get(0))?;
    let (mut found, mut gone) = (Vec::new(), Vec::new());
    for uid in marked {
        match tables::by_uid(connection, &uid) {
            Ok(table) => found.push(table),
            Err(StoreError::NotFound { .. }) => gone.push(uid),
            Err(error) => return Err(error),
        }
    }
    Ok((found, gone))
}

fn vectors(
    connection: &Connection,
    model: &str,
    table_uids: Option<&[String]>,
) -> Result<Vec<StoredVector>, StoreError> {
    const ALL: &str = "SELECT table_uid, text_digest, vector FROM _search_entries WHERE model_digest = ?1";
    const ONE: &str = "SELECT table_uid, text_digest, vector FROM _search_entries WHERE model_digest = ?1 AND table_uid = ?2";
    let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<RawVector> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    };
    let mut found: Vec<RawVector> = Vec::new();
    if let Some(uids) = table_uids {
        let mut statement = connection.prepare_cached(ONE).map_err(failed(READING))?;
        for uid in uids {
            let rows = statement.query_map([model, uid], read).map_err(failed(READING))?;
            found.extend(rows.collect::<rusqlite::Result<Vec<_>>>().map_err(failed(READING))?);
        }
    } else {
        let mut statement = connection.prepare_cached(ALL).map_err(failed(READING))?;
        let rows = statement.query_map([model], read).map_err(failed(READING))?;
        found.extend(rows.collect::<rusqlite::Result<Vec<_>>>().map_err(failed(READING))?);
    }
    found.into_iter().map(vector).collect()
}
