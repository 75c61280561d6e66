//! Registered tables.

use datanode_core::Timestamp;
use datanode_core::contract::{Contract, MetadataEdit};
use datanode_core::difference::{Change, Reach, changes};
use datanode_core::name::MAX_NAME_BYTES;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::stored::{failed, from_json, timestamp, to_json};
use super::{ddl, foreign_keys};
use crate::{Holder, RegisteredTable, StoreError, Table, TableDifference};

const COLUMNS: &str = "uid, contract, epoch, created_at";

type Raw = (String, String, i64, i64);

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn table((uid, contract, epoch, created_at): Raw) -> Result<Table, StoreError> {
    let place = format!("table {uid}");
    let mut contract: Contract = from_json(&place, &contract)?;
    if contract.last_field_id.is_none() {
        // Kept by an earlier version. The ids follow from the order of the columns: each reading gives the same ones.
        contract = contract.with_field_ids(None)?;
    }
    Ok(Table { contract, epoch, created_at: timestamp(&place, created_at)?, uid })
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

/// The table that holds an identifier.
pub(super) fn holding(connection: &Connection, identifier: &str) -> Result<Option<Table>, StoreError> {
    find(connection, "identifier", identifier)
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
    if let Some(holder) = holding(connection, &contract.identifier)? {
        let contract = bind(connection, contract, &holder.uid, Some(&holder.contract))?;
        return apply_metadata(connection, holder, contract);
    }
    let uid = Uuid::new_v4().to_string();
    let contract = bind(connection, contract, &uid, None)?;
    let create = ddl::create_table(&contract, &foreign_keys::targets(connection, &contract, Some(&uid))?)?;
    if let Some(holder) = find(connection, "physical_name", contract.physical_name())? {
        return Err(StoreError::PhysicalNameTaken {
            physical_name: contract.physical_name().to_owned(),
            holder: holder.contract.identifier,
        });
    }
    let value = Table { uid, contract, epoch: 0, created_at: now };
    connection
        .execute(
            "INSERT INTO _tables (uid, identifier, physical_name, contract, epoch, created_at) \
             VALUES (?1, ?2, ?3, ?4, 0, ?5)",
            params![
                value.uid,
                value.contract.identifier,
                value.contract.physical_name(),
                to_json(DOING, &value.contract)?,
                now.micros()
            ],
        )
        .map_err(failed(DOING))?;
    connection.execute_batch(&create).map_err(failed("creating the storage of a table"))?;
    Ok(RegisteredTable { value, created: true, changes: Vec::new() })
}

/// A contract as the catalogue keeps it: columns with their field ids, foreign keys by uid, and the physical name that
/// the table has, where the file says none.
pub(super) fn bind(
    connection: &Connection,
    contract: &Contract,
    uid: &str,
    held: Option<&Contract>,
) -> Result<Contract, StoreError> {
    let mut contract = foreign_keys::resolve(connection, contract.clone(), uid)?.with_field_ids(held)?;
    let physical_name = held.and_then(|held| held.physical_name.clone());
    contract.physical_name = contract.physical_name.or(physical_name);
    Ok(contract)
}

/// What registering a contract would change.
pub(super) fn difference(
    connection: &Connection,
    contract: &Contract,
) -> Result<TableDifference, StoreError> {
    let holder = holding(connection, &contract.identifier)?;
    let table = holder.ok_or_else(|| not_found(&contract.identifier))?;
    let contract = bind(connection, contract, &table.uid, Some(&table.contract))?;
    let changes = changes(&table.contract, &contract);
    Ok(TableDifference { table, contract, changes })
}

/// Change what people read of a table.
pub(super) fn edit(
    connection: &Connection,
    reference: &str,
    edit: &MetadataEdit,
) -> Result<RegisteredTable, StoreError> {
    let table = by_reference(connection, reference)?;
    let contract = edit.apply(&table.contract)?;
    apply_metadata(connection, table, contract)
}

/// Take over what changes no row, reader or writer; refuse the rest.
fn apply_metadata(
    connection: &Connection,
    holder: Table,
    contract: Contract,
) -> Result<RegisteredTable, StoreError> {
    const DOING: &str = "changing the metadata of a table";
    let changes = changes(&holder.contract, &contract);
    if changes.iter().any(|change| change.reach() != Reach::Metadata) {
        return Err(StoreError::IdentifierTaken {
            proposal: propose(connection, &contract.identifier, contract.namespace.as_deref())?,
            identifier: contract.identifier,
            holder: Box::new(self::holder(&holder)),
            difference: lines(&changes),
        });
    }
    if changes.is_empty() {
        return Ok(RegisteredTable { value: holder, created: false, changes });
    }
    connection
        .execute(
            "UPDATE _tables SET contract = ?2 WHERE uid = ?1",
            params![holder.uid, to_json(DOING, &contract)?],
        )
        .map_err(failed(DOING))?;
    Ok(RegisteredTable { value: Table { contract, ..holder }, created: false, changes })
}

/// A table as errors name it.
pub(super) fn holder(table: &Table) -> Holder {
    Holder { uid: table.uid.clone(), since: table.created_at, namespace: table.contract.namespace.clone() }
}

/// Changes as lines, each with its reach.
fn lines(changes: &[Change]) -> String {
    let lines = changes.iter().map(|change| format!("  {:<9} {change}", change.reach().as_str()));
    lines.collect::<Vec<_>>().join("\n")
}

/// An identifier like this one that is free: with the project's name, which is the last part of the namespace.
pub(super) fn propose(
    connection: &Connection,
    identifier: &str,
    namespace: Option<&str>,
) -> Result<String, StoreError> {
    let project = namespace.and_then(|namespace| namespace.rsplit('.').next()).unwrap_or("project");
    let numbers = (2..).map(|number| format!("_{number}"));
    // One more than there are tables must be free.
    for suffix in std::iter::once(format!("_{project}")).chain(numbers) {
        let kept = MAX_NAME_BYTES.saturating_sub(suffix.len()).min(identifier.len());
        let proposal = format!("{}{suffix}", identifier.get(..kept).unwrap_or("table"));
        if proposal.len() <= MAX_NAME_BYTES && holding(connection, &proposal)?.is_none() {
            return Ok(proposal);
        }
    }
    Ok(identifier.to_owned())
}

/// Count a commit that changed the rows.
pub(super) fn raise_epoch(connection: &Connection, uid: &str) -> Result<(), StoreError> {
    connection
        .execute("UPDATE _tables SET epoch = epoch + 1 WHERE uid = ?1", [uid])
        .map(|_| ())
        .map_err(failed("raising the epoch of a table"))
}
