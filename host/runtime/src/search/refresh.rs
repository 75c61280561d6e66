//! Texts and vectors of tables, made anew where something has changed.

use std::collections::HashMap;
use std::sync::Arc;

use datanode_core::digest::Digest;
use datanode_core::search::{TableText, Writer};
use datanode_embedding::Model;
use datanode_store::{SearchEntry, SearchedTable, TableWriter};
use serde::{Deserialize, Serialize};

use super::blocking;
use super::cache::Prepared;
use crate::{Host, RuntimeError, clock};

/// Texts whose vectors are computed and kept at once: whoever searches a large catalogue first, and gives up, has not waited
/// for nothing.
const AT_ONCE: usize = 500;

/// What was made of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// Uid of the table.
    pub table_uid: String,
    /// Its identifier.
    pub identifier: String,
    /// Characters of its text.
    pub characters: usize,
    /// Columns that are part of it.
    pub columns: usize,
    /// Components that write it, and so are part of it.
    pub components: Vec<String>,
    /// How many of them have documentation.
    pub documented: usize,
    /// The model that has made its vector.
    pub model: String,
    /// How many numbers the vector has.
    pub dimension: usize,
}

/// How far searches are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchState {
    /// How many tables can be found.
    pub tables: usize,
    /// The model that has made their vectors.
    pub model: String,
    /// How many numbers a vector has.
    pub dimension: usize,
}

/// A table with its text, before it has a vector.
struct Texted {
    table: SearchedTable,
    writers: Vec<Writer>,
    passage: String,
    digest: Digest,
}

impl Texted {
    fn of(table: SearchedTable) -> Self {
        let writers: Vec<Writer> = table
            .writers
            .iter()
            .map(|writer| Writer {
                component: writer.component.clone(),
                description: writer.description.clone(),
                docs: writer.docs.clone().unwrap_or_default(),
            })
            .collect();
        let text =
            TableText::of(&table.table.contract, &writers).called(table.published.identifier.as_deref());
        let passage = text.passage();
        let digest = TableText::digest(&passage);
        Self { table, writers, passage, digest }
    }

    fn entry(&self, vector: &[f32]) -> SearchEntry {
        SearchEntry {
            table_uid: self.table.table.uid.clone(),
            text: self.passage.clone(),
            text_digest: self.digest,
            vector: vector.to_vec(),
            computed_at: clock::now(),
        }
    }

    fn prepared(self, vector: Vec<f32>) -> Prepared {
        Prepared { table: self.table, writers: self.writers, vector }
    }
}

impl Host {
    /// See to it that a search sees the catalogue as it is.
    pub(super) async fn bring_search_up_to_date(&self) -> Result<(), RuntimeError> {
        let revision = self.store.search_revision().await?;
        if self.search.revision() == Some(revision) {
            return Ok(());
        }
        let _turn = self.search.updating.lock().await;
        let known = self.search.revision();
        let changes = self.store.search_changes(known).await?;
        if known == Some(changes.revision) {
            return Ok(());
        }
        let model = self.embedding_model().await?;
        let tables = self.with_docs(changes.tables).await?;
        let uids: Vec<String> = tables.iter().map(|table| table.table.uid.clone()).collect();
        let wanted = (!changes.all).then_some(uids.as_slice());
        let mut kept: HashMap<String, (Digest, Vec<f32>)> = HashMap::new();
        for stored in self.store.search_vectors(&model.digest, wanted).await? {
            kept.insert(stored.table_uid, (stored.text_digest, stored.vector));
        }
        let texted = blocking("reading tables for searches", move || {
            Ok(tables.into_iter().map(Texted::of).collect::<Vec<_>>())
        })
        .await?;
        let (mut prepared, mut missing) = (Vec::with_capacity(texted.len()), Vec::new());
        for text in texted {
            match kept.remove(&text.table.table.uid) {
                Some((digest, vector)) if digest == text.digest && vector.len() == model.dimension => {
                    prepared.push(text.prepared(vector));
                }
                _ => missing.push(text),
            }
        }
        while !missing.is_empty() {
            let rest = missing.split_off(missing.len().min(AT_ONCE));
            let chunk = std::mem::replace(&mut missing, rest);
            prepared.extend(self.embedded(&model, chunk).await?);
        }
        let (host, revision, all, gone) = (self.clone(), changes.revision, changes.all, changes.gone);
        blocking("reading tables for searches", move || {
            host.search.apply(revision, all, prepared, &gone);
            Ok(())
        })
        .await
    }

    /// Compute vectors, and keep them.
    async fn embedded(&self, model: &Model, texts: Vec<Texted>) -> Result<Vec<Prepared>, RuntimeError> {
        let embedder = Arc::clone(&self.embedder);
        let (texts, vectors) = blocking("embedding tables", move || {
            let passages: Vec<String> = texts.iter().map(|text| text.passage.clone()).collect();
            let vectors = embedder.embed(&passages)?;
            Ok((texts, vectors))
        })
        .await?;
        let entries: Vec<SearchEntry> =
            texts.iter().zip(&vectors).map(|(text, vector)| text.entry(vector)).collect();
        self.store.put_search_entries(&model.digest, &entries).await?;
        Ok(texts.into_iter().zip(vectors).map(|(text, vector)| text.prepared(vector)).collect())
    }

    pub(super) async fn embedding_model(&self) -> Result<Model, RuntimeError> {
        let embedder = Arc::clone(&self.embedder);
        blocking("loading the embedding model", move || Ok(embedder.model()?)).await
    }

    /// Tables with the documentation of the components that write them. Where nobody has looked into the bytes of one
    /// yet, for it was uploaded before hosts did, that is done now, once for each component.
    async fn with_docs(&self, tables: Vec<SearchedTable>) -> Result<Vec<SearchedTable>, RuntimeError> {
        let mut read = HashMap::<Digest, Arc<str>>::new();
        let mut with_docs = Vec::with_capacity(tables.len());
        for table in tables {
            if table.writers.iter().all(|writer| writer.docs.is_some()) {
                with_docs.push(table);
                continue;
            }
            let mut writers: Vec<TableWriter> = table.writers.to_vec();
            for writer in &mut writers {
                if writer.docs.is_some() {
                    continue;
                }
                let known = match read.get(&writer.digest) {
                    Some(known) => Arc::clone(known),
                    None => self.read_docs(&writer.digest).await?,
                };
                read.insert(writer.digest, Arc::clone(&known));
                writer.docs = Some(known);
            }
            with_docs.push(SearchedTable { writers: writers.into(), ..table });
        }
        Ok(with_docs)
    }

    /// What a component documents, out of its bytes; kept from then on.
    async fn read_docs(&self, component: &Digest) -> Result<Arc<str>, RuntimeError> {
        let bytes = match self.store.component_bytes(component).await {
            Ok(bytes) => bytes,
            // Removed a moment ago: then it writes nothing any more.
            Err(datanode_store::StoreError::NotFound { .. }) => return Ok("".into()),
            Err(error) => return Err(error.into()),
        };
        let docs = blocking("reading what a component documents", move || Ok(datanode_sandbox::docs(&bytes)))
            .await?;
        self.store.put_component_docs(component, &docs).await?;
        Ok(docs.into())
    }

    /// See to it that the next search has nothing to compute first. Searches do this themselves; it is for hosts that start
    /// with a large catalogue.
    ///
    /// # Errors
    ///
    /// As [`Host::search_tables`].
    pub async fn refresh_search(&self) -> Result<SearchState, RuntimeError> {
        self.bring_search_up_to_date().await?;
        let model = self.embedding_model().await?;
        Ok(SearchState { tables: self.search.len(), model: model.name, dimension: model.dimension })
    }

    /// Make the text of a table anew, of its contract and of the bytes of the components that write it, and its vector. Searches
    /// see every change without it; it is for whoever doubts that, and shows what a table is found by.
    ///
    /// # Errors
    ///
    /// The store's when there is no such table, [`RuntimeError::Embedding`] when the model of this host cannot be used.
    pub async fn refresh_search_index(&self, table: &str) -> Result<Refreshed, RuntimeError> {
        let uid = self.store.table(table).await?.uid;
        self.bring_search_up_to_date().await?;
        let found = self.search.get(&uid);
        for writer in found.iter().flat_map(|found| found.writers.iter()) {
            self.read_docs(&writer.digest).await?;
        }
        // Again, for what was documented may have been read otherwise before.
        self.bring_search_up_to_date().await?;
        let Some(found) = self.search.get(&uid) else {
            // It has gone meanwhile; then the store says so.
            let gone = self.store.table(&uid).await.err();
            return Err(gone.map_or(RuntimeError::Panicked("reading what searches need"), Into::into));
        };
        let _turn = self.search.updating.lock().await;
        let model = self.embedding_model().await?;
        let text = Texted::of(found);
        let refreshed = Refreshed {
            table_uid: uid,
            identifier: text.table.table.contract.identifier.clone(),
            characters: text.passage.chars().count(),
            columns: text.table.table.contract.columns.len(),
            components: text.writers.iter().map(|writer| writer.component.clone()).collect(),
            documented: text.writers.iter().filter(|writer| !writer.docs.is_empty()).count(),
            model: model.name.clone(),
            dimension: model.dimension,
        };
        self.embedded(&model, vec![text]).await?;
        Ok(refreshed)
    }
}
