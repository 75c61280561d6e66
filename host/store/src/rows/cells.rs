//! Cells of Arrow columns.

use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray,
    RecordBatch, StringArray, cast::AsArray,
};
use arrow_schema::DataType as ArrowType;
use datanode_core::contract::Contract;

use crate::StoreError;

/// The columns of one batch, their types looked up once: a cell costs a match and no more.
pub(crate) struct Cells<'b> {
    /// In the order of the batch.
    pub(crate) columns: Vec<CellColumn<'b>>,
}

/// One column.
pub(crate) struct CellColumn<'b> {
    /// Knows which cells are null.
    pub(crate) array: &'b ArrayRef,
    /// Whether any is: most columns have none, and then no cell is asked.
    has_nulls: bool,
    /// The others.
    pub(crate) values: Values<'b>,
}

/// What the cells of a column are.
pub(crate) enum Values<'b> {
    Float64(&'b [f64]),
    Float32(&'b [f32]),
    Int64(&'b [i64]),
    Int32(&'b [i32]),
    Int16(&'b [i16]),
    /// Days since 1970-01-01.
    Date(&'b [i32]),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(&'b [i64]),
    /// Scaled by ten to the given power.
    Decimal(&'b [i128], u8),
    Bool(&'b BooleanArray),
    Text(&'b StringArray),
    Uuid(&'b FixedSizeBinaryArray),
    Bytes(&'b BinaryArray),
}

impl<'b> Cells<'b> {
    /// The cells of a batch that has the contract's columns in the contract's order.
    pub(crate) fn new(contract: &Contract, batch: &'b RecordBatch) -> Result<Self, StoreError> {
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
        Self::of(batch.columns()).map_err(|other| {
            StoreError::Damaged(format!("table `{}`: no cell has the type {other}", contract.identifier))
        })
    }

    /// The cells of columns; the type that no cell has is the error.
    pub(crate) fn of(arrays: &'b [ArrayRef]) -> Result<Self, ArrowType> {
        let column = |array: &'b ArrayRef| {
            let values = Values::of(array).ok_or_else(|| array.data_type().clone())?;
            Ok(CellColumn { array, has_nulls: array.null_count() > 0, values })
        };
        Ok(Self { columns: arrays.iter().map(column).collect::<Result<_, _>>()? })
    }
}

impl CellColumn<'_> {
    /// Whether the cell of a row is null.
    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.has_nulls && self.array.is_null(row)
    }
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<&[T::Native]> {
    array.as_primitive_opt::<T>().map(PrimitiveArray::values).map(AsRef::as_ref)
}

impl<'b> Values<'b> {
    fn of(array: &'b ArrayRef) -> Option<Self> {
        match array.data_type() {
            ArrowType::Float64 => primitive::<Float64Type>(array).map(Self::Float64),
            ArrowType::Float32 => primitive::<Float32Type>(array).map(Self::Float32),
            ArrowType::Int64 => primitive::<Int64Type>(array).map(Self::Int64),
            ArrowType::Int32 => primitive::<Int32Type>(array).map(Self::Int32),
            ArrowType::Int16 => primitive::<Int16Type>(array).map(Self::Int16),
            ArrowType::Date32 => primitive::<Date32Type>(array).map(Self::Date),
            ArrowType::Timestamp(..) => primitive::<TimestampMicrosecondType>(array).map(Self::Timestamp),
            ArrowType::Decimal128(_, scale) => {
                let scale = u8::try_from(*scale).ok()?;
                primitive::<Decimal128Type>(array).map(|values| Self::Decimal(values, scale))
            }
            ArrowType::Boolean => array.as_boolean_opt().map(Self::Bool),
            ArrowType::Utf8 => array.as_string_opt::<i32>().map(Self::Text),
            ArrowType::FixedSizeBinary(16) => array.as_fixed_size_binary_opt().map(Self::Uuid),
            ArrowType::Binary => array.as_binary_opt::<i32>().map(Self::Bytes),
            _ => None,
        }
    }
}
