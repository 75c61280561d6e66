//! What searches need of the catalogue.

use std::collections::HashMap;

use async_trait::async_trait;
use datanode_core::digest::Digest;
use datanode_core::search::to_bytes;
use sqlx::PgConnection;

use super::stored::failed;
use super::{PostgresStore, components, tables};
use crate::catalogue::registrations;
use crate::catalogue::search::{RawVector, RawWriter, searched, vector};
use crate::catalogue::tables::{Raw, table};
use crate::{Registration, SearchChanges, SearchEntry, SearchIndex, StoreError, StoredVector};

const READING: &str = "reading what searches need";
const KEEPING: &str = "keeping what searches need";

const REVISION: &str = "SELECT revision FROM datanode.search_revision";
const MARKED: &str = "SELECT m.table_uid FROM datanode.search_marks AS m WHERE m.revision > $1 \
     AND NOT EXISTS (SELECT FROM datanode.tables AS t WHERE t.uid = m.table_uid)";
// Each is about the tables that are marked since a revision; of a negative one, about all.
const TABLES: &str = "SELECT uid, contract, epoch, created_at, owner FROM datanode.tables WHERE uid IN \
     (SELECT table_uid FROM datanode.search_marks WHERE revision > $1)";
const REGISTRATIONS: &str = "SELECT table_uid, document FROM datanode.registrations WHERE $1 < 0 OR table_uid IN \
     (SELECT table_uid FROM datanode.search_marks WHERE revision > $1)";
const WRITERS: &str = "SELECT DISTINCT table_uid, component, pinned_digest FROM datanode.nodes WHERE $1 < 0 OR table_uid IN \
     (SELECT table_uid FROM datanode.search_marks WHERE revision > $1)";

#[async_trait]
impl SearchIndex for PostgresStore {
    async fn search_revision(&self) -> Result<i64, StoreError> {
        // One statement sees one state: without a transaction around it, one question less for each search.
        sqlx::query_scalar(REVISION).fetch_one(&self.pools.connections).await.map_err(failed(READING))
    }

    async fn search_changes(&self, since: Option<i64>) -> Result<SearchChanges, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        changes(&mut transaction, since).await
    }

    async fn search_vectors(
        &self,
        model: &Digest,
        table_uids: Option<&[String]>,
    ) -> Result<Vec<StoredVector>, StoreError> {
        let found: Vec<RawVector> = sqlx::query_as(
            "SELECT table_uid, text_digest, vector FROM datanode.search_entries \
             WHERE model_digest = $1 AND ($2::text[] IS NULL OR table_uid = ANY($2))",
        )
        .bind(model.to_string())
        .bind(table_uids)
        .fetch_all(&self.pools.connections)
        .await
        .map_err(failed(READING))?;
        found.into_iter().map(vector).collect()
    }

    async fn put_search_entries(&self, model: &Digest, entries: &[SearchEntry]) -> Result<(), StoreError> {
        let mut transaction = self.pools.begin().await?;
        let mut entries: Vec<&SearchEntry> = entries.iter().collect();
        // In one order, so that two hosts which do the same wait for one another, and not in a circle.
        entries.sort_by(|a, b| a.table_uid.cmp(&b.table_uid));
        for entry in entries {
            sqlx::query(
                "INSERT INTO datanode.search_entries (table_uid, model_digest, text_digest, text, vector, computed_at) \
                 SELECT uid, $2, $3, $4, $5, $6 FROM datanode.tables WHERE uid = $1 FOR KEY SHARE \
                 ON CONFLICT (table_uid, model_digest) DO UPDATE SET text_digest = excluded.text_digest, \
                 text = excluded.text, vector = excluded.vector, computed_at = excluded.computed_at",
            )
            .bind(&entry.table_uid)
            .bind(model.to_string())
            .bind(entry.text_digest.to_string())
            .bind(&entry.text)
            .bind(to_bytes(&entry.vector))
            .bind(entry.computed_at.micros())
            .execute(&mut *transaction)
            .await
            .map_err(failed(KEEPING))?;
        }
        transaction.commit().await.map_err(failed(KEEPING))
    }

    async fn put_component_docs(&self, component: &Digest, docs: &str) -> Result<(), StoreError> {
        let mut transaction = self.pools.begin().await?;
        sqlx::query(
            "INSERT INTO datanode.component_docs AS d (digest, docs) \
             SELECT digest, $2 FROM datanode.components WHERE digest = $1 FOR KEY SHARE \
             ON CONFLICT (digest) DO UPDATE SET docs = excluded.docs WHERE d.docs <> excluded.docs",
        )
        .bind(component.to_string())
        .bind(docs)
        .execute(&mut *transaction)
        .await
        .map_err(failed(KEEPING))?;
        transaction.commit().await.map_err(failed(KEEPING))
    }
}

async fn changes(connection: &mut PgConnection, since: Option<i64>) -> Result<SearchChanges, StoreError> {
    let reached: i64 =
        sqlx::query_scalar(REVISION).fetch_one(&mut *connection).await.map_err(failed(READING))?;
    // A later one than there has ever been: the database was restored.
    let since = since.filter(|since| *since <= reached);
    if since == Some(reached) {
        return Ok(SearchChanges { revision: reached, all: false, tables: Vec::new(), gone: Vec::new() });
    }
    let after = since.unwrap_or(-1);
    let (found, gone) = if since.is_none() {
        (tables::all(connection).await?, Vec::new())
    } else {
        let found: Vec<Raw> =
            sqlx::query_as(TABLES).bind(after).fetch_all(&mut *connection).await.map_err(failed(READING))?;
        let gone = sqlx::query_scalar(MARKED)
            .bind(after)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed(READING))?;
        (found.into_iter().map(table).collect::<Result<_, _>>()?, gone)
    };
    let registered: Vec<(String, String)> = sqlx::query_as(REGISTRATIONS)
        .bind(after)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed(READING))?;
    let registered = registered.into_iter().map(|(uid, document)| {
        let place = format!("registration of table {uid}");
        Ok((uid, registrations::read(&place, Some(&document))?))
    });
    let registered: HashMap<String, Registration> = registered.collect::<Result<_, StoreError>>()?;
    let nodes: Vec<RawWriter> =
        sqlx::query_as(WRITERS).bind(after).fetch_all(&mut *connection).await.map_err(failed(READING))?;
    let (releases, docs) = if nodes.is_empty() {
        (Vec::new(), HashMap::new())
    } else {
        let docs: Vec<(String, String)> = sqlx::query_as("SELECT digest, docs FROM datanode.component_docs")
            .fetch_all(&mut *connection)
            .await
            .map_err(failed(READING))?;
        (components::all(connection).await?, docs.into_iter().collect())
    };
    let tables = searched(found, registered, nodes, releases, docs)?;
    Ok(SearchChanges { revision: reached, all: since.is_none(), tables, gone })
}
