//! The catalogue and the rows of tables, in a database.
//!
//! **One idea:** one trait, [`Store`], says what the host needs of a database; [`sqlite`] is the embedded answer to it.
//! sqlx opens all connections and migrates the catalogue. On PostgreSQL it owns pools and transactions, too; on SQLite
//! statements and transactions take the fast path, on a connection that a thread has taken over from sqlx.
//!
//! **May depend on:** `datanode-core`, sqlx, rusqlite, Arrow. **Never on:** wasmtime or anything of a guest.
//!
//! Invariants:
//!
//! * *One transaction* stores the rows, the progress of each coordinate, the run record and its lineage, or none of
//!   them ([`Store::commit_run`]), and gives up the lease under which they were computed.
//! * *One writer per node*: a commit is accepted under the latest lease alone ([`Leases`]).
//! * *Progress is never scanned for*: commits keep it, and so do tail deletes; the same keep the windows of nodes
//!   ([`Ledgers`]).
//! * *One snapshot*: all reads of one run go through one [`Snapshot`].
//! * *No value ever becomes SQL text*: names in SQL come from checked contracts, values are bound.

// Unit tests share the support of the tests beside the crate, which calls it by its name.
#[cfg(test)]
extern crate self as datanode_store;

mod access;
mod backfill;
mod catalogue;
mod checks;
mod error;
pub mod fault;
mod journal;
mod keyed_request;
mod lease;
mod ledger;
mod pages;
mod patience;
mod places;
pub mod postgres;
mod producer;
mod read_only_sql;
mod reader;
mod registration;
mod revision;
mod rows;
mod scratch;
mod scripts;
mod search;
mod secret;
pub mod sqlite;
mod store;
mod tail_delete;
mod write_mode;

pub use access::{
    Access, Audit, AuditEntry, AuditFilter, AuditPage, CreatedToken, HeldRole, Member, NewAudit, NewTeam,
    NewToken, NewUser, RoleFilter, ShareLevel, Sharing, Team, Token, User,
};
pub use backfill::{
    Backfill, BackfillRows, BackfillWindow, Backfills, ClaimWindow, ClaimedWindow, CommitWindow, HeldWindow,
    NewBackfill, WindowError,
};
pub use catalogue::nodes::node_among;
pub use error::{BrokenKey, Holder, StoreError};
pub use journal::{Journals, RunJournal};
pub use keyed_request::{BegunRequest, KeptAnswer, KeyedRequest, KeyedRequests};
pub use lease::{ClaimLease, Lease, Leases};
pub use ledger::{Ledgers, NodeChange, NodeSet, Reopened};
pub use pages::{Extent, NodeFilter, NodePlace, Pages};
pub use patience::Patience;
pub use postgres::PostgresStore;
pub use producer::{
    BegunUpdate, NewProducer, NewUpdate, NewUpload, Producer, ProducerEdge, ProducerEdit, ProducerFacts,
    ProducerFilter, ProducerPage, ProducerUpdate, Producers, Scheduler, SchedulerState, StagedUpload,
};
pub use read_only_sql::ReadOnlySql;
pub use reader::ReaderError;
pub use registration::{
    DEFAULT_SCHEMA, DescribedTable, ListedTable, Listing, NewRegistration, Registration, RegistrationEdit,
    Registrations, RemoveTable, TableEdit,
};
pub use revision::{
    AppliedRevision, ApplyRevision, BindContract, MovedTable, RevertRevision, Revisions, Script, Scripts,
    SqlText,
};
pub use scratch::Scratch;
pub use search::{
    PublishedNames, SearchChanges, SearchEntry, SearchIndex, SearchedTable, StoredVector, TableWriter,
};
pub use secret::{SecretPlace, Secrets, StoredSecret};
pub use sqlite::SqliteStore;
pub use store::{
    CommitOutcome, CommitRun, IndexKey, LoadRows, Loaded, NewComponent, NewNode, Node, NodeDependency,
    Opened, Page, PlacedBatch, PlacedRows, Planning, Referrer, Registered, RegisteredTable, Rehearsal,
    Rehearsed, Repointed, Rows, RowsError, RunFilter, Snapshot, Source, SourceKind, Store, StoredComponent,
    Table, TableDifference, TableRead,
};
pub use tail_delete::{DeleteAfter, DeleteScope, Deleted, ProgressDifference, TailDeletes};
pub use write_mode::WriteMode;
