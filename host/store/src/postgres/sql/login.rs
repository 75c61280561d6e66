//! The login under which SQL of users runs, and what it may.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use datanode_core::contract::Contract;
use datanode_core::sql::SqlLimits;
use serde_json::Value;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Postgres, Row, raw_sql};

use super::DOING;
use crate::postgres::connection::{Pools, server_of};
use crate::postgres::ddl::{SCHEMA, quote, table_name};
use crate::postgres::stored::failed;
use crate::{ReaderError, StoreError};

/// Statements that run at once; the next one waits.
const CONNECTIONS: u32 = 4;
/// After which time it is asked why there is no connection yet.
const PATIENCE: Duration = Duration::from_secs(2);

/// Connections of a login that reads. Clones use the same ones.
#[derive(Clone)]
pub(in crate::postgres) struct Reader {
    pool: PgPool,
    options: PgConnectOptions,
}

impl fmt::Debug for Reader {
    // The options hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({} at {})", self.options.get_username(), server_of(&self.options))
    }
}

impl Reader {
    /// Under the login of a URL. Connects when the first statement comes.
    pub(in crate::postgres) fn of(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url).map_err(|source| ReaderError::Connect {
            server: "of the URL".to_owned(),
            role: "?".to_owned(),
            source,
        })?;
        // Nothing is prepared for later: between two statements a connection forgets all that it was told.
        let options = options.application_name("datanode sql").statement_cache_capacity(0);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options.clone());
        Ok(Self { pool, options })
    }

    /// Close its connections.
    pub(in crate::postgres) async fn close(&self) {
        self.pool.close().await;
    }

    /// A connection, once one is free; how long that may take is the caller's.
    async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        loop {
            let mut why = match self.pool.acquire().await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            if matches!(why, sqlx::Error::PoolTimedOut) {
                // All are in use, or the server does not answer: a pool tries that again and again, and does not say why.
                if self.pool.size() >= CONNECTIONS {
                    continue;
                }
                match PgConnection::connect_with(&self.options).await {
                    Ok(_) => continue,
                    Err(error) => why = error,
                }
            }
            let server = server_of(&self.options);
            let role = self.options.get_username().to_owned();
            return Err(ReaderError::Connect { server, role, source: why }.into());
        }
    }

    /// Begin a transaction that reads, within limits of time.
    pub(super) async fn begin(&self, limits: &SqlLimits) -> Result<Session, StoreError> {
        let connection = self.acquire().await?;
        let mut session =
            Session { connection: Some(connection), role: self.options.get_username().to_owned() };
        // A server takes 0 for no limit.
        let timeout = i32::try_from(limits.timeout.as_millis()).unwrap_or(i32::MAX).max(1);
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; \
             SET LOCAL statement_timeout = {timeout}; SET LOCAL lock_timeout = {timeout}; \
             SET LOCAL search_path = datanode_sql, pg_catalog, pg_temp; \
             SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, MDY'; SET LOCAL extra_float_digits = 1; \
             SET LOCAL standard_conforming_strings = on; SET LOCAL transform_null_equals = off; \
             SET LOCAL work_mem = '16MB'; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off"
        );
        let connection = session.connection().map_err(failed(DOING))?;
        raw_sql(AssertSqlSafe(begin)).execute(connection).await.map_err(failed(DOING))?;
        session.refuse_powers().await?;
        Ok(session)
    }

    /// Give the login the right to read a table: asked for when it is first needed, and again after a revision has made the
    /// table anew.
    pub(super) async fn let_read(&self, pools: &Pools, contract: &Contract) -> Result<(), StoreError> {
        let name = self.options.get_username();
        let role = quote(name);
        let grant = format!(
            "GRANT USAGE ON SCHEMA {SCHEMA}, datanode_sql TO {role}; GRANT SELECT ON TABLE {} TO {role}",
            table_name(contract)
        );
        // Behind other writers of the catalogue: two that grant at once get into each other's way.
        let mut transaction = pools.begin_catalogue().await?;
        let granted = raw_sql(AssertSqlSafe(grant)).execute(&mut *transaction).await;
        granted.map_err(|source| ReaderError::Grant {
            role: name.to_owned(),
            table: contract.identifier.clone(),
            source,
        })?;
        transaction.commit().await.map_err(failed(DOING))
    }
}

/// A transaction of the login. Dropped before its end, it closes its connection; the server looks for that while it works.
#[derive(Debug)]
pub(super) struct Session {
    connection: Option<PoolConnection<Postgres>>,
    role: String,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Not back into the pool, which would wait for what is still running.
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

impl Session {
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        // There is one until the end, which takes the session.
        self.connection.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Refuse a login that may do more than read. The server answers as it sees it now.
    async fn refuse_powers(&mut self) -> Result<(), StoreError> {
        // A server looks whether its client is still there, where its platform can.
        let (powers, _): (Vec<String>, String) = sqlx::query_as(
            "SELECT array_remove(ARRAY[ \
             CASE WHEN rolsuper THEN 'it is a superuser' END, \
             CASE WHEN rolcreaterole THEN 'it may create roles' END, \
             CASE WHEN rolcreatedb THEN 'it may create databases' END, \
             CASE WHEN rolreplication THEN 'it may replicate' END, \
             CASE WHEN rolbypassrls THEN 'it bypasses row security' END, \
             CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_auth_members WHERE member = _me.oid) \
             THEN 'it is a member of other roles' END, \
             CASE WHEN has_database_privilege(current_database(), 'CREATE') THEN 'it may create schemas' END, \
             CASE WHEN has_schema_privilege('datanode', 'USAGE') THEN 'it reaches the catalogue' END, \
             CASE WHEN has_schema_privilege('datanode_tables', 'CREATE') THEN 'it may create tables' END, \
             CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = 'datanode_tables'::regnamespace \
             AND c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')) \
             THEN 'it may write tables' END], NULL), \
             set_config('client_connection_check_interval', \
             CASE WHEN version() ~* 'visual c|msvc|mingw|windows' THEN '0' ELSE '250' END, true) \
             FROM pg_catalog.pg_roles _me WHERE rolname = session_user",
        )
        .fetch_one(self.connection().map_err(failed(DOING))?)
        .await
        .map_err(failed(DOING))?;
        if powers.is_empty() {
            return Ok(());
        }
        Err(ReaderError::TooPowerful { role: self.role.clone(), powers }.into())
    }

    /// Whether the login may read a table.
    pub(super) async fn may_read(&mut self, contract: &Contract) -> Result<bool, StoreError> {
        sqlx::query_scalar(
            "SELECT has_schema_privilege($1, 'USAGE') AND has_schema_privilege('datanode_sql', 'USAGE') AND EXISTS \
             (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = $1::regnamespace AND c.relname = $2 \
             AND has_table_privilege(c.oid, 'SELECT'))",
        )
        .bind(SCHEMA)
        .bind(contract.physical_name())
        .fetch_one(self.connection().map_err(failed(DOING))?)
        .await
        .map_err(failed(DOING))
    }

    /// How the server would run a query. Nothing of it is run.
    pub(super) async fn plan(&mut self, query: &str) -> Result<Value, sqlx::Error> {
        let explain = format!("EXPLAIN (FORMAT JSON, VERBOSE) {query}");
        let row = sqlx::query(AssertSqlSafe(explain)).persistent(false).fetch_one(self.connection()?).await?;
        let plan: String = row.try_get_unchecked(0)?;
        serde_json::from_str(&plan).map_err(|error| sqlx::Error::Decode(error.into()))
    }

    /// Undo whatever there is to undo, and give the connection back as it was. One with which that does not work is closed.
    pub(super) async fn end(mut self) {
        let Ok(connection) = self.connection() else { return };
        let clean = async {
            raw_sql("ROLLBACK").execute(&mut *connection).await?;
            raw_sql("DISCARD ALL").execute(&mut *connection).await
        };
        if clean.await.is_ok() {
            self.connection.take();
        }
    }
}
