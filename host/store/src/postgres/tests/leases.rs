//! One writer per node.

use std::time::Duration;

use crate::postgres::lease;
use crate::{ClaimLease, StoreError};

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

#[tokio::test]
async fn a_node_has_one_writer_until_its_lease_expires_or_is_given_up() {
    let place = Place::new().await;
    place.node("n", &place.register(&contract("t", &[])).await).await;
    let mut connection = place.pool.acquire().await.unwrap();
    let nobody = ClaimLease { node_uid: "nobody".to_owned(), ..claim("a", LONG) };
    let error = lease::claim(&mut connection, &nobody).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no node `nobody`");

    let first = lease::claim(&mut connection, &claim("a", LONG)).await.unwrap();
    assert_eq!((first.epoch, first.holder.as_str()), (1, "host of a"));
    assert_eq!(lease::all(&mut connection).await.unwrap(), std::slice::from_ref(&first));
    match lease::claim(&mut connection, &claim("b", LONG)).await.unwrap_err() {
        StoreError::LeaseHeld { run_id, expires_at, .. } => {
            assert_eq!((run_id.as_str(), expires_at), ("a", first.expires_at));
        }
        other => panic!("{other}"),
    }
    let longer = lease::extend(&mut connection, &first, 2 * LONG).await.unwrap();
    assert!(longer.expires_at > first.expires_at);
    lease::check(&mut connection, &longer).await.unwrap();

    lease::release(&mut connection, &longer).await.unwrap();
    assert_eq!(lease::all(&mut connection).await.unwrap(), []);
    // A lease that is given up is nobody's.
    assert_lost(&lease::extend(&mut connection, &longer, LONG).await.unwrap_err(), 1, 1);
    assert_lost(&lease::check(&mut connection, &longer).await.unwrap_err(), 1, 1);
    let second = lease::claim(&mut connection, &claim("b", Duration::ZERO)).await.unwrap();
    assert_eq!(second.epoch, 2);
    // The first holder is late.
    assert_lost(&lease::extend(&mut connection, &first, LONG).await.unwrap_err(), 1, 2);
    assert_lost(&lease::check(&mut connection, &first).await.unwrap_err(), 1, 2);
    lease::release(&mut connection, &first).await.unwrap();
    lease::release_of_run(&mut connection, "n", "a").await.unwrap();
    // The second has expired, but goes on until somebody claims the node.
    lease::check(&mut connection, &second).await.unwrap();
    let third = lease::claim(&mut connection, &claim("c", LONG)).await.unwrap();
    assert_eq!(third.epoch, 3);
    assert_lost(&lease::check(&mut connection, &second).await.unwrap_err(), 2, 3);
    // Its own run may claim it again, as after an answer that was lost on its way.
    assert_eq!(lease::claim(&mut connection, &claim("c", Duration::MAX)).await.unwrap().epoch, 4);
    lease::release_of_run(&mut connection, "n", "c").await.unwrap();
    assert_eq!(lease::all(&mut connection).await.unwrap(), []);
}

#[track_caller]
fn assert_lost(error: &StoreError, held: i64, latest: i64) {
    let StoreError::LeaseLost { epoch, current, .. } = error else { panic!("{error}") };
    assert_eq!((*epoch, *current), (held, latest));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_claim_at_once_one_gets_the_node() {
    let place = Place::new().await;
    place.node("n", &place.register(&contract("t", &[])).await).await;
    for round in 1..6 {
        let claims = (0..8).map(|at| {
            let pool = place.pool.clone();
            tokio::spawn(async move {
                let mut connection = pool.acquire().await.unwrap();
                lease::claim(&mut connection, &claim(&format!("{round}-{at}"), LONG)).await
            })
        });
        let mut granted = Vec::new();
        for claim in claims.collect::<Vec<_>>() {
            match claim.await.unwrap() {
                Ok(lease) => granted.push(lease),
                Err(StoreError::LeaseHeld { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(granted.iter().map(|lease| lease.epoch).collect::<Vec<_>>(), [round]);
        lease::release(&mut place.pool.acquire().await.unwrap(), &granted[0]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_claims_a_node_while_its_lease_is_held_for_a_commit() {
    let place = Place::new().await;
    place.node("n", &place.register(&contract("t", &[])).await).await;
    let expired =
        lease::claim(&mut place.pool.acquire().await.unwrap(), &claim("a", Duration::ZERO)).await.unwrap();
    let mut committing = place.pool.begin().await.unwrap();
    lease::lock(&mut committing, &expired.node_uid).await.unwrap();
    let pool = place.pool.clone();
    let claiming = tokio::spawn(async move {
        lease::claim(&mut pool.acquire().await.unwrap(), &claim("b", LONG)).await.unwrap()
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!claiming.is_finished(), "a claim went past a commit");
    committing.commit().await.unwrap();
    assert_eq!(claiming.await.unwrap().epoch, 2);
}
