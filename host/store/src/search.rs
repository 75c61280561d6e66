//! What searches need of a database: what texts are made of, what has changed of it, and vectors that were computed before.
//!
//! Databases rank nothing. They count the changes of the catalogue that reach a text ([`SearchIndex::search_revision`]), so
//! that hosts which keep the catalogue in memory know when they must look again, and at which tables
//! ([`SearchIndex::search_changes`]).

use std::sync::Arc;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::digest::Digest;
use datanode_core::search::Searched;

use crate::{StoreError, Table};

/// What clients of the compatible API call a table, where that is something else than its contract says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublishedNames {
    /// In the place of its identifier.
    pub identifier: Option<String>,
    /// In the place of its namespace.
    pub namespace: Option<String>,
    /// Its schema, where it is not the usual one.
    pub schema: Option<String>,
}

/// A component that writes a table, as the release that would run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableWriter {
    /// Its name.
    pub component: String,
    /// Of its bytes.
    pub digest: Digest,
    /// What its manifest says. One text for all tables that it writes, and so are its docs.
    pub description: Arc<str>,
    /// What its author has documented; None: nobody has looked into its bytes yet.
    pub docs: Option<Arc<str>>,
}

/// A table with everything that its text is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchedTable {
    /// The table.
    pub table: Arc<Table>,
    /// What clients call it.
    pub published: Arc<PublishedNames>,
    /// The components that write it, by name and digest.
    pub writers: Arc<[TableWriter]>,
}

impl Searched for SearchedTable {
    fn uid(&self) -> &str {
        &self.table.uid
    }

    fn contract(&self) -> &Contract {
        &self.table.contract
    }

    fn published_identifier(&self) -> Option<&str> {
        self.published.identifier.as_deref()
    }
}

/// What has changed of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchChanges {
    /// Up to here.
    pub revision: i64,
    /// Whether these are all tables, and those that are not among them are gone.
    pub all: bool,
    /// Tables as they are at that revision.
    pub tables: Vec<SearchedTable>,
    /// Uids of tables that are not there any more.
    pub gone: Vec<String>,
}

/// A vector that was computed before.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredVector {
    /// Of which table.
    pub table_uid: String,
    /// Of the text that it was made of.
    pub text_digest: Digest,
    /// The vector.
    pub vector: Vec<f32>,
}

/// A vector that is to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchEntry {
    /// Of which table.
    pub table_uid: String,
    /// The text that it was made of.
    pub text: String,
    /// Its digest.
    pub text_digest: Digest,
    /// The vector.
    pub vector: Vec<f32>,
    /// When it was made.
    pub computed_at: Timestamp,
}

/// What searches need of a database.
#[async_trait]
pub trait SearchIndex {
    /// How often anything has changed that a text is made of. Of two answers the later one is not smaller, and when nothing
    /// has changed between them they are equal; but for a database that was restored.
    async fn search_revision(&self) -> Result<i64, StoreError>;

    /// What has changed since a revision; all tables for None, and for a revision that this database has never had.
    async fn search_changes(&self, since: Option<i64>) -> Result<SearchChanges, StoreError>;

    /// Vectors that a model has made: of these tables, or of all.
    async fn search_vectors(
        &self,
        model: &Digest,
        table_uids: Option<&[String]>,
    ) -> Result<Vec<StoredVector>, StoreError>;

    /// Keep vectors of a model, in the place of those that there are of the same tables. Those of tables that have gone
    /// meanwhile are left out.
    async fn put_search_entries(&self, model: &Digest, entries: &[SearchEntry]) -> Result<(), StoreError>;

    /// Keep what a component's author has documented. The same again changes nothing; a component that is not there (any
    /// more) has none.
    async fn put_component_docs(&self, component: &Digest, docs: &str) -> Result<(), StoreError>;
}
