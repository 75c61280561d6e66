//! What clients of the compatible API say of tables, and tables that go.

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::access::Actor;
use datanode_core::contract::Contract;
use datanode_core::name::check_name;
use rusqlite::{Connection, OptionalExtension, params};

use super::ddl::quote;
use super::stored::{failed, to_json};
use super::{SqliteStore, audit, repoint, tables};
use crate::catalogue::audit as entries;
use crate::catalogue::registrations as rules;
use crate::catalogue::registrations::{RawBounds, RawDescribed, RawListed};
use crate::catalogue::tables::refuse_changed;
use crate::{
    DescribedTable, ListedTable, Listing, NewRegistration, RegisteredTable, Registration, RegistrationEdit,
    Registrations, RemoveTable, StoreError, Table, TableEdit,
};

const READING: &str = "reading tables";
const REGISTERING: &str = "registering tables";
const CHANGING: &str = "changing what clients say of a table";
const REMOVING: &str = "removing a table";

#[async_trait]
impl Registrations for SqliteStore {
    async fn data_source(&self) -> Result<String, StoreError> {
        const DOING: &str = "reading the data source";
        self.read(DOING, |connection| {
            connection.query_row("SELECT uid FROM _data_source", (), |row| row.get(0)).map_err(failed(DOING))
        })
        .await
    }

    async fn register_all(
        &self,
        tables: &[NewRegistration],
        now: Timestamp,
    ) -> Result<Vec<RegisteredTable>, StoreError> {
        let (tables, actor) = (tables.to_vec(), self.actor.clone());
        self.write(REGISTERING, move |connection| {
            let mut registered = Vec::with_capacity(tables.len());
            for table in tables {
                let done = register(connection, &actor, table, &registered, now)?;
                registered.push(done);
            }
            Ok(registered)
        })
        .await
    }

    async fn listed_tables(&self, listing: &Listing) -> Result<Vec<ListedTable>, StoreError> {
        let listing = listing.clone();
        self.read(READING, move |connection| list(connection, &listing)).await
    }

    async fn described_tables(&self, uids: &[String]) -> Result<Vec<DescribedTable>, StoreError> {
        let uids = uids.to_vec();
        self.read(READING, move |connection| describe(connection, &uids)).await
    }

    async fn referring_tables(&self, targets: &[String]) -> Result<Vec<Table>, StoreError> {
        let targets = targets.to_vec();
        self.read(READING, move |connection| referring(connection, &targets)).await
    }

    async fn change_table(&self, table_uid: &str, edit: &TableEdit) -> Result<RegisteredTable, StoreError> {
        let (uid, edit, actor) = (table_uid.to_owned(), edit.clone(), self.actor.clone());
        self.write(CHANGING, move |connection| change(connection, &actor, &uid, &edit)).await
    }

    async fn remove_table(&self, remove: &RemoveTable) -> Result<Vec<Table>, StoreError> {
        let (remove, actor) = (remove.clone(), self.actor.clone());
        self.write(REMOVING, move |connection| remove_table(connection, &actor, &remove)).await
    }
}

/// What is said of a table, and the same as it is kept.
fn registration(connection: &Connection, uid: &str) -> Result<Registration, StoreError> {
    let document: Option<String> = connection
        .prepare_cached("SELECT document FROM _registrations WHERE table_uid = ?1")
        .and_then(|mut statement| statement.query_row([uid], |row| row.get(0)).optional())
        .map_err(failed(READING))?;
    rules::read(&format!("registration of table {uid}"), document.as_deref())
}

fn keep(connection: &Connection, uid: &str, registration: &Registration) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO _registrations (table_uid, identifier, document, said) \
             VALUES (?1, ?2, ?3, json_remove(?3, '$.written')) \
             ON CONFLICT (table_uid) DO UPDATE SET identifier = excluded.identifier, document = excluded.document, \
             said = excluded.said",
            params![uid, registration.identifier, to_json(CHANGING, registration)?],
        )
        .map(|_| ())
        .map_err(failed(CHANGING))
}

/// The table that clients call so, by a name that is none by the rules.
fn called(connection: &Connection, identifier: &str) -> Result<Option<Table>, StoreError> {
    let uid: Option<String> = connection
        .query_row("SELECT table_uid FROM _registrations WHERE identifier = ?1", [identifier], |row| {
            row.get(0)
        })
        .optional()
        .map_err(failed(READING))?;
    uid.map(|uid| tables::by_uid(connection, &uid)).transpose()
}

fn register(
    connection: &Connection,
    actor: &Actor,
    new: NewRegistration,
    done: &[RegisteredTable],
    now: Timestamp,
) -> Result<RegisteredTable, StoreError> {
    let held = match &new.registration.identifier {
        Some(identifier) => called(connection, identifier)?,
        None => tables::holding(connection, &new.contract.identifier)?,
    };
    let is_done = |held: &Table| done.iter().any(|done| done.value.uid == held.uid);
    if !held.as_ref().is_some_and(is_done) {
        let listed = match &held {
            Some(held) => list(connection, &Listing::Uid(held.uid.clone()))?.pop(),
            None => None,
        };
        rules::refuse_unjudged(&new, listed.as_ref())?;
    }
    let NewRegistration { contract, registration: given, .. } = new;
    let contract = match &held {
        Some(held) => rules::again(&held.contract, contract),
        None => Contract { identifier: free(connection, &contract.identifier)?, ..contract },
    };
    let registered = tables::register(connection, actor, &contract, now)?;
    let uid = &registered.value.uid;
    let kept = match &held {
        Some(_) => rules::registered_again(&registration(connection, uid)?, given),
        None => given,
    };
    keep(connection, uid, &kept)?;
    Ok(registered)
}

/// An identifier that is free: this one, or one like it.
fn free(connection: &Connection, identifier: &str) -> Result<String, StoreError> {
    if tables::holding(connection, identifier)?.is_none() {
        return Ok(identifier.to_owned());
    }
    tables::propose(connection, identifier, Some("registered"))
}

/// All that is read of every table of a list lies in two indexes: contracts are long, and so are documents.
const LISTED: &str = "SELECT t.uid, t.identifier, t.physical_name, t.owner, t.listed, r.said \
     FROM _tables AS t INDEXED BY _tables_listed \
     LEFT JOIN _registrations AS r INDEXED BY _registrations_said ON r.table_uid = t.uid";
const SOME_LISTED: &str = "SELECT t.uid, t.identifier, t.physical_name, t.owner, t.listed, r.said \
     FROM _tables AS t LEFT JOIN _registrations AS r ON r.table_uid = t.uid";

fn list(connection: &Connection, listing: &Listing) -> Result<Vec<ListedTable>, StoreError> {
    let uids = match listing {
        Listing::Uids(uids) => to_json(READING, uids)?,
        _ => String::new(),
    };
    let behind = "t.identifier > ?1";
    let (select, condition, value, limit) = match listing {
        Listing::All => (LISTED, behind, "", None),
        Listing::After { identifier, limit } => (LISTED, behind, identifier.as_str(), Some(*limit)),
        Listing::Uid(uid) => (SOME_LISTED, "t.uid = ?1", uid.as_str(), None),
        Listing::Uids(_) => (SOME_LISTED, "t.uid IN (SELECT value FROM json_each(?1))", uids.as_str(), None),
        // A name by the rules is none of the others, and none of them is a name by the rules.
        Listing::Identifier(identifier) if check_name("identifier", identifier).is_ok() => {
            (SOME_LISTED, "t.identifier = ?1", identifier.as_str(), None)
        }
        Listing::Identifier(identifier) => (SOME_LISTED, "r.identifier = ?1", identifier.as_str(), None),
        Listing::PhysicalName(name) => (SOME_LISTED, "t.physical_name = ?1", name.as_str(), None),
    };
    let failed = failed(READING);
    let mut statement = connection
        .prepare_cached(&format!("{select} WHERE {condition} ORDER BY t.identifier LIMIT ?2"))
        .map_err(&failed)?;
    let raw = |row: &rusqlite::Row<'_>| -> rusqlite::Result<RawListed> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    };
    // To SQLite a negative limit is none.
    let rows = statement.query_map(params![value, limit.map_or(-1, i64::from)], raw).map_err(&failed)?;
    rows.map(|row| rules::listed(row.map_err(&failed)?)).collect()
}

fn describe(connection: &Connection, uids: &[String]) -> Result<Vec<DescribedTable>, StoreError> {
    let (failed, wanted) = (failed(READING), to_json(READING, &uids)?);
    let mut statement = connection
        .prepare_cached(
            "SELECT table_uid, min(min_time), max(max_time), count(*) FROM _progress \
             WHERE table_uid IN (SELECT value FROM json_each(?1)) GROUP BY table_uid",
        )
        .map_err(&failed)?;
    let raw = |row: &rusqlite::Row<'_>| -> rusqlite::Result<RawBounds> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    };
    let sums = statement.query_map([&wanted], raw).map_err(&failed)?;
    let sums = sums.collect::<Result<_, _>>().map_err(&failed)?;
    let mut statement = connection
        .prepare_cached(
            "SELECT t.uid, t.contract, t.epoch, t.created_at, t.owner, r.document \
             FROM _tables AS t LEFT JOIN _registrations AS r ON r.table_uid = t.uid \
             WHERE t.uid IN (SELECT value FROM json_each(?1))",
        )
        .map_err(&failed)?;
    let raw = |row: &rusqlite::Row<'_>| -> rusqlite::Result<RawDescribed> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    };
    let rows = statement.query_map([&wanted], raw).map_err(&failed)?;
    let rows = rows.collect::<Result<_, _>>().map_err(&failed)?;
    rules::described(uids, rows, sums)
}

/// The tables that refer to one of these, by identifier. What contracts refer to is read from the index of lists: most
/// refer to nothing.
pub(super) fn referring(connection: &Connection, targets: &[String]) -> Result<Vec<Table>, StoreError> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let failed = failed(READING);
    let mut statement = connection
        .prepare_cached(
            "SELECT uid, listed FROM _tables INDEXED BY _tables_listed WHERE substr(listed, -3) <> '[]}' \
             ORDER BY identifier",
        )
        .map_err(&failed)?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).map_err(&failed)?;
    let rows = rows.collect::<Result<_, _>>().map_err(&failed)?;
    tables::called(connection, &rules::referring(rows, targets)?)
}

/// Change a table, and write down that this actor has done so.
fn change(
    connection: &Connection,
    actor: &Actor,
    uid: &str,
    edit: &TableEdit,
) -> Result<RegisteredTable, StoreError> {
    if let Some(seen) = &edit.seen {
        let found = tables::by_uid(connection, uid)?;
        refuse_changed(&found.contract.identifier, Some(seen), Some(&found))?;
    }
    if edit.registration != RegistrationEdit::default() {
        change_registration(connection, actor, uid, &edit.registration)?;
    }
    // As it is called by now.
    let table = tables::by_uid(connection, uid)?;
    let contract = rules::edited_contract(&table.contract, edit)?;
    let described = tables::apply_metadata(connection, table, contract)?;
    if let Some(entry) = entries::table_described(&described) {
        audit::record(connection, actor, &entry)?;
    }
    Ok(described)
}

fn change_registration(
    connection: &Connection,
    actor: &Actor,
    uid: &str,
    edit: &RegistrationEdit,
) -> Result<(), StoreError> {
    let table = tables::by_uid(connection, uid)?;
    let before = registration(connection, uid)?;
    let mut kept = before.clone();
    if let Some(identifier) = &edit.identifier {
        if check_name("identifier", identifier).is_ok() {
            if *identifier != table.contract.identifier {
                repoint::repoint(connection, actor, identifier, uid, None)?;
            }
            kept.identifier = None;
        } else {
            if let Some(other) = called(connection, identifier)?.filter(|other| other.uid != uid) {
                return Err(rules::identifier_taken(identifier, &other));
            }
            kept.identifier = Some(identifier.clone());
        }
    }
    kept.protected = edit.protected.unwrap_or(kept.protected);
    if kept == before {
        return Ok(());
    }
    keep(connection, uid, &kept)?;
    audit::record(connection, actor, &rules::edited(&table, &kept))
}

/// Who needs a table, in words.
fn users(connection: &Connection, table: &Table) -> Result<Vec<String>, StoreError> {
    let failed = failed(REMOVING);
    let mut statement = connection
        .prepare(
            "SELECT 'node ' || update_hash || ' writes it' FROM _nodes WHERE table_uid = ?1 \
             UNION SELECT 'node ' || n.update_hash || ' reads it' FROM _node_dependencies AS d \
             JOIN _nodes AS n ON n.uid = d.node_uid WHERE d.table_uid = ?1 \
             UNION SELECT 'run ' || run_id || ' has read it' FROM _run_inputs WHERE table_uid = ?1 \
             ORDER BY 1 LIMIT 20",
        )
        .map_err(&failed)?;
    let users = statement.query_map([&table.uid], |row| row.get(0)).map_err(&failed)?;
    users.collect::<Result<_, _>>().map_err(&failed)
}

fn remove_table(
    connection: &Connection,
    actor: &Actor,
    remove: &RemoveTable,
) -> Result<Vec<Table>, StoreError> {
    let failed = failed(REMOVING);
    let going = rules::going(&tables::all(connection)?, remove)?;
    for table in &going {
        let registration = registration(connection, &table.uid)?;
        if registration.protected && !remove.protected {
            return Err(rules::protected(table, &registration));
        }
        let users = users(connection, table)?;
        if !users.is_empty() {
            return Err(rules::in_use(table, users));
        }
    }
    // Tables may refer to each other in a circle: what breaks on the way is whole again at the end.
    connection.execute_batch("PRAGMA defer_foreign_keys = ON").map_err(&failed)?;
    for table in &going {
        for part in OF_A_TABLE {
            connection.execute(part, [&table.uid]).map_err(&failed)?;
        }
        connection
            .execute_batch(&format!("DROP TABLE {}", quote(table.contract.physical_name())))
            .map_err(&failed)?;
        audit::record(connection, actor, &rules::removed(table))?;
    }
    Ok(going)
}

/// What the catalogue has of a table, what refers to it first.
const OF_A_TABLE: [&str; 5] = [
    "DELETE FROM _registrations WHERE table_uid = ?1",
    "DELETE FROM _progress WHERE table_uid = ?1",
    "DELETE FROM _table_revisions WHERE table_uid = ?1",
    "DELETE FROM _roles WHERE subject_kind = 'table' AND subject = ?1",
    "DELETE FROM _tables WHERE uid = ?1",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// What SQLite means to do.
    fn plan(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map((), |row| row.get(3)).unwrap();
        steps.map(Result::unwrap).collect()
    }

    #[tokio::test]
    async fn lists_page_through_an_index_and_through_no_contract() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("datanode.db");
        SqliteStore::open(&file).await.unwrap().close().await.unwrap();
        let connection = Connection::open(&file).unwrap();
        let steps =
            plan(&connection, &format!("{LISTED} WHERE t.identifier > 'a' ORDER BY t.identifier LIMIT 10"));
        assert!(
            steps[0].starts_with("SEARCH t USING COVERING INDEX _tables_listed (identifier>?)"),
            "{steps:?}"
        );
        assert!(steps[1].starts_with("SEARCH r USING COVERING INDEX _registrations_said"), "{steps:?}");
        assert_eq!(steps.len(), 2, "nothing is sorted: {steps:?}");
    }
}
