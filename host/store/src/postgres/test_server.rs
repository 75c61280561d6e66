//! A connection to the server that tests use, for properties of one statement: nothing of them stays there.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is the report

use sqlx::{Connection, PgConnection};

/// Connect.
pub(crate) async fn connect() -> PgConnection {
    let url = std::env::var("DATANODE_TEST_POSTGRES")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned());
    PgConnection::connect(&url).await.expect("a PostgreSQL server for tests, see CONTRIBUTING.md")
}
