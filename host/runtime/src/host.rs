//! The host: a store, a sandbox, and the operations on them that need both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datanode_core::access::Actor;
use datanode_core::component::ComponentClass;
use datanode_core::contract::Contract;
use datanode_core::digest::Digest;
use datanode_embedding::Embedder;
use datanode_sandbox::{Component, Sandbox};
use datanode_store::{RegisteredTable, Store, StoreError, StoredComponent, Table};
use semver::Version;

use crate::declared::Declared;
use crate::run::DEFAULT_RETRIES;
use crate::search::SearchCache;
use crate::source::{Outside, Resolver};
use crate::{JournalSettings, LeaseSettings, RuntimeError, SecretKeys, SpillSettings, TrustedKeys, clock};

/// Which tables somebody sees.
pub type Seen = Arc<dyn Fn(&Table) -> bool + Send + Sync>;

/// A host process over one store.
#[derive(Clone)]
pub struct Host {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sandbox: Sandbox,
    pub(crate) spill: SpillSettings,
    pub(crate) leases: LeaseSettings,
    /// How often a run is made again whose commit was refused because others had written its table.
    pub(crate) retries: u32,
    pub(crate) journals: JournalSettings,
    /// The class of components up to which uploads are admitted.
    pub(crate) admits: ComponentClass,
    /// Components compiled by this process.
    pub(crate) prepared: Arc<Mutex<HashMap<Digest, Component>>>,
    /// What components have declared to this process.
    pub(crate) declared: Arc<Declared>,
    /// What seals secrets.
    pub(crate) secret_keys: SecretKeys,
    /// Whose signatures of components count.
    pub(crate) trusted: TrustedKeys,
    /// The way to sources that are asked by HTTP.
    pub(crate) outside: Arc<Outside>,
    /// What makes vectors of texts.
    pub(crate) embedder: Arc<dyn Embedder>,
    /// The catalogue as searches see it.
    pub(crate) search: Arc<SearchCache>,
    /// Whoever asks sees these tables alone; None: all of them.
    pub(crate) seen: Option<Seen>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Host {
    /// A host over a store and a sandbox.
    pub fn new(store: Arc<dyn Store>, sandbox: Sandbox) -> Self {
        Self {
            store,
            sandbox,
            spill: SpillSettings::default(),
            leases: LeaseSettings::default(),
            journals: JournalSettings::default(),
            admits: ComponentClass::Pure,
            prepared: Arc::default(),
            retries: DEFAULT_RETRIES,
            declared: Arc::default(),
            secret_keys: SecretKeys::default(),
            trusted: TrustedKeys::default(),
            outside: Arc::default(),
            embedder: datanode_embedding::built_in(),
            search: Arc::default(),
            seen: None,
        }
    }

    /// The key that seals secrets.
    #[must_use]
    pub fn with_secret_keys(self, secret_keys: SecretKeys) -> Self {
        Self { secret_keys, ..self }
    }

    /// Whose signatures of components count, and whether each needs one.
    #[must_use]
    pub fn with_trusted_keys(self, trusted: TrustedKeys) -> Self {
        Self { trusted, ..self }
    }

    /// What resolves the names of hosts, in the place of the machine.
    #[must_use]
    pub fn with_resolver(self, resolver: Arc<dyn Resolver>) -> Self {
        Self { outside: Arc::new(Outside::resolving_by(resolver)), ..self }
    }

    /// The model that makes vectors for searches, in the place of the one that is built in.
    #[must_use]
    pub fn with_embedder(self, embedder: Arc<dyn Embedder>) -> Self {
        Self { embedder, search: Arc::default(), ..self }
    }

    /// Where, and from how many bytes on, the output of a run waits on disk for its commit.
    #[must_use]
    pub fn with_spill(self, spill: SpillSettings) -> Self {
        Self { spill, ..self }
    }

    /// For how long, and under which name, runs hold their nodes.
    #[must_use]
    pub fn with_leases(self, leases: LeaseSettings) -> Self {
        Self { leases, ..self }
    }

    /// What is kept of that which guests are given, and where.
    #[must_use]
    pub fn with_journals(self, journals: JournalSettings) -> Self {
        Self { journals, ..self }
    }

    /// How often a run is made again whose commit was refused because others had written its table, unless its node is set
    /// otherwise.
    #[must_use]
    pub fn with_retries(self, retries: u32) -> Self {
        Self { retries, ..self }
    }

    /// Admit components of this class too when they are uploaded: the operator's decision.
    #[must_use]
    pub fn admitting(self, admits: ComponentClass) -> Self {
        Self { admits, ..self }
    }

    /// The same host, whose changes are those of somebody: see [`Store::acting`]. Cheap: both have the same sandbox,
    /// connections and caches.
    #[must_use]
    pub fn acting(&self, actor: Actor) -> Self {
        Self { store: self.store.acting(actor), ..self.clone() }
    }

    /// The same host for a question of somebody who does not see all tables: the others are not there where a config or a
    /// request names one, and the answer is that to a name which nothing has.
    #[must_use]
    pub fn seeing(&self, seen: Seen) -> Self {
        Self { seen: Some(seen), ..self.clone() }
    }

    /// Those of these identifiers or uids that there are.
    pub(crate) async fn seen_tables_called(&self, references: &[String]) -> Result<Vec<Table>, StoreError> {
        let mut tables = self.store.tables_called(references).await?;
        if let Some(seen) = &self.seen {
            tables.retain(|table| seen(table));
        }
        Ok(tables)
    }

    /// One of them, by identifier or uid.
    pub(crate) async fn seen_table(&self, reference: &str) -> Result<Table, StoreError> {
        let table = self.store.table(reference).await?;
        if self.seen.as_ref().is_none_or(|seen| seen(&table)) {
            return Ok(table);
        }
        Err(StoreError::NotFound { kind: "table", reference: reference.to_owned() })
    }

    /// The same host for those who only read: see [`Store::for_readers`]. Nothing is run by it.
    #[must_use]
    pub fn for_readers(&self) -> Self {
        Self { store: self.store.for_readers(), ..self.clone() }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Remove a release, by the rules of [`Store::remove_component`], and with it what this host has compiled from it.
    pub async fn remove_component(
        &self,
        name: &str,
        version: Option<&Version>,
        recorded: bool,
    ) -> Result<StoredComponent, RuntimeError> {
        let removed = self.store.remove_component(name, version, recorded).await?;
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).remove(&removed.digest);
        self.sandbox.forget(&removed.digest);
        Ok(removed)
    }

    /// Register a table from its contract, or take over new metadata for one that is there.
    pub async fn register_table(&self, contract: &Contract) -> Result<RegisteredTable, RuntimeError> {
        Ok(self.store.register_table(contract, clock::now()).await?)
    }

    /// Let a component read a source. The component need not be uploaded yet: grants are by name.
    pub async fn grant_source(&self, source: &str, component: &str) -> Result<(), RuntimeError> {
        datanode_core::name::check_name("component name", component)?;
        Ok(self.store.grant_source(source, component, clock::now()).await?)
    }

    /// The release of a component that runs: the pinned bytes, or the highest enabled version.
    pub(crate) async fn release(
        &self,
        name: &str,
        pinned: Option<&Digest>,
    ) -> Result<StoredComponent, RuntimeError> {
        Ok(match pinned {
            Some(digest) => self.store.component_by_digest(digest).await?,
            None => self.store.component(name, None).await?,
        })
    }

    /// The compiled form of a component, compiled once per process.
    pub(crate) async fn prepare(&self, release: &StoredComponent) -> Result<Component, RuntimeError> {
        self.trusted.allow(
            &format!("component {} {}", release.manifest.name, release.manifest.version),
            &release.digest,
            release.provenance.signed.as_ref(),
        )?;
        let cached = || self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = cached().get(&release.digest) {
            return Ok(component.clone());
        }
        let (sandbox, name, digest) = (self.sandbox.clone(), release.manifest.name.clone(), release.digest);
        let panicked = |_| RuntimeError::Panicked("compiling a component");
        let from_cache = tokio::task::spawn_blocking(move || sandbox.cached(&name, &digest));
        let component = if let Some(component) = from_cache.await.map_err(panicked)? {
            component
        } else {
            let bytes = self.store.component_bytes(&release.digest).await?;
            let (sandbox, name, class) = (self.sandbox.clone(), release.manifest.name.clone(), release.class);
            tokio::task::spawn_blocking(move || sandbox.prepare(&name, &bytes, class))
                .await
                .map_err(panicked)??
        };
        cached().insert(release.digest, component.clone());
        Ok(component)
    }
}
