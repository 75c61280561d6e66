//! Connections and transactions.
//!
//! Every write of the catalogue takes one lock of the database first: as in the embedded database there is one such
//! writer at a time, so that what a statement looks up stays true until its transaction ends. Commits of runs, loads and
//! deletes of rows do not take it: they lock the row of their table, and go on side by side.
//!
//! Nobody waits for that lock without an end: a revision may have it for minutes. Those who wait do so in this process,
//! without a connection, but for the next in turn: however many there are, reads of the catalogue go on beside them.
//!
//! Nothing in here depends on what a role or a database has for settings of its sessions: see [`SETTINGS`].

use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::stored::failed;
use crate::catalogue::access::Noting;
use crate::places::Places;
use crate::{Patience, StoreError};

/// Connections for everything but snapshots, leases and tokens.
const CONNECTIONS: u32 = 8;
/// Connections for tokens: every request begins with one, and must not wait for what other requests do.
const TOKENS: u32 = 2;
/// Connections for leases: a heartbeat must not wait for as many commits as there are connections, until it is too late. Nor
/// does whoever has one of these wait for a commit to end, but for a second at most.
const LEASES: u32 = 2;
/// Claims of nodes in this process that have one of them: what is left is for heartbeats, however many runs wait for a node.
const CLAIMS: usize = 1;
/// Snapshots open at once; the next one waits. Servers allow 100 connections by default.
const SNAPSHOTS: u32 = 32;
/// As many of them may be those of readers.
const SNAPSHOTS_OF_READERS: u32 = 24;
/// What every session begins with. A role or a database may have other defaults, which are for people at a terminal: a
/// timeout would end runs in their middle, and of a transaction that sees one state from its beginning, a lock would not
/// show what others did before it was given. `synchronous_commit` is raised to what its default is and never lowered: what
/// was answered survives a loss of power.
const SETTINGS: &str = "SELECT set_config(name, value, false) FROM pg_settings JOIN (VALUES \
     ('statement_timeout', '0'), ('lock_timeout', '0'), ('idle_in_transaction_session_timeout', '0'), \
     ('transaction_timeout', '0'), ('default_transaction_isolation', 'read committed')) AS _wanted (name, value) USING (name) \
     UNION ALL SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'";
/// How a claim of a window begins. Nothing is computed between its statements: where none comes for so long, the process is
/// stopped, or its network is gone, and the server ends the session; else it would keep the row of the window for as long as
/// the connection lives.
const CLAIM_WINDOW: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'";
/// How a claim of a node begins. Besides, a commit has the row of its node for as long as it takes: who waited for its end
/// would keep a connection from heartbeats.
const CLAIM_NODE: &str =
    "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL lock_timeout = '1s'";
/// The oldest server that has everything that is used here, as `server_version_num` counts.
const OLDEST_SERVER: i32 = 150_000;
/// Key of the lock that writers of the catalogue take: `datanode`, in ASCII.
const CATALOGUE: i64 = 0x6461_7461_6e6f_6465;
/// Writers of the catalogue in this process that have a connection: one that writes, and one that is ready when it ends.
const WRITERS: usize = 2;
const WAITING: &str = "waiting for other writers of the catalogue";

/// The pools of one database.
#[derive(Debug, Clone)]
pub(super) struct Pools {
    pub(super) connections: PgPool,
    pub(super) leases: PgPool,
    pub(super) tokens: PgPool,
    /// Apart, for a snapshot lives as long as a run: nothing else must wait for one to end.
    pub(super) snapshots: PgPool,
    /// Of these, those of readers.
    pub(super) places: Places,
    /// For writers of the catalogue.
    turns: Arc<Semaphore>,
    /// For claims of nodes.
    claims: Arc<Semaphore>,
    /// How long they wait.
    pub(super) patience: Patience,
    /// Tokens whose use is being noted.
    pub(super) noting: Noting,
}

/// A transaction that writes the catalogue. Dropping it rolls it back.
#[derive(Debug)]
pub(super) struct Writing {
    transaction: Transaction<'static, Postgres>,
    /// Given back last.
    turn: OwnedSemaphorePermit,
}

impl Writing {
    /// Keep what was written.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        let Self { transaction, turn } = self;
        let committed = transaction.commit().await;
        drop(turn);
        committed
    }
}

impl Deref for Writing {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

impl Pools {
    /// Reach the database of a URL.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let unusable = |source| StoreError::Connect { server: "the database URL".to_owned(), source };
        let options = PgConnectOptions::from_str(url).map_err(unusable)?.application_name("datanode");
        let server = server_of(&options);
        let connections = pool(CONNECTIONS)
            .connect_with(options.clone())
            .await
            .map_err(|source| StoreError::Connect { server: server.clone(), source })?;
        let (version, name): (i32, String) = sqlx::query_as(
            "SELECT current_setting('server_version_num')::integer, current_setting('server_version')",
        )
        .fetch_one(&connections)
        .await
        .map_err(failed("asking for the version of the server"))?;
        refuse_old(server, version, name)?;
        let leases = pool(LEASES).connect_lazy_with(options.clone());
        let tokens = pool(TOKENS).connect_lazy_with(options.clone());
        let snapshots = pool(SNAPSHOTS).connect_lazy_with(options);
        Ok(Self {
            connections,
            leases,
            tokens,
            snapshots,
            places: Places::new(SNAPSHOTS_OF_READERS),
            turns: Arc::new(Semaphore::new(WRITERS)),
            claims: Arc::new(Semaphore::new(CLAIMS)),
            patience: Patience::default(),
            noting: Noting::default(),
        })
    }

    /// Close all connections. Waits for what is under way.
    pub(super) async fn close(&self) {
        self.snapshots.close().await;
        self.leases.close().await;
        self.tokens.close().await;
        self.connections.close().await;
    }

    /// Begin a transaction that reads: it sees one state of the database.
    pub(super) async fn begin_read(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.connections
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .await
            .map_err(failed("beginning to read"))
    }

    /// Begin a transaction that writes rows. Dropping it rolls it back.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.connections.begin().await.map_err(failed("beginning to write"))
    }

    /// For heartbeats, turns and what gives a claim up: single statements, each a transaction by itself. A process that is
    /// stopped between the `BEGIN` and the `COMMIT` of a heartbeat would hold the row of the node, and keep it from everybody
    /// else for as long as its connection lives, whenever its lease expires.
    pub(super) async fn leases(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.leases.acquire().await.map_err(failed("beginning to write"))
    }

    /// The turn of a claim of a node: others wait for it in this process, without a connection. To be had before the
    /// transaction is begun, and given back behind it.
    pub(super) async fn claim_turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let turn = Arc::clone(&self.claims).acquire_owned().await;
        turn.map_err(|_| failed("claiming a lease")(sqlx::Error::PoolClosed))
    }

    /// Begin a transaction that claims a node. Dropping it rolls it back: whoever waits for somebody's commit and is ended
    /// meanwhile takes nothing when its turn comes, which a statement by itself would. Whoever is stopped between two of its
    /// statements loses it to the server before long, and whoever waits for too long is told so ([`StoreError::Busy`]): see
    /// [`CLAIM_NODE`].
    pub(super) async fn begin_lease(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.leases.begin_with(CLAIM_NODE).await.map_err(failed("beginning to write"))
    }

    /// The same for a window of a backfill: such claims pass over what is locked, or wait for single statements.
    pub(super) async fn begin_window(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.leases.begin_with(CLAIM_WINDOW).await.map_err(failed("beginning to write"))
    }

    /// Begin a transaction that writes the catalogue, behind all others that do, but not for longer than others can be kept
    /// waiting; nor does it wait so long for a row or a table later on.
    pub(super) async fn begin_catalogue(&self) -> Result<Writing, StoreError> {
        let patience = self.patience.catalogue;
        let until = Instant::now() + patience;
        let turn = timeout_at(until, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_| StoreError::Busy { doing: WAITING })?
            .map_err(|_| failed(WAITING)(sqlx::Error::PoolClosed))?;
        let mut transaction = self.begin().await?;
        lock_catalogue(&mut transaction, until.saturating_duration_since(Instant::now()), patience).await?;
        Ok(Writing { transaction, turn })
    }
}

/// Where options lead. Never the URL itself, which may hold a password.
pub(super) fn server_of(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("{}:{}/{database}", options.get_host(), options.get_port())
}

fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(connections).after_connect(|connection, _| {
        Box::pin(async move { sqlx::query(SETTINGS).execute(connection).await.map(|_| ()) })
    })
}

fn refuse_old(server: String, version: i32, name: String) -> Result<(), StoreError> {
    if version < OLDEST_SERVER {
        return Err(StoreError::ServerTooOld { server, version: name, oldest: OLDEST_SERVER / 10_000 });
    }
    Ok(())
}

/// Take the lock within `wait`; afterwards another lock may take as long as `patience` says.
async fn lock_catalogue(
    connection: &mut PgConnection,
    wait: Duration,
    patience: Duration,
) -> Result<(), StoreError> {
    // A server takes 0 for no limit.
    let millis = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1);
    let (wait, patience) = (millis(wait), millis(patience));
    let sql = format!(
        "SET LOCAL lock_timeout = {wait}; SELECT pg_advisory_xact_lock({CATALOGUE}); SET LOCAL lock_timeout = {patience}"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(|_| ()).map_err(failed(WAITING))
}

#[cfg(test)]
mod tests {
    use datanode_core::{Diagnostic, ErrorClass};

    use super::*;

    #[test]
    fn servers_before_15_are_refused() {
        let of = |version, name: &str| refuse_old("db:5432/data".to_owned(), version, name.to_owned());
        assert!(of(150_000, "15.0").is_ok() && of(180_001, "18.1").is_ok());
        let error = of(140_019, "14.19").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the server of db:5432/data is PostgreSQL 14.19; this host needs 15 or newer"
        );
        assert_eq!((error.code(), error.class()), ("store.server_too_old", ErrorClass::Refused));
    }
}
