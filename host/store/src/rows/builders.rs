//! Columns of a batch in the making.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, FixedSizeBinaryBuilder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_schema::ArrowError;
use datanode_core::coordinate::CoordinateValue;
use datanode_core::data_type::DataType;

/// One column of a page in the making.
pub(crate) enum ColumnBuilder {
    Float64(Float64Builder),
    Float32(Float32Builder),
    Int64(Int64Builder),
    Int32(Int32Builder),
    Int16(Int16Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Uuid(FixedSizeBinaryBuilder),
    /// With its precision and scale.
    Decimal(Decimal128Builder, u8, u8),
    Bytes(BinaryBuilder),
}

impl ColumnBuilder {
    /// With room for so many rows.
    pub(crate) fn new(data_type: DataType, rows: usize) -> Self {
        match data_type {
            DataType::Float64 => Self::Float64(Float64Builder::with_capacity(rows)),
            DataType::Float32 => Self::Float32(Float32Builder::with_capacity(rows)),
            DataType::Int64 => Self::Int64(Int64Builder::with_capacity(rows)),
            DataType::Int32 => Self::Int32(Int32Builder::with_capacity(rows)),
            DataType::Int16 => Self::Int16(Int16Builder::with_capacity(rows)),
            DataType::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            DataType::String | DataType::Json => Self::Text(StringBuilder::with_capacity(rows, rows * 8)),
            DataType::Date => Self::Date(Date32Builder::with_capacity(rows)),
            DataType::TimestampTz => Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows)),
            DataType::Uuid => Self::Uuid(FixedSizeBinaryBuilder::with_capacity(rows, 16)),
            DataType::Decimal { precision, scale } => {
                Self::Decimal(Decimal128Builder::with_capacity(rows), precision, scale)
            }
            DataType::Bytes => Self::Bytes(BinaryBuilder::with_capacity(rows, rows * 8)),
        }
    }

    pub(crate) fn push_null(&mut self) {
        match self {
            Self::Float64(builder) => builder.append_null(),
            Self::Float32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int16(builder) => builder.append_null(),
            Self::Bool(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
            Self::Uuid(builder) => builder.append_null(),
            Self::Decimal(builder, ..) => builder.append_null(),
            Self::Bytes(builder) => builder.append_null(),
        }
    }

    /// Add a value of a key; false when it is of another type.
    pub(crate) fn push_value(&mut self, value: &CoordinateValue) -> bool {
        match (self, value) {
            (Self::Text(builder), CoordinateValue::Text(text)) => builder.append_value(text),
            (Self::Int64(builder), CoordinateValue::Int(value)) => builder.append_value(*value),
            (Self::Int32(builder), CoordinateValue::Int(value)) => match i32::try_from(*value) {
                Ok(value) => builder.append_value(value),
                Err(_) => return false,
            },
            (Self::Int16(builder), CoordinateValue::Int(value)) => match i16::try_from(*value) {
                Ok(value) => builder.append_value(value),
                Err(_) => return false,
            },
            (Self::Bool(builder), CoordinateValue::Bool(value)) => builder.append_value(*value),
            (Self::Date(builder), CoordinateValue::Date(days)) => builder.append_value(*days),
            (Self::Timestamp(builder), CoordinateValue::Timestamp(time)) => {
                builder.append_value(time.micros());
            }
            (Self::Uuid(builder), CoordinateValue::Uuid(uuid)) => return builder.append_value(uuid).is_ok(),
            _ => return false,
        }
        true
    }

    pub(crate) fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Float64(mut builder) => Arc::new(builder.finish()),
            Self::Float32(mut builder) => Arc::new(builder.finish()),
            Self::Int64(mut builder) => Arc::new(builder.finish()),
            Self::Int32(mut builder) => Arc::new(builder.finish()),
            Self::Int16(mut builder) => Arc::new(builder.finish()),
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Date(mut builder) => Arc::new(builder.finish()),
            Self::Timestamp(mut builder) => Arc::new(builder.finish().with_timezone("UTC")),
            Self::Uuid(mut builder) => Arc::new(builder.finish()),
            // At most 38: a scale fits.
            #[allow(clippy::cast_possible_wrap)]
            Self::Decimal(mut builder, precision, scale) => {
                Arc::new(builder.finish().with_precision_and_scale(precision, scale as i8)?)
            }
            Self::Bytes(mut builder) => Arc::new(builder.finish()),
        })
    }
}
