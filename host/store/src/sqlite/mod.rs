//! SQLite: one file that holds the catalogue and the rows of all tables.
//!
//! **One idea:** what SQLite does well is done by SQLite. One file under a write-ahead log gives a transaction over
//! rows, progress and run record, and readers that never wait; `WITHOUT ROWID` tables keep rows in the order in which
//! they are written and read.
//!
//! * `connection`: who may write; `pool`: connections that are lent; `handle`: where the work is done, the one unsafe
//!   place.
//! * `components`, `tables`, `sources`, `secrets`, `nodes`, `runs`, `progress`: the catalogue, one family each.
//! * `people`, `roles`, `tokens`, `access`: who may do what; `audit`: what was done by whom.
//! * `ddl`: contracts as tables; `append`, `overwrite`, `resend` and `bind`: Arrow to rows; `select`, `value_list` and
//!   `read`: queries to SQL and rows to Arrow; `functions`: where rows are taken and counted.
//! * `revision`: tables that move from one contract to another.
//! * `sql`: read-only SQL of users, on connections that can do nothing else.
//! * `registrations`: what clients of the compatible API say of tables, and tables that go; `pages`: many things at once.
//! * `foreign_keys`: what refers to what; `repoint`: which table an identifier means; `load`: rows from files.
//! * `producers`, `producer_updates`: nodes whose rows come from elsewhere, and the rows that wait.
//! * `lease`: who may write a node; `ledger`: what it has done; `tail_delete`: rows that go, and whether progress is right.
//! * `commit` and `snapshot`: what a run writes and what it reads; `scratch`: a copy to try things out on;
//!   `backup`: the whole file, and back.
//!
//! Every function of a family works on one connection, inside a transaction that its caller began.

mod access;
mod adopt;
mod append;
mod audit;
mod backfill_windows;
mod backfills;
mod backup;
mod bind;
mod checks;
mod commit;
mod components;
mod connection;
mod ddl;
mod foreign_keys;
mod functions;
mod handle;
mod journals;
mod keyed_requests;
mod lease;
mod ledger;
mod load;
mod migrate;
mod nodes;
mod overwrite;
mod pages;
mod people;
mod pool;
mod producer_updates;
mod producers;
mod progress;
mod read;
mod reference;
mod registrations;
mod repoint;
mod resend;
mod revision;
mod roles;
mod runs;
mod scratch;
mod search;
mod secrets;
mod select;
mod snapshot;
mod sources;
mod sql;
mod store;
mod stored;
mod tables;
mod tail_delete;
mod tokens;
mod value_list;

use std::path::Path;
use std::sync::Arc;

use datanode_core::access::Actor;

pub(crate) use self::revision::script;

pub use self::backup::{BackupError, Contents, Restored, back_up, restore};
use self::connection::Pools;
use crate::places::Places;
use crate::{Patience, StoreError};

/// The store in one SQLite file. Clones use the same connections.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pools: Arc<Pools>,
    /// How long others are kept waiting.
    patience: Patience,
    /// Whose changes these are.
    actor: Arc<Actor>,
    /// Where this is the store for readers, what bounds their snapshots.
    reads: Option<Places>,
}

impl SqliteStore {
    /// Open a database file, creating it when it is missing (its directory must be there), and bring its catalogue
    /// to this host's version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        // Absolute, so that neither a later change of directory nor a name that looks like a URI leads elsewhere.
        let absolute = std::path::absolute(path)
            .map_err(|error| StoreError::Open { path: path.to_owned(), source: error.into() })?;
        let pools = Pools::open(&absolute, migrate::migrate).await?;
        Ok(Self { pools: Arc::new(pools), patience: Patience::default(), actor: Arc::default(), reads: None })
    }

    /// How long those are kept waiting who use the database at the same time.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Move what is in the write-ahead log into the file and close all connections. Waits for snapshots and commits
    /// under way. A store that is merely dropped loses nothing: the next one to open the file reads the log; and so it is
    /// with one whose connections others use, too ([`Store::acting`](crate::Store::acting)): the last of them closes them.
    pub async fn close(self) -> Result<(), StoreError> {
        match Arc::into_inner(self.pools) {
            Some(pools) => pools.close().await,
            None => Ok(()),
        }
    }
}
