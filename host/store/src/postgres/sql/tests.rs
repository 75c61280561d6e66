//! The login and its transaction refuse by themselves what the parser would never have let through.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is the report

use crate::postgres::tests::support;

use std::time::Duration;

use datanode_core::data_type::DataType;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::sql::{CheckedSql, SqlErrorKind as K, SqlLimits};
use serde_json::Value;
use sqlx::{AssertSqlSafe, raw_sql};

use super::super::PostgresStore;
use super::Reader;
use crate::Table;
use support::{Model, Place, contract, fill, table, text};

/// A table with a row, one that nobody may read here, and a store on their database with its login.
async fn two_tables() -> (Place, PostgresStore, Table, Table) {
    let place = Place::postgres().await.with_reader().await;
    let own = table(&*place.store, &contract("t", &[("name", DataType::String)])).await;
    let row = ((0, datanode_core::coordinate::Coordinate(vec![text("a")])), Some(1));
    let own = fill(&*place.store, &own, "r", &Model::from([row])).await;
    let secrets = table(&*place.store, &contract("secrets", &[])).await;
    let (url, reader) = place.urls();
    let store = PostgresStore::open(&url).await.unwrap().with_reader(&reader).unwrap();
    (place, store, own, secrets)
}

fn limits() -> SqlLimits {
    SqlLimits { timeout: Duration::from_secs(10), ..SqlLimits::default() }
}

#[tokio::test]
async fn the_login_needs_no_parser() {
    let (place, store, own, secrets) = two_tables().await;
    let reader = store.reader.as_ref().unwrap();
    let ask = async |table: &Table, sql: &str, timeout: u64| {
        let checked = CheckedSql { sql: sql.to_owned(), explained: None, queries: Vec::new() };
        let limits = SqlLimits { timeout: Duration::from_millis(timeout), ..limits() };
        store.answer(reader, table, &checked, &limits).await.unwrap()
    };
    assert_eq!(ask(&own, "SELECT count(*) FROM t", 10_000).await.unwrap().rows, [[Value::from(1)]]);
    let before = place.contents();
    let denied = [
        "SELECT * FROM datanode_tables.secrets",
        "SELECT (SELECT count(*) FROM datanode_tables.secrets)",
        "SELECT 1 WHERE EXISTS (SELECT FROM datanode_tables.secrets)",
        "SELECT * FROM t, datanode_tables.secrets",
        "SELECT * FROM datanode.runs",
        "SELECT * FROM datanode.sources",
        "SELECT datanode.now_micros()",
        "SELECT * FROM pg_catalog.pg_authid",
        "SELECT * FROM pg_catalog.pg_class",
        "SELECT * FROM pg_catalog.pg_stat_activity",
        "SELECT count(*) FROM pg_catalog.pg_roles",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM pg_catalog.pg_settings",
        "SELECT * FROM pg_catalog.pg_ls_dir('/')",
        "SELECT * FROM generate_series(1, 10)",
        "SELECT pg_catalog.pg_read_file('/etc/passwd')",
        "SELECT pg_catalog.lo_import('/etc/passwd')",
        "SELECT set_config('role', 'pg_monitor', true)",
        "SELECT set_config('session_authorization', 'pg_monitor', true)",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "SELECT * FROM datanode_tables.t FOR UPDATE",
    ];
    for sql in denied {
        let error = ask(&own, sql, 10_000).await.unwrap_err();
        assert_eq!(error.kind, K::PermissionDenied, "{sql}: {}", error.message);
    }
    // A right to the other table, given for a statement over it, helps no statement over this one.
    ask(&secrets, "SELECT count(*) FROM secrets", 10_000).await.unwrap();
    for sql in &denied[..4] {
        let error = ask(&own, sql, 10_000).await.unwrap_err();
        assert_eq!(error.kind, K::PermissionDenied, "{sql}: {}", error.message);
    }
    for (sql, kind) in [
        ("SELECT * FROM secrets", K::UnknownTable),
        ("DELETE FROM datanode_tables.t", K::SyntaxError),
        ("WITH gone AS (DELETE FROM datanode_tables.t RETURNING 1) SELECT * FROM gone", K::RuntimeError),
        ("SELECT 1); DROP TABLE datanode_tables.t; --", K::SyntaxError),
        ("SELECT 1) TO PROGRAM 'id", K::SyntaxError),
        ("COPY datanode_tables.t TO PROGRAM 'id'", K::SyntaxError),
        ("SET ROLE pg_monitor", K::SyntaxError),
        ("SELECT xmin FROM t", K::UnknownColumn),
        ("SELECT pg_catalog.repeat('x', 2000000000)", K::ResultTooLarge),
    ] {
        let error = ask(&own, sql, 10_000).await.unwrap_err();
        assert_eq!(error.kind, kind, "{sql}: {}", error.message);
    }
    for sql in [
        "SELECT pg_catalog.pg_sleep(1000)",
        "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n FROM a) SELECT max(n) FROM a",
    ] {
        assert_eq!(ask(&own, sql, 300).await.unwrap_err().kind, K::Timeout, "{sql}");
    }
    assert_eq!(place.contents(), before);
}

/// What is said to the server on the connection itself, without a cursor in front of it.
#[tokio::test]
async fn the_transaction_cannot_write_nor_the_login_become_another() {
    let (place, store, own, _) = two_tables().await;
    let reader = store.reader.as_ref().unwrap();
    reader.let_read(&store.pools, &own.contract).await.unwrap();
    let before = place.contents();
    for (sql, codes) in [
        ("INSERT INTO datanode_tables.t VALUES (now(), 'b', 1)", &["25006", "42501"][..]),
        ("UPDATE datanode_tables.t SET value = 2", &["25006", "42501"]),
        ("DELETE FROM datanode_tables.t", &["25006", "42501"]),
        ("TRUNCATE datanode_tables.t", &["25006", "42501"]),
        ("DROP TABLE datanode_tables.t", &["25006", "42501"]),
        ("CREATE TABLE datanode_tables.x (y int)", &["25006", "42501"]),
        ("CREATE TEMP TABLE x (y int)", &["25006", "42501"]),
        ("CREATE SCHEMA x", &["25006", "42501"]),
        (
            "CREATE OR REPLACE FUNCTION datanode_sql.operand(value bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 1'",
            &["25006", "42501"],
        ),
        ("DELETE FROM datanode.runs", &["25006", "42501"]),
        ("COPY datanode_tables.t TO PROGRAM 'id'", &["42501"]),
        ("COPY datanode_tables.t TO '/tmp/x'", &["42501"]),
        ("COPY datanode_tables.t FROM PROGRAM 'id'", &["25006", "42501"]),
        ("SET TRANSACTION READ WRITE", &["25001"]),
        ("SET ROLE pg_monitor", &["42501"]),
        ("SET SESSION AUTHORIZATION pg_monitor", &["42501"]),
        ("ALTER ROLE CURRENT_USER SUPERUSER", &["25006", "42501"]),
        ("GRANT ALL ON datanode_tables.t TO PUBLIC", &["25006", "42501"]),
        (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> session_user AND pid IS NOT NULL",
            &["42501"],
        ),
        ("LOCK TABLE datanode_tables.t IN ACCESS EXCLUSIVE MODE", &["25006", "42501"]),
    ] {
        let mut session = reader.begin(&limits()).await.unwrap();
        let said = raw_sql(AssertSqlSafe(sql)).execute(session.connection().unwrap()).await.unwrap_err();
        let code = said.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap().into_owned();
        assert!(codes.contains(&code.as_str()), "{sql}: {said}");
        session.end().await;
    }
    // What a statement sets for its session ends with its transaction.
    let mut session = reader.begin(&limits()).await.unwrap();
    let set = "SELECT set_config('statement_timeout', '0', false), set_config('search_path', 'x', false), \
               pg_advisory_lock(7)";
    raw_sql(set).execute(session.connection().unwrap()).await.unwrap();
    session.end().await;
    assert_eq!(place.number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7"), 0);
    let mut session = reader.begin(&limits()).await.unwrap();
    let now: String = sqlx::query_scalar("SELECT current_setting('statement_timeout')")
        .fetch_one(session.connection().unwrap())
        .await
        .unwrap();
    assert_eq!(now, "10s");
    session.end().await;
    assert_eq!(place.contents(), before);
}

#[tokio::test]
async fn a_login_that_may_do_more_is_refused() {
    let (place, store, own, _) = two_tables().await;
    let role = place.reader().unwrap().to_owned();
    let ask = async |store: &PostgresStore| {
        use crate::ReadOnlySql;
        store.run_sql(&own, "SELECT 1", &limits()).await
    };
    assert!(ask(&store).await.unwrap().ok);
    for (give, take, power) in [
        ("ALTER ROLE @ CREATEDB", "ALTER ROLE @ NOCREATEDB", "create databases"),
        ("ALTER ROLE @ CREATEROLE", "ALTER ROLE @ NOCREATEROLE", "create roles"),
        ("CREATE ROLE @_all; GRANT @_all TO @", "DROP ROLE @_all", "member"),
        ("GRANT INSERT ON t TO @", "REVOKE INSERT ON t FROM @", "write tables"),
        ("GRANT USAGE ON SCHEMA datanode TO @", "REVOKE USAGE ON SCHEMA datanode FROM @", "catalogue"),
        (
            "GRANT CREATE ON SCHEMA datanode_tables TO @",
            "REVOKE CREATE ON SCHEMA datanode_tables FROM @",
            "create tables",
        ),
    ] {
        place.on_server(&give.replace('@', &role));
        let error = ask(&store).await.unwrap_err();
        assert_eq!((error.code(), error.class()), ("sql.reader_too_powerful", ErrorClass::Refused), "{give}");
        assert!(error.to_string().contains(power) && error.to_string().contains(&role), "{error}");
        place.on_server(&take.replace('@', &role));
        assert!(ask(&store).await.unwrap().ok, "{take}");
    }
    // The host's own login is the owner of everything.
    let (url, _) = place.urls();
    let store = PostgresStore::open(&url).await.unwrap().with_reader(&url).unwrap();
    assert_eq!(ask(&store).await.unwrap_err().code(), "sql.reader_too_powerful");
}

#[tokio::test]
async fn a_login_that_is_not_there_is_named_without_its_password() {
    let (_place, store, own, _) = two_tables().await;
    let reader = Reader::of("postgres://nobody_at_all:hunter2@127.0.0.1:1/nowhere").unwrap();
    let error = reader.begin(&limits()).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("sql.reader_unreachable", ErrorClass::Infrastructure));
    let said = error.to_string();
    assert!(said.contains("nobody_at_all") && said.contains("127.0.0.1:1/nowhere"), "{said}");
    assert!(said.contains("refused") && !said.contains("hunter2"), "{said}");
    let none = PostgresStore { reader: None, ..store.clone() };
    let missing = crate::Store::read_only_sql(&none).err().unwrap();
    assert_eq!((missing.code(), missing.class()), ("sql.no_reader", ErrorClass::Usage));
    assert!(missing.next_step().unwrap().contains("CREATE ROLE"), "{missing}");
    drop(own);
}

/// The table is a query of its own to the statement: conditions reach its index all the same.
#[tokio::test]
async fn a_range_of_time_is_looked_up_and_not_scanned() {
    let (_place, store, own, _) = two_tables().await;
    let reader = store.reader.as_ref().unwrap();
    reader.let_read(&store.pools, &own.contract).await.unwrap();
    let mut session = reader.begin(&limits()).await.unwrap();
    raw_sql("SET LOCAL enable_seqscan = off").execute(session.connection().unwrap()).await.unwrap();
    let query = super::over(
        &own.contract,
        "SELECT a.value FROM t AS a, t AS b WHERE a.time_index >= '2020-01-01' AND b.time_index = a.time_index",
    );
    let plan = session.plan(&query).await.unwrap().to_string();
    assert!(plan.contains("Index Cond") && plan.contains("t_pkey") && !plan.contains("CTE Scan"), "{plan}");
    session.end().await;
}
