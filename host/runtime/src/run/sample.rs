//! The first rows of a frame, for a person to look at.

use arrow_array::{RecordBatch, UInt32Array};
use datanode_core::contract::Contract;

/// The most rows that can be shown of one frame.
pub const MAX_SAMPLE_ROWS: usize = 1_000;
/// Bytes at which a sample ends early: rows may be large.
const MAX_SAMPLE_BYTES: usize = 4 << 20;

/// What a run wrote, or would write, into its table: the first rows, in the order of emission.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Contract of the table.
    pub contract: Contract,
    /// Rows of the whole frame.
    pub rows: u64,
    /// The first of them, as batches of one row each, with the contract's columns.
    pub sample: Vec<RecordBatch>,
}

/// Collects the first rows of what passes by. They are copies: a slice would keep its whole batch in memory.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    wanted: usize,
    bytes: usize,
    rows: Vec<RecordBatch>,
}

impl Sample {
    pub(crate) fn new(wanted: usize) -> Self {
        Self { wanted: wanted.min(MAX_SAMPLE_ROWS), ..Self::default() }
    }

    pub(crate) fn push(&mut self, batch: &RecordBatch) {
        for row in 0..batch.num_rows() {
            if self.rows.len() >= self.wanted {
                return;
            }
            let Some(copy) = row_of(batch, row) else { return };
            self.bytes += copy.get_array_memory_size();
            if self.bytes > MAX_SAMPLE_BYTES {
                // The rows shown are the first ones without a hole.
                self.wanted = self.rows.len();
                return;
            }
            self.rows.push(copy);
        }
    }

    pub(crate) fn into_rows(self) -> Vec<RecordBatch> {
        self.rows
    }
}

/// A copy of one row.
pub(crate) fn row_of(batch: &RecordBatch, row: usize) -> Option<RecordBatch> {
    let row = UInt32Array::from(vec![u32::try_from(row).ok()?]);
    arrow_select::take::take_record_batch(batch, &row).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::{ArrayRef, StringArray};

    use super::*;

    fn batch(texts: &[String]) -> RecordBatch {
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        RecordBatch::try_from_iter([("text", texts)]).unwrap()
    }

    fn texts(rows: &[RecordBatch]) -> Vec<String> {
        rows.iter().map(|row| row.column(0).as_string::<i32>().value(0).to_owned()).collect()
    }

    #[test]
    fn the_first_rows_are_kept_in_order() {
        let names: Vec<String> = (0..10).map(|row| row.to_string()).collect();
        for wanted in [0, 1, 7, 10, 20] {
            let mut sample = Sample::new(wanted);
            names.chunks(4).for_each(|names| sample.push(&batch(names)));
            assert_eq!(texts(&sample.into_rows()), names[..wanted.min(10)]);
        }
    }

    #[test]
    fn large_rows_end_a_sample_early_and_leave_no_hole() {
        let mut sample = Sample::new(100);
        let (large, small) = ("x".repeat(MAX_SAMPLE_BYTES / 3), "y".to_owned());
        for text in [&large, &small, &large, &large, &small] {
            sample.push(&batch(std::slice::from_ref(text)));
        }
        assert_eq!(texts(&sample.into_rows()), [large.clone(), small, large]);
    }
}
