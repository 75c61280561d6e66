//! Rows of a file into a reference table, inside one transaction.
//!
//! The rows wait in a temporary table, which SQLite keeps on disk when it grows: memory does not depend on the file, a
//! key that stands twice is found wherever its rows are, and what to insert, update and delete are three statements.

use arrow_array::RecordBatch;
use datanode_core::Timestamp;
use datanode_core::contract::{Contract, ForeignKey, TableKind};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::append::is_duplicate;
use super::bind::bind;
use super::ddl::{list, quote};
use super::overwrite::{broken_key, create_waiting, overwrite};
use super::stored::{count, failed, to_integer};
use super::value_list::parameter;
use super::{foreign_keys, tables};
use crate::rows::{Cells, key_tuple};
use crate::{LoadRows, Loaded, PlacedBatch, StoreError, Table, WriteMode};

const DOING: &str = "loading rows";

/// Where the rows wait. No name of a contract begins with an underscore.
const WAITING: &str = "temp._load";

/// Take the rows of a file over. The caller commits, or rolls back on an error.
pub(super) fn load(connection: &Connection, load: LoadRows) -> Result<Loaded, StoreError> {
    let LoadRows { table, rows, place, replace } = load;
    let table = tables::by_uid(connection, &table.uid)?;
    if table.contract.kind != TableKind::Reference {
        return Err(StoreError::RowsComeFromNodes { table: table.contract.identifier });
    }
    let load = Load { connection, contract: &table.contract, table: &table, place };
    let staged = load.stage(rows)?;
    let outcome = load.upsert(staged)?;
    let deleted = if replace { load.delete_others()? } else { 0 };
    if outcome.inserted + outcome.updated + deleted > 0 {
        tables::raise_epoch(connection, &table.uid)?;
    }
    if deleted > 0 {
        for uid in foreign_keys::changed_by_deletion(connection, &table.uid)? {
            if uid != table.uid {
                tables::raise_epoch(connection, &uid)?;
            }
        }
    }
    execute(connection, &format!("DROP TABLE {WAITING}"))?;
    let table = tables::by_uid(connection, &table.uid)?;
    Ok(Loaded { table, deleted, ..outcome })
}

fn execute(connection: &Connection, sql: &str) -> Result<u64, StoreError> {
    connection.execute(sql, ()).map(|rows| rows as u64).map_err(failed(DOING))
}

struct Load<'l> {
    connection: &'l Connection,
    table: &'l Table,
    contract: &'l Contract,
    /// What a place is called.
    place: &'static str,
}

impl Load<'_> {
    /// Let the rows wait; how many there are.
    fn stage(
        &self,
        rows: impl Iterator<Item = Result<PlacedBatch, crate::RowsError>>,
    ) -> Result<u64, StoreError> {
        create_waiting(self.connection, WAITING, self.contract, "_place INTEGER NOT NULL, ")?;
        let parameters = vec!["?"; self.contract.columns.len() + 1].join(", ");
        let mut insert = self
            .connection
            .prepare(&format!("INSERT INTO {WAITING} ({}, _place) VALUES ({parameters})", self.columns()))
            .map_err(failed(DOING))?;
        let mut staged = 0;
        for rows in rows {
            let PlacedBatch { batch, places } = rows.map_err(StoreError::Rows)?;
            let cells = Cells::new(self.contract, &batch)?;
            for (row, place) in places.iter().enumerate() {
                let place = to_integer("place of a row", *place)?;
                let bound = bind(&cells, &mut insert, 1, row)
                    .and_then(|()| insert.raw_bind_parameter(self.contract.columns.len() + 1, place))
                    .and_then(|()| insert.raw_execute());
                match bound {
                    Ok(_) => staged += 1,
                    Err(error) if is_duplicate(&error) => return Err(self.key_twice(&batch, row, place)?),
                    Err(error) => return Err(failed(DOING)(error)),
                }
            }
        }
        Ok(staged)
    }

    fn key_twice(&self, batch: &RecordBatch, row: usize, second: i64) -> Result<StoreError, StoreError> {
        let values = self.contract.key().iter().filter_map(|name| {
            CoordinateValue::from_array(
                batch.column_by_name(name)?,
                self.contract.column(name)?.data_type,
                row,
            )
        });
        let conditions = self.contract.key().iter().enumerate();
        let conditions: Vec<String> =
            conditions.map(|(at, name)| format!("{} = ?{}", quote(name), at + 1)).collect();
        let sql = format!("SELECT _place FROM {WAITING} WHERE {}", conditions.join(" AND "));
        let values: Vec<Value> = values.map(|value| parameter(&value)).collect();
        let first: i64 = self
            .connection
            .query_row(&sql, params_from_iter(values), |row| row.get(0))
            .map_err(failed(DOING))?;
        Ok(StoreError::KeyTwice {
            table: self.contract.identifier.clone(),
            key: key_tuple(self.contract, batch, row),
            first: format!("{} {first}", self.place),
            second: format!("{} {second}", self.place),
        })
    }

    /// Insert the keys that are new and update those that are not.
    fn upsert(&self, staged: u64) -> Result<Loaded, StoreError> {
        let name = quote(self.contract.physical_name());
        let key = list(self.contract.key());
        let known: i64 = self
            .connection
            .query_row(&format!("SELECT count(*) FROM {WAITING} JOIN {name} USING ({key})"), (), |row| {
                row.get(0)
            })
            .map_err(failed(DOING))?;
        let inserted = staged.saturating_sub(count("rows that are known", known)?);
        let changed = match overwrite(self.connection, WAITING, self.contract, WriteMode::Overwrite) {
            Ok(changed) => changed,
            Err(error) if foreign_keys::is_broken(&error) => {
                let broken = broken_key(self.connection, self.table, WAITING, Some(self.place))?;
                return Err(broken.unwrap_or_else(|| failed(DOING)(error)));
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
    fn delete_others(&self) -> Result<u64, StoreError> {
        let name = quote(self.contract.physical_name());
        let same: Vec<String> = self
            .contract
            .key()
            .iter()
            .map(|column| format!("_load.{0} = {name}.{0}", quote(column)))
            .collect();
        let gone = format!("NOT EXISTS (SELECT 1 FROM {WAITING} AS _load WHERE {})", same.join(" AND "));
        match self.connection.execute(&format!("DELETE FROM {name} WHERE {gone}"), ()) {
            Ok(deleted) => Ok(deleted as u64),
            Err(error) if foreign_keys::is_broken(&error) => {
                Err(self.still_referenced(&gone)?.unwrap_or_else(|| failed(DOING)(error)))
            }
            Err(error) => Err(failed(DOING)(error)),
        }
    }

    /// The first row that would go and that another row refers to.
    fn still_referenced(&self, gone: &str) -> Result<Option<StoreError>, StoreError> {
        let name = quote(self.contract.physical_name());
        for referrer in foreign_keys::referrers(self.connection, &self.table.uid)? {
            let ForeignKey { columns, references, .. } = &referrer.foreign_key;
            let other = tables::by_uid(self.connection, &referrer.table_uid)?;
            let matches: Vec<String> = columns
                .iter()
                .zip(&references.columns)
                .map(|(theirs, own)| format!("_referrer.{} = {name}.{}", quote(theirs), quote(own)))
                .collect();
            let sql = format!(
                "SELECT * FROM {name} WHERE {gone} AND EXISTS (SELECT 1 FROM {} AS _referrer WHERE {}) ORDER BY {} LIMIT 1",
                quote(other.contract.physical_name()),
                matches.join(" AND "),
                list(self.contract.key())
            );
            let found = self
                .connection
                .query_row(&sql, (), |row| self.values(row, self.contract.key()))
                .optional()
                .map_err(failed(DOING))?;
            if let Some(key) = found {
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

    /// Values of a row, for people. Their columns are keys or refer to keys: each has one of a key's types.
    fn values(&self, row: &Row<'_>, columns: &[String]) -> rusqlite::Result<Coordinate> {
        let value = |name: &String| {
            let cell: Value = row.get(name.as_str())?;
            let data_type = self.contract.column(name).map(|column| column.data_type);
            Ok(match (cell, data_type) {
                (Value::Integer(value), Some(DataType::Bool)) => CoordinateValue::Bool(value != 0),
                (Value::Integer(value), Some(DataType::Date)) => {
                    CoordinateValue::Date(i32::try_from(value).unwrap_or_default())
                }
                (Value::Integer(value), Some(DataType::TimestampTz)) => {
                    CoordinateValue::Timestamp(Timestamp::nearest_micros(value))
                }
                (Value::Integer(value), _) => CoordinateValue::Int(value),
                (Value::Blob(bytes), _) => {
                    CoordinateValue::Uuid(uuid::Uuid::from_slice(&bytes).unwrap_or_default())
                }
                (Value::Text(text), _) => CoordinateValue::Text(text),
                (Value::Real(value), _) => CoordinateValue::Text(value.to_string()),
                (Value::Null, _) => CoordinateValue::Text("null".to_owned()),
            })
        };
        Ok(Coordinate(columns.iter().map(value).collect::<rusqlite::Result<_>>()?))
    }

    fn columns(&self) -> String {
        let names: Vec<String> = self.contract.columns.iter().map(|column| quote(&column.name)).collect();
        names.join(", ")
    }
}
