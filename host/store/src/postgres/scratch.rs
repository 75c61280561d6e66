//! A copy to try things out on: an embedded database, so that nothing is written to the server and no right is needed
//! there. It has the catalogue from its beginning, and rows of a table when they are asked for: a server may hold more
//! than this machine.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datanode_core::contract::TableKind;
use datanode_core::query::ReadQuery;
use tokio::sync::Mutex;

use super::PostgresStore;
use super::snapshot::PostgresSnapshot;
use crate::scratch::Scratch;
use crate::{NewComponent, Secrets, Snapshot, SqliteStore, Store, StoreError, Table};

/// Name of the copy's file.
const FILE: &str = "scratch.db";
/// Rows that are copied in one transaction.
const ROWS: usize = 10_000;

/// The copy, and the view of the server that it is taken from.
#[derive(Debug)]
struct EmbeddedCopy {
    store: Arc<SqliteStore>,
    origin: Mutex<Origin>,
}

#[derive(Debug)]
struct Origin {
    snapshot: PostgresSnapshot,
    /// Uids of the tables of the server whose rows are not there yet.
    left: BTreeSet<String>,
}

impl PostgresStore {
    /// Copy the catalogue into a new file of a directory.
    pub(super) async fn copy_into(&self, directory: &Path) -> Result<Box<dyn Scratch>, StoreError> {
        let store = SqliteStore::open(&directory.join(FILE)).await?;
        let snapshot = PostgresSnapshot::begin(&self.pools.snapshots, &self.pools.connections, None).await?;
        for component in self.components().await? {
            let name = component.manifest.name.clone();
            let version = component.manifest.version.clone();
            let bytes = self.component_bytes(&component.digest).await?;
            let new = NewComponent {
                manifest: component.manifest,
                imports: component.imports,
                class: component.class,
                digest: component.digest,
                bytes,
                uploaded_at: component.uploaded_at,
                provenance: component.provenance,
            };
            store.add_component(new).await?;
            if !component.enabled {
                store.enable_component(&name, Some(&version), false).await?;
            }
        }
        for source in self.sources().await? {
            store.add_source(&source.name, source.kind, source.created_at).await?;
            for component in &source.granted_to {
                store.grant_source(&source.name, component, source.created_at).await?;
            }
        }
        for secret in self.secrets().await? {
            store.set_secret(&secret.name, &secret.place, secret.set_at).await?;
        }
        let tables = self.tables().await?;
        let left = tables.iter().map(|table| table.uid.clone()).collect();
        store.adopt(tables).await?;
        Ok(Box::new(EmbeddedCopy { store: Arc::new(store), origin: Mutex::new(Origin { snapshot, left }) }))
    }
}

#[async_trait]
impl Scratch for EmbeddedCopy {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    async fn bring(&self, table_uids: &[String]) -> Result<(), StoreError> {
        let mut origin = self.origin.lock().await;
        let mut open = table_uids.to_vec();
        while let Some(uid) = open.pop() {
            if origin.left.remove(&uid) {
                let table = origin.snapshot.table(&uid).await?;
                open.extend(table.contract.foreign_keys.iter().map(|key| key.references.table.clone()));
                self.copy(&mut origin.snapshot, table).await?;
            }
        }
        Ok(())
    }
}

impl EmbeddedCopy {
    async fn copy(&self, snapshot: &mut PostgresSnapshot, table: Table) -> Result<(), StoreError> {
        self.store.adopt_storage(table.clone()).await?;
        let read = snapshot.read(&table, &ReadQuery::default());
        let mut after = None;
        while let Some(page) = read.page(after.as_ref(), ROWS).await? {
            self.store.adopt_rows(&table, page.batch).await?;
            after = Some(page.last);
        }
        if table.contract.kind == TableKind::TimeIndexed {
            let progress = snapshot.progress(&table).await?;
            self.store.adopt_progress(table, progress).await?;
        }
        Ok(())
    }
}
