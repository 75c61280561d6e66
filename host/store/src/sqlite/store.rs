//! The trait: each method in one transaction, on a thread that may block.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::access::Actor;
use datanode_core::contract::{Contract, MetadataEdit};
use datanode_core::digest::Digest;
use datanode_core::run::RunRecord;
use rusqlite::Connection;
use semver::Version;

use super::connection::Durability;
use super::snapshot::SqliteSnapshot;
use super::{
    SqliteStore, audit, commit, components, connection, foreign_keys, load, nodes, repoint, runs, sources,
    tables,
};
use crate::catalogue::audit as entries;
use crate::catalogue::tables::refuse_changed;
use crate::fault::{self, Step};
use crate::places::Places;
use crate::scratch::WholeCopy;
use crate::store::tables_to_plan;
use crate::{
    CommitOutcome, CommitRun, LoadRows, Loaded, NewAudit, NewComponent, NewNode, Node, NodeFilter, Opened,
    Planning, ReadOnlySql, Referrer, Registered, RegisteredTable, Rehearsal, Rehearsed, Repointed, RunFilter,
    RunJournal, Scratch, Snapshot, Source, SourceKind, Store, StoreError, StoredComponent, Table,
    TableDifference,
};

impl SqliteStore {
    pub(super) async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        connection::read(&self.pools.readers, doing, work).await
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        connection::write(&self.pools.writer, doing, Durability::Full, work).await
    }

    /// Change the catalogue, and write down in the same transaction what was done and by whom. Where `told` says nothing,
    /// nothing was changed.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        told: impl FnOnce(&T) -> Option<NewAudit> + Send + 'static,
    ) -> Result<T, StoreError> {
        let work = self.told(work, told);
        self.write(doing, work).await
    }

    /// Work that ends with its entry in the audit log.
    pub(super) fn told<T, W, E>(
        &self,
        work: W,
        told: E,
    ) -> impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static + use<T, W, E>
    where
        T: 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        E: FnOnce(&T) -> Option<NewAudit> + Send + 'static,
    {
        let actor = Arc::clone(&self.actor);
        move |connection: &Connection| {
            let answer = work(connection)?;
            if let Some(entry) = told(&answer) {
                audit::record(connection, &actor, &entry)?;
            }
            Ok(answer)
        }
    }

    /// A write for whose answer nobody waits until the disk has it.
    pub(super) async fn write_until_power_is_lost<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        connection::write(&self.pools.writer, doing, Durability::UntilPowerIsLost, work).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn acting(&self, actor: Actor) -> Arc<dyn Store> {
        Arc::new(Self { actor: Arc::new(actor), ..self.clone() })
    }

    async fn add_component(
        &self,
        component: NewComponent,
    ) -> Result<Registered<StoredComponent>, StoreError> {
        let (component, _) = self
            .change(
                "storing a component",
                move |connection| components::add(connection, &component),
                |(component, added)| entries::component_added(*added, &component.value),
            )
            .await?;
        Ok(component)
    }

    async fn components(&self) -> Result<Vec<StoredComponent>, StoreError> {
        self.read("reading components", components::all).await
    }

    async fn component(&self, name: &str, version: Option<&Version>) -> Result<StoredComponent, StoreError> {
        let (name, version) = (name.to_owned(), version.cloned());
        self.read("reading a component", move |connection| {
            components::by_name(connection, &name, version.as_ref())
        })
        .await
    }

    async fn component_by_digest(&self, digest: &Digest) -> Result<StoredComponent, StoreError> {
        let digest = *digest;
        self.read("reading a component", move |connection| components::by_digest(connection, &digest)).await
    }

    async fn component_bytes(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let digest = *digest;
        self.read("reading a component", move |connection| components::bytes(connection, &digest)).await
    }

    async fn enable_component(
        &self,
        name: &str,
        version: Option<&Version>,
        enabled: bool,
    ) -> Result<StoredComponent, StoreError> {
        let (name, version) = (name.to_owned(), version.cloned());
        let (component, _) = self
            .change(
                "changing a component",
                move |connection| components::enable(connection, &name, version.as_ref(), enabled),
                |(component, changed)| entries::component_enabled(*changed, component),
            )
            .await?;
        Ok(component)
    }

    async fn remove_component(
        &self,
        name: &str,
        version: Option<&Version>,
        recorded: bool,
    ) -> Result<StoredComponent, StoreError> {
        let (name, version) = (name.to_owned(), version.cloned());
        self.change(
            "removing a component",
            move |connection| components::remove(connection, &name, version.as_ref(), recorded),
            move |component| entries::component_removed(component, recorded),
        )
        .await
    }

    async fn register_table(
        &self,
        contract: &Contract,
        now: Timestamp,
    ) -> Result<RegisteredTable, StoreError> {
        let contract = contract.clone();
        let actor = Arc::clone(&self.actor);
        self.write("registering a table", move |connection| {
            tables::register(connection, &actor, &contract, now)
        })
        .await
    }

    async fn register_as_judged(
        &self,
        contract: &Contract,
        held: Option<&Table>,
        now: Timestamp,
    ) -> Result<RegisteredTable, StoreError> {
        let (contract, held) = (contract.clone(), held.cloned());
        let actor = Arc::clone(&self.actor);
        self.write("registering a table", move |connection| {
            let found = tables::holding(connection, &contract.identifier)?;
            refuse_changed(&contract.identifier, held.as_ref(), found.as_ref())?;
            tables::register(connection, &actor, &contract, now)
        })
        .await
    }

    async fn table_difference(&self, contract: &Contract) -> Result<TableDifference, StoreError> {
        let contract = contract.clone();
        self.read("comparing a contract", move |connection| tables::difference(connection, &contract)).await
    }

    async fn edit_table(&self, reference: &str, edit: &MetadataEdit) -> Result<RegisteredTable, StoreError> {
        let (reference, edit) = (reference.to_owned(), edit.clone());
        self.change(
            "changing the metadata of a table",
            move |connection| tables::edit(connection, &reference, &edit),
            entries::table_described,
        )
        .await
    }

    async fn repoint(
        &self,
        identifier: &str,
        table: &str,
        former: Option<&str>,
    ) -> Result<Repointed, StoreError> {
        let (identifier, table, former) =
            (identifier.to_owned(), table.to_owned(), former.map(ToOwned::to_owned));
        let actor = Arc::clone(&self.actor);
        self.write("moving an identifier", move |connection| {
            repoint::repoint(connection, &actor, &identifier, &table, former.as_deref())
        })
        .await
    }

    async fn repoint_as_judged(
        &self,
        identifier: &str,
        table: &str,
        former: Option<&str>,
        meant: &Table,
        holder: Option<&Table>,
    ) -> Result<Repointed, StoreError> {
        let (identifier, table) = (identifier.to_owned(), table.to_owned());
        let (former, meant, holder) = (former.map(ToOwned::to_owned), meant.clone(), holder.cloned());
        let actor = Arc::clone(&self.actor);
        self.write("moving an identifier", move |connection| {
            let is_meant = tables::by_reference(connection, &table)?;
            refuse_changed(&table, Some(&meant), Some(&is_meant))?;
            let holds = tables::holding(connection, &identifier)?;
            refuse_changed(&identifier, holder.as_ref(), holds.as_ref())?;
            repoint::repoint(connection, &actor, &identifier, &table, former.as_deref())
        })
        .await
    }

    async fn referrers(&self, table_uid: &str) -> Result<Vec<Referrer>, StoreError> {
        let uid = table_uid.to_owned();
        self.read("reading foreign keys", move |connection| foreign_keys::referrers(connection, &uid)).await
    }

    async fn load_rows(&self, load: LoadRows) -> Result<Loaded, StoreError> {
        let replace = load.replace;
        self.change(
            "loading rows",
            move |connection| load::load(connection, load),
            move |loaded| entries::table_loaded(loaded, replace),
        )
        .await
    }

    async fn tables(&self) -> Result<Vec<Table>, StoreError> {
        self.read("reading tables", tables::all).await
    }

    async fn table(&self, reference: &str) -> Result<Table, StoreError> {
        let reference = reference.to_owned();
        self.read("reading a table", move |connection| tables::by_reference(connection, &reference)).await
    }

    async fn add_source(
        &self,
        name: &str,
        kind: SourceKind,
        now: Timestamp,
    ) -> Result<Registered<Source>, StoreError> {
        let name = name.to_owned();
        self.change(
            "storing a source",
            move |connection| sources::add(connection, &name, kind, now),
            |source| {
                entries::source_set("source.add", source.created, &source.value.name, &source.value.kind)
            },
        )
        .await
    }

    async fn replace_source(&self, name: &str, kind: SourceKind) -> Result<Source, StoreError> {
        let name = name.to_owned();
        let (source, _) = self
            .change(
                "changing a source",
                move |connection| sources::replace(connection, &name, kind, None),
                |(source, changed)| {
                    entries::source_set("source.change", *changed, &source.name, &source.kind)
                },
            )
            .await?;
        Ok(source)
    }

    async fn change_source(&self, seen: &Source, kind: SourceKind) -> Result<Source, StoreError> {
        let seen = seen.clone();
        let (source, _) = self
            .change(
                "changing a source",
                move |connection| sources::replace(connection, &seen.name, kind, Some(&seen)),
                |(source, changed)| {
                    entries::source_set("source.change", *changed, &source.name, &source.kind)
                },
            )
            .await?;
        Ok(source)
    }

    async fn remove_source(&self, name: &str) -> Result<Source, StoreError> {
        let name = name.to_owned();
        self.change(
            "removing a source",
            move |connection| sources::remove(connection, &name),
            |source| entries::source_removed(&source.name),
        )
        .await
    }

    async fn grant_source(&self, source: &str, component: &str, now: Timestamp) -> Result<(), StoreError> {
        let (source, component) = (source.to_owned(), component.to_owned());
        let (its, whose) = (source.clone(), component.clone());
        self.change(
            "granting a source",
            move |connection| sources::grant(connection, &source, &component, now),
            move |changed| entries::source_granted("source.grant", *changed, &its, &whose),
        )
        .await
        .map(|_| ())
    }

    async fn revoke_source(&self, source: &str, component: &str) -> Result<(), StoreError> {
        let (source, component) = (source.to_owned(), component.to_owned());
        let (its, whose) = (source.clone(), component.clone());
        self.change(
            "revoking a source",
            move |connection| sources::revoke(connection, &source, &component),
            move |()| entries::source_granted("source.revoke", true, &its, &whose),
        )
        .await
    }

    async fn sources(&self) -> Result<Vec<Source>, StoreError> {
        self.read("reading sources", sources::all).await
    }

    async fn source(&self, name: &str) -> Result<Source, StoreError> {
        let name = name.to_owned();
        self.read("reading a source", move |connection| sources::by_name(connection, &name)).await
    }

    async fn take_source_turn(
        &self,
        name: &str,
        step: Duration,
        patience: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        let name = name.to_owned();
        self.write_until_power_is_lost("taking the turn of a source", move |connection| {
            sources::take_turn(connection, &name, step, patience)
        })
        .await
    }

    async fn ensure_node(&self, node: NewNode) -> Result<Registered<Node>, StoreError> {
        let (node, _) = self
            .change(
                "storing a node",
                move |connection| nodes::ensure(connection, node),
                |(node, ensured)| entries::node_ensured(*ensured, &node.value),
            )
            .await?;
        Ok(node)
    }

    async fn unpin_node(&self, reference: &str) -> Result<Node, StoreError> {
        let reference = reference.to_owned();
        let (node, _) = self
            .change(
                "unpinning a node",
                move |connection| nodes::unpin(connection, &reference),
                |(node, changed)| entries::node_unpinned(*changed, node),
            )
            .await?;
        Ok(node)
    }

    async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        self.read("reading nodes", nodes::all).await
    }

    async fn node(&self, reference: &str) -> Result<Node, StoreError> {
        let reference = reference.to_owned();
        self.read("reading a node", move |connection| nodes::by_reference(connection, &reference)).await
    }

    async fn planning(&self, reference: &str) -> Result<Planning, StoreError> {
        let reference = reference.to_owned();
        self.read("reading what a run needs", move |connection| {
            let node = nodes::by_reference(connection, &reference)?;
            let release = match &node.pinned_digest {
                Some(digest) => components::by_digest(connection, digest),
                None => components::by_name(connection, &node.component, None),
            };
            let uids = tables_to_plan(&node);
            let writing = NodeFilter { table_uids: Some(uids.clone()), ..NodeFilter::default() };
            Ok(Planning {
                release: release?,
                tables: tables::called(connection, &uids)?,
                nodes: nodes::some(connection, &writing)?,
                node,
            })
        })
        .await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let place = Places::place(self.reads.as_ref()).await?;
        Ok(Box::new(SqliteSnapshot::begin(&self.pools.snapshots, place).await?))
    }

    async fn snapshot_of(&self, table_uid: &str) -> Result<Opened, StoreError> {
        let place = Places::place(self.reads.as_ref()).await?;
        SqliteSnapshot::begin_of(&self.pools.snapshots, place, table_uid).await
    }

    fn for_readers(&self) -> Arc<dyn Store> {
        Arc::new(Self { reads: Some(self.pools.places.clone()), ..self.clone() })
    }

    async fn scratch(&self, directory: &Path) -> Result<Box<dyn Scratch>, StoreError> {
        Ok(Box::new(WholeCopy(Arc::new(self.copy_into(directory).await?))))
    }

    async fn commit_run(&self, commit: CommitRun) -> Result<CommitOutcome, StoreError> {
        let outcome = self
            .write("committing a run", move |connection| commit::commit(connection, commit, None))
            .await?;
        fault::reached(Step::Committed);
        Ok(outcome)
    }

    async fn rehearse(&self, rehearsal: Rehearsal) -> Result<Rehearsed, StoreError> {
        self.write_until_power_is_lost("rehearsing a commit", move |connection| {
            commit::rehearse(connection, rehearsal)
        })
        .await
    }

    async fn record_run(
        &self,
        record: &RunRecord,
        journal: Option<&RunJournal>,
    ) -> Result<RunRecord, StoreError> {
        let (record, journal) = (record.clone(), journal.cloned());
        self.write("storing a run", move |connection| runs::end(connection, record, journal.as_ref(), false))
            .await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRecord>, StoreError> {
        let filter = filter.clone();
        self.read("reading runs", move |connection| runs::list(connection, &filter)).await
    }

    async fn run(&self, reference: &str) -> Result<RunRecord, StoreError> {
        let reference = reference.to_owned();
        self.read("reading a run", move |connection| runs::by_reference(connection, &reference)).await
    }

    fn read_only_sql(&self) -> Result<&dyn ReadOnlySql, StoreError> {
        Ok(self)
    }
}
