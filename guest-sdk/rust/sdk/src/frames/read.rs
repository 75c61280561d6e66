//! Decoding the messages of one open read.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::root_as_message;
use arrow_schema::SchemaRef;

use crate::NodeError;
use crate::host::Messages;

/// Continuation marker and length, before the metadata of every message.
const PREFIX: usize = 8;

/// An open read: an iterator over its batches, in the order of the index. It does not borrow the
/// [`Context`](crate::Context), so a node may emit while it reads.
pub struct Frames {
    key: String,
    messages: Box<dyn Messages>,
    schema: SchemaRef,
}

impl Frames {
    #[track_caller]
    pub(crate) fn new(key: &str, mut messages: Box<dyn Messages>) -> Result<Self, NodeError> {
        let schema =
            try_schema_from_ipc_buffer(&messages.schema()).map_err(|error| broken(key, error.to_string()))?;
        Ok(Self { key: key.to_owned(), messages, schema: schema.into() })
    }

    /// The schema, known before the first batch and when there is none.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn decode(&self, message: Vec<u8>) -> Result<RecordBatch, NodeError> {
        let message = Buffer::from_vec(message);
        let too_short = || broken(&self.key, format!("a message of {} bytes is cut off", message.len()));
        let (_, length) = message.get(..PREFIX).ok_or_else(too_short)?.split_at(4);
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let metadata = message.get(PREFIX..PREFIX + length).ok_or_else(too_short)?;
        let metadata = root_as_message(metadata).map_err(|error| broken(&self.key, error.to_string()))?;
        let Some(header) = metadata.header_as_record_batch() else {
            return Err(broken(
                &self.key,
                format!("{:?} where a record batch is due", metadata.header_type()),
            ));
        };
        let body = message.slice(PREFIX + length);
        // Arrow slices the body by the lengths in the metadata and panics beyond its end.
        if usize::try_from(metadata.bodyLength()).is_ok_and(|announced| announced > body.len()) {
            return Err(too_short());
        }
        read_record_batch(&body, header, self.schema(), &HashMap::new(), None, &metadata.version())
            .map_err(|error| broken(&self.key, error.to_string()))
    }
}

impl Iterator for Frames {
    type Item = Result<RecordBatch, NodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.messages.next()?;
        Some(self.decode(message))
    }
}

fn broken(key: &str, problem: String) -> NodeError {
    NodeError::new("frame.decode", problem).field("dependency", key)
}
