//! Sessions are what this host needs, whatever the role or the database says; and leases wait for nobody.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;

use crate::postgres::lease;
use crate::{ClaimLease, Leases, PostgresStore, Store, StoreError};

use super::Place;
use super::support::{contract, server};

/// As an operator may have set for people at a terminal.
const SETTINGS: [(&str, &str); 5] = [
    ("statement_timeout", "'50ms'"),
    ("lock_timeout", "'50ms'"),
    ("idle_in_transaction_session_timeout", "'50ms'"),
    ("default_transaction_isolation", "'serializable'"),
    ("synchronous_commit", "off"),
];

async fn open(place: &Place) -> PostgresStore {
    PostgresStore::open(&server(&place.name)).await.unwrap()
}

#[tokio::test]
async fn timeouts_and_weaker_commits_of_the_database_do_not_reach_a_run() {
    let place = Place::new().await;
    for (name, value) in SETTINGS {
        place.execute(&format!("ALTER DATABASE \"{}\" SET {name} = {value}", place.name)).await;
    }
    // Another session has them.
    let plain = sqlx::PgPool::connect(&server(&place.name)).await.unwrap();
    let read = async |pool: &sqlx::PgPool| {
        let names: Vec<&str> = SETTINGS.iter().map(|(name, _)| *name).collect();
        let sql = "SELECT name, setting FROM pg_settings WHERE name = ANY ($1) ORDER BY name";
        let rows = sqlx::query(sql).bind(names).fetch_all(pool).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect::<Vec<(String, String)>>()
    };
    let expected = |values: [&str; 5]| {
        let mut names = SETTINGS.map(|(name, _)| name);
        names.sort_unstable();
        names
            .into_iter()
            .zip(values)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(read(&plain).await, expected(["serializable", "50", "50", "50", "off"]));

    let store = open(&place).await;
    let pools = &store.pools;
    for pool in [&pools.connections, &pools.leases, &pools.tokens, &pools.snapshots] {
        assert_eq!(read(pool).await, expected(["read committed", "0", "0", "0", "on"]));
    }
    // A snapshot that waits for its guest for longer than the timeout.
    let mut snapshot = store.snapshot().await.unwrap();
    let table = place.register(&contract("t", &[])).await;
    let mut later = store.snapshot().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    snapshot.table(&table.uid).await.unwrap_err();
    later.table(&table.uid).await.unwrap();
}

#[tokio::test]
async fn a_stronger_commit_stays_as_it_is() {
    let place = Place::new().await;
    place.execute(&format!("ALTER DATABASE \"{}\" SET synchronous_commit = remote_apply", place.name)).await;
    let store = open(&place).await;
    let setting: String =
        sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&store.pools.connections).await.unwrap();
    assert_eq!(setting, "remote_apply");
}

#[tokio::test]
async fn a_lease_is_kept_while_every_other_connection_is_in_use() {
    let place = Place::new().await;
    let table = place.register(&contract("t", &[])).await;
    for node in ["n", "m", "o"] {
        place.node(node, &table).await;
    }
    let store = Arc::new(open(&place).await);
    let claim = |node: &str, run: &str| ClaimLease {
        node_uid: node.to_owned(),
        holder: "a test".to_owned(),
        run_id: run.to_owned(),
        duration: Duration::from_mins(10),
    };
    let lease = store.claim_lease(&claim("n", "r")).await.unwrap();
    // The commit of another node, which does not end, and two runs that wait for that node.
    let committed = store.claim_lease(&claim("m", "committing")).await.unwrap();
    let mut committing = place.pool.begin().await.unwrap();
    lease::lock(&mut committing, "m").await.unwrap();
    let waiting = ["first", "second"].map(|run| {
        let (store, asked) = (Arc::clone(&store), claim("m", run));
        tokio::spawn(async move {
            loop {
                match store.claim_lease(&asked).await {
                    Err(StoreError::LeaseHeld { run_id, .. }) if run_id == "committing" => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    other => return other,
                }
            }
        })
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut busy = Vec::new();
    while busy.len() < store.pools.connections.options().get_max_connections() as usize {
        busy.push(store.pools.connections.acquire().await.unwrap());
    }
    let longer = store.extend_lease(&lease, Duration::from_mins(20)).await.unwrap();
    assert!(longer.expires_at > lease.expires_at);
    // Nor does the heartbeat of that commit's own run wait for its end, or another node's claim for those two.
    let own = store.extend_lease(&committed, Duration::from_mins(20)).await;
    assert!(matches!(own, Err(StoreError::Busy { .. })), "{own:?}");
    store.claim_lease(&claim("o", "another")).await.unwrap();
    store.release_lease(&longer).await.unwrap();
    assert!(waiting.iter().all(|claim| !claim.is_finished()), "{waiting:?}");
    committing.rollback().await.unwrap();
    store.release_lease(&committed).await.unwrap();
    let [first, second] = waiting;
    let ended = [first.await.unwrap(), second.await.unwrap()];
    assert_eq!(ended.iter().filter(|claimed| claimed.is_ok()).count(), 1, "{ended:?}");
}
