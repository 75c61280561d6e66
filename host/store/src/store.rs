//! What the host needs of a database.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::access::Actor;
use datanode_core::binding::bindings;
use datanode_core::component::{ComponentClass, Manifest};
use datanode_core::contract::{Contract, ForeignKey, MetadataEdit};
use datanode_core::coordinate::Coordinate;
use datanode_core::dependency::DependencyTarget;
use datanode_core::diagnostic::Diagnostic;
use datanode_core::difference::Change;
use datanode_core::digest::Digest;
use datanode_core::ledger::Ledger;
use datanode_core::node_settings::NodeSettings;
use datanode_core::progress::Progress;
use datanode_core::provenance::Provenance;
use datanode_core::quality::Violation;
use datanode_core::query::ReadQuery;
use datanode_core::run::{RunRecord, RunStatus};
use datanode_core::source::HttpRules;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Access, Audit, Backfills, Extent, Journals, KeyedRequests, Lease, Leases, Ledgers, Pages, Producers,
    ReadOnlySql, Registrations, Revisions, RunJournal, Scratch, SearchIndex, Secrets, StoreError,
    TailDeletes, WriteMode,
};

/// A component as it is uploaded; its bytes were checked before.
#[derive(Debug, Clone)]
pub struct NewComponent {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its imports, as in `datanode:node/frames@0.1.0`.
    pub imports: Vec<String>,
    /// What they make of it.
    pub class: ComponentClass,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// The `.wasm` file.
    pub bytes: Vec<u8>,
    /// Where it comes from.
    pub provenance: Provenance,
    /// When.
    pub uploaded_at: Timestamp,
}

/// A component of the catalogue, without its bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredComponent {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its imports.
    pub imports: Vec<String>,
    /// What they make of it.
    pub class: ComponentClass,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// Disabled releases are never chosen for a run.
    pub enabled: bool,
    /// When it was uploaded.
    pub uploaded_at: Timestamp,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// A registered table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// UUID, never reused.
    pub uid: String,
    /// Its contract.
    pub contract: Contract,
    /// Counts what changed rows other than by appending: deletes, loads, overwrites, revisions. A commit that read an
    /// older epoch is refused.
    pub epoch: i64,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Uid of the user whose table it is: who has registered it by a token. None: nobody in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// An answer that says whether something new was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registered<T> {
    /// The thing.
    pub value: T,
    /// False when the same thing was there already.
    pub created: bool,
}

/// Answer to the registration of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegisteredTable {
    /// The table as the catalogue has it now.
    pub value: Table,
    /// False when it was there already.
    pub created: bool,
    /// What was applied to a table that was there: metadata only.
    pub changes: Vec<Change>,
}

/// How a contract differs from the table that holds its identifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableDifference {
    /// The table that is held.
    pub table: Table,
    /// The contract as the catalogue would keep it: field ids given, foreign keys by uid.
    pub contract: Contract,
    /// What leads from the one to the other; empty when they mean the same.
    pub changes: Vec<Change>,
}

/// A foreign key that leads to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referrer {
    /// Uid of the table that has it.
    pub table_uid: String,
    /// Identifier of that table.
    pub table: String,
    /// The foreign key.
    pub foreign_key: ForeignKey,
}

/// How an identifier was moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repointed {
    /// The table that holds the identifier now.
    pub table: Table,
    /// What that table was called before.
    pub before: String,
    /// The table that held the identifier, under its new one.
    pub former: Option<Table>,
}

/// Rows from a file, and where each stands in it.
#[derive(Debug)]
pub struct PlacedBatch {
    /// Checked rows: columns in contract order.
    pub batch: RecordBatch,
    /// For each row its line or number, counted from 1.
    pub places: Vec<u64>,
}

/// Batches on their way from a file into a table. An error ends the load, and nothing is stored.
pub type PlacedRows = Box<dyn Iterator<Item = Result<PlacedBatch, RowsError>> + Send>;

/// Rows of a file for a reference table.
pub struct LoadRows {
    /// The table, as the rows were checked for it.
    pub table: Table,
    /// The rows.
    pub rows: PlacedRows,
    /// What a place is called: `line` or `row`.
    pub place: &'static str,
    /// Whether rows that are not in the file are deleted.
    pub replace: bool,
}

impl Debug for LoadRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadRows")
            .field("table", &self.table.uid)
            .field("replace", &self.replace)
            .finish_non_exhaustive()
    }
}

/// What a load did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// The table after it.
    pub table: Table,
    /// Rows with a key that was not there.
    pub inserted: u64,
    /// Rows whose values changed.
    pub updated: u64,
    /// Rows that were there as they are.
    pub unchanged: u64,
    /// Rows that the file does not have; only when it replaces.
    pub deleted: u64,
}

/// Where a source leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceKind {
    /// A directory of this machine; guests read files below it.
    File {
        /// Absolute path.
        path: PathBuf,
    },
    /// One file of this machine, and nothing beside it. Kept apart from directories, so that it stays one file whatever
    /// takes its place.
    OneFile {
        /// Absolute path.
        path: PathBuf,
    },
    /// A place that is asked by HTTP.
    Http(Box<HttpRules>),
}

impl std::fmt::Display for SourceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path } => write!(f, "the directory {}", path.display()),
            Self::OneFile { path } => write!(f, "the file {}", path.display()),
            Self::Http(rules) => write!(f, "{}", rules.base_url),
        }
    }
}

/// Something outside that operators let components read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Name that components declare.
    pub name: String,
    /// Where it leads.
    #[serde(flatten)]
    pub kind: SourceKind,
    /// Names of the components that may read it.
    pub granted_to: Vec<String>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// An edge of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDependency {
    /// Key under which the guest asks for it.
    pub key: String,
    /// Uid of the table that is read.
    pub table_uid: String,
    /// Uid of the node that writes it; None for a published table.
    pub node_uid: Option<String>,
    /// The dependency as the component declared it.
    pub declared: DependencyTarget,
}

/// A node as it is created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewNode {
    /// Identity of the update process.
    pub update_hash: String,
    /// Component name.
    pub component: String,
    /// A release pinned by its bytes; None: the highest enabled version.
    pub pinned_digest: Option<Digest>,
    /// Config with defaults filled in.
    pub config: Value,
    /// The canonical document that `update_hash` is the digest of.
    pub hashed_document: String,
    /// Hash namespace, empty for none.
    pub hash_namespace: String,
    /// Uid of the output table.
    pub table_uid: String,
    /// What it reads.
    pub dependencies: Vec<NodeDependency>,
    /// When.
    pub created_at: Timestamp,
}

/// A node of the catalogue. (`update_hash`, output table) is unique.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// UUID.
    pub uid: String,
    /// Identity of the update process.
    pub update_hash: String,
    /// Component name.
    pub component: String,
    /// A release pinned by its bytes.
    pub pinned_digest: Option<Digest>,
    /// Config with defaults filled in.
    pub config: Value,
    /// The canonical document that `update_hash` is the digest of.
    pub hashed_document: String,
    /// Hash namespace, empty for none.
    pub hash_namespace: String,
    /// Uid of the output table.
    pub table_uid: String,
    /// Identifier of the output table now.
    pub table: String,
    /// What it reads.
    pub dependencies: Vec<NodeDependency>,
    /// How its runs are made.
    pub settings: NodeSettings,
    /// When it was created.
    pub created_at: Timestamp,
}

/// The key of a row: where the next page of a read begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexKey {
    /// `time_index`; a row of a reference table has none.
    pub time: Option<Timestamp>,
    /// Identity dimensions; of a reference table its primary key.
    pub coordinate: Coordinate,
}

/// A piece of a read: never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Rows sorted by the key; columns as [`ReadQuery::output_columns`] says.
    pub batch: RecordBatch,
    /// Key of the last row.
    pub last: IndexKey,
}

/// Validated batches on their way into a table: columns in contract order. They may come from a disk: an error ends
/// the commit, and nothing is stored.
pub type Rows = Box<dyn Iterator<Item = Result<RecordBatch, RowsError>> + Send>;

/// Why a batch cannot be had.
pub type RowsError = Box<dyn Diagnostic + Send + Sync>;

/// Everything that one run leaves behind.
pub struct CommitRun {
    /// The right to commit, of this run: refused unless it is the latest of the node. It is given up with the commit.
    pub lease: Lease,
    /// The output table, as the run's snapshot saw it: its epoch is checked.
    pub table: Table,
    /// The record; how many rows were inserted and updated is set by the commit.
    pub record: RunRecord,
    /// What the guest was given, where it is kept.
    pub journal: Option<RunJournal>,
    /// What is done with rows that may be there already.
    pub mode: WriteMode,
    /// The rows.
    pub rows: Rows,
    /// Of each coordinate, from when to when the rows are and how many. Where they are appended, they must begin after
    /// what is there by then.
    pub added: Progress,
    /// Called after each batch, inside the transaction, with the rows written so far.
    pub on_rows: Box<dyn Fn(u64) + Send + Sync>,
}

impl Debug for CommitRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommitRun")
            .field("table", &self.table.uid)
            .field("mode", &self.mode)
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

/// Rows as a run would commit them, for a look at what would become of them.
pub struct Rehearsal {
    /// The output table, as the snapshot saw it from which the rows were computed: its epoch is checked.
    pub table: Table,
    /// What would be done with rows that may be there already.
    pub mode: WriteMode,
    /// The rows.
    pub rows: Rows,
    /// See [`CommitRun::added`].
    pub added: Progress,
}

impl Debug for Rehearsal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rehearsal")
            .field("table", &self.table.uid)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// What would become of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsed {
    /// Rows that are not there.
    pub inserted: u64,
    /// Rows that are there, and would take other values.
    pub updated: u64,
    /// Rows that are there, and would stay as they are.
    pub unchanged: u64,
    /// What checks of the contract found that only warn.
    pub warnings: Vec<Violation>,
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitOutcome {
    /// The record as it is stored: of this commit, or of the first one with the same run id.
    pub record: RunRecord,
    /// True when this run id had been committed before and nothing was written now.
    pub repeated: bool,
}

/// Which runs to list. The newest come first.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Of this node.
    pub node_uid: Option<String>,
    /// Of this output table.
    pub table_uid: Option<String>,
    /// Of one of these output tables, by uid: those that whoever asks may read. None: of any.
    pub readable: Option<Vec<String>>,
    /// With this outcome.
    pub status: Option<RunStatus>,
    /// Older than the run of this id: the next page of a list that ends with it. No such run: none are.
    pub before: Option<String>,
    /// At most so many; None: all.
    pub limit: Option<u32>,
}

/// What planning the run of a node begins with, as it was at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Planning {
    /// The node.
    pub node: Node,
    /// The release that it runs: the pinned one, or the highest enabled version.
    pub release: StoredComponent,
    /// The tables that it writes and reads, and those that its config is bound to.
    pub tables: Vec<Table>,
    /// The nodes that write one of these, by output table and `update_hash`.
    pub nodes: Vec<Node>,
}

/// The uids of the tables that planning a node begins with.
pub(crate) fn tables_to_plan(node: &Node) -> Vec<String> {
    let read = node.dependencies.iter().map(|dependency| dependency.table_uid.clone());
    let bound = bindings(&node.config, &node.hashed_document).into_iter().map(|binding| binding.uid);
    let uids: BTreeSet<String> = std::iter::once(node.table_uid.clone()).chain(read).chain(bound).collect();
    uids.into_iter().collect()
}

/// A snapshot, and what every run reads from it first.
#[derive(Debug)]
pub struct Opened {
    /// The snapshot.
    pub snapshot: Box<dyn Snapshot>,
    /// The table, as the snapshot sees it.
    pub table: Table,
    /// Its progress.
    pub progress: Progress,
}

/// One view of the database that no commit changes, for all reads of one run. Dropping it ends it.
#[async_trait]
pub trait Snapshot: Send + Debug {
    /// A table as this snapshot sees it, by uid.
    async fn table(&mut self, uid: &str) -> Result<Table, StoreError>;

    /// Progress of a table.
    async fn progress(&mut self, table: &Table) -> Result<Progress, StoreError>;

    /// The same of several tables, in their order, by one statement.
    async fn progress_of(&mut self, tables: &[Table]) -> Result<Vec<Progress>, StoreError>;

    /// What a node has done, by its uid.
    async fn node_windows(&mut self, node_uid: &str) -> Result<Ledger, StoreError>;

    /// How often commits of a backfill have raised the epoch of its table, by its uid.
    async fn backfill_raised(&mut self, backfill_uid: &str) -> Result<i64, StoreError>;

    /// How many rows a table has. Of a time-indexed table its progress knows; those of a reference table are counted.
    async fn row_count(&mut self, table: &Table) -> Result<u64, StoreError>;

    /// How much some tables hold, in their order: what their progress sums up to and [`Snapshot::row_count`] says, by as many
    /// statements however many they are (but for one more for each hundred reference tables).
    async fn extents(&mut self, tables: &[Table]) -> Result<Vec<Extent>, StoreError>;

    /// Prepare a read, so that what a long query costs is paid once and not for each page. The query must have passed
    /// [`ReadQuery::check`]; its `limit` is applied by the caller.
    fn read(&self, table: &Table, query: &ReadQuery) -> Arc<dyn TableRead>;

    /// Give the view up, once the reads that are under way have ended. Dropping does the same without waiting.
    async fn end(self: Box<Self>);
}

/// A prepared read. Its snapshot may be used beside it; reads of one snapshot take turns.
#[async_trait]
pub trait TableRead: Send + Sync + Debug {
    /// The next rows after `after`, at most `max_rows` (fewer where values are long); None when there are no more.
    /// When the future is dropped, the database soon stops looking for them.
    async fn page(&self, after: Option<&IndexKey>, max_rows: usize) -> Result<Option<Page>, StoreError>;
}

/// The catalogue and the rows of tables.
///
/// References are what users write: an identifier or uid for a table; a uid, an `update_hash`, a prefix of it that is
/// unique (at least 4 characters), or the identifier of an output table that one node alone writes (or one alone that
/// has no hash namespace), for a node; a run id or a unique prefix (at least 4 characters) for a run.
#[async_trait]
pub trait Store:
    Access
    + Audit
    + Backfills
    + Journals
    + KeyedRequests
    + Leases
    + Ledgers
    + Pages
    + Producers
    + Registrations
    + Revisions
    + SearchIndex
    + Secrets
    + TailDeletes
    + Send
    + Sync
    + Debug
{
    /// The same store, whose changes are those of somebody: the audit log says so, and tables that are registered belong to
    /// the user. A store that was just opened acts as `local`. Cheap: both use the same connections.
    fn acting(&self, actor: Actor) -> Arc<dyn Store>;

    /// Add a component. The same name, version and bytes again changes nothing, but for a signature that was not there;
    /// the same version with other bytes is refused.
    async fn add_component(&self, component: NewComponent)
    -> Result<Registered<StoredComponent>, StoreError>;

    /// All components, by name and version.
    async fn components(&self) -> Result<Vec<StoredComponent>, StoreError>;

    /// A component: the given version (disabled or not), or the highest enabled one (SemVer precedence).
    async fn component(&self, name: &str, version: Option<&Version>) -> Result<StoredComponent, StoreError>;

    /// A component by the digest of its bytes.
    async fn component_by_digest(&self, digest: &Digest) -> Result<StoredComponent, StoreError>;

    /// The bytes of a component, checked against the digest.
    async fn component_bytes(&self, digest: &Digest) -> Result<Vec<u8>, StoreError>;

    /// Let a release be chosen for runs, or not any more; nodes that are pinned to it run it in any case. Without a
    /// version the component must have one release. Again changes nothing.
    async fn enable_component(
        &self,
        name: &str,
        version: Option<&Version>,
        enabled: bool,
    ) -> Result<StoredComponent, StoreError>;

    /// Remove a release with its bytes; without a version the component must have one release. Refused while it is the
    /// one that a node runs, or, disabled, the last one that it could run; and, unless `recorded` allows it, when runs were computed by it: their records stay, but
    /// nobody could compute them again.
    async fn remove_component(
        &self,
        name: &str,
        version: Option<&Version>,
        recorded: bool,
    ) -> Result<StoredComponent, StoreError>;

    /// Register a table and create its storage, in one transaction. The same contract again changes nothing. One that
    /// differs in metadata alone (descriptions, labels, cadence) is applied, and later windows follow the cadence; any other under a taken identifier or
    /// physical name is refused.
    async fn register_table(
        &self,
        contract: &Contract,
        now: Timestamp,
    ) -> Result<RegisteredTable, StoreError>;

    /// The same for who may do so with the table that has held the identifier, or may make one where there was none: refused
    /// where another table has it by then, or the table is another ([`StoreError::Changed`]).
    async fn register_as_judged(
        &self,
        contract: &Contract,
        held: Option<&Table>,
        now: Timestamp,
    ) -> Result<RegisteredTable, StoreError>;

    /// What registering the contract would change, without changing it. Its identifier must be registered.
    async fn table_difference(&self, contract: &Contract) -> Result<TableDifference, StoreError>;

    /// Change what people read of a table, as registering new metadata does.
    async fn edit_table(&self, reference: &str, edit: &MetadataEdit) -> Result<RegisteredTable, StoreError>;

    /// Let a table take an identifier over. The table that holds it is called `former` from then on, without which it is
    /// refused; `former` may be what the other table was called. Uids, rows, nodes and hashes stay as they are.
    async fn repoint(
        &self,
        identifier: &str,
        table: &str,
        former: Option<&str>,
    ) -> Result<Repointed, StoreError>;

    /// The same for who may do so with the table that was meant, and with the one that has held the identifier: refused where
    /// others are by then ([`StoreError::Changed`]).
    async fn repoint_as_judged(
        &self,
        identifier: &str,
        table: &str,
        former: Option<&str>,
        meant: &Table,
        holder: Option<&Table>,
    ) -> Result<Repointed, StoreError>;

    /// The foreign keys that lead to a table, by its uid.
    async fn referrers(&self, table_uid: &str) -> Result<Vec<Referrer>, StoreError>;

    /// Store the rows of a file in a reference table, in one transaction: new keys are inserted, known ones updated.
    async fn load_rows(&self, load: LoadRows) -> Result<Loaded, StoreError>;

    /// All tables, by identifier, each with its progress summed up by the caller from [`Snapshot::progress`].
    async fn tables(&self) -> Result<Vec<Table>, StoreError>;

    /// A table by identifier or uid.
    async fn table(&self, reference: &str) -> Result<Table, StoreError>;

    /// Add a source. The same again changes nothing; the name with another kind or path is refused.
    async fn add_source(
        &self,
        name: &str,
        kind: SourceKind,
        now: Timestamp,
    ) -> Result<Registered<Source>, StoreError>;

    /// Let a source lead elsewhere, or by other rules; its grants stay.
    async fn replace_source(&self, name: &str, kind: SourceKind) -> Result<Source, StoreError>;

    /// The same for who has made the new rules from what they have seen: refused where the source is another by then
    /// ([`StoreError::Changed`]).
    async fn change_source(&self, seen: &Source, kind: SourceKind) -> Result<Source, StoreError>;

    /// Remove a source with its grants; answers what it was.
    async fn remove_source(&self, name: &str) -> Result<Source, StoreError>;

    /// Let a component (by name, uploaded or not yet) read a source. Again changes nothing.
    async fn grant_source(&self, source: &str, component: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Take a grant back. One that is not there is refused, so that a misspelt name is not taken for a revoked one.
    async fn revoke_source(&self, source: &str, component: &str) -> Result<(), StoreError>;

    /// All sources, by name.
    async fn sources(&self) -> Result<Vec<Source>, StoreError>;

    /// A source by name.
    async fn source(&self, name: &str) -> Result<Source, StoreError>;

    /// Take the next turn of a source that may be asked once in `step`, whoever asks: how long it is until then, by the clock
    /// of the database. None where that is longer than the patience, and no turn is taken.
    async fn take_source_turn(
        &self,
        name: &str,
        step: Duration,
        patience: Duration,
    ) -> Result<Option<Duration>, StoreError>;

    /// Find the node of the same (`update_hash`, output table) or create it. A found node takes over a pin that is
    /// given, and the dependencies of the release that runs now.
    async fn ensure_node(&self, node: NewNode) -> Result<Registered<Node>, StoreError>;

    /// Take the pin of a node back, if it has one: it runs the highest enabled version again. Answers the node as it is then.
    async fn unpin_node(&self, reference: &str) -> Result<Node, StoreError>;

    /// All nodes, by output table and `update_hash`.
    async fn nodes(&self) -> Result<Vec<Node>, StoreError>;

    /// A node by reference.
    async fn node(&self, reference: &str) -> Result<Node, StoreError>;

    /// What planning the run of a node begins with, in one question.
    async fn planning(&self, reference: &str) -> Result<Planning, StoreError>;

    /// Begin a snapshot.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError>;

    /// The same store for those who only read, such as the callers of a server, who may be many and slow: their snapshots
    /// are never all that there are at once, so that runs always have some. Cheap; all that are made so share their places.
    fn for_readers(&self) -> Arc<dyn Store>;

    /// Begin a snapshot, and read a table (by uid) and its progress from it, in one question where the database can.
    async fn snapshot_of(&self, table_uid: &str) -> Result<Opened, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let table = snapshot.table(table_uid).await?;
        let progress = snapshot.progress(&table).await?;
        Ok(Opened { snapshot, table, progress })
    }

    /// A copy in a file of this directory, for trials. The caller removes the directory when it has dropped the copy.
    async fn scratch(&self, directory: &Path) -> Result<Box<dyn Scratch>, StoreError>;

    /// Store rows, progress, the window of the node, run record and lineage, and give the lease up, in one transaction. A
    /// run id that is there answers with its first outcome before anything else is looked at. Refused when the lease is not
    /// the latest of the node ([`StoreError::LeaseLost`]), when the table was changed other than by appending since the
    /// run's snapshot ([`StoreError::TableMoved`]; rows or none, for a window may have been opened again), and when rows of
    /// a coordinate have come that rows to append do not lie behind ([`StoreError::ProgressMoved`]). Rows that do not merely
    /// append ([`WriteMode`]) raise the table's epoch, which other commits in flight check. The record of a producer's
    /// update names how many uploads its rows are of: refused when others wait beside them
    /// ([`ProducerError::MoreUploads`](datanode_core::producer::ProducerError::MoreUploads)), for they are forgotten in the
    /// same transaction, and none that was answered may be lost. When the future is dropped
    /// before the commit, nothing is stored; a panic of the rows is the caller's, and nothing is stored.
    async fn commit_run(&self, commit: CommitRun) -> Result<CommitOutcome, StoreError>;

    /// Do with rows what a commit does, let the checks of the contract judge them, and take all of it back, in one
    /// transaction: nobody sees any of it. Refused as the commit would be, but for the lease. Meanwhile others wait who want
    /// to write the table; on SQLite, anything.
    async fn rehearse(&self, rehearsal: Rehearsal) -> Result<Rehearsed, StoreError>;

    /// Store the record of a run that stores no rows (`failed`, `skipped`, `blocked`) with its journal, and give up the lease that the run
    /// may hold, in one transaction. A run id that is there keeps its first record. The window of a failed run is noted
    /// where the run still holds its node: whoever has claimed it since knows better. Answers the record that stands: after
    /// a commit whose answer was lost, that of the commit, for which this waits while it is still under way.
    async fn record_run(
        &self,
        record: &RunRecord,
        journal: Option<&RunJournal>,
    ) -> Result<RunRecord, StoreError>;

    /// Runs, newest first.
    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRecord>, StoreError>;

    /// A run by id.
    async fn run(&self, reference: &str) -> Result<RunRecord, StoreError>;

    /// SQL of users over one table.
    ///
    /// # Errors
    ///
    /// [`ReaderError::Missing`](crate::ReaderError::Missing) where the database wants a login of its own for it, and has none.
    fn read_only_sql(&self) -> Result<&dyn ReadOnlySql, StoreError>;
}
