//! The host: a store, a sandbox, and the operations on them that need both.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use datanode_core::component::ComponentClass;
use datanode_core::contract::Contract;
use datanode_core::digest::Digest;
use datanode_sandbox::imports::{self, Admitted};
use datanode_sandbox::{Component, Sandbox};
use datanode_store::{NewComponent, Registered, RegisteredTable, Source, SourceKind, Store, StoredComponent};
use semver::Version;
use serde::Serialize;

use crate::declared::Declared;
use crate::run::DEFAULT_RETRIES;
use crate::{JournalSettings, LeaseSettings, RuntimeError, SpillSettings, clock};

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
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Answer to an upload.
#[derive(Debug, Clone, Serialize)]
pub struct Uploaded {
    /// The component as the catalogue has it.
    pub component: StoredComponent,
    /// False when the same bytes were there already.
    pub created: bool,
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
        }
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

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Admit a component: judge its imports from the bytes, compile it, ask it twice what it is, and only then keep
    /// it. `label` names it in errors until its name is known (its file name, say). A release that would give nodes
    /// another identity is refused unless that is accepted.
    pub async fn upload(
        &self,
        label: &str,
        bytes: Vec<u8>,
        accept_new_identity: bool,
    ) -> Result<Uploaded, RuntimeError> {
        let digest = Digest::of(&bytes);
        let (sandbox, label, most) = (self.sandbox.clone(), label.to_owned(), self.admits);
        let (bytes, admitted, manifest) = tokio::task::spawn_blocking(move || {
            let admitted = imports::check(&bytes, most)?;
            let component = sandbox.prepare(&label, &bytes, most)?;
            let manifest = sandbox.manifest(&component)?;
            Ok::<_, RuntimeError>((bytes, admitted, manifest))
        })
        .await
        .map_err(|_| RuntimeError::Panicked("checking a component"))??;
        if !accept_new_identity {
            self.refuse_new_identity(&manifest).await?;
        }
        let Admitted { imports, class } = admitted;
        let new = NewComponent { manifest, imports, class, digest, bytes, uploaded_at: clock::now() };
        let Registered { value, created } = self.store.add_component(new).await?;
        Ok(Uploaded { component: value, created })
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

    /// Add a source that leads to a directory.
    pub async fn add_file_source(&self, name: &str, path: &Path) -> Result<Registered<Source>, RuntimeError> {
        datanode_core::name::check_name("source name", name)?;
        let problem = |problem: String| RuntimeError::SourcePath {
            name: name.to_owned(),
            path: path.display().to_string(),
            problem,
        };
        let path = path.canonicalize().map_err(|error| problem(error.to_string()))?;
        if !path.is_dir() {
            return Err(problem("not a directory".to_owned()));
        }
        Ok(self.store.add_source(name, SourceKind::File { path }, clock::now()).await?)
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
