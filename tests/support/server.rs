//! A database on the PostgreSQL server that tests use.

use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// A database of its own, gone when dropped.
#[derive(Debug)]
pub struct ServerDatabase {
    name: String,
}

impl ServerDatabase {
    /// An empty one.
    pub fn new() -> Self {
        let name = format!("datanode_test_{}", uuid::Uuid::new_v4().simple());
        work(&url("postgres"), format!("CREATE DATABASE {name}"), false);
        Self { name }
    }

    /// Where it is, for the command.
    pub fn url(&self) -> String {
        url(&self.name)
    }

    /// Change something behind the program's back.
    pub fn execute(&self, sql: &str) {
        work(&self.url(), sql.to_owned(), false);
    }

    /// The one integer that a query answers.
    pub fn number(&self, sql: &str) -> i64 {
        work(&self.url(), sql.to_owned(), true).expect("an integer")
    }

    /// Wait until it has noticed that a process is gone, and has rolled back what was open.
    pub fn settled(&self) {
        let give_up = Instant::now() + Duration::from_secs(60);
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND application_name = 'datanode'";
        while self.number(open) > 0 {
            assert!(Instant::now() < give_up, "the server still serves a process that is gone");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// End all connections to it but the one that asks for this: to those who had them, the server is lost.
    pub fn cut_off(&self) {
        self.number(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = PgConnectOptions::from_str(url).expect("a URL");
        let mut connection =
            PgConnection::connect_with(&options.options([("search_path", "datanode_tables")]))
                .await
                .expect("these tests need a PostgreSQL server; `cargo xtask test` starts one");
        if answers {
            let query = sqlx::query_scalar(AssertSqlSafe(sql));
            return Some(query.fetch_one(&mut connection).await.expect("an answer"));
        }
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("a statement that works");
        None
    })
}
