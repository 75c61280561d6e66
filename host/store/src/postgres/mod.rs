//! PostgreSQL: the catalogue in one schema, the tables of users in another.
//!
//! **One idea:** what PostgreSQL does well is done by PostgreSQL. Rows go in and out by binary `COPY`, as columns of
//! Arrow, without a statement per row; what must not happen at once waits for a lock of the row that it is about.
//!
//! * `connection`: pools and transactions; `migrate`: the schema of the catalogue.
//! * `components`, `tables`, `sources`, `secrets`, `nodes`, `runs`, `progress`, `lease`, `ledger`: the catalogue, one family each.
//! * `producers`, `producer_updates`: nodes whose rows come from elsewhere, and the rows that wait.
//! * `people`, `roles`, `tokens`, `access`: who may do what; `audit`: what was done by whom.
//! * `write`: transactions that copy rows in. `ddl`: contracts as tables; `copy`: Arrow to binary `COPY` and back; `literal`: the one way by which a value enters
//!   SQL, for `COPY` binds none.
//! * `append`, `overwrite`, `groups`, `load`: rows in; `select`, `ranges`, `read`, `ahead`, `snapshot`: rows out.
//! * `registrations`: what clients of the compatible API say of tables, and tables that go.
//! * `message`: several statements at once. `refusal`, `broken_keys`, `keys`: what was wrong with a row; `foreign_keys`, `repoint`: which table is meant.
//! * `sql`: SQL of users, under a login of its own.
//! * `commit` and `tail_delete`: what changes rows, progress and records together; `revision`: tables that move to
//!   another contract, and whether a table still is what its contract says.
//!
//! Every function of a family works on one connection, inside a transaction that its caller began.

mod access;
mod ahead;
mod append;
mod audit;
mod backfill_windows;
mod backfills;
mod broken_keys;
mod checks;
mod commit;
mod components;
mod connection;
mod copy;
mod ddl;
mod foreign_keys;
mod groups;
mod journals;
mod keyed_requests;
mod keys;
mod lease;
mod ledger;
mod literal;
mod load;
mod message;
mod migrate;
mod nodes;
mod overwrite;
mod pages;
mod people;
mod producer_updates;
mod producers;
mod progress;
mod ranges;
mod read;
mod reference;
mod refusal;
mod registrations;
mod repoint;
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
#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tests;
mod tokens;
mod write;

pub(crate) use self::revision::script;

use std::sync::Arc;

use datanode_core::access::Actor;

use self::connection::Pools;
use crate::places::Places;
use crate::{Patience, StoreError};

/// The store in one database of a PostgreSQL server (15 or newer). Clones use the same connections.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pools: Pools,
    /// The login for SQL of users, where there is one.
    reader: Option<sql::Reader>,
    /// Whose changes these are.
    actor: Arc<Actor>,
    /// Where this is the store for readers, what bounds their snapshots.
    reads: Option<Places>,
}

impl PostgresStore {
    /// Reach a database by its URL (`postgres://ROLE:PASSWORD@HOST:PORT/DATABASE`) and bring its catalogue to this host's
    /// version. The role needs the right to create schemas in it, once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Connect`] when there is no way to it, [`StoreError::Migration`] when a newer host wrote it. No error
    /// holds the password.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let pools = Pools::open(url).await?;
        migrate::migrate(&pools.connections).await?;
        Ok(Self { pools, reader: None, actor: Arc::default(), reads: None })
    }

    /// How long those wait, and are kept waiting, who use the database at the same time.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.pools.patience = patience;
        self
    }

    /// Run SQL of users under the login of this URL. What it may is looked at when the first statement comes; this store
    /// gives it the right to read a table when one asks for it.
    ///
    /// # Errors
    ///
    /// [`ReaderError::Connect`](crate::ReaderError::Connect) when it is no URL of a database. No error holds the password.
    pub fn with_reader(self, url: &str) -> Result<Self, StoreError> {
        Ok(Self { reader: Some(sql::Reader::of(url)?), ..self })
    }

    /// Close all connections. Waits for snapshots and commits under way.
    pub async fn close(self) {
        if let Some(reader) = &self.reader {
            reader.close().await;
        }
        self.pools.close().await;
    }
}
