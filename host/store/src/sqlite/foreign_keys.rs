//! Foreign keys: resolved when a contract is registered, explained when a row breaks one.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use datanode_core::contract::{Contract, ForeignKey};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use rusqlite::{Connection, params_from_iter};

use super::ddl::quote;
use super::stored::failed;
use super::value_list::parameter;
use super::{registrations, tables};
use crate::catalogue::foreign_keys as rules;
use crate::rows::key_tuple;
use crate::{BrokenKey, Referrer, StoreError, Table};

/// The contract with each foreign key led to its table by uid. `uid` is the contract's own, to which it may refer.
pub(super) fn resolve(
    connection: &Connection,
    contract: Contract,
    uid: &str,
) -> Result<Contract, StoreError> {
    let mut known = HashMap::new();
    for name in rules::named(&contract, uid) {
        match tables::by_reference(connection, name) {
            Err(StoreError::NotFound { .. }) => {}
            found => {
                known.insert(name.to_owned(), found?);
            }
        }
    }
    rules::resolve(contract, uid, |name| known.get(name))
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
    Ok(rules::referrers(&registrations::referring(connection, &[uid.to_owned()])?, uid))
}

/// The tables whose rows a deletion from a table may change.
pub(super) fn changed_by_deletion(connection: &Connection, uid: &str) -> Result<Vec<String>, StoreError> {
    // Those that lead to it, and to these, and so on: not all tables of the catalogue.
    let (mut leading, mut open) = (Vec::<Table>::new(), vec![uid.to_owned()]);
    while !open.is_empty() {
        let mut found = registrations::referring(connection, &open)?;
        found.retain(|table| leading.iter().all(|known| known.uid != table.uid));
        open = found.iter().map(|table| table.uid.clone()).collect();
        leading.extend(found);
    }
    Ok(rules::changed_by_deletion(&leading, uid))
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
