//! Writing Arrow IPC messages for guests.

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Schema};

/// Encodes one frame: the schema message, then one message per batch.
pub struct FrameEncoder {
    writer: StreamWriter<Vec<u8>>,
    schema: Vec<u8>,
}

impl std::fmt::Debug for FrameEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameEncoder").finish_non_exhaustive()
    }
}

impl FrameEncoder {
    /// Begin a frame of this schema (flat columns, so that a batch is exactly one message).
    pub fn new(schema: &Schema) -> Result<Self, ArrowError> {
        let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
        let schema = std::mem::take(writer.get_mut());
        Ok(Self { writer, schema })
    }

    /// The schema message.
    pub fn schema(&self) -> &[u8] {
        &self.schema
    }

    /// The message of one batch.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        self.writer.write(batch)?;
        Ok(std::mem::take(self.writer.get_mut()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, StringArray};
    use proptest::prelude::*;

    use super::super::{Decoded, FrameDecoder};
    use super::*;

    fn batch(values: Vec<Option<f64>>, texts: Vec<String>) -> RecordBatch {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("value", Arc::new(Float64Array::from(values))),
            ("text", Arc::new(StringArray::from(texts))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn messages(batch: &RecordBatch) -> Vec<Vec<u8>> {
        let mut encoder = FrameEncoder::new(&batch.schema()).unwrap();
        let body = encoder.encode(batch).unwrap();
        vec![encoder.schema().to_vec(), body]
    }

    #[test]
    fn a_batch_is_one_message_and_reads_back() {
        let sent = batch(vec![Some(1.0), None], vec!["a".into(), "é".into()]);
        let mut decoder = FrameDecoder::new("t");
        let messages = messages(&sent);
        assert!(matches!(decoder.decode(&messages[0]).unwrap(), Decoded::Schema(_)));
        let Decoded::Batch(received) = decoder.decode(&messages[1]).unwrap() else { panic!("no batch") };
        assert_eq!(received.columns(), sent.columns());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// The same where it hurts most: counts, offsets and lengths in the metadata, which are 8-byte words.
        #[test]
        fn lying_counts_offsets_and_lengths_never_panic(
            lies in prop::collection::vec((0usize..200, prop::sample::select(vec![0i64, 1, 7, 8, 16, 63, 64, 65, 128, 512, -1, i64::MAX, i64::MIN])), 1..4),
        ) {
            let sent = batch((0..64).map(|n| (n % 3 > 0).then_some(f64::from(n))).collect(), (0..64).map(|n| n.to_string()).collect());
            let messages = messages(&sent);
            let mut decoder = FrameDecoder::new("t");
            decoder.decode(&messages[0]).unwrap();
            let mut bytes = messages[1].clone();
            let metadata = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
            for (word, lie) in &lies {
                let at = 8 + word % (metadata / 8) * 8;
                bytes[at..at + 8].copy_from_slice(&lie.to_le_bytes());
            }
            let _ = decoder.decode(&bytes);
        }

        /// Bytes of a guest never panic the host and never read outside the message, whatever is flipped in them.
        #[test]
        fn damaged_messages_are_refused_or_read_but_never_panic(
            flips in prop::collection::vec((0usize..2_000, any::<u8>()), 1..6),
            cut in 0usize..4_000,
        ) {
            let sent = batch((0..64).map(|n| Some(f64::from(n))).collect(), (0..64).map(|n| n.to_string()).collect());
            let messages = messages(&sent);
            for target in 0..2 {
                let mut decoder = FrameDecoder::new("t");
                for (number, message) in messages.iter().enumerate() {
                    let mut bytes = message.clone();
                    if number == target {
                        for (at, value) in &flips {
                            let length = bytes.len();
                            bytes[at % length] = *value;
                        }
                        bytes.truncate(cut.max(1));
                    }
                    let _ = decoder.decode(&bytes);
                }
            }
        }
    }
}
