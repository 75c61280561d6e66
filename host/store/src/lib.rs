//! The catalogue and the rows of tables, in a database.
//!
//! **One idea:** one trait, [`Store`], says what the host needs of a database; [`sqlite`] is the embedded answer to it.
//! sqlx owns connections, pools, transactions and the migrations of the catalogue; statements take the fast path, on
//! sqlx's own connection and inside its transaction.
//!
//! **May depend on:** `datanode-core`, sqlx, rusqlite, Arrow. **Never on:** wasmtime or anything of a guest.
//!
//! Invariants:
//!
//! * *One transaction* stores the rows, the progress of each coordinate, the run record and its lineage, or none of
//!   them ([`Store::commit_run`]), and gives up the lease under which they were computed.
//! * *One writer per node*: a commit is accepted under the latest lease alone ([`Leases`]).
//! * *Progress is never scanned for*: commits keep it, and so do tail deletes.
//! * *One snapshot*: all reads of one run go through one [`Snapshot`].
//! * *No value ever becomes SQL text*: names in SQL come from checked contracts, values are bound.

// Unit tests share the support of the tests beside the crate, which calls it by its name.
#[cfg(test)]
extern crate self as datanode_store;

mod catalogue;
mod error;
pub mod fault;
mod lease;
pub mod postgres;
mod read_only_sql;
mod revision;
mod rows;
pub mod sqlite;
mod store;
mod tail_delete;
mod write_mode;

pub use error::{BrokenKey, Holder, StoreError};
pub use lease::{ClaimLease, Lease, Leases};
pub use postgres::PostgresStore;
pub use read_only_sql::ReadOnlySql;
pub use revision::{
    AppliedRevision, ApplyRevision, BindContract, MovedTable, RevertRevision, Revisions, Scripts, SqlText,
};
pub use sqlite::SqliteStore;
pub use store::{
    CommitOutcome, CommitRun, IndexKey, LoadRows, Loaded, NewComponent, NewNode, Node, NodeDependency, Page,
    PlacedBatch, PlacedRows, Referrer, Registered, RegisteredTable, Repointed, Rows, RowsError, RunFilter,
    Snapshot, Source, SourceKind, Store, StoredComponent, Table, TableDifference, TableRead,
};
pub use tail_delete::{DeleteAfter, DeleteScope, Deleted, ProgressDifference, TailDeletes};
pub use write_mode::WriteMode;
