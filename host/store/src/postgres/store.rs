//! The trait: each method in one transaction.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::access::Actor;
use datanode_core::contract::{Contract, MetadataEdit};
use datanode_core::digest::Digest;
use datanode_core::ledger::Ledger;
use datanode_core::run::RunRecord;
use semver::Version;

use super::snapshot::PostgresSnapshot;
use super::stored::failed;
use super::{
    PostgresStore, audit, commit, components, foreign_keys, journals, lease, ledger, load, nodes, repoint,
    runs, secrets, sources, tables, tail_delete, write,
};
use crate::catalogue::audit as entries;
use crate::catalogue::tables::refuse_changed;
use crate::fault::{self, Step};
use crate::places::Places;
use crate::store::tables_to_plan;
use crate::{
    ClaimLease, CommitOutcome, CommitRun, DeleteAfter, Deleted, Journals, Lease, Leases, Ledgers, LoadRows,
    Loaded, NewComponent, NewNode, Node, NodeChange, NodeFilter, NodeSet, Planning, ProgressDifference,
    ReadOnlySql, ReaderError, Referrer, Registered, RegisteredTable, Rehearsal, Rehearsed, Repointed,
    RunFilter, RunJournal, Scratch, SecretPlace, Secrets, Snapshot, Source, SourceKind, Store, StoreError,
    StoredComponent, StoredSecret, Table, TableDifference, TailDeletes,
};

/// Look something up in a transaction that sees one state of the database.
macro_rules! read {
    ($store:expr, |$connection:ident| $work:expr) => {{
        let mut transaction = $store.pools.begin_read().await?;
        let $connection = &mut *transaction;
        $work.await
    }};
}

/// Change something in a transaction that is begun by `$begin`. Where the work fails, or its future is dropped, it is
/// rolled back.
macro_rules! write {
    ($store:expr, $begin:ident, $doing:expr, |$connection:ident| $work:expr) => {{
        let mut transaction = $store.pools.$begin().await?;
        let answer = {
            let $connection = &mut *transaction;
            $work.await?
        };
        transaction.commit().await.map_err(failed($doing))?;
        Ok(answer)
    }};
}

/// The same, and write down in the same transaction what was done and by whom. Where `$told` says nothing, nothing was
/// changed.
macro_rules! told {
    ($store:expr, $begin:ident, $doing:expr, |$connection:ident| $work:expr, |$answer:pat_param| $told:expr) => {{
        let mut transaction = $store.pools.$begin().await?;
        let answer = {
            let $connection = &mut *transaction;
            $work.await?
        };
        let told: Option<$crate::NewAudit> = {
            let $answer = &answer;
            $told
        };
        if let Some(entry) = told {
            $crate::postgres::audit::record(&mut transaction, &$store.actor, &entry).await?;
        }
        transaction.commit().await.map_err($crate::postgres::stored::failed($doing))?;
        Ok(answer)
    }};
}
pub(super) use told;

#[async_trait]
impl Store for PostgresStore {
    fn acting(&self, actor: Actor) -> Arc<dyn Store> {
        Arc::new(Self { actor: Arc::new(actor), ..self.clone() })
    }

    async fn add_component(
        &self,
        component: NewComponent,
    ) -> Result<Registered<StoredComponent>, StoreError> {
        let added: Result<_, StoreError> = told!(
            self,
            begin_catalogue,
            "storing a component",
            |connection| components::add(connection, &component),
            |(component, added)| entries::component_added(*added, &component.value)
        );
        added.map(|(component, _)| component)
    }

    async fn components(&self) -> Result<Vec<StoredComponent>, StoreError> {
        read!(self, |connection| components::all(connection))
    }

    async fn component(&self, name: &str, version: Option<&Version>) -> Result<StoredComponent, StoreError> {
        read!(self, |connection| components::by_name(connection, name, version))
    }

    async fn component_by_digest(&self, digest: &Digest) -> Result<StoredComponent, StoreError> {
        read!(self, |connection| components::by_digest(connection, digest))
    }

    async fn component_bytes(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        read!(self, |connection| components::bytes(connection, digest))
    }

    async fn enable_component(
        &self,
        name: &str,
        version: Option<&Version>,
        enabled: bool,
    ) -> Result<StoredComponent, StoreError> {
        let enabled: Result<_, StoreError> = told!(
            self,
            begin_catalogue,
            "changing a component",
            |connection| components::enable(connection, name, version, enabled),
            |(component, changed)| entries::component_enabled(*changed, component)
        );
        enabled.map(|(component, _)| component)
    }

    async fn remove_component(
        &self,
        name: &str,
        version: Option<&Version>,
        recorded: bool,
    ) -> Result<StoredComponent, StoreError> {
        told!(
            self,
            begin_catalogue,
            "removing a component",
            |connection| components::remove(connection, name, version, recorded),
            |component| entries::component_removed(component, recorded)
        )
    }

    async fn register_table(
        &self,
        contract: &Contract,
        now: Timestamp,
    ) -> Result<RegisteredTable, StoreError> {
        write!(self, begin_catalogue, "registering a table", |connection| tables::register(
            connection,
            &self.actor,
            contract,
            now
        ))
    }

    async fn register_as_judged(
        &self,
        contract: &Contract,
        held: Option<&Table>,
        now: Timestamp,
    ) -> Result<RegisteredTable, StoreError> {
        write!(self, begin_catalogue, "registering a table", |connection| async {
            let found = tables::holding(connection, &contract.identifier).await?;
            refuse_changed(&contract.identifier, held, found.as_ref())?;
            tables::register(connection, &self.actor, contract, now).await
        })
    }

    async fn table_difference(&self, contract: &Contract) -> Result<TableDifference, StoreError> {
        read!(self, |connection| tables::difference(connection, contract))
    }

    async fn edit_table(&self, reference: &str, edit: &MetadataEdit) -> Result<RegisteredTable, StoreError> {
        told!(
            self,
            begin_catalogue,
            "changing the metadata of a table",
            |connection| tables::edit(connection, reference, edit),
            |edited| entries::table_described(edited)
        )
    }

    async fn repoint(
        &self,
        identifier: &str,
        table: &str,
        former: Option<&str>,
    ) -> Result<Repointed, StoreError> {
        write!(self, begin_catalogue, "moving an identifier", |connection| repoint::repoint(
            connection,
            &self.actor,
            identifier,
            table,
            former
        ))
    }

    async fn repoint_as_judged(
        &self,
        identifier: &str,
        table: &str,
        former: Option<&str>,
        meant: &Table,
        holder: Option<&Table>,
    ) -> Result<Repointed, StoreError> {
        write!(self, begin_catalogue, "moving an identifier", |connection| async {
            let is_meant = tables::by_reference(connection, table).await?;
            refuse_changed(table, Some(meant), Some(&is_meant))?;
            let holds = tables::holding(connection, identifier).await?;
            refuse_changed(identifier, holder, holds.as_ref())?;
            repoint::repoint(connection, &self.actor, identifier, table, former).await
        })
    }

    async fn referrers(&self, table_uid: &str) -> Result<Vec<Referrer>, StoreError> {
        read!(self, |connection| foreign_keys::referrers(connection, table_uid))
    }

    async fn load_rows(&self, load: LoadRows) -> Result<Loaded, StoreError> {
        let (actor, replace) = (Arc::clone(&self.actor), load.replace);
        write::write(&self.pools.connections, "loading rows", move |connection, caller| {
            Box::pin(async move {
                let loaded = load::load(connection, load, caller).await?;
                if let Some(entry) = entries::table_loaded(&loaded, replace) {
                    audit::record(connection, &actor, &entry).await?;
                }
                Ok(loaded)
            })
        })
        .await
    }

    async fn tables(&self) -> Result<Vec<Table>, StoreError> {
        read!(self, |connection| tables::all(connection))
    }

    async fn table(&self, reference: &str) -> Result<Table, StoreError> {
        read!(self, |connection| tables::by_reference(connection, reference))
    }

    async fn add_source(
        &self,
        name: &str,
        kind: SourceKind,
        now: Timestamp,
    ) -> Result<Registered<Source>, StoreError> {
        told!(
            self,
            begin_catalogue,
            "storing a source",
            |connection| sources::add(connection, name, kind, now),
            |source| entries::source_set(
                "source.add",
                source.created,
                &source.value.name,
                &source.value.kind
            )
        )
    }

    async fn replace_source(&self, name: &str, kind: SourceKind) -> Result<Source, StoreError> {
        let replaced: Result<_, StoreError> = told!(
            self,
            begin_catalogue,
            "changing a source",
            |connection| sources::replace(connection, name, kind, None),
            |(source, changed)| entries::source_set("source.change", *changed, &source.name, &source.kind)
        );
        replaced.map(|(source, _)| source)
    }

    async fn change_source(&self, seen: &Source, kind: SourceKind) -> Result<Source, StoreError> {
        let replaced: Result<_, StoreError> = told!(
            self,
            begin_catalogue,
            "changing a source",
            |connection| sources::replace(connection, &seen.name, kind, Some(seen)),
            |(source, changed)| entries::source_set("source.change", *changed, &source.name, &source.kind)
        );
        replaced.map(|(source, _)| source)
    }

    async fn remove_source(&self, name: &str) -> Result<Source, StoreError> {
        told!(
            self,
            begin_catalogue,
            "removing a source",
            |connection| sources::remove(connection, name),
            |source| entries::source_removed(&source.name)
        )
    }

    async fn grant_source(&self, source: &str, component: &str, now: Timestamp) -> Result<(), StoreError> {
        let granted: Result<bool, StoreError> = told!(
            self,
            begin_catalogue,
            "granting a source",
            |connection| sources::grant(connection, source, component, now),
            |changed| entries::source_granted("source.grant", *changed, source, component)
        );
        granted.map(|_| ())
    }

    async fn revoke_source(&self, source: &str, component: &str) -> Result<(), StoreError> {
        told!(
            self,
            begin_catalogue,
            "revoking a source",
            |connection| sources::revoke(connection, source, component),
            |()| entries::source_granted("source.revoke", true, source, component)
        )
    }

    async fn sources(&self) -> Result<Vec<Source>, StoreError> {
        read!(self, |connection| sources::all(connection))
    }

    async fn source(&self, name: &str) -> Result<Source, StoreError> {
        read!(self, |connection| sources::by_name(connection, name))
    }

    async fn take_source_turn(
        &self,
        name: &str,
        step: Duration,
        patience: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        sources::take_turn(&mut *self.pools.leases().await?, name, step, patience).await
    }

    async fn ensure_node(&self, node: NewNode) -> Result<Registered<Node>, StoreError> {
        let ensured: Result<_, StoreError> = told!(
            self,
            begin_catalogue,
            "storing a node",
            |connection| nodes::ensure(connection, node),
            |(node, ensured)| entries::node_ensured(*ensured, &node.value)
        );
        ensured.map(|(node, _)| node)
    }

    async fn unpin_node(&self, reference: &str) -> Result<Node, StoreError> {
        let unpinned: Result<_, StoreError> = told!(
            self,
            begin_catalogue,
            "unpinning a node",
            |connection| nodes::unpin(connection, reference),
            |(node, changed)| entries::node_unpinned(*changed, node)
        );
        unpinned.map(|(node, _)| node)
    }

    async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        read!(self, |connection| nodes::all(connection))
    }

    async fn node(&self, reference: &str) -> Result<Node, StoreError> {
        read!(self, |connection| nodes::by_reference(connection, reference))
    }

    async fn planning(&self, reference: &str) -> Result<Planning, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        let connection = &mut *transaction;
        let node = nodes::by_reference(connection, reference).await?;
        let release = match &node.pinned_digest {
            Some(digest) => components::by_digest(connection, digest).await?,
            None => components::by_name(connection, &node.component, None).await?,
        };
        let uids = tables_to_plan(&node);
        let tables = tables::called(connection, &uids).await?;
        let writing = NodeFilter { table_uids: Some(uids), ..NodeFilter::default() };
        let nodes = nodes::some(connection, &writing).await?;
        Ok(Planning { node, release, tables, nodes })
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let place = Places::place(self.reads.as_ref()).await?;
        Ok(Box::new(PostgresSnapshot::begin(&self.pools.snapshots, &self.pools.connections, place).await?))
    }

    fn for_readers(&self) -> Arc<dyn Store> {
        Arc::new(Self { reads: Some(self.pools.places.clone()), ..self.clone() })
    }

    async fn scratch(&self, directory: &Path) -> Result<Box<dyn Scratch>, StoreError> {
        self.copy_into(directory).await
    }

    async fn commit_run(&self, commit: CommitRun) -> Result<CommitOutcome, StoreError> {
        let outcome = write::write(&self.pools.connections, "committing a run", |connection, caller| {
            Box::pin(commit::commit(connection, commit, None, caller))
        })
        .await?;
        fault::reached(Step::Committed);
        Ok(outcome)
    }

    async fn rehearse(&self, rehearsal: Rehearsal) -> Result<Rehearsed, StoreError> {
        write::write(&self.pools.connections, "rehearsing a commit", |connection, caller| {
            Box::pin(commit::rehearse(connection, rehearsal, caller))
        })
        .await
    }

    async fn record_run(
        &self,
        record: &RunRecord,
        journal: Option<&RunJournal>,
    ) -> Result<RunRecord, StoreError> {
        write!(self, begin, "storing a run", |connection| runs::end(connection, record, journal, false))
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRecord>, StoreError> {
        read!(self, |connection| runs::list(connection, filter))
    }

    async fn run(&self, reference: &str) -> Result<RunRecord, StoreError> {
        read!(self, |connection| runs::by_reference(connection, reference))
    }

    fn read_only_sql(&self) -> Result<&dyn ReadOnlySql, StoreError> {
        if self.reader.is_some() { Ok(self) } else { Err(ReaderError::Missing.into()) }
    }
}

#[async_trait]
impl Journals for PostgresStore {
    async fn run_journal(&self, run_id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        read!(self, |connection| journals::document(connection, run_id))
    }

    async fn remove_journals(&self, before: Timestamp, only_look: bool) -> Result<u64, StoreError> {
        if only_look {
            return read!(self, |connection| journals::count(connection, before));
        }
        told!(
            self,
            begin,
            "removing journals",
            |connection| journals::remove(connection, before),
            |removed| entries::journals_removed(*removed)
        )
    }

    async fn journal_contents(&self, since: Option<Timestamp>) -> Result<HashSet<Digest>, StoreError> {
        read!(self, |connection| journals::contents(connection, since))
    }
}

#[async_trait]
impl Secrets for PostgresStore {
    async fn set_secret(&self, name: &str, place: &SecretPlace, now: Timestamp) -> Result<(), StoreError> {
        told!(
            self,
            begin_catalogue,
            "storing a secret",
            |connection| secrets::set(connection, name, place, now),
            |()| entries::secret_set(name, place)
        )
    }

    async fn secrets(&self) -> Result<Vec<StoredSecret>, StoreError> {
        read!(self, |connection| secrets::all(connection))
    }

    async fn remove_secret(&self, name: &str) -> Result<(), StoreError> {
        told!(
            self,
            begin_catalogue,
            "removing a secret",
            |connection| secrets::remove(connection, name),
            |()| entries::secret_removed(name)
        )
    }
}

#[async_trait]
impl Leases for PostgresStore {
    async fn claim_lease(&self, asked: &ClaimLease) -> Result<Lease, StoreError> {
        let lease = lease::claim_node(&self.pools, asked, false).await?;
        fault::reached(Step::LeaseClaimed);
        Ok(lease)
    }

    async fn extend_lease(&self, held: &Lease, duration: Duration) -> Result<Lease, StoreError> {
        lease::beat(&mut *self.pools.leases().await?, held, duration).await
    }

    async fn release_lease(&self, held: &Lease) -> Result<(), StoreError> {
        lease::release(&mut *self.pools.leases().await?, held).await
    }

    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        read!(self, |connection| lease::all(connection))
    }
}

#[async_trait]
impl Ledgers for PostgresStore {
    async fn node_windows(&self, node_uid: &str) -> Result<Ledger, StoreError> {
        read!(self, |connection| ledger::read(connection, node_uid))
    }

    async fn change_node(&self, node_uid: &str, change: &NodeChange) -> Result<NodeSet, StoreError> {
        write!(self, begin_catalogue, "changing the settings of a node", |connection| ledger::change(
            connection,
            &self.actor,
            node_uid,
            change
        ))
    }
}

#[async_trait]
impl TailDeletes for PostgresStore {
    async fn delete_after(&self, delete: &DeleteAfter) -> Result<Deleted, StoreError> {
        told!(
            self,
            begin,
            "deleting the tail of a table",
            |connection| tail_delete::delete_after(connection, delete),
            |deleted| entries::tail_deleted(delete, deleted)
        )
    }

    async fn verify_progress(&self, table_uid: &str) -> Result<Vec<ProgressDifference>, StoreError> {
        read!(self, |connection| tail_delete::verify_progress(connection, table_uid))
    }
}
