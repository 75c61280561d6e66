//! Index tuples that come in two batches: what the unique index finds in a commit, and a dry run has to look for.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::digest::Digest;
use datanode_store::{Rows, RowsError, StoreError};

use super::stored_rows::key;

/// Rows that are looked at: each is remembered in some 20 bytes.
const MAX_ROWS: usize = 2_000_000;

/// Whether all rows could be looked at.
#[derive(Debug, Clone)]
pub(super) struct Looked(Arc<AtomicBool>);

impl Looked {
    /// False: there were too many.
    pub(super) fn at_all(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The same rows, which end in an error when two of them have one index tuple.
pub(super) fn watched(contract: &Contract, rows: Rows) -> (Rows, Looked) {
    watched_within(MAX_ROWS, contract, rows)
}

fn watched_within(max_rows: usize, contract: &Contract, rows: Rows) -> (Rows, Looked) {
    let looked = Looked(Arc::new(AtomicBool::new(true)));
    let (contract, mut seen, at_all) = (contract.clone(), HashSet::new(), Arc::clone(&looked.0));
    let watched = rows.map(move |batch| {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            if seen.len() >= max_rows {
                at_all.store(false, Ordering::Relaxed);
                break;
            }
            let Some(tuple) = tuple(&contract, &batch, row) else { continue };
            // Half a SHA-256: what a guest emits cannot make two tuples look alike.
            let digest = Digest::of(tuple.to_json().as_bytes()).to_string();
            if !seen
                .insert(u128::from_str_radix(digest.get(..32).unwrap_or_default(), 16).unwrap_or_default())
            {
                let twice =
                    StoreError::DuplicateKey { table: contract.identifier.clone(), key: tuple.to_string() };
                return Err(Box::new(twice) as RowsError);
            }
        }
        Ok(batch)
    });
    (Box::new(watched), looked)
}

/// The time before the identity dimensions.
fn tuple(contract: &Contract, batch: &RecordBatch, row: usize) -> Option<Coordinate> {
    let (time, Coordinate(mut values)) = key(contract, batch, row)?;
    values.insert(0, CoordinateValue::Timestamp(Timestamp::from_micros(time).ok()?));
    Some(Coordinate(values))
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn contract() -> Contract {
        let text = "identifier = \"t\"\nindex = [\"time_index\", \"name\"]\ncolumns = [\
            { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"name\", type = \"string\" }]";
        Contract::from_toml(text).unwrap()
    }

    fn rows(batches: &[&[(i64, &str)]]) -> Rows {
        let batch = |rows: &&[(i64, &str)]| {
            let times: Vec<i64> = rows.iter().map(|row| row.0).collect();
            let columns: Vec<ArrayRef> = vec![
                Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1))),
            ];
            Ok(RecordBatch::try_new(contract().arrow_schema(), columns).unwrap())
        };
        Box::new(batches.iter().map(batch).collect::<Vec<_>>().into_iter())
    }

    fn check(max_rows: usize, rows: Rows) -> Result<bool, RowsError> {
        let (rows, looked) = watched_within(max_rows, &contract(), rows);
        rows.collect::<Result<Vec<_>, _>>().map(|_| looked.at_all())
    }

    #[test]
    fn a_tuple_of_two_batches_is_named() {
        assert!(check(MAX_ROWS, rows(&[&[(1, "a"), (1, "b")], &[(2, "a")]])).unwrap());
        let error = check(MAX_ROWS, rows(&[&[(1, "a"), (1, "b")], &[(2, "a"), (1, "b")]])).unwrap_err();
        let said = error.to_string();
        assert_eq!(
            said,
            "table `t`: index (1970-01-01T00:00:00.000001Z, b) was emitted in two batches of this run"
        );
    }

    #[test]
    fn beyond_the_bound_it_says_that_it_did_not_look() {
        let batches: [&[_]; 2] = [&[(1, "a"), (1, "b")], &[(2, "a")]];
        assert!(check(3, rows(&batches)).unwrap());
        assert!(!check(2, rows(&batches)).unwrap());
    }
}
