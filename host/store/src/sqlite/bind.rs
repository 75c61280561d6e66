//! Cells of Arrow columns as parameters of a statement.

use rusqlite::types::{Null, ToSqlOutput, ValueRef};
use rusqlite::{Statement, ToSql};

use crate::rows::{CellColumn, Cells, Values};

/// Bind a row to the parameters from `first` on.
pub(super) fn bind(
    cells: &Cells<'_>,
    statement: &mut Statement<'_>,
    first: usize,
    row: usize,
) -> rusqlite::Result<()> {
    bind_from(cells, statement, first, &std::iter::once(row))
}

/// Bind rows, one after the other, to all parameters.
pub(super) fn bind_rows(
    cells: &Cells<'_>,
    statement: &mut Statement<'_>,
    rows: &(impl Iterator<Item = usize> + Clone),
) -> rusqlite::Result<()> {
    bind_from(cells, statement, 1, rows)
}

/// Column by column: what the cells of a column are is asked once for all rows.
fn bind_from(
    cells: &Cells<'_>,
    statement: &mut Statement<'_>,
    first: usize,
    rows: &(impl Iterator<Item = usize> + Clone),
) -> rusqlite::Result<()> {
    let step = cells.columns.len();
    for (first, column) in (first..).zip(&cells.columns) {
        bind_column(column, &mut Target { statement: &mut *statement, first, step, rows: rows.clone() })?;
    }
    Ok(())
}

/// Where the cells of a column go.
struct Target<'t, 'c, R> {
    statement: &'t mut Statement<'c>,
    /// The parameter of the first row, and the distance to that of the next.
    first: usize,
    step: usize,
    rows: R,
}

impl<R: Iterator<Item = usize> + Clone> Target<'_, '_, R> {
    #[inline]
    fn take<V: ToSql>(
        &mut self,
        column: &CellColumn<'_>,
        value: impl Fn(usize) -> rusqlite::Result<V>,
    ) -> rusqlite::Result<()> {
        for (parameter, row) in (self.first..).step_by(self.step).zip(self.rows.clone()) {
            if column.is_null(row) {
                self.statement.raw_bind_parameter(parameter, Null)?;
            } else {
                self.statement.raw_bind_parameter(parameter, value(row)?)?;
            }
        }
        Ok(())
    }
}

fn bind_column<R: Iterator<Item = usize> + Clone>(
    column: &CellColumn<'_>,
    target: &mut Target<'_, '_, R>,
) -> rusqlite::Result<()> {
    match &column.values {
        Values::Float64(values) => target.take(column, |row| Ok(values[row])),
        Values::Float32(values) => target.take(column, |row| Ok(f64::from(values[row]))),
        Values::Int64(values) | Values::Timestamp(values) => target.take(column, |row| Ok(values[row])),
        Values::Int32(values) | Values::Date(values) => target.take(column, |row| Ok(values[row])),
        Values::Int16(values) => target.take(column, |row| Ok(values[row])),
        Values::Decimal(values, _) => target.take(column, |row| {
            i64::try_from(values[row]).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
        }),
        Values::Bool(values) => target.take(column, |row| Ok(values.value(row))),
        Values::Text(values) => target.take(column, |row| Ok(values.value(row))),
        Values::Uuid(values) => target.take(column, |row| Ok(blob(values.value(row)))),
        Values::Bytes(values) => target.take(column, |row| Ok(blob(values.value(row)))),
    }
}

fn blob(bytes: &[u8]) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Blob(bytes))
}
