//! Registered tables.

use datanode_core::Timestamp;
use datanode_core::access::Actor;
use datanode_core::contract::{Contract, MetadataEdit};
use datanode_core::difference::changes;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::stored::{failed, to_json};
use super::{audit, ddl, foreign_keys, stored};
use crate::catalogue::audit as entries;
use crate::catalogue::tables::{Raw, bound, in_order, metadata_changes, not_found, proposals, table, taken};
use crate::{RegisteredTable, StoreError, Table, TableDifference};

const COLUMNS: &str = "uid, contract, epoch, created_at, owner";

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

/// The table for which a column of the catalogue has this value; the column is one of this file.
fn find(connection: &Connection, column: &'static str, value: &str) -> Result<Option<Table>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM _tables WHERE {column} = ?1");
    stored::find(connection, &sql, [value], raw).map_err(failed("reading a table"))?.map(table).transpose()
}

/// All tables, by identifier.
pub(super) fn all(connection: &Connection) -> Result<Vec<Table>, StoreError> {
    let failed = failed("reading tables");
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM _tables ORDER BY identifier"))
        .map_err(&failed)?;
    let rows = statement.query_map((), raw).map_err(&failed)?;
    rows.map(|row| table(row.map_err(&failed)?)).collect()
}

/// By identifier or uid, in the order in which they are asked for.
pub(super) fn called(connection: &Connection, references: &[String]) -> Result<Vec<Table>, StoreError> {
    const DOING: &str = "reading tables";
    let (failed, wanted) = (failed(DOING), to_json(DOING, &references)?);
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM _tables WHERE uid IN (SELECT value FROM json_each(?1)) \
             UNION ALL SELECT {COLUMNS} FROM _tables WHERE identifier IN (SELECT value FROM json_each(?1))"
        ))
        .map_err(&failed)?;
    let rows = statement.query_map([wanted], raw).map_err(&failed)?;
    let found = rows.map(|row| table(row.map_err(&failed)?)).collect::<Result<Vec<_>, _>>()?;
    Ok(in_order(references, &found))
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

/// Register a table and create its storage, and write down that this actor has done so, whose table it is.
pub(super) fn register(
    connection: &Connection,
    actor: &Actor,
    contract: &Contract,
    now: Timestamp,
) -> Result<RegisteredTable, StoreError> {
    let registered = enter(connection, contract, actor.user.as_ref().map(|user| user.uid.clone()), now)?;
    if let Some(entry) = entries::table_registered(&registered) {
        audit::record(connection, actor, &entry)?;
    }
    Ok(registered)
}

fn enter(
    connection: &Connection,
    contract: &Contract,
    owner: Option<String>,
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
    let value = Table { uid, contract, epoch: 0, created_at: now, owner };
    connection
        .execute(
            "INSERT INTO _tables (uid, identifier, physical_name, contract, epoch, created_at, owner) \
             VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)",
            params![
                value.uid,
                value.contract.identifier,
                value.contract.physical_name(),
                to_json(DOING, &value.contract)?,
                now.micros(),
                value.owner,
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
    bound(foreign_keys::resolve(connection, contract.clone(), uid)?, held)
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
pub(super) fn apply_metadata(
    connection: &Connection,
    holder: Table,
    contract: Contract,
) -> Result<RegisteredTable, StoreError> {
    const DOING: &str = "changing the metadata of a table";
    let Some(changes) = metadata_changes(&holder, &contract) else {
        let proposal = propose(connection, &contract.identifier, contract.namespace.as_deref())?;
        return Err(taken(&holder, contract, proposal));
    };
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

/// An identifier like this one that is free.
pub(super) fn propose(
    connection: &Connection,
    identifier: &str,
    namespace: Option<&str>,
) -> Result<String, StoreError> {
    for proposal in proposals(identifier, namespace) {
        if holding(connection, &proposal)?.is_none() {
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
