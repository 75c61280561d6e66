//! Appending rows: prepared statements of several rows each, inside the commit's transaction.

use arrow_array::RecordBatch;
use datanode_core::contract::Contract;
use rusqlite::{CachedStatement, Connection};

use super::bind::{bind, bind_rows};
use super::ddl::quote;
use super::foreign_keys;
use super::stored::failed;
use crate::fault::{self, Step};
use crate::rows::{Cells, key_tuple};
use crate::{Rows, StoreError};

/// Rows per statement. Measured on 8 columns: one row reaches about 0.7 of the speed of sixteen, and more than sixteen
/// gain nothing that can be told from noise.
const ROWS_PER_STATEMENT: usize = 16;
/// What SQLite binds per statement by default.
const MAX_PARAMETERS: usize = 32_766;

const DOING: &str = "storing rows";

/// Append all rows to a table with the columns and the key of the contract; how many there were. `table` is its name in
/// SQL. `on_rows` hears of the progress after each batch.
pub(super) fn append(
    connection: &Connection,
    contract: &Contract,
    table: &str,
    rows: Rows,
    on_rows: &(dyn Fn(u64) + Send + Sync),
) -> Result<u64, StoreError> {
    // Many runs have no rows: these pay for no statements.
    let mut inserts = None;
    let mut written = 0;
    for batch in rows {
        let batch = batch.map_err(StoreError::Rows)?;
        let inserts = match &mut inserts {
            Some(inserts) => inserts,
            none => none.insert(Inserts::prepare(connection, contract, table, "")?),
        };
        inserts.rows(&batch, 0..batch.num_rows())?;
        written += batch.num_rows() as u64;
        on_rows(written);
    }
    Ok(written)
}

/// The statements that insert several rows and one row.
pub(super) struct Inserts<'c> {
    connection: &'c Connection,
    contract: &'c Contract,
    several: CachedStatement<'c>,
    rows_per_statement: usize,
    single: CachedStatement<'c>,
}

impl<'c> Inserts<'c> {
    /// `conflict` says what becomes of a row whose key is there; nothing: it is refused.
    pub(super) fn prepare(
        connection: &'c Connection,
        contract: &'c Contract,
        table: &str,
        conflict: &str,
    ) -> Result<Self, StoreError> {
        let rows_per_statement =
            (MAX_PARAMETERS / contract.columns.len().max(1)).clamp(1, ROWS_PER_STATEMENT);
        let prepare = |rows| {
            let sql = insert(contract, table, rows) + conflict;
            connection.prepare_cached(&sql).map_err(failed(DOING))
        };
        Ok(Self {
            connection,
            contract,
            several: prepare(rows_per_statement)?,
            rows_per_statement,
            single: prepare(1)?,
        })
    }

    /// Insert rows of a batch.
    pub(super) fn rows(
        &mut self,
        batch: &RecordBatch,
        mut rows: impl ExactSizeIterator<Item = usize> + Clone,
    ) -> Result<(), StoreError> {
        let cells = Cells::new(self.contract, batch)?;
        while rows.len() >= self.rows_per_statement {
            let now = rows.clone().take(self.rows_per_statement);
            if let Err(error) = self.several(&cells, &now) {
                return Err(self.explain(error, batch, &cells, now));
            }
            fault::reached(Step::RowsBegun);
            // Those that were inserted.
            rows.nth(self.rows_per_statement - 1);
        }
        for row in rows {
            if let Err(error) = self.single(&cells, row) {
                return Err(self.explain(error, batch, &cells, std::iter::once(row)));
            }
        }
        Ok(())
    }

    fn several(
        &mut self,
        cells: &Cells<'_>,
        rows: &(impl Iterator<Item = usize> + Clone),
    ) -> rusqlite::Result<()> {
        bind_rows(cells, &mut self.several, rows)?;
        self.several.raw_execute().map(|_| ())
    }

    fn single(&mut self, cells: &Cells<'_>, row: usize) -> rusqlite::Result<()> {
        bind(cells, &mut self.single, 1, row)?;
        self.single.raw_execute().map(|_| ())
    }

    /// Which row it was. A failed statement has left nothing, so its rows can be sent again one by one (the
    /// transaction is rolled back in any case).
    fn explain(
        &mut self,
        error: rusqlite::Error,
        batch: &RecordBatch,
        cells: &Cells<'_>,
        mut rows: impl Iterator<Item = usize>,
    ) -> StoreError {
        let known = |error: &rusqlite::Error| is_duplicate(error) || foreign_keys::is_broken(error);
        if !known(&error) {
            return failed(DOING)(error);
        }
        let offending = rows.find_map(|row| Some((row, self.single(cells, row).err().filter(known)?)));
        match offending {
            Some((row, error)) if is_duplicate(&error) => StoreError::DuplicateKey {
                table: self.contract.identifier.clone(),
                key: key_tuple(self.contract, batch, row),
            },
            Some((row, _)) => match foreign_keys::explain_row(self.connection, self.contract, batch, row) {
                Ok(Some(broken)) | Err(broken) => broken,
                Ok(None) => failed(DOING)(error),
            },
            None => failed(DOING)(error),
        }
    }
}

/// Plain `INSERT`: a row that is there already is never skipped or replaced in silence.
fn insert(contract: &Contract, table: &str, rows: usize) -> String {
    let names = contract.columns.iter().map(|column| quote(&column.name)).collect::<Vec<_>>().join(", ");
    let row = format!("({})", vec!["?"; contract.columns.len()].join(", "));
    format!("INSERT INTO {table} ({names}) VALUES {}", vec![row; rows].join(", "))
}

pub(super) fn is_duplicate(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
    error.sqlite_error().is_some_and(|error| {
        [SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE].contains(&error.extended_code)
    })
}
