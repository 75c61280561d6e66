//! Reading encapsulated Arrow IPC messages that a guest wrote.
//!
//! Format: Arrow columnar format 1.x, "Encapsulated message format" and "`RecordBatch` message".

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::{Endianness, MessageHeader, MetadataVersion, convert::try_fb_to_schema, root_as_message};
use arrow_schema::{DataType, SchemaRef};

use super::FrameError;

const CONTINUATION: [u8; 4] = [0xff; 4];
const PREFIX: usize = 8;

/// What one message turned out to be.
#[derive(Debug)]
pub enum Decoded {
    /// The schema, which must come first.
    Schema(SchemaRef),
    /// Rows.
    Batch(RecordBatch),
}

/// Decodes the messages of one frame in order.
#[derive(Debug)]
pub struct FrameDecoder {
    table: String,
    schema: Option<SchemaRef>,
    messages: u64,
}

impl FrameDecoder {
    /// For frames of the table of this identifier (named in errors).
    pub fn new(table: &str) -> Self {
        Self { table: table.to_owned(), schema: None, messages: 0 }
    }

    /// Decode one message. The bytes are copied into aligned buffers here and nowhere before.
    pub fn decode(&mut self, message: &[u8]) -> Result<Decoded, FrameError> {
        let number = self.messages;
        self.messages += 1;
        let table = || self.table.clone();
        let not_arrow = |problem: String| FrameError::NotArrow { table: table(), message: number, problem };
        let unsupported = |feature: &str| FrameError::Unsupported {
            table: table(),
            message: number,
            feature: feature.to_owned(),
        };
        let order = |problem| FrameError::Order { table: table(), message: number, problem };

        let (prefix, rest) = message
            .split_at_checked(PREFIX)
            .ok_or_else(|| not_arrow(format!("{} bytes are too few", message.len())))?;
        let (continuation, length) = prefix.split_at(4);
        if continuation != CONTINUATION {
            return Err(not_arrow("it does not begin with the continuation marker ffffffff".to_owned()));
        }
        let metadata_len = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        if metadata_len == 0 {
            return Err(unsupported("an end-of-stream marker"));
        }
        let truncated = |announced: u64| FrameError::Truncated {
            table: table(),
            message: number,
            announced,
            present: message.len() as u64,
        };
        let (metadata, body) =
            rest.split_at_checked(metadata_len).ok_or_else(|| truncated((PREFIX + metadata_len) as u64))?;
        let header = root_as_message(metadata)
            .map_err(|error| not_arrow(error.to_string().lines().next().unwrap_or_default().to_owned()))?;
        if header.version() != MetadataVersion::V5 {
            return Err(unsupported("metadata of another version than V5"));
        }
        let body_len = u64::try_from(header.bodyLength())
            .map_err(|_| not_arrow(format!("a body length of {}", header.bodyLength())))?;
        if body_len > body.len() as u64 {
            return Err(truncated((PREFIX + metadata_len) as u64 + body_len));
        }
        if body_len < body.len() as u64 {
            return Err(not_arrow(format!("{} bytes follow the body", body.len() as u64 - body_len)));
        }

        match header.header_type() {
            MessageHeader::Schema => {
                if self.schema.is_some() {
                    return Err(order("the schema came twice"));
                }
                let schema =
                    header.header_as_schema().ok_or_else(|| not_arrow("no schema inside".to_owned()))?;
                if schema.endianness() != Endianness::Little {
                    return Err(unsupported("big-endian data"));
                }
                let schema = try_fb_to_schema(schema).map_err(|error| not_arrow(error.to_string()))?;
                // Flat columns only, and this before any batch is decoded: nested types are where decoders are deep.
                if let Some(field) = schema.fields().iter().find(|field| !is_flat(field.data_type())) {
                    return Err(unsupported(&format!(
                        "column `{}` of type {}",
                        field.name(),
                        field.data_type()
                    )));
                }
                let schema = Arc::new(schema);
                self.schema = Some(Arc::clone(&schema));
                Ok(Decoded::Schema(schema))
            }
            MessageHeader::RecordBatch => {
                let schema =
                    self.schema.clone().ok_or_else(|| order("a record batch came before the schema"))?;
                let batch = header
                    .header_as_record_batch()
                    .ok_or_else(|| not_arrow("no record batch inside".to_owned()))?;
                if batch.compression().is_some() {
                    return Err(unsupported("compression"));
                }
                check_layout(&schema, &batch, body_len).map_err(not_arrow)?;
                let body = Buffer::from(body);
                check_nulls(&schema, &batch, &body).map_err(not_arrow)?;
                let batch =
                    read_record_batch(&body, batch, schema, &HashMap::new(), None, &MetadataVersion::V5)
                        .map_err(|error| not_arrow(error.to_string()))?;
                Ok(Decoded::Batch(batch))
            }
            MessageHeader::DictionaryBatch => Err(unsupported("a dictionary")),
            other => Err(unsupported(&format!(
                "a message of type {:?}",
                other.variant_name().unwrap_or("unknown")
            ))),
        }
    }

    /// Whether the schema has come.
    pub fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }
}

/// Whether a column has one of the layouts that contracts use: no children, no dictionary, no views.
fn is_flat(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64
            | DataType::Float16
            | DataType::Float32
            | DataType::Float64
            | DataType::Timestamp(..)
            | DataType::Date32
            | DataType::Date64
            | DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::FixedSizeBinary(_)
            | DataType::Decimal128(..)
    )
}

/// Check counts and ranges that the decoder would otherwise take on trust (it slices buffers by them).
fn check_layout(schema: &SchemaRef, batch: &arrow_ipc::RecordBatch<'_>, body_len: u64) -> Result<(), String> {
    let rows = batch.length();
    if rows < 0 {
        return Err(format!("{rows} rows"));
    }
    let nodes = batch.nodes().map(|nodes| nodes.iter().collect::<Vec<_>>()).unwrap_or_default();
    if nodes.len() != schema.fields().len() {
        return Err(format!("{} field nodes for {} columns", nodes.len(), schema.fields().len()));
    }
    for (node, field) in nodes.iter().zip(schema.fields()) {
        if node.length() != rows || node.null_count() < 0 || node.null_count() > rows {
            return Err(format!(
                "column `{}` has {} rows and {} nulls in a batch of {rows} rows",
                field.name(),
                node.length(),
                node.null_count()
            ));
        }
    }
    let buffers = batch.buffers().map(|buffers| buffers.iter().collect::<Vec<_>>()).unwrap_or_default();
    let wanted: Vec<Wanted> = nodes
        .iter()
        .zip(schema.fields())
        .flat_map(|(node, field)| wanted_buffers(node, field.data_type()))
        .collect();
    if buffers.len() != wanted.len() {
        return Err(format!("{} buffers where the schema needs {}", buffers.len(), wanted.len()));
    }
    let mut free_from = 0;
    for (number, (buffer, wanted)) in buffers.iter().zip(wanted).enumerate() {
        let problem = |what: String| {
            format!("buffer {number} (offset {}, length {}) {what}", buffer.offset(), buffer.length())
        };
        let (Ok(offset), Ok(length)) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length()))
        else {
            return Err(problem("has a negative place".to_owned()));
        };
        let end = offset.checked_add(length).filter(|end| *end <= body_len);
        let end = end.ok_or_else(|| problem(format!("lies outside the body of {body_len} bytes")))?;
        // Every writer lays buffers out one after the other; shared bytes would count once and cost many times.
        if length > 0 && offset < free_from {
            return Err(problem("overlaps an earlier one".to_owned()));
        }
        free_from = free_from.max(end);
        // The decoder reads buffers in place as slices of their element type and panics where they are none.
        if offset % 8 != 0 || length % wanted.width != 0 {
            let width = wanted.width;
            return Err(problem(format!(
                "is not aligned to 8 bytes, or no whole number of elements of {width} bytes"
            )));
        }
        if length < wanted.bytes {
            return Err(problem(format!("is too short: {rows} rows need {} bytes", wanted.bytes)));
        }
    }
    Ok(())
}

/// Check that each column has as many nulls as it says, in a batch whose layout was checked. The decoder reads the bits where
/// there are said to be nulls and leaves them alone where there are none: another reader of the same message would see
/// other values.
fn check_nulls(schema: &SchemaRef, batch: &arrow_ipc::RecordBatch<'_>, body: &Buffer) -> Result<(), String> {
    let (Some(nodes), Some(buffers)) = (batch.nodes(), batch.buffers()) else { return Ok(()) };
    let mut validity = 0;
    for (node, field) in nodes.iter().zip(schema.fields()) {
        let place = buffers.get(validity);
        validity += wanted_buffers(node, field.data_type()).len();
        // Checked before: what is negative or lies outside was refused.
        let number = |value: i64| usize::try_from(value).unwrap_or_default();
        let (rows, nulls, bytes) = (number(node.length()), number(node.null_count()), number(place.length()));
        if bytes == 0 {
            continue;
        }
        if bytes < rows.div_ceil(8) {
            return Err(format!("column `{}` has {bytes} bytes of validity for {rows} rows", field.name()));
        }
        let bits = body.slice_with_length(number(place.offset()), bytes);
        let unset = rows - BooleanBuffer::new(bits, 0, rows).count_set_bits();
        if unset != nulls {
            return Err(format!(
                "column `{}` announces {nulls} nulls, and its validity has {unset}",
                field.name()
            ));
        }
    }
    Ok(())
}

/// What the decoder takes on trust of one buffer.
struct Wanted {
    /// Bytes per element.
    width: u64,
    /// Bytes at least.
    bytes: u64,
}

/// The buffers of a flat column: validity bits, then values, or offsets and values.
fn wanted_buffers(node: &arrow_ipc::FieldNode, data_type: &DataType) -> Vec<Wanted> {
    // Checked before: neither is negative.
    let (rows, nulls) = (node.length().unsigned_abs(), node.null_count().unsigned_abs());
    let bits = rows.div_ceil(8);
    let validity = Wanted { width: 1, bytes: if nulls > 0 { bits } else { 0 } };
    let offsets = |width: u64| Wanted {
        width,
        bytes: if rows > 0 { rows.saturating_add(1).saturating_mul(width) } else { 0 },
    };
    let any = Wanted { width: 1, bytes: 0 };
    match data_type {
        DataType::Utf8 | DataType::Binary => vec![validity, offsets(4), any],
        DataType::LargeUtf8 | DataType::LargeBinary => vec![validity, offsets(8), any],
        DataType::Boolean => vec![validity, Wanted { width: 1, bytes: bits }],
        DataType::FixedSizeBinary(size) => {
            vec![validity, Wanted { width: 1, bytes: rows.saturating_mul(u64::from(size.unsigned_abs())) }]
        }
        other => {
            let width = other.primitive_width().unwrap_or(1) as u64;
            vec![validity, Wanted { width, bytes: rows.saturating_mul(width) }]
        }
    }
}
