//! Which table a client means that registers one, and what becomes of what it says.

use datanode_core::contract::{Contract, TableKind};
use serde::Deserialize;
use serde_json::json;

use super::stored::from_json;
use crate::{ListedTable, NewAudit, Registration, StoreError, Table};

/// What lists need of a contract.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    kind: TableKind,
}

/// A row of the catalogue: uid, identifier, physical name, contract, owner, registration.
pub(crate) type RawListed = (String, String, String, String, Option<String>, Option<String>);

/// A table as lists have it. Of the contract as clients wrote it nothing is kept: it may be long.
pub(crate) fn listed(
    (uid, identifier, physical_name, contract, owner, registration): RawListed,
) -> Result<ListedTable, StoreError> {
    let place = format!("table {uid}");
    let Listed { namespace, labels, kind } = from_json(&place, &contract)?;
    let registration = Registration { written: None, ..read(&place, registration.as_deref())? };
    Ok(ListedTable { uid, identifier, namespace, physical_name, kind, labels, owner, registration })
}

/// A registration; a table without one has the default.
pub(crate) fn read(place: &str, document: Option<&str>) -> Result<Registration, StoreError> {
    document.map_or_else(|| Ok(Registration::default()), |document| from_json(place, document))
}

/// The contract of a table that is there, as a client registers it again: what it does not say stays, and what it cannot
/// say, too.
pub(crate) fn again(held: &Contract, given: Contract) -> Contract {
    let mut labels = held.labels.clone();
    labels.extend(given.labels.iter().filter(|label| !held.labels.contains(label)).cloned());
    let mut columns = given.columns;
    for column in &mut columns {
        let Some(known) = held.column(&column.name) else { continue };
        if column.description.is_empty() {
            column.description.clone_from(&known.description);
        }
        if column.label.is_empty() {
            column.label.clone_from(&known.label);
        }
    }
    let description = if given.description.is_empty() { held.description.clone() } else { given.description };
    let foreign_keys =
        if given.foreign_keys.is_empty() { held.foreign_keys.clone() } else { given.foreign_keys };
    Contract {
        identifier: held.identifier.clone(),
        kind: given.kind,
        namespace: given.namespace.or_else(|| held.namespace.clone()),
        physical_name: given.physical_name,
        description,
        labels,
        cadence: given.cadence.or(held.cadence),
        index: given.index,
        primary_key: given.primary_key,
        columns,
        foreign_keys,
        checks: held.checks.clone(),
        last_field_id: None,
    }
}

/// What is said of a table that is registered again.
pub(crate) fn registered_again(held: &Registration, given: Registration) -> Registration {
    Registration {
        // Which it was found by, or none.
        identifier: given.identifier.or_else(|| held.identifier.clone()),
        namespace: given.namespace.or_else(|| held.namespace.clone()),
        // A client says nothing where it means no; what somebody has protected stays so.
        protected: given.protected || held.protected,
        schema: given.schema,
        written: given.written.or_else(|| held.written.clone()),
    }
}

/// The refusal of an identifier that another table has.
pub(crate) fn identifier_taken(identifier: &str, holder: &Table) -> StoreError {
    StoreError::IdentifierHeld {
        identifier: identifier.to_owned(),
        holder: Box::new(super::tables::holder(holder)),
        command: "choose another identifier: this one is of one table alone".to_owned(),
    }
}

/// The refusal of a table that others need.
pub(crate) fn in_use(table: &Table, users: Vec<String>) -> StoreError {
    StoreError::TableInUse { table: table.contract.identifier.clone(), users }
}

/// The refusal of a table that is protected.
pub(crate) fn protected(table: &Table, registration: &Registration) -> StoreError {
    let table = registration.identifier.clone().unwrap_or_else(|| table.contract.identifier.clone());
    StoreError::TableProtected { table }
}

/// What the audit log says of a table of which clients say something else now.
pub(crate) fn edited(table: &Table, kept: &Registration) -> NewAudit {
    let detail = json!({"published_as": kept.identifier, "protected": kept.protected});
    NewAudit::new("table.registration", "table", Some(&table.uid), &table.contract.identifier).with(detail)
}

/// What it says of a table that is gone.
pub(crate) fn removed(table: &Table) -> NewAudit {
    let detail = json!({"physical_name": table.contract.physical_name()});
    NewAudit::new("table.remove", "table", Some(&table.uid), &table.contract.identifier).with(detail)
}

/// The tables that go, those that refer before those that they refer to. `uid` alone goes unless all go that refer to it.
pub(crate) fn going(tables: &[Table], uid: &str, with_referrers: bool) -> Result<Vec<Table>, StoreError> {
    let find = |uid: &str| tables.iter().find(|table| table.uid == uid);
    let first = find(uid).ok_or_else(|| super::tables::not_found(uid))?;
    let mut going = vec![first.clone()];
    let mut at = 0;
    while let Some(table) = going.get(at).cloned() {
        at += 1;
        for referrer in super::foreign_keys::referrers(tables, &table.uid) {
            if going.iter().any(|known| known.uid == referrer.table_uid) {
                continue;
            }
            if !with_referrers {
                let columns = referrer.foreign_key.columns.join(", ");
                return Err(in_use(
                    &table,
                    vec![format!("table `{}` refers to it by ({columns})", referrer.table)],
                ));
            }
            going.extend(find(&referrer.table_uid).cloned());
        }
    }
    Ok(in_order(going))
}

/// Each table before those that it refers to. (Where they refer to each other in a circle, any is as good as the next.)
fn in_order(mut left: Vec<Table>) -> Vec<Table> {
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let refers = |table: &Table, uid: &str| {
            table.uid != uid && table.contract.foreign_keys.iter().any(|key| key.references.table == uid)
        };
        let free = left.iter().position(|table| !left.iter().any(|other| refers(other, &table.uid)));
        ordered.push(left.remove(free.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use datanode_core::Timestamp;
    use datanode_core::contract::{ForeignKey, OnDelete, Reference};

    use super::*;

    fn table(name: &str, targets: &[&str]) -> Table {
        let mut contract = Contract::from_toml(&format!(
            "identifier = \"{name}\"\nkind = \"reference\"\nprimary_key = [\"id\"]\ncolumns = [{{ name = \"id\", type = \"string\" }}]"
        ))
        .unwrap();
        contract.foreign_keys = targets
            .iter()
            .map(|target| ForeignKey {
                columns: vec!["id".to_owned()],
                references: Reference { table: (*target).to_owned(), columns: vec!["id".to_owned()] },
                on_delete: OnDelete::Restrict,
            })
            .collect();
        Table {
            uid: name.to_owned(),
            contract,
            epoch: 0,
            created_at: Timestamp::nearest_micros(0),
            owner: None,
        }
    }

    #[test]
    fn tables_go_before_those_that_they_refer_to_or_not_at_all() {
        let tables = [table("a", &[]), table("b", &["a", "c"]), table("c", &["a", "c"]), table("d", &[])];
        let names = |going: Vec<Table>| going.into_iter().map(|table| table.uid).collect::<Vec<_>>();
        assert_eq!(names(going(&tables, "a", true).unwrap()), ["b", "c", "a"]);
        assert_eq!(names(going(&tables, "b", false).unwrap()), ["b"]);
        assert!(matches!(going(&tables, "c", false), Err(StoreError::TableInUse { .. })));
        assert!(matches!(going(&tables, "x", true), Err(StoreError::NotFound { .. })));
    }

    #[test]
    fn what_a_client_does_not_say_again_stays() {
        let held = Contract {
            labels: vec!["b".to_owned()],
            description: "Held.".to_owned(),
            ..table("a", &["z"]).contract
        };
        let given = Contract { labels: vec!["a".to_owned(), "b".to_owned()], ..table("other", &[]).contract };
        let merged = again(&held, given);
        assert_eq!((merged.identifier.as_str(), merged.description.as_str()), ("a", "Held."));
        assert_eq!(merged.labels, ["b", "a"]);
        assert_eq!(merged.foreign_keys, held.foreign_keys);
        let registration = registered_again(
            &Registration { protected: true, ..Registration::default() },
            Registration::default(),
        );
        assert!(registration.protected);
    }
}
