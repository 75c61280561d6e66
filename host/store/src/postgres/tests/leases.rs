//! Locks of leases.

use std::time::Duration;

use crate::postgres::lease;
use crate::{Backfills, ClaimLease, Leases, PostgresStore, StoreError};

use super::Place;
use super::support::{contract, server};

fn claim(run: &str, duration: Duration) -> ClaimLease {
    ClaimLease {
        node_uid: "n".to_owned(),
        holder: format!("host of {run}"),
        run_id: run.to_owned(),
        duration,
    }
}

const LONG: Duration = Duration::from_mins(10);

#[tokio::test(flavor = "multi_thread")]
async fn nobody_claims_a_node_while_its_lease_is_held_for_a_commit() {
    let place = Place::new().await;
    place.node("n", &place.register(&contract("t", &[])).await).await;
    let claimed =
        lease::claim(&mut place.pool.acquire().await.unwrap(), &claim("a", Duration::ZERO)).await.unwrap();
    let expired = claimed.unwrap();
    let mut committing = place.pool.begin().await.unwrap();
    lease::lock(&mut committing, &expired.node_uid).await.unwrap();
    let pool = place.pool.clone();
    let claiming = tokio::spawn(async move {
        lease::claim(&mut pool.acquire().await.unwrap(), &claim("b", LONG)).await.unwrap().unwrap()
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!claiming.is_finished(), "a claim went past a commit");
    committing.commit().await.unwrap();
    assert_eq!(claiming.await.unwrap().epoch, 2);
}

/// However long that commit takes: who waits asks again, and holds no connection meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_meets_a_commit_is_told_who_holds_the_node() {
    let place = Place::new().await;
    place.node("n", &place.register(&contract("t", &[])).await).await;
    let store = PostgresStore::open(&server(&place.name)).await.unwrap();
    // A lease expires while its commit goes on, for heartbeats cannot extend it.
    let expired = store.claim_lease(&claim("a", Duration::ZERO)).await.unwrap();
    let mut committing = place.pool.begin().await.unwrap();
    lease::lock(&mut committing, &expired.node_uid).await.unwrap();
    let asked = claim("b", LONG);
    for refused in [store.claim_lease(&asked).await, store.claim_for_window(&asked).await] {
        let error = refused.unwrap_err();
        let StoreError::LeaseHeld { node, holder, run_id, expires_at, gives_way } = &error else {
            panic!("{error}")
        };
        assert_eq!((node.as_str(), holder.as_str(), run_id.as_str()), ("n", "host of a", "a"));
        assert_eq!((*expires_at, *gives_way), (expired.expires_at, false));
    }
    let beat = store.extend_lease(&expired, LONG).await;
    assert!(matches!(beat, Err(StoreError::Busy { .. })), "{beat:?}");
    committing.commit().await.unwrap();
    assert_eq!(store.extend_lease(&expired, Duration::ZERO).await.unwrap().epoch, 1, "nobody has taken it");
    // The run that has asked in vain comes before windows of backfills, though the lease could not say so.
    let window = store.claim_for_window(&claim("c", LONG)).await;
    assert!(matches!(window, Err(StoreError::LeaseHeld { .. })), "{window:?}");
    assert_eq!(store.claim_lease(&asked).await.unwrap().epoch, 2);
}

/// As a process does that is stopped between two statements of its claim, or whose network is gone.
#[tokio::test(flavor = "multi_thread")]
async fn who_falls_silent_inside_of_a_claim_keeps_no_node() {
    let place = Place::new().await;
    place.node("n", &place.register(&contract("t", &[])).await).await;
    let store = PostgresStore::open(&server(&place.name)).await.unwrap();
    let mut silent = store.pools.begin_lease().await.unwrap();
    lease::claim(&mut silent, &claim("a", LONG)).await.unwrap().unwrap();
    let second = claim("b", LONG);
    let claiming = store.claim_lease(&second);
    let claimed = tokio::time::timeout(Duration::from_mins(1), claiming).await.expect("it is kept").unwrap();
    assert_eq!((claimed.run_id.as_str(), claimed.epoch), ("b", 1), "the first claim has left nothing");
    assert!(silent.commit().await.is_err(), "a claim that the server has ended was told to be stored");
    // Its connection is of no more use, and the pool gives out another.
    let longer = store.extend_lease(&claimed, LONG * 2).await.unwrap();
    assert_eq!(longer.epoch, 1);
    store.release_lease(&longer).await.unwrap();
    store.claim_lease(&claim("c", LONG)).await.unwrap();
}
