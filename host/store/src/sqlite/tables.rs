//! Registered tables.

use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::difference::{Reach, changes};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::ddl;
use super::stored::{failed, from_json, timestamp, to_json};
use crate::{RegisteredTable, StoreError, Table};

const COLUMNS: &str = "uid, contract, epoch, created_at";

type Raw = (String, String, i64, i64);

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn table((uid, contract, epoch, created_at): Raw) -> Result<Table, StoreError> {
    let place = format!("table {uid}");
    Ok(Table {
        contract: from_json(&place, &contract)?,
        epoch,
        created_at: timestamp(&place, created_at)?,
        uid,
    })
}

/// The table for which a column of the catalogue has this value; the column is one of this file.
fn find(connection: &Connection, column: &'static str, value: &str) -> Result<Option<Table>, StoreError> {
    connection
        .query_row(&format!("SELECT {COLUMNS} FROM _tables WHERE {column} = ?1"), [value], raw)
        .optional()
        .map_err(failed("reading a table"))?
        .map(table)
        .transpose()
}

fn not_found(reference: &str) -> StoreError {
    StoreError::NotFound { kind: "table", reference: reference.to_owned() }
}

/// All tables, by identifier.
pub(super) fn all(connection: &Connection) -> Result<Vec<Table>, StoreError> {
    let failed = failed("reading tables");
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM _tables ORDER BY identifier")).map_err(&failed)?;
    let rows = statement.query_map((), raw).map_err(&failed)?;
    rows.map(|row| table(row.map_err(&failed)?)).collect()
}

/// By uid.
pub(super) fn by_uid(connection: &Connection, uid: &str) -> Result<Table, StoreError> {
    find(connection, "uid", uid)?.ok_or_else(|| not_found(uid))
}

/// By identifier or uid. (No text is both: an identifier holds no `-`.)
pub(super) fn by_reference(connection: &Connection, reference: &str) -> Result<Table, StoreError> {
    if let Some(table) = find(connection, "identifier", reference)? {
        return Ok(table);
    }
    by_uid(connection, reference)
}

/// Register a table and create its storage.
pub(super) fn register(
    connection: &Connection,
    contract: &Contract,
    now: Timestamp,
) -> Result<RegisteredTable, StoreError> {
    const DOING: &str = "registering a table";
    if let Some(holder) = find(connection, "identifier", &contract.identifier)? {
        return apply_metadata(connection, holder, contract);
    }
    let create = ddl::create_table(contract)?;
    if let Some(holder) = find(connection, "physical_name", contract.physical_name())? {
        return Err(StoreError::PhysicalNameTaken {
            physical_name: contract.physical_name().to_owned(),
            holder: holder.contract.identifier,
        });
    }
    let value =
        Table { uid: Uuid::new_v4().to_string(), contract: contract.clone(), epoch: 0, created_at: now };
    connection
        .execute(
            "INSERT INTO _tables (uid, identifier, physical_name, contract, epoch, created_at) \
             VALUES (?1, ?2, ?3, ?4, 0, ?5)",
            params![
                value.uid,
                contract.identifier,
                contract.physical_name(),
                to_json(DOING, contract)?,
                now.micros()
            ],
        )
        .map_err(failed(DOING))?;
    connection.execute_batch(&create).map_err(failed("creating the storage of a table"))?;
    Ok(RegisteredTable { value, created: true, changes: Vec::new() })
}

/// Take over what changes no row, reader or writer; refuse the rest.
fn apply_metadata(
    connection: &Connection,
    holder: Table,
    contract: &Contract,
) -> Result<RegisteredTable, StoreError> {
    const DOING: &str = "changing the metadata of a table";
    let changes = changes(&holder.contract, contract);
    if changes.iter().any(|change| change.reach() != Reach::Metadata) {
        let lines = changes.iter().map(|change| format!("  {:<9} {change}", change.reach().as_str()));
        return Err(StoreError::IdentifierTaken {
            identifier: contract.identifier.clone(),
            holder: holder.uid,
            difference: lines.collect::<Vec<_>>().join("\n"),
        });
    }
    if !changes.is_empty() {
        connection
            .execute(
                "UPDATE _tables SET contract = ?2 WHERE uid = ?1",
                params![holder.uid, to_json(DOING, contract)?],
            )
            .map_err(failed(DOING))?;
    }
    let contract = if changes.is_empty() { holder.contract.clone() } else { contract.clone() };
    Ok(RegisteredTable { value: Table { contract, ..holder }, created: false, changes })
}

/// Count a commit that changed the rows.
pub(super) fn raise_epoch(connection: &Connection, uid: &str) -> Result<(), StoreError> {
    connection
        .execute("UPDATE _tables SET epoch = epoch + 1 WHERE uid = ?1", [uid])
        .map(|_| ())
        .map_err(failed("raising the epoch of a table"))
}
