//! The host of a test.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use arrow_array::RecordBatch;
use serde_json::Value;

use super::Table;
use crate::frames::FrameWriter;
use crate::host::{Host, Messages, RawResponse};
use crate::sources::{BodySource, Request};
use crate::{HostError, Query};

/// Rows per batch of a read: few, so that tests meet the seams between batches.
const ROWS_PER_BATCH: usize = 1_000;

/// A read that a node made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The dependency's key.
    pub key: String,
    /// The query.
    pub query: Query,
    /// The rows of the answer, taken or not.
    pub rows: usize,
}

/// What a test gives.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) tables: BTreeMap<String, Table>,
    pub(super) files: BTreeMap<(String, String), Rc<[u8]>>,
    pub(super) options: BTreeMap<String, Value>,
}

/// What a node did.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) messages: Vec<Vec<u8>>,
    pub(super) reads: Vec<Read>,
    pub(super) fetches: Vec<Request>,
}

/// The host of one run.
pub(super) struct StubHost {
    pub(super) world: World,
    /// Keys that may be opened.
    pub(super) keys: Vec<String>,
    /// Sources that may be asked.
    pub(super) sources: Vec<String>,
    pub(super) record: RefCell<Record>,
}

impl Host for StubHost {
    fn open(&self, key: &str, query: Query) -> Result<Box<dyn Messages>, HostError> {
        if !self.keys.iter().any(|known| known == key) {
            return refuse("frames.unknown_key", format!("`{key}` is not among the declared dependencies"));
        }
        let Some(table) = self.world.tables.get(key) else {
            return refuse("testing.no_table", format!("the test gives no table for `{key}`"));
        };
        let rows = table.select(&query)?;
        self.record.borrow_mut().reads.push(Read { key: key.to_owned(), query, rows: rows.num_rows() });
        Ok(Box::new(encode(&rows)?))
    }

    fn emit(&self, message: &[u8]) {
        self.record.borrow_mut().messages.push(message.to_vec());
    }

    fn fetch(&self, request: Request) -> Result<RawResponse, HostError> {
        if !self.sources.contains(&request.source) {
            return refuse("source.not_declared", format!("source `{}` is not declared", request.source));
        }
        let file = self.world.files.get(&(request.source.clone(), request.path.clone()));
        let (status, bytes) =
            file.map_or((404, Vec::new()), |bytes| (200, part(bytes, request.range).to_vec()));
        self.record.borrow_mut().fetches.push(request);
        Ok(RawResponse { status, headers: Vec::new(), body: Box::new(FileBody { bytes, read: 0 }) })
    }

    fn option(&self, name: &str) -> Option<String> {
        self.world.options.get(name).map(Value::to_string)
    }
}

fn part(bytes: &[u8], range: Option<(u64, Option<u64>)>) -> &[u8] {
    let Some((offset, length)) = range else { return bytes };
    let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    &bytes[place(offset)..length.map_or(bytes.len(), |length| place(offset.saturating_add(length)))]
}

struct FileBody {
    bytes: Vec<u8>,
    read: usize,
}

impl BodySource for FileBody {
    fn read(&mut self, max: u32) -> Option<Vec<u8>> {
        let rest = &self.bytes[self.read..];
        let piece = &rest[..rest.len().min(max as usize)];
        self.read += piece.len();
        (!piece.is_empty()).then(|| piece.to_vec())
    }
}

/// The messages of one answer.
pub(super) struct Encoded(pub(super) std::vec::IntoIter<Vec<u8>>);

impl Messages for Encoded {
    fn schema(&mut self) -> Vec<u8> {
        self.0.next().unwrap_or_default()
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        self.0.next()
    }
}

fn encode(rows: &RecordBatch) -> Result<Encoded, HostError> {
    let mut messages = Vec::new();
    let failed =
        |error: crate::NodeError| HostError { code: "testing.encode".to_owned(), message: error.to_string() };
    let mut writer = FrameWriter::new(rows.schema()).map_err(failed)?;
    // The host sends the schema even when no rows follow.
    messages.push(writer.schema_message().map_err(failed)?);
    for start in (0..rows.num_rows()).step_by(ROWS_PER_BATCH) {
        let batch = rows.slice(start, ROWS_PER_BATCH.min(rows.num_rows() - start));
        writer.write(&batch, &mut |message| messages.push(message.to_vec())).map_err(failed)?;
    }
    Ok(Encoded(messages.into_iter()))
}

fn refuse<T>(code: &str, message: String) -> Result<T, HostError> {
    Err(HostError { code: code.to_owned(), message })
}
