//! Rows of SQLite as Arrow.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::select::{PageSelect, Select};
use super::stored::failed;
use crate::rows::{ColumnBuilder, MAX_PAGE_BYTES, ROWS_AT_ONCE, page as page_of};
use crate::{IndexKey, Page, StoreError};

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
    let room = max_rows.min(ROWS_AT_ONCE);
    let mut built: Vec<ColumnBuilder> =
        select.columns.iter().map(|column| ColumnBuilder::new(column.data_type, room)).collect();
    let mut statement = connection.prepare(&sql).map_err(&failed)?;
    let parameters = select.parameters().iter().chain(&parameters);
    let mut rows = statement.query(params_from_iter(parameters)).map_err(&failed)?;
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.next().map_err(&failed)? {
        for (at, column) in built.iter_mut().enumerate() {
            let cell = row.get_ref(at).map_err(&failed)?;
            bytes += push(column, cell).map_err(|problem| {
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
    page_of(contract, &select.columns, built, count)
}

/// Add a cell; how many bytes of text or blob it has.
pub(super) fn push(builder: &mut ColumnBuilder, cell: ValueRef<'_>) -> Result<usize, String> {
    match (builder, cell) {
        (builder, ValueRef::Null) => {
            builder.push_null();
            return Ok(0);
        }
        (ColumnBuilder::Float64(builder), ValueRef::Real(value)) => builder.append_value(value),
        // Exact: it was widened from 32 bits when it was stored.
        #[allow(clippy::cast_possible_truncation)]
        (ColumnBuilder::Float32(builder), ValueRef::Real(value)) => builder.append_value(value as f32),
        (ColumnBuilder::Int64(builder), ValueRef::Integer(value)) => builder.append_value(value),
        (ColumnBuilder::Timestamp(builder), ValueRef::Integer(value)) => builder.append_value(value),
        (ColumnBuilder::Decimal(builder, ..), ValueRef::Integer(value)) => builder.append_value(value.into()),
        (ColumnBuilder::Int32(builder), ValueRef::Integer(value)) => builder.append_value(narrow(value)?),
        (ColumnBuilder::Int16(builder), ValueRef::Integer(value)) => builder.append_value(narrow(value)?),
        (ColumnBuilder::Date(builder), ValueRef::Integer(value)) => builder.append_value(narrow(value)?),
        (ColumnBuilder::Bool(builder), ValueRef::Integer(value @ (0 | 1))) => {
            builder.append_value(value == 1);
        }
        (ColumnBuilder::Text(builder), ValueRef::Text(value)) => {
            builder.append_value(std::str::from_utf8(value).map_err(|error| error.to_string())?);
            return Ok(value.len());
        }
        (ColumnBuilder::Uuid(builder), ValueRef::Blob(value)) => {
            builder.append_value(value).map_err(|error| error.to_string())?;
        }
        (ColumnBuilder::Bytes(builder), ValueRef::Blob(value)) => {
            builder.append_value(value);
            return Ok(value.len());
        }
        (_, other) => return Err(format!("a value of type {} does not belong here", other.data_type())),
    }
    Ok(0)
}

fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T, String> {
    T::try_from(value).map_err(|_| format!("{value} is out of range"))
}
