//! Which contract a table may have, and what it is called.

use std::collections::HashMap;

use datanode_core::contract::{Contract, ContractError};
use datanode_core::difference::{Change, Reach, changes};
use datanode_core::name::{self, MAX_NAME_BYTES};

use super::stored::{from_json, timestamp};
use crate::{Holder, StoreError, Table};

/// A row of the catalogue: uid, contract, epoch, time of registration, uid of the owner.
pub(crate) type Raw = (String, String, i64, i64, Option<String>);

/// A table as the catalogue keeps it.
pub(crate) fn table((uid, contract, epoch, created_at, owner): Raw) -> Result<Table, StoreError> {
    let place = format!("table {uid}");
    let mut contract: Contract = from_json(&place, &contract)?;
    if contract.last_field_id.is_none() {
        // Kept by an earlier version. The ids follow from the order of the columns: each reading gives the same ones.
        contract = contract.with_field_ids(None)?;
    }
    Ok(Table { contract, epoch, created_at: timestamp(&place, created_at)?, uid, owner })
}

/// The tables that were found, as they were asked for: by identifier or uid.
pub(crate) fn in_order(references: &[String], found: &[Table]) -> Vec<Table> {
    let mut known: HashMap<&str, &Table> = HashMap::with_capacity(2 * found.len());
    for table in found {
        known.insert(&table.uid, table);
        known.insert(&table.contract.identifier, table);
    }
    references.iter().filter_map(|reference| known.get(reference.as_str()).copied().cloned()).collect()
}

pub(crate) fn not_found(reference: &str) -> StoreError {
    StoreError::NotFound { kind: "table", reference: reference.to_owned() }
}

/// Refuse to go on where a table is not what it was when somebody decided about it, its rows aside; or where there was none
/// and is one, or the other way round.
pub(crate) fn refuse_changed(
    name: &str,
    seen: Option<&Table>,
    found: Option<&Table>,
) -> Result<(), StoreError> {
    let is_same = match (seen, found) {
        (None, None) => true,
        (Some(seen), Some(found)) => {
            seen.uid == found.uid && seen.contract == found.contract && seen.owner == found.owner
        }
        _ => false,
    };
    if is_same { Ok(()) } else { Err(StoreError::Changed { kind: "table", name: name.to_owned() }) }
}

/// A table as errors name it.
pub(crate) fn holder(table: &Table) -> Holder {
    Holder { uid: table.uid.clone(), since: table.created_at, namespace: table.contract.namespace.clone() }
}

/// What leads from the contract that a table has to another; None when that is more than metadata.
pub(crate) fn metadata_changes(table: &Table, contract: &Contract) -> Option<Vec<Change>> {
    let changes = changes(&table.contract, contract);
    changes.iter().all(|change| change.reach() == Reach::Metadata).then_some(changes)
}

/// The refusal of a contract under an identifier that another one holds; `proposal` is an identifier that is free.
pub(crate) fn taken(holding: &Table, contract: Contract, proposal: String) -> StoreError {
    let changes = changes(&holding.contract, &contract);
    let lines = changes.iter().map(|change| format!("  {:<9} {change}", change.reach().as_str()));
    StoreError::IdentifierTaken {
        proposal,
        identifier: contract.identifier,
        holder: Box::new(holder(holding)),
        difference: lines.collect::<Vec<_>>().join("\n"),
    }
}

/// Identifiers like this one, without end: with the project's name, which is the last part of the namespace, then with
/// numbers. One more than there are tables must be free.
pub(crate) fn proposals(identifier: &str, namespace: Option<&str>) -> impl Iterator<Item = String> + Send {
    let project = namespace.and_then(|namespace| namespace.rsplit('.').next()).unwrap_or("project");
    let numbers = (2..).map(|number| format!("_{number}"));
    let identifier = identifier.to_owned();
    std::iter::once(format!("_{project}")).chain(numbers).filter_map(move |suffix| {
        let kept = MAX_NAME_BYTES.saturating_sub(suffix.len()).min(identifier.len());
        let proposal = format!("{}{suffix}", identifier.get(..kept).unwrap_or("table"));
        (proposal.len() <= MAX_NAME_BYTES).then_some(proposal)
    })
}

/// Refuse what no contract could be called.
pub(crate) fn check_identifier(identifier: &str) -> Result<(), StoreError> {
    name::check_name("identifier", identifier).map_err(|error| {
        StoreError::Contract(ContractError::Name {
            identifier: identifier.chars().take(80).collect(),
            problem: error.to_string(),
            place: None,
        })
    })
}

/// The refusal of an identifier that a table holds.
pub(crate) fn held(table: &Table, command: String) -> StoreError {
    StoreError::IdentifierHeld {
        identifier: table.contract.identifier.clone(),
        holder: Box::new(holder(table)),
        command,
    }
}

/// How to go on when the table that holds an identifier needs a name.
pub(crate) fn name_the_former(identifier: &str, reference: &str) -> String {
    format!(
        "say what that table is called from now on: datanode table repoint {identifier} --to {reference} \
         --rename-old {identifier}_old"
    )
}

/// How to go on when that name is taken.
pub(crate) fn choose_another(identifier: &str, reference: &str, proposal: &str) -> String {
    format!("choose another: datanode table repoint {identifier} --to {reference} --rename-old {proposal}")
}

/// The contract of a table under another identifier. Its storage stays where it is.
pub(crate) fn renamed(contract: Contract, identifier: &str) -> Contract {
    // Without one the physical name would follow the identifier.
    let physical_name = Some(contract.physical_name().to_owned());
    Contract { identifier: identifier.to_owned(), physical_name, ..contract }
}

/// A contract whose foreign keys are resolved, as the catalogue keeps it: columns with their field ids, and the physical
/// name that the table has, where the file says none.
pub(crate) fn bound(contract: Contract, held: Option<&Contract>) -> Result<Contract, StoreError> {
    let mut contract = contract.with_field_ids(held)?;
    let physical_name = held.and_then(|held| held.physical_name.clone());
    contract.physical_name = contract.physical_name.or(physical_name);
    Ok(contract)
}
