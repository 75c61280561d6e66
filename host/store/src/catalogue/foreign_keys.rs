//! Where foreign keys lead, told by the contracts alone: a second list of it could only be another truth.

use datanode_core::Timestamp;
use datanode_core::contract::{Contract, ContractError, ForeignKey, OnDelete, mismatch};

use crate::{Referrer, StoreError, Table};

/// What a contract calls the tables that its foreign keys lead to, itself left out. `uid` is its own.
pub(crate) fn named<'c>(contract: &'c Contract, uid: &str) -> Vec<&'c str> {
    let names = contract.foreign_keys.iter().map(|key| key.references.table.as_str());
    names.filter(|name| *name != contract.identifier && *name != uid).collect()
}

/// The contract with each foreign key led to its table by uid. `uid` is the contract's own, to which it may refer; `find`
/// knows the tables that [`named`] lists, where they are registered.
pub(crate) fn resolve<'t>(
    mut contract: Contract,
    uid: &str,
    find: impl Fn(&str) -> Option<&'t Table>,
) -> Result<Contract, StoreError> {
    let own = contract.clone();
    let itself = Table {
        uid: uid.to_owned(),
        contract: own.clone(),
        epoch: 0,
        created_at: Timestamp::nearest_micros(0),
        owner: None,
    };
    for (position, key) in own.foreign_keys.iter().enumerate() {
        let columns = || key.columns.join(", ");
        let named = &key.references.table;
        let target = if *named == own.identifier || *named == uid { Some(&itself) } else { find(named) };
        let target = target.ok_or_else(|| StoreError::TargetNotRegistered {
            contract: own.identifier.clone(),
            columns: columns(),
            target: named.clone(),
        })?;
        if let Some(problem) = mismatch(&own, key, &target.contract) {
            return Err(StoreError::ForeignKeyMismatch {
                contract: own.identifier.clone(),
                columns: columns(),
                problem,
                target: target.contract.identifier.clone(),
            });
        }
        contract.foreign_keys[position].references.table.clone_from(&target.uid);
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

/// The foreign keys that lead to a table.
pub(crate) fn referrers(tables: &[Table], uid: &str) -> Vec<Referrer> {
    let of = |table: &Table| {
        let keys = table.contract.foreign_keys.iter().filter(|key| key.references.table == uid);
        let referrers = keys.map(|key| Referrer {
            table_uid: table.uid.clone(),
            table: table.contract.identifier.clone(),
            foreign_key: key.clone(),
        });
        referrers.collect::<Vec<_>>()
    };
    tables.iter().flat_map(of).collect()
}

/// The tables whose rows a deletion from a table may change: by `set_null`, and by `cascade` on and on.
pub(crate) fn changed_by_deletion(tables: &[Table], uid: &str) -> Vec<String> {
    let mut changed: Vec<String> = Vec::new();
    let mut open = vec![uid.to_owned()];
    while let Some(target) = open.pop() {
        for referrer in referrers(tables, &target) {
            if referrer.foreign_key.on_delete == OnDelete::Restrict || changed.contains(&referrer.table_uid) {
                continue;
            }
            if referrer.foreign_key.on_delete == OnDelete::Cascade {
                open.push(referrer.table_uid.clone());
            }
            changed.push(referrer.table_uid);
        }
    }
    changed
}

/// How the deletion from its target acts on the rows of a foreign key. `target` is the target's physical name.
pub(crate) fn on_delete(contract: &Contract, key: &ForeignKey, target: &str) -> &'static str {
    match key.on_delete {
        // Of rows that refer to rows of their own table all may go in one statement: judged at its end.
        OnDelete::Restrict if target == contract.physical_name() => "NO ACTION",
        other => other.sql(),
    }
}
