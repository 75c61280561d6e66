//! Locks of leases.

use std::time::Duration;

use crate::ClaimLease;
use crate::postgres::lease;

use super::Place;
use super::support::contract;

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
