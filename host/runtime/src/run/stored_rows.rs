//! Emitted rows beside the rows that the table has already: what a dry run shows of the past.

use std::collections::{BTreeMap, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, RecordBatch};
use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::query::{Bound, CoordinateRange, RangeMap, ReadQuery, TimeRange};
use datanode_store::{Rows, Snapshot, StoreError, Table};

use super::sample::row_of;
use crate::RuntimeError;

/// Emitted rows that are looked up at once.
const CHUNK: usize = 1_024;
/// Stored rows of a page.
const PAGE: usize = 4_096;
/// Stored rows that are read for one comparison; what is left then is not compared.
const MAX_READ: u64 = 2_000_000;

/// Emitted rows that a run drops, compared with the stored rows of the same index tuple.
#[derive(Debug, Clone, Default)]
pub struct StoredRows {
    /// Rows that are stored with the same values.
    pub equal: u64,
    /// Rows that are stored with other values.
    pub different: u64,
    /// Rows whose index tuple is not stored: they lie before the window, or before the progress of their coordinate.
    pub absent: u64,
    /// Rows that were not compared, because too many stored ones would have to be read.
    pub not_compared: u64,
    /// The first few that differ.
    pub examples: Vec<Difference>,
}

/// A row that is stored with other values than were emitted: one row each, with the contract's columns.
#[derive(Debug, Clone)]
pub struct Difference {
    /// As it is stored.
    pub stored: RecordBatch,
    /// As it was emitted.
    pub emitted: RecordBatch,
}

/// An index tuple.
pub(super) type Key = (i64, Coordinate);

/// Compare rows with those of a snapshot, by reads that are bounded together. Examples of `examples` rows are kept.
pub(super) async fn compare(
    snapshot: &mut Box<dyn Snapshot>,
    table: &Table,
    rows: Rows,
    examples: usize,
) -> Result<StoredRows, RuntimeError> {
    compare_within(MAX_READ, snapshot, table, rows, examples).await
}

async fn compare_within(
    max_read: u64,
    snapshot: &mut Box<dyn Snapshot>,
    table: &Table,
    rows: Rows,
    examples: usize,
) -> Result<StoredRows, RuntimeError> {
    let mut found = StoredRows::default();
    let mut left = max_read;
    for batch in rows {
        let batch = batch.map_err(StoreError::Rows)?;
        for start in (0..batch.num_rows()).step_by(CHUNK) {
            let chunk = batch.slice(start, CHUNK.min(batch.num_rows() - start));
            let mut missing: HashMap<Key, usize> = (0..chunk.num_rows())
                .filter_map(|row| Some((key(&table.contract, &chunk, row)?, row)))
                .collect();
            let read = snapshot.read(table, &query(&table.contract, missing.keys()));
            let mut after = None;
            while left > 0 && !missing.is_empty() {
                let max_rows = usize::try_from(left).unwrap_or(PAGE).min(PAGE);
                let Some(page) = read.page(after.as_ref(), max_rows).await? else { break };
                left = left.saturating_sub(page.batch.num_rows() as u64);
                for row in 0..page.batch.num_rows() {
                    let Some(key) = key(&table.contract, &page.batch, row) else { continue };
                    let Some(emitted) = missing.remove(&key) else { continue };
                    if is_equal(&page.batch, row, &chunk, emitted) {
                        found.equal += 1;
                        continue;
                    }
                    found.different += 1;
                    if found.examples.len() < examples
                        && let (Some(stored), Some(emitted)) =
                            (row_of(&page.batch, row), row_of(&chunk, emitted))
                    {
                        found.examples.push(Difference { stored, emitted });
                    }
                }
                after = Some(page.last);
            }
            let missing = missing.len() as u64;
            *if left > 0 { &mut found.absent } else { &mut found.not_compared } += missing;
        }
    }
    Ok(found)
}

/// The stored rows among which those of the keys are: per coordinate, from the first to the last of its times.
fn query<'k>(contract: &Contract, keys: impl Iterator<Item = &'k Key>) -> ReadQuery {
    let mut times: BTreeMap<&Coordinate, (i64, i64)> = BTreeMap::new();
    for (time, coordinate) in keys {
        let (min, max) = times.entry(coordinate).or_insert((*time, *time));
        (*min, *max) = ((*min).min(*time), (*max).max(*time));
    }
    let range = |min: Option<i64>, max: Option<i64>| {
        let bound =
            |micros: i64| Timestamp::from_micros(micros).ok().map(|time| Bound { time, inclusive: true });
        TimeRange { start: min.and_then(bound), end: max.and_then(bound) }
    };
    let whole = range(times.values().map(|(min, _)| *min).min(), times.values().map(|(_, max)| *max).max());
    let entries = times.into_iter().map(|(coordinate, (min, max))| CoordinateRange {
        coordinate: coordinate.clone(),
        range: range(Some(min), Some(max)),
    });
    let range_map = (!contract.dimensions().is_empty())
        .then(|| RangeMap { entries: entries.collect(), include_unlisted: false });
    ReadQuery { range: whole, range_map, ..ReadQuery::default() }
}

/// The index tuple of a row of the contract's columns.
pub(super) fn key(contract: &Contract, batch: &RecordBatch, row: usize) -> Option<Key> {
    let time = batch.column_by_name(contract.index.first()?)?;
    let time = time.as_primitive_opt::<TimestampMicrosecondType>()?.value(row);
    let value = |name: &String| {
        CoordinateValue::from_array(batch.column_by_name(name)?, contract.column(name)?.data_type, row)
    };
    Some((time, Coordinate(contract.dimensions().iter().map(value).collect::<Option<_>>()?)))
}

fn is_equal(one: &RecordBatch, row: usize, other: &RecordBatch, other_row: usize) -> bool {
    let mut pairs = one.columns().iter().zip(other.columns());
    pairs.all(|(one, other)| one.slice(row, 1).as_ref() == other.slice(other_row, 1).as_ref())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, StringArray, TimestampMicrosecondArray};
    use async_trait::async_trait;
    use datanode_core::progress::Progress;
    use datanode_store::{IndexKey, Page, TableRead};

    use super::*;

    /// A table of rows in index order; a read answers those that its query asks for.
    #[derive(Debug, Clone)]
    struct Stored(Vec<(i64, &'static str, Option<f64>)>, Option<ReadQuery>);

    #[async_trait]
    impl TableRead for Stored {
        async fn page(&self, after: Option<&IndexKey>, max_rows: usize) -> Result<Option<Page>, StoreError> {
            let query = self.1.as_ref().unwrap();
            let (start, end) = query.range.inclusive_micros();
            let asked = |time: i64, name: &str| {
                let entries = &query.range_map.as_ref().unwrap().entries;
                entries.iter().any(|entry| {
                    let (start, end) = entry.range.inclusive_micros();
                    entry.coordinate == coordinate(name) && (start..=end).contains(&time)
                })
            };
            let rows: Vec<_> = self
                .0
                .iter()
                .filter(|(time, name, _)| (start..=end).contains(time) && asked(*time, name))
                .filter(|(time, name, _)| {
                    after.is_none_or(|after| {
                        (after.time.unwrap().micros(), &after.coordinate) < (*time, &coordinate(name))
                    })
                })
                .take(max_rows.min(2))
                .copied()
                .collect();
            let Some((time, name, _)) = rows.last() else { return Ok(None) };
            let time = Timestamp::from_micros(*time).ok();
            let last = IndexKey { time, coordinate: coordinate(name) };
            Ok(Some(Page { batch: batch(&rows), last }))
        }
    }

    #[async_trait]
    impl Snapshot for Stored {
        async fn table(&mut self, _: &str) -> Result<Table, StoreError> {
            Ok(table())
        }

        async fn progress(&mut self, _: &Table) -> Result<Progress, StoreError> {
            Ok(Progress::default())
        }

        async fn progress_of(&mut self, _: &[Table]) -> Result<Vec<Progress>, StoreError> {
            unreachable!()
        }

        async fn node_windows(&mut self, _: &str) -> Result<datanode_core::ledger::Ledger, StoreError> {
            unreachable!()
        }

        async fn backfill_raised(&mut self, _: &str) -> Result<i64, StoreError> {
            unreachable!()
        }

        async fn row_count(&mut self, _: &Table) -> Result<u64, StoreError> {
            Ok(self.0.len() as u64)
        }

        async fn extents(&mut self, _: &[Table]) -> Result<Vec<datanode_store::Extent>, StoreError> {
            unreachable!()
        }

        fn read(&self, table: &Table, query: &ReadQuery) -> Arc<dyn TableRead> {
            query.check(&table.contract).unwrap();
            Arc::new(Self(self.0.clone(), Some(query.clone())))
        }

        async fn end(self: Box<Self>) {}
    }

    fn coordinate(name: &str) -> Coordinate {
        Coordinate(vec![CoordinateValue::Text(name.to_owned())])
    }

    fn table() -> Table {
        let contract = "identifier = \"t\"\nindex = [\"time_index\", \"name\"]\ncolumns = [\
            { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"name\", type = \"string\" }, \
            { name = \"value\", type = \"float64\", nullable = true }]";
        let created_at = Timestamp::from_micros(0).unwrap();
        Table {
            uid: "u".to_owned(),
            contract: Contract::from_toml(contract).unwrap(),
            epoch: 0,
            created_at,
            owner: None,
        }
    }

    fn batch(rows: &[(i64, &'static str, Option<f64>)]) -> RecordBatch {
        let times: Vec<i64> = rows.iter().map(|row| row.0).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
        ];
        RecordBatch::try_new(table().contract.arrow_schema(), columns).unwrap()
    }

    async fn compared(max_read: u64, batches: &[&[(i64, &'static str, Option<f64>)]]) -> StoredRows {
        let stored = vec![
            (1, "a", Some(1.0)),
            (1, "b", None),
            (2, "a", Some(2.0)),
            (3, "b", Some(3.0)),
            (4, "a", Some(4.0)),
            (4, "c", Some(4.0)),
        ];
        let rows: Vec<_> = batches.iter().map(|rows| Ok(batch(rows))).collect();
        let mut snapshot: Box<dyn Snapshot> = Box::new(Stored(stored, None));
        compare_within(max_read, &mut snapshot, &table(), Box::new(rows.into_iter()), 1).await.unwrap()
    }

    #[tokio::test]
    async fn each_row_is_found_or_missed() {
        let found = compared(
            1_000,
            &[
                &[(1, "a", Some(1.0)), (1, "b", None), (2, "a", Some(2.5)), (2, "b", Some(0.0))],
                &[(4, "a", None), (5, "c", Some(1.0))],
            ],
        )
        .await;
        assert_eq!((found.equal, found.different, found.absent, found.not_compared), (2, 2, 2, 0));
        let [example] = &found.examples[..] else { panic!("one example was asked for") };
        assert_eq!(example.stored, batch(&[(2, "a", Some(2.0))]));
        assert_eq!(example.emitted, batch(&[(2, "a", Some(2.5))]));
    }

    #[tokio::test]
    async fn what_is_beyond_the_bound_is_said_not_to_be_compared() {
        let rows: &[_] = &[(1, "a", Some(1.0)), (1, "b", None), (2, "a", Some(2.0)), (4, "a", Some(4.0))];
        let found = compared(2, &[rows, rows]).await;
        assert_eq!((found.equal, found.different, found.absent, found.not_compared), (2, 0, 0, 6));
    }
}
