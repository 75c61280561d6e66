//! Cells of Arrow columns as parameters of a statement.

use rusqlite::Statement;
use rusqlite::types::{Null, ToSqlOutput, ValueRef};

use crate::rows::{CellColumn, Cells, Values};

/// Bind a row to the parameters from `first` on.
pub(super) fn bind(
    cells: &Cells<'_>,
    statement: &mut Statement<'_>,
    first: usize,
    row: usize,
) -> rusqlite::Result<()> {
    for (parameter, column) in (first..).zip(&cells.columns) {
        bind_cell(column, statement, parameter, row)?;
    }
    Ok(())
}

fn bind_cell(
    column: &CellColumn<'_>,
    statement: &mut Statement<'_>,
    parameter: usize,
    row: usize,
) -> rusqlite::Result<()> {
    use arrow_array::Array;
    if column.array.is_null(row) {
        return statement.raw_bind_parameter(parameter, Null);
    }
    match &column.values {
        Values::Float64(values) => statement.raw_bind_parameter(parameter, values[row]),
        Values::Float32(values) => statement.raw_bind_parameter(parameter, f64::from(values[row])),
        Values::Int64(values) | Values::Timestamp(values) => {
            statement.raw_bind_parameter(parameter, values[row])
        }
        Values::Int32(values) | Values::Date(values) => statement.raw_bind_parameter(parameter, values[row]),
        Values::Int16(values) => statement.raw_bind_parameter(parameter, values[row]),
        Values::Decimal(values, _) => match i64::try_from(values[row]) {
            Ok(value) => statement.raw_bind_parameter(parameter, value),
            Err(error) => Err(rusqlite::Error::ToSqlConversionFailure(error.into())),
        },
        Values::Bool(values) => statement.raw_bind_parameter(parameter, values.value(row)),
        Values::Text(values) => statement.raw_bind_parameter(parameter, values.value(row)),
        Values::Uuid(values) => bind_blob(statement, parameter, values.value(row)),
        Values::Bytes(values) => bind_blob(statement, parameter, values.value(row)),
    }
}

fn bind_blob(statement: &mut Statement<'_>, parameter: usize, bytes: &[u8]) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(parameter, ToSqlOutput::Borrowed(ValueRef::Blob(bytes)))
}
