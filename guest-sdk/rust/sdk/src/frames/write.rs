//! Encoding batches as messages of a good size.

use arrow_array::{Array, RecordBatch};
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{
    DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message,
};
use arrow_schema::{DataType, SchemaRef};

use crate::NodeError;

/// Batches above this are halved until they are not, so that the messages of a big frame have 1 to 2 MiB.
const MAX_BATCH_BYTES: usize = 2 << 20;

/// Buffers begin at multiples of this, the strictest that Arrow recommends.
const ALIGNMENT: usize = 64;

/// Turns batches of one schema into encapsulated messages: the schema before the first batch, then one message per
/// batch or part of it. [`Context::emit`](crate::Context::emit) is the usual way to it.
pub struct FrameWriter {
    schema: SchemaRef,
    schema_written: bool,
    generator: IpcDataGenerator,
    options: IpcWriteOptions,
    scratch: IpcWriteContext,
    message: Vec<u8>,
}

impl FrameWriter {
    /// For a frame of this schema.
    #[track_caller]
    pub fn new(schema: SchemaRef) -> Result<Self, NodeError> {
        let encoded =
            schema.fields().iter().find(|field| matches!(field.data_type(), DataType::Dictionary(..)));
        if let Some(field) = encoded {
            let name = field.name();
            return Err(NodeError::new("output.column", format!("column `{name}` is dictionary encoded"))
                .field("column", name));
        }
        Ok(Self {
            schema,
            schema_written: false,
            generator: IpcDataGenerator::default(),
            options: IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?,
            scratch: IpcWriteContext::default(),
            message: Vec::new(),
        })
    }

    /// The schema message, for a frame that is to have one even without rows. `write` will not repeat it.
    pub fn schema_message(&mut self) -> Result<Vec<u8>, NodeError> {
        let encoded = self.generator.schema_to_bytes_with_dictionary_tracker(
            &self.schema,
            &mut no_dictionaries(),
            &self.options,
        );
        let mut message = Vec::new();
        write_message(&mut message, encoded, &self.options)?;
        self.schema_written = true;
        Ok(message)
    }

    /// Write a batch, handing each message to `emit`. A batch without rows writes nothing.
    #[track_caller]
    pub fn write(&mut self, batch: &RecordBatch, emit: &mut dyn FnMut(&[u8])) -> Result<(), NodeError> {
        if batch.schema_ref() != &self.schema {
            let problem = format!("a batch with another schema than the first: {}", batch.schema_ref());
            return Err(NodeError::new("output.schema", problem));
        }
        if batch.num_rows() > 1 && byte_size(batch)? > MAX_BATCH_BYTES {
            let half = batch.num_rows() / 2;
            self.write(&batch.slice(0, half), emit)?;
            return self.write(&batch.slice(half, batch.num_rows() - half), emit);
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if !self.schema_written {
            emit(&self.schema_message()?);
        }
        let (_, encoded) =
            self.generator.encode(batch, &mut no_dictionaries(), &self.options, &mut self.scratch)?;
        self.message.clear();
        write_message(&mut self.message, encoded, &self.options)?;
        emit(&self.message);
        Ok(())
    }
}

/// The columns have no dictionaries; the encoder wants a tracker all the same.
fn no_dictionaries() -> DictionaryTracker {
    DictionaryTracker::new(true)
}

/// What the rows of the batch take, not the buffers they are a slice of.
fn byte_size(batch: &RecordBatch) -> Result<usize, NodeError> {
    let mut bytes = 0;
    for column in batch.columns() {
        bytes += column.to_data().get_slice_memory_size()?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{BatchExt, FrameBuilder, Frames};
    use crate::host::Messages;

    struct Recorded(std::vec::IntoIter<Vec<u8>>);

    impl Messages for Recorded {
        fn schema(&mut self) -> Vec<u8> {
            self.0.next().unwrap()
        }

        fn next(&mut self) -> Option<Vec<u8>> {
            self.0.next()
        }
    }

    fn messages(batches: &[RecordBatch]) -> Vec<Vec<u8>> {
        let mut written = Vec::new();
        let mut writer = FrameWriter::new(batches[0].schema()).unwrap();
        for batch in batches {
            writer.write(batch, &mut |message| written.push(message.to_vec())).unwrap();
        }
        written
    }

    fn numbers(count: u32) -> RecordBatch {
        FrameBuilder::new()
            .floats("number", (0..count).map(f64::from))
            .strings("text", (0..count).map(|number| number.to_string()))
            .build()
            .unwrap()
    }

    #[test]
    fn no_rows_write_nothing_at_all() {
        assert!(messages(&[numbers(0), numbers(0)]).is_empty());
    }

    #[test]
    fn big_batches_are_cut_and_come_back_whole() {
        let written = messages(&[numbers(1_000_000), numbers(3)]);
        assert_eq!(written.len(), 1 + 16 + 1, "the schema once, sixteen parts, the small batch");
        for message in &written {
            assert_eq!(message[..4], [0xff; 4]);
            assert_eq!(message.len() % 8, 0);
            assert!(message.len() <= MAX_BATCH_BYTES + 1024);
            let metadata = u32::from_le_bytes(message[4..8].try_into().unwrap()) as usize;
            assert_eq!((8 + metadata) % ALIGNMENT, 0, "the body begins aligned");
        }
        let frames = Frames::new("test", Box::new(Recorded(written.into_iter()))).unwrap();
        let values: Vec<f64> =
            frames.flat_map(|batch| batch.unwrap().floats("number").unwrap().values().to_vec()).collect();
        assert_eq!(values.len(), 1_000_003);
        assert!(values[..1_000_000].windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_second_schema_is_an_error() {
        let mut writer = FrameWriter::new(numbers(1).schema()).unwrap();
        let other = FrameBuilder::new().floats("other", [1.0]).build().unwrap();
        assert_eq!(writer.write(&other, &mut |_| {}).unwrap_err().kind, "output.schema");
    }

    #[test]
    fn a_broken_message_is_an_error_not_a_panic() {
        let mut written = messages(&[numbers(100)]);
        let half = written[1].len() / 2;
        written[1].truncate(half);
        let mut frames = Frames::new("test", Box::new(Recorded(written.into_iter()))).unwrap();
        assert_eq!(frames.next().unwrap().unwrap_err().kind, "frame.decode");
    }
}
