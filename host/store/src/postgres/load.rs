//! Rows of a file into a reference table, inside one transaction.
//!
//! The rows wait in a temporary table: memory does not depend on the file, a key that stands twice is found wherever its
//! rows are, and what to insert, update and delete are three statements.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use datanode_core::contract::{Contract, ForeignKey, TableKind};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::append::short_key;
use super::copy::Encoder;
use super::ddl::{list, quote, table_name};
use super::groups::{Groups, send};
use super::overwrite::{columns, create_waiting, overwrite};
use super::refusal::{Refusal, refusal};
use super::stored::{count, damaged, failed, to_integer};
use super::write::Caller;
use super::{broken_keys, foreign_keys, keys, tables};
use crate::rows::Cells;
use crate::{LoadRows, Loaded, PlacedBatch, PlacedRows, StoreError, Table, WriteMode};

const DOING: &str = "loading rows";

/// Where the rows wait.
const WAITING: &str = "pg_temp._load";

/// Before each statement that a foreign key may refuse: behind it the transaction can still be asked why.
const SAVE: &str = "SAVEPOINT _load";
const GO_BACK: &str = "ROLLBACK TO SAVEPOINT _load";

/// Take the rows of a file over. The caller commits, or rolls back on an error. The future must not be dropped, see
/// [`write`](super::write).
pub(super) async fn load(
    connection: &mut PgConnection,
    load: LoadRows,
    caller: Caller,
) -> Result<Loaded, StoreError> {
    let LoadRows { table, rows, place, replace } = load;
    let table = tables::locked(connection, &table.uid).await?;
    if table.contract.kind != TableKind::Reference {
        return Err(StoreError::RowsComeFromNodes { table: table.contract.identifier });
    }
    let mut load = Load { connection, contract: &table.contract, table: &table, place };
    let staged = load.stage(rows, caller).await?;
    let outcome = load.upsert(staged).await?;
    let deleted = if replace { load.delete_others().await? } else { 0 };
    load.execute(&format!("DROP TABLE {WAITING}")).await?;
    if outcome.inserted + outcome.updated + deleted > 0 {
        tables::raise_epoch(connection, &table.uid).await?;
    }
    if deleted > 0 {
        for uid in foreign_keys::changed_by_deletion(connection, &table.uid).await? {
            if uid != table.uid {
                tables::raise_epoch(connection, &uid).await?;
            }
        }
    }
    let table = tables::by_uid(connection, &table.uid).await?;
    Ok(Loaded { table, deleted, ..outcome })
}

struct Load<'l> {
    connection: &'l mut PgConnection,
    table: &'l Table,
    contract: &'l Contract,
    /// What a place is called.
    place: &'static str,
}

impl Load<'_> {
    async fn execute(&mut self, sql: &str) -> Result<u64, StoreError> {
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.connection).await;
        done.map(|done| done.rows_affected()).map_err(failed(DOING))
    }

    async fn first(&mut self, sql: String) -> Result<Option<PgRow>, StoreError> {
        sqlx::query(AssertSqlSafe(sql)).fetch_optional(&mut *self.connection).await.map_err(failed(DOING))
    }

    /// Let the rows wait; how many there are.
    async fn stage(&mut self, rows: PlacedRows, mut caller: Caller) -> Result<u64, StoreError> {
        create_waiting(self.connection, "_load", self.contract, "_place bigint NOT NULL").await?;
        let copy = format!("COPY {WAITING} ({}, _place) FROM STDIN (FORMAT binary)", columns(self.contract));
        let contract = self.contract.clone();
        let mut groups = Groups::begin(DOING, rows, move |encoder, rows| encode(encoder, &contract, rows));
        let mut staged = 0;
        while let Some(group) = groups.next(&mut caller).await? {
            staged += send(self.connection, &copy, &group.copy).await.map_err(failed(DOING))?;
        }
        self.execute(&format!("ANALYZE {WAITING}")).await?;
        self.refuse_twice().await?;
        Ok(staged)
    }

    /// The first row whose key stands before it.
    async fn refuse_twice(&mut self) -> Result<(), StoreError> {
        let key = list(self.contract.key());
        let sql = format!(
            "SELECT _before, _place, {} FROM (SELECT *, lag(_place) OVER (PARTITION BY {key} ORDER BY _place) AS _before \
             FROM {WAITING}) AS _twice WHERE _before IS NOT NULL ORDER BY _place LIMIT 1",
            keys::selected("_twice", self.contract, self.contract.key())
        );
        let Some(row) = self.first(sql).await? else { return Ok(()) };
        let (first, second) = (place(&row, 0)?, place(&row, 1)?);
        Err(StoreError::KeyTwice {
            table: self.contract.identifier.clone(),
            key: keys::coordinate(&row, 2, self.contract, self.contract.key())?.to_string(),
            first: format!("{} {first}", self.place),
            second: format!("{} {second}", self.place),
        })
    }

    /// Insert the keys that are new and update those that are not.
    async fn upsert(&mut self, staged: u64) -> Result<Loaded, StoreError> {
        let sql = format!(
            "SELECT count(*) FROM {WAITING} JOIN {} USING ({})",
            table_name(self.contract),
            list(self.contract.key())
        );
        let known: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut *self.connection)
            .await
            .map_err(failed(DOING))?;
        let inserted = staged.saturating_sub(count("rows that are known", known)?);
        self.execute(SAVE).await?;
        let overwrite = overwrite(WAITING, self.contract, WriteMode::Overwrite);
        let changed = match sqlx::raw_sql(AssertSqlSafe(overwrite)).execute(&mut *self.connection).await {
            Ok(done) => done.rows_affected(),
            Err(error) if refusal(&error) == Some(Refusal::ForeignKey) => {
                self.execute(GO_BACK).await?;
                let broken =
                    broken_keys::explain_waiting(self.connection, self.table, WAITING, Some(self.place));
                return Err(broken.await?.unwrap_or_else(|| failed(DOING)(error)));
            }
            Err(error) => return Err(failed(DOING)(error)),
        };
        Ok(Loaded {
            table: self.table.clone(),
            inserted,
            updated: changed.saturating_sub(inserted),
            unchanged: staged.saturating_sub(changed),
            deleted: 0,
        })
    }

    /// Delete the rows that the file does not have; how many there were.
    async fn delete_others(&mut self) -> Result<u64, StoreError> {
        let same: Vec<String> = self
            .contract
            .key()
            .iter()
            .map(|column| format!("_load.{0} = _held.{0}", quote(column)))
            .collect();
        let gone = format!("NOT EXISTS (SELECT 1 FROM {WAITING} AS _load WHERE {})", same.join(" AND "));
        let sql = format!("DELETE FROM {} AS _held WHERE {gone}", table_name(self.contract));
        self.execute(SAVE).await?;
        match sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.connection).await {
            Ok(done) => Ok(done.rows_affected()),
            Err(error) if refusal(&error) == Some(Refusal::ForeignKey) => {
                self.execute(GO_BACK).await?;
                Err(self.still_referenced(&gone).await?.unwrap_or_else(|| failed(DOING)(error)))
            }
            Err(error) => Err(failed(DOING)(error)),
        }
    }

    /// The first row that would go and that another row refers to.
    async fn still_referenced(&mut self, gone: &str) -> Result<Option<StoreError>, StoreError> {
        for referrer in foreign_keys::referrers(self.connection, &self.table.uid).await? {
            let ForeignKey { columns, references, .. } = &referrer.foreign_key;
            let other = tables::by_uid(self.connection, &referrer.table_uid).await?;
            let matches: Vec<String> = columns
                .iter()
                .zip(&references.columns)
                .map(|(theirs, own)| format!("_referrer.{} = _held.{}", quote(theirs), quote(own)))
                .collect();
            let sql = format!(
                "SELECT {} FROM {} AS _held WHERE {gone} AND EXISTS (SELECT 1 FROM {} AS _referrer WHERE {}) \
                 ORDER BY {} LIMIT 1",
                keys::selected("_held", self.contract, self.contract.key()),
                table_name(self.contract),
                table_name(&other.contract),
                matches.join(" AND "),
                list(self.contract.key())
            );
            if let Some(found) = self.first(sql).await? {
                let key = keys::coordinate(&found, 0, self.contract, self.contract.key())?;
                return Ok(Some(StoreError::StillReferenced {
                    table: self.contract.identifier.clone(),
                    key: key.to_string(),
                    referrer: other.contract.identifier,
                    columns: columns.join(", "),
                }));
            }
        }
        Ok(None)
    }
}

fn place(row: &PgRow, at: usize) -> Result<i64, StoreError> {
    row.try_get(at).map_err(failed(DOING))
}

/// Rows with their places behind the columns of the contract.
fn encode(encoder: &mut Encoder, contract: &Contract, rows: &PlacedBatch) -> Result<(), StoreError> {
    let PlacedBatch { batch, places } = rows;
    let places = places.iter().map(|place| to_integer("place of a row", *place));
    let places: ArrayRef = Arc::new(Int64Array::from(places.collect::<Result<Vec<_>, _>>()?));
    if places.len() != batch.num_rows() {
        return Err(damaged("places of rows")(format!("{} for {} rows", places.len(), batch.num_rows())));
    }
    let mut cells = Cells::new(contract, batch)?;
    let placed = Cells::of(std::slice::from_ref(&places)).map_err(damaged("places of rows"))?;
    cells.columns.extend(placed.columns);
    encoder.rows(&cells, 0..batch.num_rows()).map_err(|unsupported| StoreError::UnsupportedValue {
        table: contract.identifier.clone(),
        row: short_key(contract, batch, unsupported.row),
        column: contract.columns.get(unsupported.column).map(|column| column.name.clone()),
        problem: unsupported.problem.to_owned(),
    })
}
