//! What clients of the compatible API say of tables, and tables that go.

use std::collections::HashMap;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::access::Actor;
use datanode_core::contract::Contract;
use datanode_core::name::check_name;
use rusqlite::{Connection, OptionalExtension, params};

use super::ddl::quote;
use super::stored::{count, failed, timestamp, to_json};
use super::{SqliteStore, audit, repoint, tables};
use crate::catalogue::registrations as rules;
use crate::catalogue::registrations::RawListed;
use crate::{
    DescribedTable, ListedTable, Listing, NewRegistration, RegisteredTable, Registration, RegistrationEdit,
    Registrations, RemoveTable, StoreError, Table,
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
            tables.into_iter().map(|table| register(connection, &actor, table, now)).collect()
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

    async fn referring_tables(&self) -> Result<Vec<Table>, StoreError> {
        self.read(READING, referring).await
    }

    async fn edit_registration(&self, table_uid: &str, edit: &RegistrationEdit) -> Result<(), StoreError> {
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
            "INSERT INTO _registrations (table_uid, identifier, document) VALUES (?1, ?2, ?3) \
             ON CONFLICT (table_uid) DO UPDATE SET identifier = excluded.identifier, document = excluded.document",
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
    now: Timestamp,
) -> Result<RegisteredTable, StoreError> {
    let NewRegistration { contract, registration: given } = new;
    let held = match &given.identifier {
        Some(identifier) => called(connection, identifier)?,
        None => tables::holding(connection, &contract.identifier)?,
    };
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

const LISTED: &str = "SELECT t.uid, t.identifier, t.physical_name, t.contract, t.owner, r.document \
     FROM _tables AS t LEFT JOIN _registrations AS r ON r.table_uid = t.uid";

fn list(connection: &Connection, listing: &Listing) -> Result<Vec<ListedTable>, StoreError> {
    let (condition, value) = match listing {
        Listing::All => ("?1 IS NULL", None),
        Listing::Uid(uid) => ("t.uid = ?1", Some(uid)),
        // A name by the rules is none of the others, and none of them is a name by the rules.
        Listing::Identifier(identifier) if check_name("identifier", identifier).is_ok() => {
            ("t.identifier = ?1", Some(identifier))
        }
        Listing::Identifier(identifier) => ("r.identifier = ?1", Some(identifier)),
        Listing::PhysicalName(name) => ("t.physical_name = ?1", Some(name)),
    };
    let failed = failed(READING);
    let mut statement = connection
        .prepare_cached(&format!("{LISTED} WHERE {condition} ORDER BY t.identifier"))
        .map_err(&failed)?;
    let raw = |row: &rusqlite::Row<'_>| -> rusqlite::Result<RawListed> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    };
    let rows = statement.query_map([value], raw).map_err(&failed)?;
    rows.map(|row| rules::listed(row.map_err(&failed)?)).collect()
}

fn describe(connection: &Connection, uids: &[String]) -> Result<Vec<DescribedTable>, StoreError> {
    let failed = failed(READING);
    let mut held = HashMap::new();
    let mut statement = connection
        .prepare_cached(
            "SELECT table_uid, min(min_time), max(max_time), count(*) FROM _progress \
             WHERE table_uid IN (SELECT value FROM json_each(?1)) GROUP BY table_uid",
        )
        .map_err(&failed)?;
    let rows = statement
        .query_map([to_json(READING, &uids)?], |row| {
            Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)))
        })
        .map_err(&failed)?;
    for row in rows {
        let (uid, (min, max, coordinates)) = row.map_err(&failed)?;
        let place = format!("progress of table {uid}");
        let bounds = (timestamp(&place, min)?, timestamp(&place, max)?);
        held.insert(uid, (bounds, count(&place, coordinates)?));
    }
    let mut described = Vec::with_capacity(uids.len());
    for uid in uids {
        let table = match tables::by_uid(connection, uid) {
            Err(StoreError::NotFound { .. }) => continue,
            found => found?,
        };
        let (bounds, coordinates) =
            held.get(uid).map_or((None, 0), |(bounds, count)| (Some(*bounds), *count));
        described.push(DescribedTable {
            table,
            registration: registration(connection, uid)?,
            bounds,
            coordinates,
        });
    }
    Ok(described)
}

/// The text is looked through before anything is parsed: most tables have no foreign key.
fn referring(connection: &Connection) -> Result<Vec<Table>, StoreError> {
    let failed = failed(READING);
    let mut statement = connection
        .prepare_cached(
            "SELECT uid FROM _tables WHERE instr(contract, '\"foreign_keys\":[{') > 0 ORDER BY identifier",
        )
        .map_err(&failed)?;
    let uids = statement.query_map((), |row| row.get::<_, String>(0)).map_err(&failed)?;
    uids.map(|uid| tables::by_uid(connection, &uid.map_err(&failed)?)).collect()
}

fn change(
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
    let going = rules::going(&tables::all(connection)?, &remove.table_uid, remove.with_referrers)?;
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
