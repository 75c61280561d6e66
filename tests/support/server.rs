//! A database on the PostgreSQL server that tests use.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Key of the lock that writers of the catalogue take: `datanode`, in ASCII.
const CATALOGUE: i64 = 0x6461_7461_6e6f_6465;
/// How long the server may take to notice that a process is gone.
const PATIENCE: Duration = Duration::from_mins(1);

/// A database of its own, gone when dropped.
#[derive(Debug)]
pub struct ServerDatabase {
    name: String,
}

impl ServerDatabase {
    /// An empty one.
    pub fn new() -> Self {
        Self::made("")
    }

    /// A copy that may be broken without harm.
    pub(crate) fn copy(&self) -> Self {
        // A database can be copied while nobody is connected to it.
        self.settle();
        Self::made(&format!("TEMPLATE {}", self.name))
    }

    fn made(further: &str) -> Self {
        let name = format!("datanode_test_{}", uuid::Uuid::new_v4().simple());
        work(&url("postgres"), format!("CREATE DATABASE {name} {further}"), false);
        Self { name }
    }

    /// Where it is, for the command.
    pub fn url(&self) -> String {
        url(&self.name)
    }

    /// Where it is, for SQL of users: under a login that is made for it.
    pub fn reader(&self) -> String {
        let login = self.login();
        self.execute(&format!("CREATE ROLE {login} LOGIN PASSWORD '{login}'"));
        let url = self.url();
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}://{login}:{login}@{host}")
    }

    fn login(&self) -> String {
        format!("{}_reader", self.name)
    }

    /// Change something behind the program's back.
    pub fn execute(&self, sql: &str) {
        work(&self.url(), sql.to_owned(), false);
    }

    /// The one integer that a query answers.
    pub fn number(&self, sql: &str) -> i64 {
        work(&self.url(), sql.to_owned(), true).expect("an integer")
    }

    /// The rows that a query answers.
    pub fn rows<R>(&self, sql: &str) -> Vec<R>
    where
        R: Send + Unpin + for<'r> sqlx::FromRow<'r, PgRow>,
    {
        with_connection(&self.url(), async |connection| {
            sqlx::query_as(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await.expect("rows")
        })
    }

    /// See [`Project::while_writing`](crate::Project::while_writing).
    pub(crate) fn while_writing<T>(&self, work: impl FnOnce() -> T) -> T {
        with_connection(&self.url(), async |connection| {
            let lock = format!("SELECT pg_advisory_lock({CATALOGUE})");
            sqlx::raw_sql(AssertSqlSafe(lock)).execute(connection).await.expect("the lock of writers");
            // It goes with the connection.
            work()
        })
    }

    /// End all connections to it but the one that asks for this: to those who had them, the server is lost.
    pub fn cut_off(&self) {
        self.number(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
    }

    /// Wait until the server has noticed that a process is gone, and has ended what it left open.
    pub(crate) fn settle(&self) {
        let give_up = Instant::now() + PATIENCE;
        let open = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'", self.name);
        while work(&url("postgres"), open.clone(), true).expect("an integer") > 0 {
            assert!(Instant::now() < give_up, "the server still serves a process that is gone");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Default for ServerDatabase {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ServerDatabase {
    fn drop(&mut self) {
        work(&url("postgres"), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name), false);
        work(&url("postgres"), format!("DROP ROLE IF EXISTS {}", self.login()), false);
    }
}

/// URL of a database of the server.
fn url(database: &str) -> String {
    let url = std::env::var("DATANODE_TEST_POSTGRES")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned());
    let (server, _) = url.rsplit_once('/').expect("a URL ends with the name of a database");
    format!("{server}/{database}")
}

fn work(url: &str, sql: String, answers: bool) -> Option<i64> {
    with_connection(url, async |connection| {
        if answers {
            let query = sqlx::query_scalar(AssertSqlSafe(sql));
            return Some(query.fetch_one(connection).await.expect("an answer"));
        }
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.expect("a statement that works");
        None
    })
}

/// Do something with a connection of its own.
fn with_connection<R>(url: &str, work: impl AsyncFnOnce(&mut PgConnection) -> R) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options: PgConnectOptions = url.parse().expect("a URL of a server");
        let mut connection =
            PgConnection::connect_with(&options.options([("search_path", "datanode_tables")]))
                .await
                .expect("these tests need a PostgreSQL server; `cargo xtask test` starts one");
        let answer = work(&mut connection).await;
        // Said and not just hung up: the server need not find out by itself that nobody is connected any more.
        connection.close().await.expect("a connection that ends well");
        answer
    })
}
