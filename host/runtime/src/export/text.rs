//! CSV and JSON.

use std::io::{self, Write};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use datanode_core::cell;
use datanode_core::contract::Column;
use datanode_core::data_type::DataType;
use serde_json::Value;

use super::ExportFormat;

pub(super) struct TextWriter<W> {
    format: ExportFormat,
    columns: Vec<Column>,
    out: W,
    rows: u64,
}

impl<W: Write> TextWriter<W> {
    pub(super) fn new(format: ExportFormat, columns: &[Column], mut out: W) -> io::Result<Self> {
        if format == ExportFormat::Csv {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            write!(out, "{}\r\n", names.join(","))?;
        }
        Ok(Self { format, columns: columns.to_vec(), out, rows: 0 })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        for row in 0..batch.num_rows() {
            match self.format {
                ExportFormat::Csv => self.line(batch, row)?,
                ExportFormat::Json => {
                    self.out.write_all(if self.rows == 0 { b"[" } else { b",\n" })?;
                    self.object(batch, row)?;
                }
                _ => {
                    self.object(batch, row)?;
                    self.out.write_all(b"\n")?;
                }
            }
            self.rows += 1;
        }
        Ok(())
    }

    fn line(&mut self, batch: &RecordBatch, row: usize) -> io::Result<()> {
        for (at, (column, array)) in self.columns.iter().zip(batch.columns()).enumerate() {
            if at > 0 {
                self.out.write_all(b",")?;
            }
            csv_cell(&mut self.out, array, column.data_type, row)?;
        }
        self.out.write_all(b"\r\n")
    }

    /// The columns in their order.
    fn object(&mut self, batch: &RecordBatch, row: usize) -> io::Result<()> {
        for (at, (column, array)) in self.columns.iter().zip(batch.columns()).enumerate() {
            // Names of columns need no escaping.
            write!(self.out, "{}\"{}\":", if at == 0 { "{" } else { "," }, column.name)?;
            serde_json::to_writer(&mut self.out, &cell::value(array, column.data_type, row))?;
        }
        self.out.write_all(b"}")
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        if self.format == ExportFormat::Json {
            self.out.write_all(if self.rows == 0 { b"[]\n" } else { b"]\n" })?;
        }
        Ok(self.out)
    }
}

fn csv_cell(out: &mut impl Write, array: &ArrayRef, data_type: DataType, row: usize) -> io::Result<()> {
    if array.is_null(row) {
        return Ok(());
    }
    match data_type {
        // The document as it is stored.
        DataType::String | DataType::Json => quoted(out, array.as_string::<i32>().value(row)),
        _ => match cell::value(array, data_type, row) {
            Value::String(text) => out.write_all(text.as_bytes()),
            other => write!(out, "{other}"),
        },
    }
}

/// Texts with a comma, quote or line break, and the empty one, which is no null, stand in quotes.
fn quoted(out: &mut impl Write, text: &str) -> io::Result<()> {
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        write!(out, "\"{}\"", text.replace('"', "\"\""))
    } else {
        out.write_all(text.as_bytes())
    }
}
