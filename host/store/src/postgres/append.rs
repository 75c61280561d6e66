//! Appending rows: binary copies inside the commit's transaction, each under a savepoint.

use std::ops::Range;

use arrow_array::RecordBatch;
use datanode_core::contract::Contract;
use sqlx::{AssertSqlSafe, PgConnection};

use super::broken_keys;
use super::copy::Encoder;
use super::groups::{Group, Groups, send};
use super::overwrite::copy_into;
use super::refusal::{Refusal, refusal};
use super::stored::failed;
use super::write::Caller;
use crate::rows::{Cells, key_tuple};
use crate::{Rows, StoreError};

const DOING: &str = "storing rows";

/// Before each copy: what the ones before it brought stays when it fails.
const SAVE: &str = "SAVEPOINT _rows";
const KEEP: &str = "RELEASE SAVEPOINT _rows";
const GO_BACK: &str = "ROLLBACK TO SAVEPOINT _rows";

/// Append all rows to a table with the columns and the key of the contract; how many there were. `table` is its name in
/// SQL. `on_rows` hears of each batch once it is stored.
pub(super) async fn append(
    connection: &mut PgConnection,
    contract: &Contract,
    table: &str,
    rows: Rows,
    on_rows: &(dyn Fn(u64) + Send + Sync),
    caller: Caller,
) -> Result<u64, StoreError> {
    append_and_look(connection, contract, table, rows, on_rows, caller, |_| Ok(())).await
}

/// The same; `look` sees each batch before it is sent.
pub(super) async fn append_and_look(
    connection: &mut PgConnection,
    contract: &Contract,
    table: &str,
    rows: Rows,
    on_rows: &(dyn Fn(u64) + Send + Sync),
    mut caller: Caller,
    mut look: impl FnMut(&RecordBatch) -> Result<(), StoreError> + Send + 'static,
) -> Result<u64, StoreError> {
    let of = contract.clone();
    let mut groups = Groups::begin(DOING, rows, move |encoder, batch: &RecordBatch| {
        look(batch)?;
        encode_rows(encoder, &of, batch, 0..batch.num_rows())
    });
    let append = Append { contract, copy: copy_into(table, contract) };
    let mut written = 0;
    while let Some(group) = groups.next(&mut caller).await? {
        append.group(connection, &group).await?;
        for batch in &group.batches {
            written += batch.num_rows() as u64;
            on_rows(written);
        }
    }
    Ok(written)
}

fn encode_rows(
    encoder: &mut Encoder,
    contract: &Contract,
    batch: &RecordBatch,
    rows: Range<usize>,
) -> Result<(), StoreError> {
    let cells = Cells::new(contract, batch)?;
    encoder.rows(&cells, rows).map_err(|unsupported| StoreError::UnsupportedValue {
        table: contract.identifier.clone(),
        row: short_key(contract, batch, unsupported.row),
        column: contract.columns.get(unsupported.column).map(|column| column.name.clone()),
        problem: unsupported.problem.to_owned(),
    })
}

/// The key of a row that is refused, which may be because it is too long.
pub(super) fn short_key(contract: &Contract, batch: &RecordBatch, row: usize) -> String {
    short(key_tuple(contract, batch, row))
}

/// The beginning of a text.
pub(super) fn short(text: String) -> String {
    const SHOWN: usize = 120;
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

struct Append<'c> {
    contract: &'c Contract,
    copy: String,
}

impl Append<'_> {
    async fn group(
        &self,
        connection: &mut PgConnection,
        group: &Group<RecordBatch>,
    ) -> Result<(), StoreError> {
        match self.copy(connection, &group.copy).await? {
            Ok(()) => Ok(()),
            Err(error) => Err(self.explain(connection, error, &group.batches).await?),
        }
    }

    /// Send a copy under a savepoint. The inner error is the server's refusal, and then nothing of this copy is there.
    async fn copy(
        &self,
        connection: &mut PgConnection,
        copy: &[u8],
    ) -> Result<Result<(), sqlx::Error>, StoreError> {
        execute(connection, SAVE).await?;
        match send(connection, &self.copy, copy).await {
            Ok(_) => execute(connection, KEEP).await.map(Ok),
            Err(error) if error.as_database_error().is_some() => {
                execute(connection, GO_BACK).await?;
                Ok(Err(error))
            }
            Err(error) => Err(failed(DOING)(error)),
        }
    }

    /// Which row it was: the first that is refused when the rows are sent again, half by half. (The transaction is
    /// rolled back in any case.)
    async fn explain(
        &self,
        connection: &mut PgConnection,
        error: sqlx::Error,
        batches: &[RecordBatch],
    ) -> Result<StoreError, StoreError> {
        if refusal(&error).is_none() {
            return Ok(failed(DOING)(error));
        }
        for batch in batches {
            // The first row that is refused lies in `open`; the rows before it are stored.
            let mut open = 0..batch.num_rows();
            let mut last = None;
            while !open.is_empty() {
                let half = open.start..(open.start + open.len().div_ceil(2));
                // All rows at first: most batches of a group are right.
                let tried = if last.is_none() { open.clone() } else { half };
                match self.copy_rows(connection, batch, tried.clone()).await? {
                    Ok(()) => open.start = tried.end,
                    Err(error) => {
                        open.end = tried.end;
                        last = Some(error);
                        if tried.len() == 1 {
                            break;
                        }
                    }
                }
            }
            if let Some(error) = last {
                return self.explain_row(connection, error, batch, open.start).await;
            }
        }
        Ok(failed(DOING)(error))
    }

    async fn copy_rows(
        &self,
        connection: &mut PgConnection,
        batch: &RecordBatch,
        rows: Range<usize>,
    ) -> Result<Result<(), sqlx::Error>, StoreError> {
        let mut encoder = Encoder::default();
        encoder.begin();
        encode_rows(&mut encoder, self.contract, batch, rows)?;
        encoder.end();
        self.copy(connection, encoder.written()).await
    }

    async fn explain_row(
        &self,
        connection: &mut PgConnection,
        error: sqlx::Error,
        batch: &RecordBatch,
        row: usize,
    ) -> Result<StoreError, StoreError> {
        let row = row.min(batch.num_rows().saturating_sub(1));
        let table = self.contract.identifier.clone();
        Ok(match refusal(&error) {
            Some(Refusal::Duplicate) => {
                StoreError::DuplicateKey { table, key: key_tuple(self.contract, batch, row) }
            }
            Some(Refusal::ForeignKey) => {
                let broken = broken_keys::explain_row(connection, self.contract, batch, row).await?;
                broken.unwrap_or_else(|| failed(DOING)(error))
            }
            Some(Refusal::Value(problem)) => {
                let row = short_key(self.contract, batch, row);
                StoreError::UnsupportedValue { table, row, column: None, problem }
            }
            None => failed(DOING)(error),
        })
    }
}

async fn execute(connection: &mut PgConnection, sql: &str) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(|_| ()).map_err(failed(DOING))
}
