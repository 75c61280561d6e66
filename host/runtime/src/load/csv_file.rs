//! CSV files: RFC 4180, UTF-8, with a header line that names the columns in any order.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Field, Schema};
use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};
use datanode_core::contract::Contract;
use datanode_core::text_column::TextColumn;
use datanode_store::{PlacedBatch, RowsError};

use super::{BATCH_ROWS, Checks, LoadError};

/// Bytes of text after which a batch ends.
const BATCH_BYTES: usize = 4 << 20;
/// Bytes that one record may have. A quote that is never closed makes the rest of a file one record.
const RECORD_BYTES: u64 = 16 << 20;

/// The rows of a CSV file.
pub(super) struct CsvRows {
    checks: Checks,
    reader: Reader<Bounded>,
    read: Arc<AtomicU64>,
    /// For each column of the file, the column that is being made.
    columns: Vec<TextColumn>,
    names: Vec<String>,
    record: ByteRecord,
    schema: Arc<Schema>,
    ended: bool,
}

/// A file of which so many bytes may be read until the count is set back.
struct Bounded {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        if self.read.fetch_add(bytes as u64, Ordering::Relaxed) > RECORD_BYTES {
            return Err(io::Error::other("a record is longer than 16 MiB; a quote may not be closed"));
        }
        Ok(bytes)
    }
}

impl CsvRows {
    pub(super) fn open(name: String, file: File, contract: Arc<Contract>) -> Result<Self, LoadError> {
        let read = Arc::new(AtomicU64::new(0));
        let mut reader = ReaderBuilder::new().from_reader(Bounded { file, read: Arc::clone(&read) });
        let header = reader.headers().map_err(|error| unreadable(&name, &error))?.clone();
        let names: Vec<String> = header.iter().map(ToOwned::to_owned).collect();
        let unknown = names.iter().find(|column| contract.column(column).is_none());
        // Before the columns that are missing: a name that is spelt otherwise is both.
        if let Some(column) = unknown.filter(|_| !names.is_empty()) {
            let known: Vec<&str> = contract.columns.iter().map(|column| column.name.as_str()).collect();
            return Err(LoadError::Column {
                file: name,
                table: contract.identifier.clone(),
                column: column.chars().take(80).collect(),
                problem: format!("not in the table's contract, which has {}", known.join(", ")),
            });
        }
        let known: Vec<_> = names.iter().filter_map(|column| contract.column(column)).collect();
        let columns = known.iter().map(|column| TextColumn::new(column)).collect();
        // Whether a value may be missing is checked with the values.
        let fields: Vec<Field> =
            known.iter().map(|column| column.arrow_field().with_nullable(true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let checks = Checks::new(name, "line", contract, &schema)?;
        Ok(Self { checks, reader, read, columns, names, record: ByteRecord::new(), schema, ended: false })
    }

    fn batch(&mut self) -> Result<Option<PlacedBatch>, LoadError> {
        let file = self.checks.file.clone();
        let (mut places, mut bytes) = (Vec::new(), 0);
        while places.len() < BATCH_ROWS && bytes < BATCH_BYTES {
            self.read.store(0, Ordering::Relaxed);
            let more = self.reader.read_byte_record(&mut self.record);
            if !more.map_err(|error| unreadable(&file, &error))? {
                break;
            }
            let line = self.record.position().map_or(0, csv::Position::line);
            for ((cell, column), name) in self.record.iter().zip(&mut self.columns).zip(&self.names) {
                let pushed = std::str::from_utf8(cell)
                    .map_err(|_| "it is not UTF-8".to_owned())
                    .and_then(|text| column.push(text));
                pushed.map_err(|problem| LoadError::Value {
                    file: file.clone(),
                    place: format!("line {line}"),
                    column: name.clone(),
                    problem,
                })?;
            }
            bytes += self.record.as_slice().len();
            places.push(line);
        }
        if places.is_empty() {
            return Ok(None);
        }
        let broken =
            |error: ArrowError| LoadError::Unreadable { file: file.clone(), problem: error.to_string() };
        let arrays = self.columns.iter_mut().map(TextColumn::finish).collect::<Result<Vec<_>, _>>();
        let batch =
            RecordBatch::try_new(Arc::clone(&self.schema), arrays.map_err(broken)?).map_err(broken)?;
        self.checks.check(&batch, places).map(Some)
    }
}

impl Iterator for CsvRows {
    type Item = Result<PlacedBatch, RowsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.batch();
        self.ended = !matches!(next, Ok(Some(_)));
        next.map_err(|error| -> RowsError { Box::new(error) }).transpose()
    }
}

fn unreadable(file: &str, error: &csv::Error) -> LoadError {
    let problem = match error.kind() {
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line}: {len} cells where the header has {expected_len}")
        }
        ErrorKind::Utf8 { .. } => "the header is not UTF-8".to_owned(),
        ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    };
    LoadError::Unreadable { file: file.to_owned(), problem }
}
