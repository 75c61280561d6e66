//! Cells of Arrow columns as parameters of a statement.

use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray,
    RecordBatch, StringArray, cast::AsArray,
};
use datanode_core::contract::Contract;
use rusqlite::Statement;
use rusqlite::types::{Null, ToSqlOutput, ValueRef};

use crate::StoreError;

/// The columns of one batch, their types looked up once: a cell costs a match and no more.
pub(super) struct Cells<'b> {
    columns: Vec<CellColumn<'b>>,
}

struct CellColumn<'b> {
    array: &'b ArrayRef,
    values: Values<'b>,
}

enum Values<'b> {
    Float64(&'b [f64]),
    Float32(&'b [f32]),
    Int64(&'b [i64]),
    Int32(&'b [i32]),
    Int16(&'b [i16]),
    Decimal(&'b [i128]),
    Bool(&'b BooleanArray),
    Text(&'b StringArray),
    Uuid(&'b FixedSizeBinaryArray),
    Bytes(&'b BinaryArray),
}

impl<'b> Cells<'b> {
    /// The cells of a batch that has the contract's columns in the contract's order.
    pub(super) fn new(contract: &Contract, batch: &'b RecordBatch) -> Result<Self, StoreError> {
        let given = batch.schema();
        let fits = given.fields().len() == contract.columns.len()
            && contract.columns.iter().zip(given.fields()).all(|(column, field)| {
                column.name == *field.name() && column.data_type.arrow() == *field.data_type()
            });
        if !fits {
            // Batches were validated on their way here; this is the second half of that assertion.
            return Err(StoreError::Damaged(format!(
                "table `{}`: a batch came to the commit with the columns {given}",
                contract.identifier
            )));
        }
        let columns = batch.columns().iter().map(|array| {
            let values = Values::of(array).ok_or_else(|| {
                let problem =
                    format!("table `{}`: no cell has the type {}", contract.identifier, array.data_type());
                StoreError::Damaged(problem)
            });
            values.map(|values| CellColumn { array, values })
        });
        Ok(Self { columns: columns.collect::<Result<_, _>>()? })
    }

    /// Bind a row to the parameters from `first` on.
    pub(super) fn bind(
        &self,
        statement: &mut Statement<'_>,
        first: usize,
        row: usize,
    ) -> rusqlite::Result<()> {
        for (parameter, column) in (first..).zip(&self.columns) {
            column.bind(statement, parameter, row)?;
        }
        Ok(())
    }
}

impl CellColumn<'_> {
    fn bind(&self, statement: &mut Statement<'_>, parameter: usize, row: usize) -> rusqlite::Result<()> {
        if self.array.is_null(row) {
            return statement.raw_bind_parameter(parameter, Null);
        }
        match &self.values {
            Values::Float64(values) => statement.raw_bind_parameter(parameter, values[row]),
            Values::Float32(values) => statement.raw_bind_parameter(parameter, f64::from(values[row])),
            Values::Int64(values) => statement.raw_bind_parameter(parameter, values[row]),
            Values::Int32(values) => statement.raw_bind_parameter(parameter, values[row]),
            Values::Int16(values) => statement.raw_bind_parameter(parameter, values[row]),
            Values::Decimal(values) => match i64::try_from(values[row]) {
                Ok(value) => statement.raw_bind_parameter(parameter, value),
                Err(error) => Err(rusqlite::Error::ToSqlConversionFailure(error.into())),
            },
            Values::Bool(values) => statement.raw_bind_parameter(parameter, values.value(row)),
            Values::Text(values) => statement.raw_bind_parameter(parameter, values.value(row)),
            Values::Uuid(values) => bind_blob(statement, parameter, values.value(row)),
            Values::Bytes(values) => bind_blob(statement, parameter, values.value(row)),
        }
    }
}

fn bind_blob(statement: &mut Statement<'_>, parameter: usize, bytes: &[u8]) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(parameter, ToSqlOutput::Borrowed(ValueRef::Blob(bytes)))
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<&[T::Native]> {
    array.as_primitive_opt::<T>().map(PrimitiveArray::values).map(AsRef::as_ref)
}

impl<'b> Values<'b> {
    fn of(array: &'b ArrayRef) -> Option<Self> {
        primitive::<Float64Type>(array)
            .map(Self::Float64)
            .or_else(|| primitive::<Float32Type>(array).map(Self::Float32))
            .or_else(|| primitive::<Int64Type>(array).map(Self::Int64))
            .or_else(|| primitive::<TimestampMicrosecondType>(array).map(Self::Int64))
            .or_else(|| primitive::<Int32Type>(array).map(Self::Int32))
            .or_else(|| primitive::<Date32Type>(array).map(Self::Int32))
            .or_else(|| primitive::<Int16Type>(array).map(Self::Int16))
            .or_else(|| primitive::<Decimal128Type>(array).map(Self::Decimal))
            .or_else(|| array.as_boolean_opt().map(Self::Bool))
            .or_else(|| array.as_string_opt::<i32>().map(Self::Text))
            .or_else(|| array.as_fixed_size_binary_opt().map(Self::Uuid))
            .or_else(|| array.as_binary_opt::<i32>().map(Self::Bytes))
    }
}
