//! Few rows that may be there already. What is held is read beside them, in the order of the key, and only what is new or
//! differs is written.
//!
//! Most rows that are sent again are as they were. To read a row is less than to offer it to the table,
//! and shows which rows are new, which the progress must know. A row that is far from the last one is looked up, so that
//! no more is read than some rows for each that was sent, whatever lies between them.

use std::cmp::Ordering;

use arrow_array::RecordBatch;
use datanode_core::contract::Contract;
use datanode_core::coordinate::CoordinateValue;
use datanode_core::progress::Progress;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row, params_from_iter};

use super::append::Inserts;
use super::ddl::{list, quote};
use super::overwrite::on_conflict;
use super::stored::failed;
use super::value_list::parameter;
use crate::rows::{BatchTally, CellColumn, Cells, Values, key_tuple};
use crate::write_mode::Written;
use crate::{Rows, StoreError, Table, WriteMode};

const DOING: &str = "comparing rows with those that are there";

/// So many rows are few, and so many bytes of them: they are held at once. Of more, all wait in a table, from which they
/// are stored in the order of the key.
const FEW_ROWS: usize = 32_768;
const FEW_BYTES: usize = 8 << 20;

/// Rows that are passed in search of the next one, before it is looked up.
const PATIENCE: u32 = 8;

/// Rows, as they can be stored.
pub(super) enum Sent {
    /// All of them.
    Few(Vec<RecordBatch>),
    /// They go on.
    Many(Rows),
}

/// Look whether there are few rows.
pub(super) fn look(mut rows: Rows) -> Result<Sent, StoreError> {
    let (mut first, mut count, mut bytes) = (Vec::new(), 0, 0);
    while let Some(batch) = rows.next() {
        let batch = batch.map_err(StoreError::Rows)?;
        count += batch.num_rows();
        bytes += batch.get_array_memory_size();
        first.push(batch);
        if count > FEW_ROWS || bytes > FEW_BYTES {
            return Ok(Sent::Many(Box::new(first.into_iter().map(Ok).chain(rows))));
        }
    }
    Ok(Sent::Few(first))
}

/// Store few rows; what was done, and those that were not there.
pub(super) fn store(
    connection: &Connection,
    table: &Table,
    mode: WriteMode,
    batches: &[RecordBatch],
) -> Result<(Written, Progress), StoreError> {
    let contract = &table.contract;
    let cells: Vec<Cells<'_>> =
        batches.iter().map(|batch| Cells::new(contract, batch)).collect::<Result<_, _>>()?;
    let comparison = Comparison { connection, contract, batches, cells: &cells, mode };
    let rows = comparison.in_order()?;
    let Found { new, updated } = comparison.compare(&rows)?;
    let written = Written {
        inserted: new.len() as u64,
        updated: updated.len() as u64,
        unchanged: rows.len().saturating_sub(new.len() + updated.len()) as u64,
    };
    comparison.write(&new, "")?;
    comparison.write(&updated, &on_conflict(contract, mode))?;
    Ok((written, comparison.progress(&new)?))
}

/// A row: its batch, and its place there.
type Place = (usize, usize);

/// What is not there as it was sent.
#[derive(Default)]
struct Found {
    new: Vec<Place>,
    updated: Vec<Place>,
}

struct Comparison<'c> {
    connection: &'c Connection,
    contract: &'c Contract,
    batches: &'c [RecordBatch],
    cells: &'c [Cells<'c>],
    mode: WriteMode,
}

impl Comparison<'_> {
    /// All rows in the order of the key; refused where two have the same.
    fn in_order(&self) -> Result<Vec<Place>, StoreError> {
        let key = self.columns(self.contract.key())?;
        let by_key = |left: &Place, right: &Place| {
            let of = |(batch, row): &Place, column: usize| (&self.cells[*batch].columns[column].values, *row);
            let mut columns = key.iter().map(|column| compare_values(of(left, *column), of(right, *column)));
            columns.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        };
        let places = self.batches.iter().enumerate();
        let mut rows: Vec<Place> =
            places.flat_map(|(batch, rows)| (0..rows.num_rows()).map(move |row| (batch, row))).collect();
        // Stable: of two rows with one key the second one is named. Rows that are in order are passed over once.
        rows.sort_by(by_key);
        let twice = rows.windows(2).find(|pair| by_key(&pair[0], &pair[1]).is_eq());
        match twice {
            Some(pair) => Err(StoreError::DuplicateKey {
                table: self.contract.identifier.clone(),
                key: key_tuple(self.contract, &self.batches[pair[1].0], pair[1].1),
            }),
            None => Ok(rows),
        }
    }

    /// Where columns are in a batch.
    fn columns(&self, names: &[String]) -> Result<Vec<usize>, StoreError> {
        let place = |name: &String| {
            let place = self.contract.columns.iter().position(|column| column.name == *name);
            place.ok_or_else(|| {
                StoreError::Damaged(format!("table `{}` has no column `{name}`", self.contract.identifier))
            })
        };
        names.iter().map(place).collect()
    }

    /// Which rows are not there as they were sent. They are in the order of the key.
    fn compare(&self, rows: &[Place]) -> Result<Found, StoreError> {
        let (key, mut shown) = (self.contract.key(), self.contract.key().to_vec());
        if self.mode == WriteMode::Overwrite {
            let others = self.contract.columns.iter().filter(|column| !key.contains(&column.name));
            shown.extend(others.map(|column| column.name.clone()));
        }
        let columns = self.columns(&shown)?;
        let (key_columns, others) = columns.split_at(key.len());
        let parameters: Vec<String> = (1..=key.len()).map(|at| format!("?{at}")).collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE ({}) >= ({}) ORDER BY {}",
            list(&shown),
            quote(self.contract.physical_name()),
            list(key),
            parameters.join(", "),
            list(key)
        );
        let failed = failed(DOING);
        let mut statement = self.connection.prepare_cached(&sql).map_err(&failed)?;
        let mut found = Found::default();
        let mut sent = rows.iter().peekable();
        let mut patience = PATIENCE;
        // From the next row that was sent on, as long as what is held lies near what was sent.
        while let Some(next) = sent.peek() {
            let from = self.key_of(**next)?;
            let mut held = statement.query(params_from_iter(from)).map_err(&failed)?;
            let (mut passed, mut was_near) = (0, false);
            while let Some(row) = held.next().map_err(&failed)? {
                match self.advance(row, key_columns, &mut sent, &mut found.new)? {
                    Some(place) => {
                        if !self.is_same(row, key_columns.len(), others, place).map_err(&failed)? {
                            found.updated.push(place);
                        }
                        if was_near {
                            patience = PATIENCE;
                        }
                        (passed, was_near) = (0, true);
                    }
                    None => passed += 1,
                }
                if sent.peek().is_none() || passed > patience {
                    break;
                }
            }
            if passed > patience {
                // Where rows lie far apart, less and less is passed.
                patience /= 2;
            } else {
                // Nothing more is held, or was sent.
                found.new.extend(sent.by_ref());
            }
        }
        Ok(found)
    }

    /// Pass by what was sent and lies before a row that is held: it is new. What was sent with the key of this row.
    fn advance<'p>(
        &self,
        row: &Row<'_>,
        key: &[usize],
        sent: &mut std::iter::Peekable<impl Iterator<Item = &'p Place>>,
        new: &mut Vec<Place>,
    ) -> Result<Option<Place>, StoreError> {
        while let Some(place) = sent.peek() {
            let place = **place;
            match self.compare_held(row, key, place)? {
                Ordering::Less => return Ok(None),
                Ordering::Equal => {
                    sent.next();
                    return Ok(Some(place));
                }
                Ordering::Greater => {
                    sent.next();
                    new.push(place);
                }
            }
        }
        Ok(None)
    }

    /// How the key of a row that is held compares with that of one that was sent.
    fn compare_held(
        &self,
        row: &Row<'_>,
        key: &[usize],
        (batch, place): Place,
    ) -> Result<Ordering, StoreError> {
        for (at, column) in key.iter().enumerate() {
            let held = row.get_ref(at).map_err(failed(DOING))?;
            let compared = compare_cell(held, &self.cells[batch].columns[*column].values, place);
            match compared {
                Some(Ordering::Equal) => {}
                Some(different) => return Ok(different),
                None => {
                    return Err(StoreError::Damaged(format!(
                        "table `{}`, column `{}`: a value of type {} does not belong here",
                        self.contract.identifier,
                        self.contract.columns[*column].name,
                        held.data_type()
                    )));
                }
            }
        }
        Ok(Ordering::Equal)
    }

    /// Whether a row that is held has, from a cell on, the values of one that was sent.
    fn is_same(
        &self,
        row: &Row<'_>,
        first: usize,
        columns: &[usize],
        (batch, place): Place,
    ) -> rusqlite::Result<bool> {
        for (at, column) in (first..).zip(columns) {
            if !is_same_cell(row.get_ref(at)?, &self.cells[batch].columns[*column], place) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The key of a row, as parameters.
    fn key_of(&self, (batch, row): Place) -> Result<Vec<Value>, StoreError> {
        let values = self.contract.key().iter().map(|name| {
            let data_type = self.contract.column(name)?.data_type;
            let array = self.batches[batch].column_by_name(name)?;
            Some(parameter(&CoordinateValue::from_array(array, data_type, row)?))
        });
        values.collect::<Option<_>>().ok_or_else(|| self.no_key())
    }

    fn no_key(&self) -> StoreError {
        StoreError::Damaged(format!("table `{}`: a row has no key", self.contract.identifier))
    }

    /// Write rows into the table.
    fn write(&self, rows: &[Place], conflict: &str) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let name = quote(self.contract.physical_name());
        let mut inserts = Inserts::prepare(self.connection, self.contract, &name, conflict)?;
        for (at, batch) in self.batches.iter().enumerate() {
            let of_batch: Vec<usize> = rows.iter().filter(|row| row.0 == at).map(|row| row.1).collect();
            inserts.rows(batch, of_batch.iter().copied())?;
        }
        Ok(())
    }

    /// What rows are, coordinate by coordinate.
    fn progress(&self, rows: &[Place]) -> Result<Progress, StoreError> {
        let mut tally = BatchTally::new(self.contract);
        for (at, cells) in self.cells.iter().enumerate() {
            let of_batch = rows.iter().filter(|row| row.0 == at).map(|row| row.1);
            tally.rows(cells, of_batch).ok_or_else(|| self.no_key())?;
        }
        tally.progress(self.contract).ok_or_else(|| self.no_key())
    }
}

/// Two values of one column of a key.
fn compare_values((left, at): (&Values<'_>, usize), (right, with): (&Values<'_>, usize)) -> Ordering {
    match (left, right) {
        (Values::Text(left), Values::Text(right)) => left.value(at).cmp(right.value(with)),
        (Values::Uuid(left), Values::Uuid(right)) => left.value(at).cmp(right.value(with)),
        (Values::Bool(left), Values::Bool(right)) => left.value(at).cmp(&right.value(with)),
        (Values::Int64(left), Values::Int64(right)) | (Values::Timestamp(left), Values::Timestamp(right)) => {
            left[at].cmp(&right[with])
        }
        (Values::Int32(left), Values::Int32(right)) | (Values::Date(left), Values::Date(right)) => {
            left[at].cmp(&right[with])
        }
        (Values::Int16(left), Values::Int16(right)) => left[at].cmp(&right[with]),
        // No key has a column of another type.
        _ => Ordering::Equal,
    }
}

/// A cell that is held and a value, in the order in which SQLite keeps keys; None: they are of different types.
fn compare_cell(held: ValueRef<'_>, values: &Values<'_>, row: usize) -> Option<Ordering> {
    Some(match (held, values) {
        (ValueRef::Text(held), Values::Text(values)) => held.cmp(values.value(row).as_bytes()),
        (ValueRef::Blob(held), Values::Uuid(values)) => held.cmp(values.value(row)),
        (ValueRef::Blob(held), Values::Bytes(values)) => held.cmp(values.value(row)),
        (ValueRef::Integer(held), Values::Int64(values) | Values::Timestamp(values)) => {
            held.cmp(&values[row])
        }
        (ValueRef::Integer(held), Values::Int32(values) | Values::Date(values)) => {
            held.cmp(&values[row].into())
        }
        (ValueRef::Integer(held), Values::Int16(values)) => held.cmp(&values[row].into()),
        (ValueRef::Integer(held), Values::Bool(values)) => held.cmp(&values.value(row).into()),
        (ValueRef::Integer(held), Values::Decimal(values, _)) => i128::from(held).cmp(&values[row]),
        _ => return None,
    })
}

/// Whether a cell that is held has this value, as `IS` in SQL has it. Numbers that are none are kept as nulls.
#[allow(clippy::float_cmp)] // The same number, and no other one.
fn is_same_cell(held: ValueRef<'_>, column: &CellColumn<'_>, row: usize) -> bool {
    if column.is_null(row) {
        return held == ValueRef::Null;
    }
    match (held, &column.values) {
        (ValueRef::Real(held), Values::Float64(values)) => held == values[row],
        (ValueRef::Real(held), Values::Float32(values)) => held == f64::from(values[row]),
        (ValueRef::Null, Values::Float64(values)) => values[row].is_nan(),
        (ValueRef::Null, Values::Float32(values)) => values[row].is_nan(),
        (held, values) => compare_cell(held, values, row) == Some(Ordering::Equal),
    }
}
