//! Arrow to the binary `COPY` format.

use std::ops::Range;

use super::{DAYS, EPOCH_DAYS, EPOCH_MICROS, HEADER, TRAILER, numeric};
use crate::rows::{CellColumn, Cells, Values};

/// What a cell takes beside texts and bytes, about: makes room in advance.
const CELL_BYTES: usize = 16;

const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// A value that PostgreSQL cannot keep.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unsupported {
    /// Its column, by position.
    pub(crate) column: usize,
    /// Its row in the batch.
    pub(crate) row: usize,
    /// Why.
    pub(crate) problem: &'static str,
}

/// Writes a copy into a buffer, which its user takes now and then.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    /// What every copy begins with.
    pub(crate) fn begin(&mut self) {
        self.out.extend_from_slice(HEADER);
    }

    /// Rows of a batch.
    pub(crate) fn rows(&mut self, cells: &Cells<'_>, rows: Range<usize>) -> Result<(), Unsupported> {
        let columns = &cells.columns;
        // PostgreSQL has at most 1,600 columns.
        let count = i16::try_from(columns.len()).unwrap_or(i16::MAX).to_be_bytes();
        self.out.reserve(rows.len() * (2 + CELL_BYTES * columns.len()));
        for row in rows {
            self.out.extend_from_slice(&count);
            for (column, cell) in columns.iter().enumerate() {
                self.cell(cell, row).map_err(|problem| Unsupported { column, row, problem })?;
            }
        }
        Ok(())
    }

    /// What every copy ends with.
    pub(crate) fn end(&mut self) {
        self.out.extend_from_slice(&TRAILER.to_be_bytes());
    }

    /// What was written since the buffer was taken.
    pub(crate) fn written(&self) -> &[u8] {
        &self.out
    }

    /// The buffer itself.
    pub(crate) fn into_written(self) -> Vec<u8> {
        self.out
    }

    /// What was written, handed over; what comes next is written into a new buffer that has as much room.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let next = Vec::with_capacity(self.out.capacity());
        std::mem::replace(&mut self.out, next)
    }

    fn cell(&mut self, column: &CellColumn<'_>, row: usize) -> Result<(), &'static str> {
        if column.is_null(row) {
            self.out.extend_from_slice(&NULL);
            return Ok(());
        }
        match &column.values {
            // A negative zero becomes a zero, as everywhere in this host: one number, one text, one digest.
            Values::Float64(values) => self.eight((values[row] + 0.0).to_be_bytes()),
            Values::Float32(values) => self.four((values[row] + 0.0).to_be_bytes()),
            Values::Int64(values) => self.eight(values[row].to_be_bytes()),
            Values::Int32(values) => self.four(values[row].to_be_bytes()),
            Values::Int16(values) => self.field(&values[row].to_be_bytes())?,
            Values::Date(values) => {
                let days = values[row];
                if !DAYS.contains(&days) {
                    return Err("PostgreSQL has no such day: it keeps 4714-11-24 BC to 5874897-12-31");
                }
                self.four((days - EPOCH_DAYS).to_be_bytes());
            }
            Values::Timestamp(values) => {
                let micros = values[row].checked_sub(EPOCH_MICROS);
                self.eight(micros.ok_or("PostgreSQL has no such moment")?.to_be_bytes());
            }
            Values::Decimal(values, scale) => numeric::encode(&mut self.out, values[row], *scale),
            Values::Bool(values) => self.field(&[u8::from(values.value(row))])?,
            Values::Text(values) => {
                let text = values.value(row).as_bytes();
                if text.contains(&0) {
                    return Err("PostgreSQL keeps no text with the character U+0000");
                }
                self.field(text)?;
            }
            Values::Uuid(values) => self.field(values.value(row))?,
            Values::Bytes(values) => self.field(values.value(row))?,
        }
        Ok(())
    }

    fn four(&mut self, value: [u8; 4]) {
        let [a, b, c, d] = value;
        self.out.extend_from_slice(&[0, 0, 0, 4, a, b, c, d]);
    }

    fn eight(&mut self, value: [u8; 8]) {
        let mut field = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        field[4..].copy_from_slice(&value);
        self.out.extend_from_slice(&field);
    }

    fn field(&mut self, value: &[u8]) -> Result<(), &'static str> {
        let length = i32::try_from(value.len()).map_err(|_| "PostgreSQL keeps no value of 2 GiB")?;
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(value);
        Ok(())
    }
}
