//! Rows that may be there already. Few are compared with what is there (`resend`). Of more, all wait in a temporary table,
//! and one statement inserts those that are new and updates those that differ.

use datanode_core::contract::{Contract, TIME_INDEX};
use datanode_core::progress::Progress;
use rusqlite::{Connection, params};

use super::append::append;
use super::ddl::{self, list, quote};
use super::resend::{self, Sent};
use super::stored::failed;
use super::tail_delete::{coordinate, groups};
use super::{foreign_keys, progress, tables};
use crate::fault::{self, Step};
use crate::write_mode::Written;
use crate::{BrokenKey, Rows, StoreError, Table, WriteMode};

const DOING: &str = "storing rows";

/// Where the rows of a run wait.
const WAITING: &str = "temp._rows";

/// Store the rows of a run wherever they lie in time, and account for those that were not there. `sent` is what the rows
/// are. The table's epoch is raised unless they merely append.
pub(super) fn store(
    connection: &Connection,
    table: &Table,
    mode: WriteMode,
    rows: Rows,
    sent: &Progress,
    on_rows: &(dyn Fn(u64) + Send + Sync),
) -> Result<Written, StoreError> {
    let contract = &table.contract;
    let held = progress::read(connection, table)?;
    let (written, inserted) = if are_new(connection, contract, &held, sent)? {
        let name = quote(contract.physical_name());
        (Written::new(append(connection, contract, &name, rows, on_rows)?), sent.clone())
    } else {
        match resend::look(rows)? {
            // Rows that refer to each other may come in any order: they are judged all at once.
            Sent::Few(batches) if !refers_to_itself(table) => {
                let stored = resend::store(connection, table, mode, &batches)?;
                on_rows(stored.0.rows());
                stored
            }
            Sent::Few(batches) => {
                let rows = Box::new(batches.into_iter().map(Ok));
                store_waiting(connection, table, mode, rows, on_rows)?
            }
            Sent::Many(rows) => store_waiting(connection, table, mode, rows, on_rows)?,
        }
    };
    fault::reached(Step::RowsStored);
    progress::merge(connection, &table.uid, contract, &inserted)?;
    fault::reached(Step::ProgressStored);
    if written.updated > 0 || !held.is_followed_by(&inserted) {
        // What others have computed from the rows of this table may be another now.
        tables::raise_epoch(connection, &table.uid)?;
    }
    Ok(written)
}

fn refers_to_itself(table: &Table) -> bool {
    table.contract.foreign_keys.iter().any(|key| key.references.table == table.uid)
}

/// Let the rows wait, and store them from there; what was done, and those that were not there.
fn store_waiting(
    connection: &Connection,
    table: &Table,
    mode: WriteMode,
    rows: Rows,
    on_rows: &(dyn Fn(u64) + Send + Sync),
) -> Result<(Written, Progress), StoreError> {
    let contract = &table.contract;
    create_waiting(connection, WAITING, contract, "")?;
    // The key of the waiting table finds what stands twice, wherever its rows are.
    let waiting = append(connection, contract, WAITING, rows, on_rows)?;
    let inserted = groups(connection, contract, WAITING, &is_new(contract), &[])?;
    let changed = match overwrite(connection, WAITING, contract, mode) {
        Ok(changed) => changed,
        Err(error) if foreign_keys::is_broken(&error) => {
            let broken = broken_key(connection, table, WAITING, None)?;
            return Err(broken.unwrap_or_else(|| failed(DOING)(error)));
        }
        Err(error) => return Err(failed(DOING)(error)),
    };
    connection.execute(&format!("DROP TABLE {WAITING}"), ()).map_err(failed(DOING))?;
    let written = Written {
        inserted: inserted.rows(),
        updated: changed.saturating_sub(inserted.rows()),
        unchanged: waiting.saturating_sub(changed),
    };
    Ok((written, inserted))
}

/// Whether none of the rows can be there: they lie apart from what is held of their coordinates, or nothing at all is
/// held of the time that they cover.
fn are_new(
    connection: &Connection,
    contract: &Contract,
    held: &Progress,
    sent: &Progress,
) -> Result<bool, StoreError> {
    let (Some(min), Some(max)) = (sent.min_time(), sent.max_time()) else { return Ok(true) };
    if held.is_clear_of(sent) {
        return Ok(true);
    }
    let sql = format!(
        "SELECT NOT EXISTS (SELECT 1 FROM {} WHERE {} BETWEEN ?1 AND ?2)",
        quote(contract.physical_name()),
        quote(TIME_INDEX)
    );
    connection.query_row(&sql, params![min.micros(), max.micros()], |row| row.get(0)).map_err(failed(DOING))
}

/// Of the rows that wait, `AS _t`, those whose key is not there.
fn is_new(contract: &Contract) -> String {
    let same: Vec<String> =
        contract.key().iter().map(|column| format!("_held.{0} = _t.{0}", quote(column))).collect();
    let name = quote(contract.physical_name());
    format!("NOT EXISTS (SELECT 1 FROM {name} AS _held WHERE {})", same.join(" AND "))
}

/// Create the table where rows wait, with the key of the contract; `further` are columns of it beside those of the
/// contract. No name of a contract begins with an underscore.
pub(super) fn create_waiting(
    connection: &Connection,
    waiting: &str,
    contract: &Contract,
    further: &str,
) -> Result<(), StoreError> {
    let columns = contract.columns.iter().map(|column| ddl::define(contract, column));
    let create = format!(
        "CREATE TABLE {waiting} ({}, {further}PRIMARY KEY ({})) STRICT, WITHOUT ROWID",
        columns.collect::<Result<Vec<_>, _>>()?.join(", "),
        list(contract.key())
    );
    connection.execute(&create, ()).map(|_| ()).map_err(failed("making room for rows"))
}

/// What becomes of a row whose key is there: its values are taken where they differ, unless it is to stay.
pub(super) fn on_conflict(contract: &Contract, mode: WriteMode) -> String {
    let name = quote(contract.physical_name());
    let others = contract.columns.iter().filter(|column| !contract.key().contains(&column.name));
    let others: Vec<String> = others.map(|column| quote(&column.name)).collect();
    let action = if others.is_empty() || mode != WriteMode::Overwrite {
        "NOTHING".to_owned()
    } else {
        let set: Vec<String> = others.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        let differs: Vec<String> =
            others.iter().map(|column| format!("{name}.{column} IS NOT excluded.{column}")).collect();
        format!("UPDATE SET {} WHERE {}", set.join(", "), differs.join(" OR "))
    };
    format!(" ON CONFLICT ({}) DO {action}", list(contract.key()))
}

/// Insert the rows that wait, or update those whose key is there and whose values differ, unless these are to stay; how
/// many rows that were.
pub(super) fn overwrite(
    connection: &Connection,
    waiting: &str,
    contract: &Contract,
    mode: WriteMode,
) -> rusqlite::Result<u64> {
    let name = quote(contract.physical_name());
    let columns: Vec<String> = contract.columns.iter().map(|column| quote(&column.name)).collect();
    let (columns, conflict) = (columns.join(", "), on_conflict(contract, mode));
    // `WHERE TRUE` tells the parser that ON does not begin a join.
    let sql = format!("INSERT INTO {name} ({columns}) SELECT {columns} FROM {waiting} WHERE TRUE{conflict}");
    connection.execute(&sql, ()).map(|changed| changed as u64)
}

/// The first row that waits and refers to nothing. `place` is what the place of a row is called, where the waiting table
/// has them.
pub(super) fn broken_key(
    connection: &Connection,
    table: &Table,
    waiting: &str,
    place: Option<&str>,
) -> Result<Option<StoreError>, StoreError> {
    let contract = &table.contract;
    for key in &contract.foreign_keys {
        let target = tables::by_uid(connection, &key.references.table)?;
        let matches = |theirs: &str| {
            let pairs = key.columns.iter().zip(&key.references.columns);
            pairs
                .map(|(own, other)| format!("{theirs}.{} = _own.{}", quote(other), quote(own)))
                .collect::<Vec<_>>()
                .join(" AND ")
        };
        let there: Vec<String> =
            key.columns.iter().map(|column| format!("_own.{} IS NOT NULL", quote(column))).collect();
        let order = if place.is_some() { "_place".to_owned() } else { list(contract.key()) };
        let mut sql = format!(
            "SELECT {}, {}{} FROM {waiting} AS _own WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS _target WHERE {})",
            list(contract.key()),
            list(&key.columns),
            if place.is_some() { ", _place" } else { "" },
            there.join(" AND "),
            quote(target.contract.physical_name()),
            matches("_target")
        );
        if target.uid == table.uid {
            sql += &format!(
                " AND NOT EXISTS (SELECT 1 FROM {waiting} AS _waiting WHERE {})",
                matches("_waiting")
            );
        }
        sql += &format!(" ORDER BY {order} LIMIT 1");
        let mut statement = connection.prepare(&sql).map_err(failed(DOING))?;
        let mut rows = statement.query(()).map_err(failed(DOING))?;
        if let Some(row) = rows.next().map_err(failed(DOING))? {
            let width = contract.key().len();
            let row_key = coordinate(row, 0, contract, contract.key())?;
            let values = coordinate(row, width, contract, &key.columns)?;
            let text = match place {
                Some(place) => {
                    let number: i64 = row.get("_place").map_err(failed(DOING))?;
                    format!("{place} {number}, row {row_key}")
                }
                None => format!("row {row_key}"),
            };
            return Ok(Some(BrokenKey::of(contract, key, text, &values, &target)));
        }
    }
    Ok(None)
}
