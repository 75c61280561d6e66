//! Foreign keys: resolved when a contract is registered.

use std::collections::HashMap;

use datanode_core::contract::Contract;
use sqlx::PgConnection;

use super::{registrations, tables};
use crate::catalogue::foreign_keys as rules;
use crate::{Referrer, StoreError, Table};

/// The contract with each foreign key led to its table by uid. `uid` is the contract's own, to which it may refer.
pub(super) async fn resolve(
    connection: &mut PgConnection,
    contract: Contract,
    uid: &str,
) -> Result<Contract, StoreError> {
    let mut known = HashMap::new();
    for name in rules::named(&contract, uid) {
        match tables::by_reference(connection, name).await {
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
pub(super) async fn targets(
    connection: &mut PgConnection,
    contract: &Contract,
    unregistered: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let mut targets = Vec::with_capacity(contract.foreign_keys.len());
    for key in &contract.foreign_keys {
        let uid = key.references.table.as_str();
        targets.push(if unregistered == Some(uid) {
            contract.physical_name().to_owned()
        } else {
            tables::by_uid(connection, uid).await?.contract.physical_name().to_owned()
        });
    }
    Ok(targets)
}

/// The foreign keys that lead to a table.
pub(super) async fn referrers(connection: &mut PgConnection, uid: &str) -> Result<Vec<Referrer>, StoreError> {
    Ok(rules::referrers(&registrations::referring(connection, &[uid.to_owned()]).await?, uid))
}

/// The tables whose rows a deletion from a table may change.
pub(super) async fn changed_by_deletion(
    connection: &mut PgConnection,
    uid: &str,
) -> Result<Vec<String>, StoreError> {
    // Those that lead to it, and to these, and so on: not all tables of the catalogue.
    let (mut leading, mut open) = (Vec::<Table>::new(), vec![uid.to_owned()]);
    while !open.is_empty() {
        let mut found = registrations::referring(connection, &open).await?;
        found.retain(|table| leading.iter().all(|known| known.uid != table.uid));
        open = found.iter().map(|table| table.uid.clone()).collect();
        leading.extend(found);
    }
    Ok(rules::changed_by_deletion(&leading, uid))
}
