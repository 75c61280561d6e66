//! Rows of a file on their way into a reference table.
//!
//! **One idea:** each format is an iterator of checked batches that knows where every row stands in the file. The store
//! pulls the batches inside its transaction, so memory is bounded by one batch, and the first row that does not fit ends
//! the load with nothing stored.

mod convert;
mod csv_file;
mod error;
mod record_batches;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use datanode_core::contract::{Contract, TableKind};
use datanode_core::frame::{FrameColumns, FrameError};
use datanode_store::{LoadRows, Loaded, PlacedBatch, PlacedRows, StoreError};

pub use error::LoadError;

use crate::{Host, RuntimeError};

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;

/// The first bytes of an Arrow IPC file; a stream has none.
const ARROW_MAGIC: &[u8] = b"ARROW1";

/// What a file with rows is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// RFC 4180, UTF-8, with a header line.
    Csv,
    /// Apache Parquet, uncompressed or compressed with Snappy or Zstandard.
    Parquet,
    /// Arrow IPC, as a file or a stream, not compressed.
    Arrow,
}

impl FromStr for FileFormat {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "csv" => Ok(Self::Csv),
            "parquet" => Ok(Self::Parquet),
            "arrow" => Ok(Self::Arrow),
            _ => Err(()),
        }
    }
}

impl FileFormat {
    /// The format that the extension of a file tells.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "parquet" | "pq" => Some(Self::Parquet),
            "arrow" | "arrows" | "feather" | "ipc" => Some(Self::Arrow),
            _ => None,
        }
    }
}

impl Host {
    /// Load the rows of a file into a reference table: new keys are inserted, known ones updated, and with `replace`
    /// rows that the file does not have are deleted. Without a format the file's extension tells it.
    pub async fn load_table(
        &self,
        table: &str,
        file: &Path,
        format: Option<FileFormat>,
        replace: bool,
    ) -> Result<Loaded, RuntimeError> {
        let table = self.store.table(table).await?;
        if table.contract.kind != TableKind::Reference {
            return Err(StoreError::RowsComeFromNodes { table: table.contract.identifier }.into());
        }
        let name = file.display().to_string();
        let Some(format) = format.or_else(|| FileFormat::of(file)) else {
            return Err(LoadError::Format { file: name }.into());
        };
        let (path, contract) = (file.to_owned(), Arc::new(table.contract.clone()));
        let rows = tokio::task::spawn_blocking(move || open(&path, format, contract))
            .await
            .map_err(|_| RuntimeError::Panicked("opening a file with rows"))??;
        let place = if format == FileFormat::Csv { "line" } else { "row" };
        Ok(self.store.load_rows(LoadRows { table, rows, place, replace }).await?)
    }
}

fn open(path: &PathBuf, format: FileFormat, contract: Arc<Contract>) -> Result<PlacedRows, LoadError> {
    let name = path.display().to_string();
    let unusable =
        |error: &dyn std::fmt::Display| LoadError::File { file: name.clone(), problem: error.to_string() };
    let mut file = File::open(path).map_err(|error| unusable(&error))?;
    if file.metadata().map_err(|error| unusable(&error))?.is_dir() {
        return Err(unusable(&"it is a directory"));
    }
    let unreadable = |error: &dyn std::fmt::Display| LoadError::Unreadable {
        file: name.clone(),
        problem: error.to_string(),
    };
    Ok(match format {
        FileFormat::Csv => Box::new(csv_file::CsvRows::open(name, file, contract)?),
        FileFormat::Parquet => {
            let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
                .map_err(|error| unreadable(&error))?;
            let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(|error| unreadable(&error))?;
            Box::new(record_batches::BatchRows::new(name, reader, contract)?)
        }
        FileFormat::Arrow => {
            let mut magic = [0; ARROW_MAGIC.len()];
            let is_file = file.read_exact(&mut magic).is_ok() && magic == *ARROW_MAGIC;
            file.seek(SeekFrom::Start(0)).map_err(|error| unusable(&error))?;
            let file = BufReader::new(file);
            if is_file {
                let reader =
                    arrow_ipc::reader::FileReader::try_new(file, None).map_err(|error| unreadable(&error))?;
                Box::new(record_batches::BatchRows::new(name, reader, contract)?)
            } else {
                let reader = arrow_ipc::reader::StreamReader::try_new(file, None)
                    .map_err(|error| unreadable(&error))?;
                Box::new(record_batches::BatchRows::new(name, reader, contract)?)
            }
        }
    })
}

/// Checks batches by the contract and says where in the file a row stands that does not pass.
struct Checks {
    file: String,
    place: &'static str,
    contract: Arc<Contract>,
    columns: FrameColumns,
}

impl Checks {
    /// For batches of this schema.
    fn new(
        file: String,
        place: &'static str,
        contract: Arc<Contract>,
        schema: &Schema,
    ) -> Result<Self, LoadError> {
        let mut columns = FrameColumns::new(Arc::clone(&contract));
        columns.schema(schema).map_err(|error| misfit(&file, error, |_| String::new()))?;
        Ok(Self { file, place, contract, columns })
    }

    fn check(&self, batch: &RecordBatch, places: Vec<u64>) -> Result<PlacedBatch, LoadError> {
        let place = |row: u64| {
            let at = usize::try_from(row).ok().and_then(|row| places.get(row)).copied().unwrap_or_default();
            format!("{} {at}", self.place)
        };
        let columns = self.columns.normalise(batch, 0).map_err(|error| misfit(&self.file, error, place))?;
        let batch = RecordBatch::try_new(self.contract.arrow_schema(), columns)
            .map_err(|error| LoadError::Unreadable { file: self.file.clone(), problem: error.to_string() })?;
        Ok(PlacedBatch { batch, places })
    }
}

/// What is wrong with a frame, said of a file.
fn misfit(file: &str, error: FrameError, place: impl Fn(u64) -> String) -> LoadError {
    let file = file.to_owned();
    let of_column = |table: String, column: String, problem: String| LoadError::Column {
        file: file.clone(),
        table,
        column,
        problem,
    };
    let of_value = |row: u64, column: String, problem: String| LoadError::Value {
        file: file.clone(),
        place: place(row),
        column,
        problem,
    };
    match error {
        FrameError::Schema { table, column, problem } => {
            of_column(table, column, problem.replace("the frame", "the file"))
        }
        FrameError::NotUtc { table, column, found } => {
            of_column(table, column, format!("times must be UTC, the file has {found}"))
        }
        FrameError::NullValue { column, row, .. } | FrameError::NullKey { column, row, .. } => {
            of_value(row, column, "a value is required here".to_owned())
        }
        FrameError::Time { column, row, problem, .. } | FrameError::Value { column, row, problem, .. } => {
            of_value(row, column, problem)
        }
        other => LoadError::Unreadable { file: file.clone(), problem: other.to_string() },
    }
}
