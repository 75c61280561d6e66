//! Pages that were read before they are asked for.
//!
//! To ask for a page takes a plan of the server and a way there and back, about a millisecond, in which nothing is read. Who
//! asks for one page after the other soon gets several by one statement: each time twice as many, as long as what was read
//! ahead stays small.

use std::collections::VecDeque;

use datanode_core::contract::Column;
use datanode_core::data_type::DataType;

use crate::rows::MAX_PAGE_BYTES;
use crate::{IndexKey, Page};

/// Bytes of what one statement reads, about, where that is more than a page: what the texts of a page may have, too.
const MOST_BYTES: usize = MAX_PAGE_BYTES;

/// What a read has in hand.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    pages: VecDeque<Page>,
    /// The key behind which they begin; a read begins behind none.
    after: Option<IndexKey>,
    /// Whether nothing follows them.
    ended: bool,
    /// Rows that the statement before this one was asked for.
    asked: usize,
    /// Bytes of a row, but for texts and blobs, and of these in the rows that were read last, on average.
    fixed: usize,
    long: usize,
}

/// What one statement has read.
#[derive(Debug)]
pub(super) struct Fetched {
    /// Its pages; none of them is empty.
    pub(super) pages: VecDeque<Page>,
    /// Rows that it was asked for.
    pub(super) asked: usize,
    /// Bytes of texts and blobs.
    pub(super) long_bytes: usize,
    /// Whether nothing follows.
    pub(super) ended: bool,
}

/// It has to be read.
#[derive(Debug)]
pub(super) struct NotInHand;

impl Ahead {
    /// Of rows with these columns.
    pub(super) fn new(columns: &[Column]) -> Self {
        Self { fixed: columns.iter().map(|column| width(column.data_type)).sum(), ..Self::default() }
    }

    /// The page behind a key, of at most so many rows, if it is in hand; None: there is none. What is in hand of another
    /// place is dropped.
    pub(super) fn page(
        &mut self,
        after: Option<&IndexKey>,
        max_rows: usize,
    ) -> Result<Option<Page>, NotInHand> {
        let fits = self.pages.front().is_none_or(|page| page.batch.num_rows() <= max_rows);
        if after.is_none() || self.after.as_ref() != after || !fits {
            let Self { fixed, long, .. } = *self;
            *self = Self { after: after.cloned(), fixed, long, ..Self::default() };
        }
        let page = self.first();
        if page.is_some() || self.ended { Ok(page) } else { Err(NotInHand) }
    }

    fn first(&mut self) -> Option<Page> {
        let page = self.pages.pop_front()?;
        self.after = Some(page.last.clone());
        Some(page)
    }

    /// How many rows the next statement is asked for, where a page has so many.
    pub(super) fn wanted(&self, max_rows: usize) -> usize {
        let most = MOST_BYTES / (self.fixed + self.long).max(1);
        let twice = self.asked.saturating_mul(2).min(most);
        // Whole pages, and one in any case.
        (twice - twice % max_rows.max(1)).max(max_rows)
    }

    /// Take what was read behind the key at which this stands, and hand out the first page of it.
    pub(super) fn put(&mut self, fetched: Fetched) -> Option<Page> {
        let rows: usize = fetched.pages.iter().map(|page| page.batch.num_rows()).sum();
        self.long = fetched.long_bytes.checked_div(rows).unwrap_or_default();
        (self.pages, self.asked, self.ended) = (fetched.pages, fetched.asked, fetched.ended);
        self.first()
    }
}

/// Bytes of a value in an array, but for those of texts and blobs.
fn width(data_type: DataType) -> usize {
    match data_type {
        DataType::Float64 | DataType::Int64 | DataType::TimestampTz => 8,
        // Of the last three, where it ends.
        DataType::Float32
        | DataType::Int32
        | DataType::Date
        | DataType::String
        | DataType::Json
        | DataType::Bytes => 4,
        DataType::Int16 => 2,
        DataType::Bool => 1,
        DataType::Uuid | DataType::Decimal { .. } => 16,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic here is the report

    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    use datanode_core::Timestamp;
    use datanode_core::coordinate::Coordinate;
    use proptest::prelude::*;

    use super::*;

    fn key(row: i64) -> IndexKey {
        IndexKey { time: Some(Timestamp::from_micros(row).unwrap()), coordinate: Coordinate::default() }
    }

    fn page(rows: &[i64]) -> Page {
        let column: ArrayRef = Arc::new(Int64Array::from(rows.to_vec()));
        Page {
            batch: RecordBatch::try_from_iter([("row", column)]).unwrap(),
            last: key(*rows.last().unwrap()),
        }
    }

    /// Of a table whose rows are the numbers below `rows`: those behind one.
    fn fetch(rows: i64, after: Option<i64>, asked: usize, page_rows: usize) -> Fetched {
        let found: Vec<i64> = (after.map_or(0, |after| after + 1)..rows).take(asked).collect();
        Fetched {
            pages: found.chunks(page_rows).map(page).collect(),
            asked,
            long_bytes: found.len() * 100,
            ended: found.len() < asked,
        }
    }

    proptest! {
        /// Whoever asks on where the last page ended, or elsewhere, for as many rows as he likes.
        #[test]
        fn a_page_is_what_stands_behind_its_key(
            rows in 0..60_i64,
            asked in prop::collection::vec((prop::option::weighted(0.2, -1..60_i64), 1..9_usize), 1..40),
        ) {
            let mut ahead = Ahead { fixed: 8, ..Ahead::default() };
            let mut at: Option<i64> = None;
            for (elsewhere, max_rows) in asked {
                if let Some(elsewhere) = elsewhere {
                    at = (elsewhere >= 0).then_some(elsewhere);
                }
                let after = at.map(key);
                let found = match ahead.page(after.as_ref(), max_rows) {
                    Ok(page) => page,
                    Err(NotInHand) => ahead.put(fetch(rows, at, ahead.wanted(max_rows), max_rows)),
                };
                let behind = at.map_or(0, |at| at + 1)..rows;
                let Some(found) = found else {
                    prop_assert!(behind.is_empty());
                    continue;
                };
                let numbers = found.batch.column(0).as_primitive::<Int64Type>().values().to_vec();
                prop_assert!(numbers.len() <= max_rows);
                prop_assert_eq!(&numbers, &behind.take(numbers.len()).collect::<Vec<_>>());
                at = numbers.last().copied();
            }
        }
    }

    #[test]
    fn more_and_more_is_read_at_once_and_never_much() {
        let mut ahead = Ahead { fixed: 8, ..Ahead::default() };
        let mut asked = Vec::new();
        let mut at: Option<i64> = None;
        for _ in 0..16 {
            let after = at.map(key);
            if ahead.page(after.as_ref(), 1_000).is_err() {
                asked.push(ahead.wanted(1_000));
                assert!(ahead.put(fetch(i64::MAX, at, ahead.wanted(1_000), 1_000)).is_some());
            }
            at = Some(at.map_or(999, |at| at + 1_000));
        }
        assert_eq!(asked, [1_000, 2_000, 4_000, 8_000, 16_000]);
        ahead.asked = 1 << 20;
        // At 108 bytes.
        assert_eq!((MOST_BYTES, ahead.wanted(1_000), ahead.wanted(50_000)), (4 << 20, 38_000, 50_000));
        // From elsewhere on, and from the beginning, page by page again.
        for after in [Some(key(7)), None] {
            assert!(ahead.page(after.as_ref(), 1_000).is_err());
            assert_eq!(ahead.wanted(1_000), 1_000);
            assert!(ahead.put(fetch(1, Some(0), 1_000, 1_000)).is_none() && ahead.ended);
        }
    }
}
