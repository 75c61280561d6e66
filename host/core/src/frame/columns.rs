//! The rules for the columns of a frame: what their types must be, and which values they may hold.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch, cast::AsArray};
use arrow_schema::{DataType as ArrowType, Schema, TimeUnit};
use serde::de::IgnoredAny;

use super::FrameError;
use crate::Timestamp;
use crate::contract::{Column, Contract};
use crate::data_type::DataType;

/// Days since 1970-01-01 of the years 1 to 9999.
const DATES: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;

/// Checks and normalises columns, one batch at a time.
#[derive(Debug)]
pub struct FrameColumns {
    contract: Arc<Contract>,
    /// For each contract column, its position in the frame.
    positions: Vec<usize>,
}

impl FrameColumns {
    /// For frames of a table of either kind.
    pub fn new(contract: Arc<Contract>) -> Self {
        Self { contract, positions: Vec::new() }
    }

    /// Check the frame's schema: names and types as in the contract, in any order.
    pub fn schema(&mut self, frame: &Schema) -> Result<(), FrameError> {
        let refuse = |column: &str, problem: String| FrameError::Schema {
            table: self.contract.identifier.clone(),
            column: column.to_owned(),
            problem,
        };
        let mut positions = Vec::with_capacity(self.contract.columns.len());
        for column in &self.contract.columns {
            let mut found =
                frame.fields().iter().enumerate().filter(|(_, field)| *field.name() == column.name);
            let Some((position, field)) = found.next() else {
                return Err(refuse(&column.name, "missing from the frame".to_owned()));
            };
            if found.next().is_some() {
                return Err(refuse(&column.name, "twice in the frame".to_owned()));
            }
            self.check_type(column, field.data_type())?;
            positions.push(position);
        }
        if let Some(field) = frame.fields().iter().find(|field| self.contract.column(field.name()).is_none())
        {
            return Err(refuse(field.name(), "not in the table's contract".to_owned()));
        }
        self.positions = positions;
        Ok(())
    }

    fn check_type(&self, column: &Column, found: &ArrowType) -> Result<(), FrameError> {
        let table = || self.contract.identifier.clone();
        if let (DataType::TimestampTz, ArrowType::Timestamp(_, zone)) = (column.data_type, found) {
            return match zone.as_deref() {
                Some("UTC" | "Etc/UTC" | "+00:00" | "Z") => Ok(()),
                other => Err(FrameError::NotUtc {
                    table: table(),
                    column: column.name.clone(),
                    found: other.map_or("no time zone".to_owned(), |zone| format!("time zone {zone}")),
                }),
            };
        }
        let expected = column.data_type.arrow();
        if *found == expected {
            return Ok(());
        }
        let problem =
            format!("the contract says {} (Arrow {expected}), the frame has {found}", column.data_type);
        Err(FrameError::Schema { table: table(), column: column.name.clone(), problem })
    }

    /// The columns of a batch whose schema was accepted, in the contract's order: times in microseconds, NaN and
    /// infinities as null, values checked. `first_row` is the number of its first row, for errors.
    pub fn normalise(&self, batch: &RecordBatch, first_row: u64) -> Result<Vec<ArrayRef>, FrameError> {
        let columns = self.contract.columns.iter().zip(&self.positions);
        columns.map(|(column, position)| self.column(column, batch.column(*position), first_row)).collect()
    }

    /// One column as the contract wants it.
    fn column(&self, column: &Column, array: &ArrayRef, first_row: u64) -> Result<ArrayRef, FrameError> {
        let array = match column.data_type {
            DataType::Float64 => finite::<Float64Type>(array, f64::is_finite),
            DataType::Float32 => finite::<Float32Type>(array, f32::is_finite),
            DataType::TimestampTz => self.microseconds(column, array, first_row)?,
            DataType::String | DataType::Json | DataType::Date | DataType::Decimal { .. } => {
                self.check_values(column, array, first_row)?;
                Arc::clone(array)
            }
            _ => Arc::clone(array),
        };
        if !column.nullable
            && let Some(row) = (0..array.len()).find(|row| array.is_null(*row))
        {
            let (table, name, row) =
                (self.contract.identifier.clone(), column.name.clone(), first_row + row as u64);
            return Err(if self.contract.key().contains(&column.name) {
                FrameError::NullKey { table, column: name, row }
            } else {
                FrameError::NullValue { table, column: name, row }
            });
        }
        Ok(array)
    }

    fn microseconds(
        &self,
        column: &Column,
        array: &ArrayRef,
        first_row: u64,
    ) -> Result<ArrayRef, FrameError> {
        let refuse = |row: usize, problem: String| FrameError::Time {
            table: self.contract.identifier.clone(),
            column: column.name.clone(),
            row: first_row + row as u64,
            problem,
        };
        let ArrowType::Timestamp(unit, _) = array.data_type() else { return Ok(Arc::clone(array)) };
        let to_micros = |value: i64| -> Result<i64, String> {
            let micros = match unit {
                TimeUnit::Second => value.checked_mul(1_000_000),
                TimeUnit::Millisecond => value.checked_mul(1_000),
                TimeUnit::Microsecond => Some(value),
                TimeUnit::Nanosecond if value % 1_000 != 0 => {
                    return Err(format!("{value} ns is not a whole number of microseconds"));
                }
                TimeUnit::Nanosecond => Some(value / 1_000),
            };
            let micros = micros.ok_or_else(|| format!("{value} {unit:?}s do not fit"))?;
            Timestamp::from_micros(micros).map(Timestamp::micros).map_err(|error| error.to_string())
        };
        let values: &[i64] = match unit {
            TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
            TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
            TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
            TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
        };
        let mut micros = Vec::with_capacity(values.len());
        for (row, value) in values.iter().enumerate() {
            // What lies under a null is arbitrary.
            micros.push(if array.is_null(row) {
                0
            } else {
                to_micros(*value).map_err(|problem| refuse(row, problem))?
            });
        }
        let array = PrimitiveArray::<TimestampMicrosecondType>::new(micros.into(), array.nulls().cloned());
        Ok(Arc::new(array.with_timezone("UTC")))
    }

    fn check_values(&self, column: &Column, array: &ArrayRef, first_row: u64) -> Result<(), FrameError> {
        let refuse = |row: usize, problem: String| FrameError::Value {
            table: self.contract.identifier.clone(),
            column: column.name.clone(),
            row: first_row + row as u64,
            problem,
        };
        if let Some(texts) = array.as_string_opt::<i32>() {
            let is_json = column.data_type == DataType::Json;
            for (row, text) in texts.iter().enumerate() {
                let Some(text) = text else { continue };
                if text.as_bytes().contains(&0) {
                    return Err(refuse(
                        row,
                        "text holds the character U+0000, which PostgreSQL cannot store".to_owned(),
                    ));
                }
                if is_json {
                    serde_json::from_str::<IgnoredAny>(text)
                        .map_err(|error| refuse(row, format!("not JSON: {error}")))?;
                }
            }
        }
        if let Some(dates) = array.as_primitive_opt::<Date32Type>() {
            let outside = |row: &usize| dates.is_valid(*row) && !DATES.contains(&dates.value(*row));
            if let Some(row) = (0..dates.len()).find(outside) {
                return Err(refuse(
                    row,
                    format!("day {} lies outside the years 1 to 9999", dates.value(row)),
                ));
            }
        }
        if let (DataType::Decimal { precision, .. }, ArrowType::Decimal128(..)) =
            (column.data_type, array.data_type())
        {
            let limit = 10_i128.pow(precision.into());
            let values = array.as_primitive::<arrow_array::types::Decimal128Type>();
            if let Some(row) = (0..values.len()).find(|row| {
                values.is_valid(*row) && values.value(*row).unsigned_abs() >= limit.unsigned_abs()
            }) {
                return Err(refuse(row, format!("more than {precision} digits")));
            }
        }
        Ok(())
    }
}

fn finite<T: arrow_array::ArrowPrimitiveType>(
    array: &ArrayRef,
    is_finite: impl Fn(T::Native) -> bool,
) -> ArrayRef {
    let values = array.as_primitive::<T>();
    if values.iter().flatten().all(&is_finite) {
        return Arc::clone(array);
    }
    Arc::new(values.unary_opt::<_, T>(|value| is_finite(value).then_some(value)))
}
