//! Frames that a guest reads: pages of one snapshot, as Arrow IPC, recorded as they are handed out.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use bytes::Bytes;
use datanode_core::contract::{Column, TIME_INDEX};
use datanode_core::data_type::DataType;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::digest::Digester;
use datanode_core::frame::FrameEncoder;
use datanode_core::query::ReadQuery;
use datanode_core::run::InputRecord;
use datanode_core::{Timestamp, query::QueryError};
use datanode_sandbox::{HostCallError, HostReply, Refusal};
use datanode_store::{IndexKey, Snapshot, Table};
use thiserror::Error;
use tokio::runtime::Handle;

/// Bytes that one message of a frame should have.
const MESSAGE_BYTES: usize = 2 << 20;

/// A frame could not be written: a bug of the host.
#[derive(Debug, Error)]
#[error("table `{table}` cannot be written as Arrow IPC: {problem}")]
struct EncodeError {
    table: String,
    problem: String,
}

impl Diagnostic for EncodeError {
    fn code(&self) -> &'static str {
        "frame.encode"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Infrastructure
    }
}

/// The tables that a run may read, and the readers it has open.
#[derive(Debug)]
pub(crate) struct Inputs {
    runtime: Handle,
    snapshot: Box<dyn Snapshot>,
    /// Dependency key → table.
    tables: HashMap<String, Table>,
    readers: HashMap<u32, Reader>,
    records: Vec<Input>,
    rows: u64,
}

#[derive(Debug)]
struct Reader {
    table: Table,
    query: ReadQuery,
    encoder: FrameEncoder,
    /// Rows per page.
    page: usize,
    after: Option<IndexKey>,
    /// Place in `records`.
    record: usize,
}

#[derive(Debug)]
struct Input {
    key: String,
    table_uid: String,
    table: String,
    rows: u64,
    bytes: u64,
    digest: Digester,
    times: Option<(Timestamp, Timestamp)>,
}

impl Inputs {
    pub(crate) fn new(snapshot: Box<dyn Snapshot>, tables: HashMap<String, Table>) -> Self {
        let runtime = Handle::current();
        Self { runtime, snapshot, tables, readers: HashMap::new(), records: Vec::new(), rows: 0 }
    }

    /// Rows handed out so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Open a reader.
    pub(crate) fn open(&mut self, key: &str, query: &ReadQuery) -> Result<HostReply, HostCallError> {
        let Some(table) = self.tables.get(key) else {
            let mut known: Vec<&str> = self.tables.keys().map(String::as_str).collect();
            known.sort_unstable();
            let key: String = key.chars().take(80).collect();
            let message =
                format!("`{key}` is not a declared dependency; this node may read {}", known.join(", "));
            return Ok(refused("frames.unknown_key", message));
        };
        if let Err(error) = query.check(&table.contract) {
            let code = match error {
                QueryError::UnknownColumn { .. } => "query.unknown_column",
                QueryError::UnknownDimension { .. } => "query.unknown_dimension",
                QueryError::TooLarge { .. } => "query.too_large",
                _ => "query.value",
            };
            return Ok(refused(code, error.to_string()));
        }
        let columns = query.output_columns(&table.contract);
        let schema = arrow_schema(&columns);
        let encoder = FrameEncoder::new(&schema).map_err(|error| encode_error(table, &error))?;
        let page = rows_per_message(&columns);
        let number = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        self.records.push(Input {
            key: key.to_owned(),
            table_uid: table.uid.clone(),
            table: table.contract.identifier.clone(),
            rows: 0,
            bytes: 0,
            digest: Digester::default(),
            times: None,
        });
        let reader = Reader {
            table: table.clone(),
            query: query.clone(),
            encoder,
            page,
            after: None,
            record: number as usize,
        };
        self.readers.insert(number, reader);
        Ok(HostReply::Opened(number))
    }

    /// The schema message of a reader.
    pub(crate) fn schema(&mut self, reader: u32) -> HostReply {
        match self.readers.get(&reader) {
            Some(reader) => HostReply::Bytes(Bytes::copy_from_slice(reader.encoder.schema())),
            None => HostReply::End,
        }
    }

    /// The next record-batch message of a reader.
    pub(crate) fn next(&mut self, reader: u32) -> Result<HostReply, HostCallError> {
        let Some(reader) = self.readers.get_mut(&reader) else { return Ok(HostReply::End) };
        let page = self.runtime.block_on(self.snapshot.read_page(
            &reader.table,
            &reader.query,
            reader.after.as_ref(),
            reader.page,
        ))?;
        let Some(page) = page else { return Ok(HostReply::End) };
        let message =
            reader.encoder.encode(&page.batch).map_err(|error| encode_error(&reader.table, &error))?;
        let input = &mut self.records[reader.record];
        input.rows += page.batch.num_rows() as u64;
        input.bytes += message.len() as u64;
        input.digest.update(&message);
        if let Some(first) = first_time(&page.batch) {
            let (min, max) = input.times.unwrap_or((first, first));
            input.times = Some((min.min(first), max.max(page.last.time)));
        }
        self.rows += page.batch.num_rows() as u64;
        reader.after = Some(page.last);
        Ok(HostReply::Bytes(Bytes::from(message)))
    }

    pub(crate) fn close(&mut self, reader: u32) {
        self.readers.remove(&reader);
    }

    /// What was read, for the run record.
    pub(crate) fn records(&self) -> Vec<InputRecord> {
        let record = |input: &Input| InputRecord {
            key: input.key.clone(),
            table_uid: input.table_uid.clone(),
            table: input.table.clone(),
            rows: input.rows,
            bytes: input.bytes,
            digest: input.digest.clone().finish(),
            min_time: input.times.map(|(min, _)| min),
            max_time: input.times.map(|(_, max)| max),
        };
        self.records.iter().map(record).collect()
    }
}

fn refused(code: &str, message: String) -> HostReply {
    HostReply::Refused(Refusal { code: code.to_owned(), message })
}

fn encode_error(table: &Table, error: &arrow_schema::ArrowError) -> HostCallError {
    EncodeError { table: table.contract.identifier.clone(), problem: error.to_string() }.into()
}

fn arrow_schema(columns: &[&Column]) -> arrow_schema::Schema {
    arrow_schema::Schema::new(columns.iter().map(|column| column.arrow_field()).collect::<Vec<_>>())
}

/// Rows that make a message of about [`MESSAGE_BYTES`], guessed from the types.
fn rows_per_message(columns: &[&Column]) -> usize {
    let width = |data_type: DataType| match data_type {
        DataType::Bool => 1,
        DataType::Int16 => 2,
        DataType::Int32 | DataType::Float32 | DataType::Date => 4,
        DataType::Int64 | DataType::Float64 | DataType::TimestampTz => 8,
        DataType::Uuid | DataType::Decimal { .. } => 16,
        DataType::String => 24,
        DataType::Json | DataType::Bytes => 256,
    };
    let row: usize = columns.iter().map(|column| width(column.data_type)).sum();
    (MESSAGE_BYTES / row.max(1)).clamp(256, 131_072)
}

/// Rows come sorted by time, so the first one is the earliest of its page.
fn first_time(batch: &RecordBatch) -> Option<Timestamp> {
    use arrow_array::cast::AsArray;
    let times = batch.column_by_name(TIME_INDEX)?;
    let times = times.as_primitive_opt::<arrow_array::types::TimestampMicrosecondType>()?;
    Timestamp::from_micros(*times.values().first()?).ok()
}
