//! Rows of SQLite as Arrow.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, StatementStatus, params_from_iter};

use super::functions::{self, Taken};
use super::select::{PageSelect, Select};
use super::stored::failed;
use crate::rows::{ColumnBuilder, ROWS_AT_ONCE, page as page_of};
use crate::{IndexKey, Page, StoreError};

/// Run a query for its next rows; None when no row matches.
pub(super) fn page(
    connection: &Connection,
    select: &Select,
    after: Option<&IndexKey>,
    max_rows: usize,
) -> Result<Option<Page>, StoreError> {
    let page = select.page(after, max_rows);
    let in_order = take(connection, select, &page, &select.in_order(&page), max_rows)?;
    let taken = match in_order {
        (taken, false) => taken,
        (_, true) => take(connection, select, &page, &select.sorted(&page), max_rows)?.0,
    };
    let contract = &select.contract;
    if let Some((at, problem)) = taken.problem {
        return Err(StoreError::Damaged(format!(
            "table `{}`, column `{}`: {problem}",
            contract.identifier, select.columns[at].name
        )));
    }
    page_of(contract, &select.columns, taken.built, taken.rows)
}

/// Take the rows of a statement as it comes to them, and whether it has sorted any.
fn take(
    connection: &Connection,
    select: &Select,
    page: &PageSelect,
    sql: &str,
    max_rows: usize,
) -> Result<(Taken, bool), StoreError> {
    let failed = failed("reading rows");
    let room = max_rows.min(ROWS_AT_ONCE);
    let built = select.columns.iter().map(|column| ColumnBuilder::new(column.data_type, room)).collect();
    let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
    statement.reset_status(StatementStatus::Sort);
    let parameters = select.parameters().iter().chain(&page.parameters);
    let (run, taken): (rusqlite::Result<()>, Taken) = functions::taking(built, || {
        let mut rows = statement.query(params_from_iter(parameters))?;
        while rows.next()?.is_some() && functions::has_room() {}
        Ok(())
    });
    run.map_err(&failed)?;
    let has_sorted = statement.get_status(StatementStatus::Sort) > 0;
    Ok((taken, has_sorted))
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
