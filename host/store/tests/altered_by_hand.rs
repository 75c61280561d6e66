//! Tables that somebody alters behind the catalogue's back: each read and each commit finds it, also where the table was found
//! sound a moment before.

use crate::support::{Model, Place, batch, commit, contract, node, on_both_databases, progress, run, table};
use datanode_core::coordinate::Coordinate;
use datanode_core::revision::RevisionError;
use datanode_store::{StoreError, Table};

/// What a read of the table says of it: nothing, or where it differs.
async fn reading(place: &Place, table: &Table) -> Vec<String> {
    let mut snapshot = place.store.snapshot().await.unwrap();
    match snapshot.table(&table.uid).await {
        Ok(_) => Vec::new(),
        Err(StoreError::Revision(RevisionError::Drifted { differences, .. })) => differences,
        Err(error) => panic!("{error}"),
    }
}

async fn a_table_that_was_sound_is_looked_at_again_once_anything_was_altered(place: Place) {
    let rates = table(&*place.store, &contract("rates", &[])).await;
    let other = table(&*place.store, &contract("other", &[])).await;
    for _ in 0..3 {
        assert_eq!(reading(&place, &rates).await, [""; 0]);
    }
    place.execute("ALTER TABLE rates ADD COLUMN note TEXT");
    for _ in 0..3 {
        let differences = reading(&place, &rates).await;
        assert!(differences.len() == 1 && differences[0].contains("`note`"), "{differences:?}");
        assert_eq!(reading(&place, &other).await, [""; 0]);
    }
    place.execute("ALTER TABLE rates DROP COLUMN note");
    assert_eq!(reading(&place, &rates).await, [""; 0]);
}

/// The commit's own look at the table, for a change that comes between the run's read and its commit.
async fn a_commit_finds_what_was_altered_during_its_run(place: Place) {
    let rates = table(&*place.store, &contract("rates", &[])).await;
    let node = node(&*place.store, &rates).await;
    let rows: Model = [((3, Coordinate(Vec::new())), Some(3))].into();
    let batches = vec![batch(&rates.contract, &rows)];
    let change = commit(&*place.store, &rates, run(&node, "a"), batches, progress(rows.keys())).await;
    assert_eq!(reading(&place, &rates).await, [""; 0]);
    place.execute("ALTER TABLE rates ADD COLUMN note TEXT");
    let refused = place.store.commit_run(change).await.unwrap_err();
    assert!(matches!(refused, StoreError::Revision(RevisionError::Drifted { .. })), "{refused}");
}

on_both_databases!(
    a_table_that_was_sound_is_looked_at_again_once_anything_was_altered,
    a_commit_finds_what_was_altered_during_its_run,
);
