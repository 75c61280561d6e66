//! Rows that wait, as bytes: two messages of Arrow, the schema and the rows, each behind its length.

use arrow_array::RecordBatch;
use datanode_core::frame::{Decoded, FrameDecoder, FrameEncoder};
use datanode_store::StoreError;

/// Rows as bytes.
pub(super) fn pack(batch: &RecordBatch) -> Result<Vec<u8>, StoreError> {
    let damaged = |error: &dyn std::fmt::Display| StoreError::Damaged(format!("rows of an upload: {error}"));
    let mut encoder = FrameEncoder::new(&batch.schema()).map_err(|error| damaged(&error))?;
    let schema = encoder.schema().to_vec();
    let rows = encoder.encode(batch).map_err(|error| damaged(&error))?;
    let mut bytes = Vec::with_capacity(8 + schema.len() + rows.len());
    bytes.extend_from_slice(&(schema.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&schema);
    bytes.extend_from_slice(&rows);
    Ok(bytes)
}

/// Bytes as rows. They come from a database, and are trusted as little as those of a guest.
pub(super) fn unpack(bytes: &[u8]) -> Result<RecordBatch, StoreError> {
    let damaged = |problem: String| StoreError::Damaged(format!("an upload that waits: {problem}"));
    let cut = || damaged("it is cut off".to_owned());
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(cut)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut())?;
    let (schema, rows) = rest.split_at_checked(length).ok_or_else(cut)?;
    let mut decoder = FrameDecoder::new("an upload");
    decoder.decode(schema).map_err(|error| damaged(error.to_string()))?;
    match decoder.decode(rows).map_err(|error| damaged(error.to_string()))? {
        Decoded::Batch(batch) => Ok(batch),
        Decoded::Schema(_) => Err(damaged("it has no rows".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array};

    use super::*;

    #[test]
    fn rows_come_back_and_damage_is_told() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None, Some(-2.0)]));
        let batch = RecordBatch::try_from_iter([("value", values)]).unwrap();
        let bytes = pack(&batch).unwrap();
        assert_eq!(unpack(&bytes).unwrap().columns(), batch.columns());
        for length in [0, 7, 8, 20, bytes.len() - 1] {
            assert!(matches!(unpack(&bytes[..length]), Err(StoreError::Damaged(_))), "{length}");
        }
    }
}
