//! Messages that a guest emits.

use std::sync::Arc;

use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array as _, RecordBatch, cast::AsArray as _};
use datanode_core::Timestamp;
use datanode_core::frame::{Decoded, FrameDecoder, FrameEncoder, OutputValidator};
use datanode_core::progress::Progress;
use datanode_core::window::Window;

/// The most rows of which every value is looked at.
const LOOKED_AT: usize = 100_000;

/// Decode and check the messages of a frame. The input is a number of messages, each after its length in four bytes
/// (little-endian); one that is longer than what is left is all that is left.
///
/// Promises: rows that may be stored have the table's columns, are sorted, and lie within the window; they can be encoded
/// for a guest that reads them; the same bytes are answered in the same way.
pub fn frame(data: &[u8]) {
    let first = checked(data);
    assert_eq!(first, checked(data));
}

/// What became of each message, up to the first that was refused.
fn checked(data: &[u8]) -> Vec<String> {
    let contract = Arc::new(crate::table());
    let window = Window { start: None, end: Timestamp::from_micros(4_000_000_000_000_000).unwrap() };
    let mut validator =
        OutputValidator::new(Arc::clone(&contract), window, Arc::new(Progress::default())).unwrap();
    let mut decoder = FrameDecoder::new(&contract.identifier);
    let mut told = Vec::new();
    for message in messages(data) {
        let answer = match decoder.decode(message) {
            Ok(Decoded::Schema(schema)) => validator.schema(&schema).map(|()| "schema".to_owned()),
            Ok(Decoded::Batch(batch)) => validator.batch(&batch).map(|kept| {
                kept.map_or_else(String::new, |kept| {
                    assert_eq!(kept.schema(), contract.arrow_schema());
                    look_at(&kept, window.end.micros());
                    format!("{} rows", kept.num_rows())
                })
            }),
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => told.push(answer),
            Err(error) => {
                told.push(error.to_string());
                break;
            }
        }
    }
    let summary = validator.finish();
    assert!(summary.dropped <= summary.emitted);
    told
}

fn look_at(kept: &RecordBatch, end: i64) {
    let times = kept.column(0).as_primitive::<TimestampMicrosecondType>();
    assert!(times.null_count() == 0 && times.values().iter().all(|time| *time <= end));
    if kept.num_rows() > LOOKED_AT {
        return;
    }
    let ids = kept.column(1).as_string::<i32>();
    let keys: Vec<_> = (0..kept.num_rows()).map(|row| (times.value(row), ids.value(row))).collect();
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "not sorted, or twice");
    let mut encoder = FrameEncoder::new(&kept.schema()).unwrap();
    encoder.encode(kept).unwrap();
}

fn messages(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX).min(rest.len());
        let (message, rest) = rest.split_at(length);
        data = rest;
        Some(message)
    })
}
