//! Which table a client means that registers one, and what becomes of what it says.

use std::collections::{HashMap, HashSet};

use datanode_core::contract::{Contract, ContractError, TableKind};
use serde::Deserialize;
use serde_json::json;

use super::stored::{count, from_json, timestamp};
use super::tables::{Raw, table};
use crate::{
    DescribedTable, ListedTable, NewAudit, NewRegistration, Registration, RemoveTable, StoreError, Table,
    TableEdit,
};

/// What lists need of a contract: the database keeps it beside the contract, and derives it itself.
#[derive(Deserialize)]
struct Listed {
    namespace: Option<String>,
    labels: Vec<String>,
    kind: TableKind,
}

/// The same of lists of those that refer to others.
#[derive(Deserialize)]
struct Referring {
    /// Uids of the tables that its foreign keys lead to.
    refers_to: Vec<String>,
}

/// A row of the catalogue: uid, identifier, physical name, owner, what lists need of the contract, and of the registration.
pub(crate) type RawListed = (String, String, String, Option<String>, String, Option<String>);

/// A table as lists have it.
pub(crate) fn listed(
    (uid, identifier, physical_name, owner, listed, said): RawListed,
) -> Result<ListedTable, StoreError> {
    let place = format!("table {uid}");
    let Listed { namespace, labels, kind } = from_json(&place, &listed)?;
    let registration = read(&place, said.as_deref())?;
    Ok(ListedTable { uid, identifier, namespace, physical_name, kind, labels, owner, registration })
}

/// Of tables by uid, each with what lists need of its contract, those that refer to one of the targets, in their order.
pub(crate) fn referring(rows: Vec<(String, String)>, targets: &[String]) -> Result<Vec<String>, StoreError> {
    let targets: HashSet<&str> = targets.iter().map(String::as_str).collect();
    let mut referring = Vec::new();
    for (uid, listed) in rows {
        let Referring { refers_to } = from_json(&format!("table {uid}"), &listed)?;
        if refers_to.iter().any(|target| targets.contains(target.as_str())) {
            referring.push(uid);
        }
    }
    Ok(referring)
}

/// A table and what is said of it: the columns of [`Raw`], and the registration.
pub(crate) type RawDescribed = (String, String, i64, i64, Option<String>, Option<String>);

/// A sum of progress: uid of the table, earliest and latest time, coordinates.
pub(crate) type RawBounds = (String, i64, i64, i64);

/// Tables with all that is told of them, in the order in which they were asked for.
pub(crate) fn described(
    uids: &[String],
    rows: Vec<RawDescribed>,
    sums: Vec<RawBounds>,
) -> Result<Vec<DescribedTable>, StoreError> {
    let mut held = HashMap::with_capacity(sums.len());
    for (uid, min, max, coordinates) in sums {
        let place = format!("progress of table {uid}");
        let bounds = (timestamp(&place, min)?, timestamp(&place, max)?);
        held.insert(uid, (bounds, count(&place, coordinates)?));
    }
    let mut known = HashMap::with_capacity(rows.len());
    for (uid, contract, epoch, created_at, owner, document) in rows {
        let registration = read(&format!("registration of table {uid}"), document.as_deref())?;
        let raw: Raw = (uid.clone(), contract, epoch, created_at, owner);
        let (bounds, coordinates) =
            held.get(&uid).map_or((None, 0), |(bounds, coordinates)| (Some(*bounds), *coordinates));
        known.insert(uid, DescribedTable { table: table(raw)?, registration, bounds, coordinates });
    }
    Ok(uids.iter().filter_map(|uid| known.get(uid).cloned()).collect())
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

/// Refuse to register a table again that is not what it was when somebody judged whether it may be; or where there was none
/// and is one, or the other way round.
pub(crate) fn refuse_unjudged(new: &NewRegistration, held: Option<&ListedTable>) -> Result<(), StoreError> {
    if new.judged.as_ref() == held {
        return Ok(());
    }
    let name = new.registration.identifier.as_ref().unwrap_or(&new.contract.identifier);
    Err(StoreError::Changed { kind: "table", name: name.clone() })
}

/// The contract that an edit leads to.
pub(crate) fn edited_contract(held: &Contract, edit: &TableEdit) -> Result<Contract, StoreError> {
    let mut contract = edit.metadata.apply(held)?;
    contract.labels.retain(|label| !edit.lose_labels.contains(label));
    if let Some(cadence) = edit.cadence {
        if cadence.is_some() && contract.kind == TableKind::Reference {
            return Err(StoreError::Contract(ContractError::Rule {
                identifier: contract.identifier,
                problem: "a reference table has no cadence".to_owned(),
                place: None,
            }));
        }
        contract.cadence = cadence;
    }
    Ok(contract)
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

/// The tables that go, those that refer before those that they refer to. The table alone goes unless all go that refer to
/// it.
pub(crate) fn going(tables: &[Table], remove: &RemoveTable) -> Result<Vec<Table>, StoreError> {
    let RemoveTable { table_uid: uid, with_referrers, may_go, .. } = remove;
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
            if !*with_referrers {
                let columns = referrer.foreign_key.columns.join(", ");
                return Err(in_use(
                    &table,
                    vec![format!("table `{}` refers to it by ({columns})", referrer.table)],
                ));
            }
            if may_go.as_ref().is_some_and(|may_go| !may_go.contains(&referrer.table_uid)) {
                return Err(StoreError::Changed { kind: "table", name: referrer.table });
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
        let remove = |uid: &str, with_referrers: bool, may_go: Option<&[&str]>| RemoveTable {
            table_uid: uid.to_owned(),
            with_referrers,
            protected: false,
            may_go: may_go.map(|uids| uids.iter().map(|uid| (*uid).to_owned()).collect()),
        };
        let all = |uid: &str, with_referrers| going(&tables, &remove(uid, with_referrers, None));
        assert_eq!(names(all("a", true).unwrap()), ["b", "c", "a"]);
        assert_eq!(names(all("b", false).unwrap()), ["b"]);
        assert!(matches!(all("c", false), Err(StoreError::TableInUse { .. })));
        assert!(matches!(all("x", true), Err(StoreError::NotFound { .. })));
        // Those that somebody may remove, and no others.
        assert_eq!(names(going(&tables, &remove("a", true, Some(&["b", "c"]))).unwrap()), ["b", "c", "a"]);
        let unjudged = going(&tables, &remove("a", true, Some(&["b"])));
        assert!(matches!(unjudged, Err(StoreError::Changed { .. })));
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
