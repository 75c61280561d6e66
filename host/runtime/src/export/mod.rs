//! Rows of a table in the formats of others: written batch by batch, so that memory is bounded by the batch.

mod file;
mod text;

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::Schema;
use datanode_core::contract::Column;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use thiserror::Error;

pub use file::AtomicFile;

/// Rows of a row group of Parquet: readers skip whole groups by their statistics.
const ROWS_OF_GROUP: usize = 131_072;
/// A row group also ends when it holds so many bytes.
const BYTES_OF_GROUP: usize = 32 << 20;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// A stream of Arrow IPC, uncompressed.
    Arrow,
    /// Apache Parquet, Zstandard.
    Parquet,
    /// RFC 4180 with a header line. A null is an empty cell, the empty text `""`.
    Csv,
    /// One JSON object per line.
    JsonLines,
    /// One JSON array of objects.
    Json,
}

impl ExportFormat {
    /// Whether a terminal cannot show it.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }
}

/// Rows that could not be written.
#[derive(Debug, Error)]
#[error("the rows cannot be written: {0}")]
pub struct ExportError(String);

impl ExportError {
    fn of(error: &dyn std::error::Error) -> Self {
        Self(error.to_string())
    }
}

impl Diagnostic for ExportError {
    fn code(&self) -> &'static str {
        "export.write"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Infrastructure
    }

    fn next_step(&self) -> Option<String> {
        Some("see that there is room where the rows go, and that it can be written".to_owned())
    }
}

/// Writes batches in one format. Nothing is complete before [`RowsWriter::finish`].
pub struct RowsWriter<W: Write + Send>(Format<W>);

enum Format<W: Write + Send> {
    Arrow(Box<StreamWriter<W>>),
    Parquet(Box<ArrowWriter<W>>),
    Text(Box<text::TextWriter<W>>),
}

impl<W: Write + Send> std::fmt::Debug for RowsWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowsWriter").finish_non_exhaustive()
    }
}

impl<W: Write + Send> RowsWriter<W> {
    /// A writer of rows with these columns.
    pub fn new(format: ExportFormat, columns: &[Column], out: W) -> Result<Self, ExportError> {
        let schema = || Schema::new(columns.iter().map(Column::arrow_field).collect::<Vec<_>>());
        Ok(Self(match format {
            ExportFormat::Arrow => {
                let writer =
                    StreamWriter::try_new(out, &schema()).map_err(|error| ExportError::of(&error))?;
                Format::Arrow(Box::new(writer))
            }
            ExportFormat::Parquet => {
                let level = ZstdLevel::try_new(1).map_err(|error| ExportError::of(&error))?;
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(level))
                    .set_max_row_group_row_count(Some(ROWS_OF_GROUP))
                    .build();
                let writer = ArrowWriter::try_new(out, schema().into(), Some(properties))
                    .map_err(|error| ExportError::of(&error))?;
                Format::Parquet(Box::new(writer))
            }
            ExportFormat::Csv | ExportFormat::JsonLines | ExportFormat::Json => {
                let writer = text::TextWriter::new(format, columns, out);
                Format::Text(Box::new(writer.map_err(|error| ExportError::of(&error))?))
            }
        }))
    }

    /// Write a batch: the columns that the writer was made for.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ExportError> {
        match &mut self.0 {
            Format::Arrow(writer) => writer.write(batch).map_err(|error| ExportError::of(&error)),
            Format::Parquet(writer) => {
                writer.write(batch).map_err(|error| ExportError::of(&error))?;
                if writer.in_progress_size() >= BYTES_OF_GROUP {
                    writer.flush().map_err(|error| ExportError::of(&error))?;
                }
                Ok(())
            }
            Format::Text(writer) => writer.write(batch).map_err(|error| ExportError::of(&error)),
        }
    }

    /// Write what comes last, and give back where all of it went.
    pub fn finish(self) -> Result<W, ExportError> {
        let mut out = match self.0 {
            Format::Arrow(writer) => writer.into_inner().map_err(|error| ExportError::of(&error))?,
            Format::Parquet(writer) => writer.into_inner().map_err(|error| ExportError::of(&error))?,
            Format::Text(writer) => writer.finish().map_err(|error| ExportError::of(&error))?,
        };
        out.flush().map_err(|error| ExportError::of(&error))?;
        Ok(out)
    }
}
