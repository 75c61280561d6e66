//! Foreign keys: resolved when a contract is registered, explained when a row breaks one.
//!
//! Who refers to a table is told by the contracts, which the catalogue keeps by uid: a second list of it could only be
//! another truth.

use arrow_array::RecordBatch;
use datanode_core::contract::{Contract, ContractError, ForeignKey, OnDelete, mismatch};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use rusqlite::{Connection, params_from_iter};

use super::ddl::quote;
use super::stored::failed;
use super::tables;
use super::value_list::parameter;
use crate::rows::key_tuple;
use crate::{BrokenKey, Referrer, StoreError, Table};

/// The contract with each foreign key led to its table by uid. `uid` is the contract's own, to which it may refer.
pub(super) fn resolve(
    connection: &Connection,
    mut contract: Contract,
    uid: &str,
) -> Result<Contract, StoreError> {
    let own = contract.clone();
    for (position, key) in own.foreign_keys.iter().enumerate() {
        let columns = || key.columns.join(", ");
        let named = &key.references.table;
        let target = if *named == own.identifier || *named == uid {
            Table {
                uid: uid.to_owned(),
                contract: own.clone(),
                epoch: 0,
                created_at: datanode_core::Timestamp::nearest_micros(0),
            }
        } else {
            match tables::by_reference(connection, named) {
                Err(StoreError::NotFound { .. }) => {
                    return Err(StoreError::TargetNotRegistered {
                        contract: own.identifier.clone(),
                        columns: columns(),
                        target: named.clone(),
                    });
                }
                found => found?,
            }
        };
        if let Some(problem) = mismatch(&own, key, &target.contract) {
            return Err(StoreError::ForeignKeyMismatch {
                contract: own.identifier.clone(),
                columns: columns(),
                problem,
                target: target.contract.identifier,
            });
        }
        contract.foreign_keys[position].references.table = target.uid;
        // The identifier and the uid of one table are two ways to say the same.
        let (earlier, resolved) = contract.foreign_keys.split_at(position);
        let same = |other: &ForeignKey| {
            other.columns == resolved[0].columns && other.references == resolved[0].references
        };
        if earlier.iter().any(same) {
            return Err(StoreError::Contract(ContractError::Rule {
                identifier: own.identifier.clone(),
                problem: format!("the foreign key ({}) is declared twice", columns()),
                place: None,
            }));
        }
    }
    Ok(contract)
}

/// The physical names of the tables that the foreign keys of a resolved contract lead to, in their order. `unregistered`
/// is the uid of the contract's own table while the catalogue does not have it yet.
pub(super) fn targets(
    connection: &Connection,
    contract: &Contract,
    unregistered: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let physical = |key: &ForeignKey| {
        if unregistered == Some(key.references.table.as_str()) {
            return Ok(contract.physical_name().to_owned());
        }
        let target = tables::by_uid(connection, &key.references.table)?;
        Ok(target.contract.physical_name().to_owned())
    };
    contract.foreign_keys.iter().map(physical).collect()
}

/// The foreign keys that lead to a table.
pub(super) fn referrers(connection: &Connection, uid: &str) -> Result<Vec<Referrer>, StoreError> {
    let mut found = Vec::new();
    for table in tables::all(connection)? {
        let keys = table.contract.foreign_keys.iter().filter(|key| key.references.table == uid);
        found.extend(keys.map(|key| Referrer {
            table_uid: table.uid.clone(),
            table: table.contract.identifier.clone(),
            foreign_key: key.clone(),
        }));
    }
    Ok(found)
}

/// The tables whose rows a deletion from a table may change: by `set_null`, and by `cascade` on and on.
pub(super) fn changed_by_deletion(connection: &Connection, uid: &str) -> Result<Vec<String>, StoreError> {
    let mut changed: Vec<String> = Vec::new();
    let mut open = vec![uid.to_owned()];
    while let Some(target) = open.pop() {
        for referrer in referrers(connection, &target)? {
            if referrer.foreign_key.on_delete == OnDelete::Restrict || changed.contains(&referrer.table_uid) {
                continue;
            }
            if referrer.foreign_key.on_delete == OnDelete::Cascade {
                open.push(referrer.table_uid.clone());
            }
            changed.push(referrer.table_uid);
        }
    }
    Ok(changed)
}

/// Whether a statement was refused because of a foreign key.
pub(super) fn is_broken(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_TRIGGER};
    // The actions of a foreign key are triggers inside SQLite; contracts make no others.
    error.sqlite_error().is_some_and(|error| {
        [SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_TRIGGER].contains(&error.extended_code)
    })
}

/// Which foreign key a row that was refused breaks; None when none does.
pub(super) fn explain_row(
    connection: &Connection,
    contract: &Contract,
    batch: &RecordBatch,
    row: usize,
) -> Result<Option<StoreError>, StoreError> {
    let failed = failed("looking for the row that a foreign key wants");
    for key in &contract.foreign_keys {
        let values: Option<Vec<CoordinateValue>> = key
            .columns
            .iter()
            .map(|name| {
                CoordinateValue::from_array(
                    batch.column_by_name(name)?,
                    contract.column(name)?.data_type,
                    row,
                )
            })
            .collect();
        // A null refers to nothing.
        let Some(values) = values else { continue };
        let target = tables::by_uid(connection, &key.references.table)?;
        let conditions = key.references.columns.iter().enumerate();
        let conditions: Vec<String> =
            conditions.map(|(at, name)| format!("{} = ?{}", quote(name), at + 1)).collect();
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM {} WHERE {})",
            quote(target.contract.physical_name()),
            conditions.join(" AND ")
        );
        let there: bool = connection
            .query_row(&sql, params_from_iter(values.iter().map(parameter)), |row| row.get(0))
            .map_err(&failed)?;
        if !there {
            let row = format!("row {}", key_tuple(contract, batch, row));
            return Ok(Some(BrokenKey::of(contract, key, row, &Coordinate(values), &target)));
        }
    }
    Ok(None)
}
