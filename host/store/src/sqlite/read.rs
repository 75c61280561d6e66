//! Rows of SQLite as Arrow.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, FixedSizeBinaryBuilder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, Schema};
use datanode_core::contract::{Column, Contract, TIME_INDEX, TableKind};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::select::{PageSelect, Select};
use super::stored::{damaged, failed, timestamp};
use crate::{IndexKey, Page, StoreError};

/// A page ends early when its texts and bytes reach this size, so that neither memory nor Arrow's 32-bit offsets
/// depend on how long the values of a table are.
const MAX_PAGE_BYTES: usize = 4 << 20;
/// Rows for which builders make room in advance.
const ROWS_AT_ONCE: usize = 8_192;

/// Run a query for its next rows; None when no row matches.
pub(super) fn page(
    connection: &Connection,
    select: &Select,
    after: Option<&IndexKey>,
    max_rows: usize,
) -> Result<Option<Page>, StoreError> {
    let failed = failed("reading rows");
    let contract = &select.contract;
    let PageSelect { sql, parameters } = select.page(after, max_rows);
    let mut cells: Vec<Cells> =
        select.columns.iter().map(|column| Cells::new(column, max_rows.min(ROWS_AT_ONCE))).collect();
    let mut statement = connection.prepare(&sql).map_err(&failed)?;
    let parameters = select.parameters().iter().chain(&parameters);
    let mut rows = statement.query(params_from_iter(parameters)).map_err(&failed)?;
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.next().map_err(&failed)? {
        for (at, column) in cells.iter_mut().enumerate() {
            let cell = row.get_ref(at).map_err(&failed)?;
            bytes += column.push(cell).map_err(|problem| {
                StoreError::Damaged(format!(
                    "table `{}`, column `{}`: {problem}",
                    contract.identifier, select.columns[at].name
                ))
            })?;
        }
        count += 1;
        if bytes >= MAX_PAGE_BYTES {
            break;
        }
    }
    if count == 0 {
        return Ok(None);
    }
    let place = format!("table `{}`", contract.identifier);
    let fields: Vec<_> = select.columns.iter().map(Column::arrow_field).collect();
    let schema = Schema::new(fields);
    let arrays =
        cells.into_iter().map(Cells::finish).collect::<Result<Vec<_>, _>>().map_err(damaged(&place))?;
    let batch = RecordBatch::try_new(Arc::new(schema), arrays).map_err(damaged(&place))?;
    let last = index_key(contract, &batch, count - 1)?;
    Ok(Some(Page { batch, last }))
}

/// The key of a row; the key is always among the columns of an answer.
fn index_key(contract: &Contract, batch: &RecordBatch, row: usize) -> Result<IndexKey, StoreError> {
    let missing = || StoreError::Damaged(format!("table `{}`: a row has no key", contract.identifier));
    let time = match contract.kind {
        TableKind::Reference => None,
        TableKind::TimeIndexed => {
            let times = batch
                .column_by_name(TIME_INDEX)
                .and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>());
            let place = format!("table `{}`, column `{TIME_INDEX}`", contract.identifier);
            Some(timestamp(&place, times.ok_or_else(missing)?.value(row))?)
        }
    };
    let coordinate = contract.key_dimensions().iter().map(|name| {
        CoordinateValue::from_array(batch.column_by_name(name)?, contract.column(name)?.data_type, row)
    });
    Ok(IndexKey { time, coordinate: Coordinate(coordinate.collect::<Option<_>>().ok_or_else(missing)?) })
}

/// One column of a page in the making.
enum Cells {
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
    Decimal(Decimal128Builder, DataType),
    Bytes(BinaryBuilder),
}

impl Cells {
    fn new(column: &Column, rows: usize) -> Self {
        match column.data_type {
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
            DataType::Decimal { .. } => {
                Self::Decimal(Decimal128Builder::with_capacity(rows), column.data_type)
            }
            DataType::Bytes => Self::Bytes(BinaryBuilder::with_capacity(rows, rows * 8)),
        }
    }

    /// Add a cell; how many bytes of text or blob it has.
    fn push(&mut self, cell: ValueRef<'_>) -> Result<usize, String> {
        match (self, cell) {
            (cells, ValueRef::Null) => {
                cells.push_null();
                return Ok(0);
            }
            (Self::Float64(builder), ValueRef::Real(value)) => builder.append_value(value),
            // Exact: it was widened from 32 bits when it was stored.
            #[allow(clippy::cast_possible_truncation)]
            (Self::Float32(builder), ValueRef::Real(value)) => builder.append_value(value as f32),
            (Self::Int64(builder), ValueRef::Integer(value)) => builder.append_value(value),
            (Self::Timestamp(builder), ValueRef::Integer(value)) => builder.append_value(value),
            (Self::Decimal(builder, _), ValueRef::Integer(value)) => builder.append_value(value.into()),
            (Self::Int32(builder), ValueRef::Integer(value)) => builder.append_value(narrow(value)?),
            (Self::Int16(builder), ValueRef::Integer(value)) => builder.append_value(narrow(value)?),
            (Self::Date(builder), ValueRef::Integer(value)) => builder.append_value(narrow(value)?),
            (Self::Bool(builder), ValueRef::Integer(value @ (0 | 1))) => builder.append_value(value == 1),
            (Self::Text(builder), ValueRef::Text(value)) => {
                builder.append_value(std::str::from_utf8(value).map_err(|error| error.to_string())?);
                return Ok(value.len());
            }
            (Self::Uuid(builder), ValueRef::Blob(value)) => {
                builder.append_value(value).map_err(|error| error.to_string())?;
            }
            (Self::Bytes(builder), ValueRef::Blob(value)) => {
                builder.append_value(value);
                return Ok(value.len());
            }
            (_, other) => return Err(format!("a value of type {} does not belong here", other.data_type())),
        }
        Ok(0)
    }

    fn push_null(&mut self) {
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
            Self::Decimal(builder, _) => builder.append_null(),
            Self::Bytes(builder) => builder.append_null(),
        }
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
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
            Self::Decimal(mut builder, data_type) => match data_type {
                #[allow(clippy::cast_possible_wrap)] // at most 18, see `ddl`
                DataType::Decimal { precision, scale } => {
                    Arc::new(builder.finish().with_precision_and_scale(precision, scale as i8)?)
                }
                _ => Arc::new(builder.finish()),
            },
            Self::Bytes(mut builder) => Arc::new(builder.finish()),
        })
    }
}

fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T, String> {
    T::try_from(value).map_err(|_| format!("{value} is out of range"))
}
