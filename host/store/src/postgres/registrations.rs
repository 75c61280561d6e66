//! What clients of the compatible API say of tables, and tables that go.

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::access::Actor;
use datanode_core::contract::Contract;
use datanode_core::name::check_name;
use sqlx::{AssertSqlSafe, PgConnection};

use super::ddl::table_name;
use super::stored::{failed, to_json};
use super::{PostgresStore, audit, repoint, tables};
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
impl Registrations for PostgresStore {
    async fn data_source(&self) -> Result<String, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        sqlx::query_scalar("SELECT uid FROM datanode.data_source")
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("reading the data source"))
    }

    async fn register_all(
        &self,
        tables: &[NewRegistration],
        now: Timestamp,
    ) -> Result<Vec<RegisteredTable>, StoreError> {
        let mut transaction = self.pools.begin_catalogue().await?;
        let mut registered = Vec::with_capacity(tables.len());
        for table in tables {
            let done = register(&mut transaction, &self.actor, table.clone(), &registered, now).await?;
            registered.push(done);
        }
        transaction.commit().await.map_err(failed(REGISTERING))?;
        Ok(registered)
    }

    async fn listed_tables(&self, listing: &Listing) -> Result<Vec<ListedTable>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        list(&mut transaction, listing).await
    }

    async fn described_tables(&self, uids: &[String]) -> Result<Vec<DescribedTable>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        describe(&mut transaction, uids).await
    }

    async fn referring_tables(&self, targets: &[String]) -> Result<Vec<Table>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        referring(&mut transaction, targets).await
    }

    async fn change_table(&self, table_uid: &str, edit: &TableEdit) -> Result<RegisteredTable, StoreError> {
        let mut transaction = self.pools.begin_catalogue().await?;
        let changed = change(&mut transaction, &self.actor, table_uid, edit).await?;
        transaction.commit().await.map_err(failed(CHANGING))?;
        Ok(changed)
    }

    async fn remove_table(&self, remove: &RemoveTable) -> Result<Vec<Table>, StoreError> {
        let mut transaction = self.pools.begin_catalogue().await?;
        let removed = remove_table(&mut transaction, &self.actor, remove).await?;
        transaction.commit().await.map_err(failed(REMOVING))?;
        Ok(removed)
    }
}

/// What is said of a table.
async fn registration(connection: &mut PgConnection, uid: &str) -> Result<Registration, StoreError> {
    let document: Option<String> =
        sqlx::query_scalar("SELECT document FROM datanode.registrations WHERE table_uid = $1")
            .bind(uid)
            .fetch_optional(connection)
            .await
            .map_err(failed(READING))?;
    rules::read(&format!("registration of table {uid}"), document.as_deref())
}

async fn keep(
    connection: &mut PgConnection,
    uid: &str,
    registration: &Registration,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO datanode.registrations (table_uid, identifier, document) VALUES ($1, $2, $3) \
         ON CONFLICT (table_uid) DO UPDATE SET identifier = excluded.identifier, document = excluded.document",
    )
    .bind(uid)
    .bind(&registration.identifier)
    .bind(to_json(CHANGING, registration)?)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed(CHANGING))
}

/// The table that clients call so, by a name that is none by the rules.
async fn called(connection: &mut PgConnection, identifier: &str) -> Result<Option<Table>, StoreError> {
    let uid: Option<String> =
        sqlx::query_scalar("SELECT table_uid FROM datanode.registrations WHERE identifier = $1")
            .bind(identifier)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed(READING))?;
    match uid {
        Some(uid) => tables::by_uid(connection, &uid).await.map(Some),
        None => Ok(None),
    }
}

async fn register(
    connection: &mut PgConnection,
    actor: &Actor,
    new: NewRegistration,
    done: &[RegisteredTable],
    now: Timestamp,
) -> Result<RegisteredTable, StoreError> {
    let held = match &new.registration.identifier {
        Some(identifier) => called(connection, identifier).await?,
        None => tables::holding(connection, &new.contract.identifier).await?,
    };
    let is_done = |held: &Table| done.iter().any(|done| done.value.uid == held.uid);
    if !held.as_ref().is_some_and(is_done) {
        let listed = match &held {
            Some(held) => list(connection, &Listing::Uid(held.uid.clone())).await?.pop(),
            None => None,
        };
        rules::refuse_unjudged(&new, listed.as_ref())?;
    }
    let NewRegistration { contract, registration: given, .. } = new;
    let contract = match &held {
        Some(held) => rules::again(&held.contract, contract),
        None => Contract { identifier: free(connection, &contract.identifier).await?, ..contract },
    };
    let registered = tables::register(connection, actor, &contract, now).await?;
    let uid = &registered.value.uid;
    let kept = match &held {
        Some(_) => rules::registered_again(&registration(connection, uid).await?, given),
        None => given,
    };
    keep(connection, uid, &kept).await?;
    Ok(registered)
}

/// An identifier that is free: this one, or one like it.
async fn free(connection: &mut PgConnection, identifier: &str) -> Result<String, StoreError> {
    if tables::holding(connection, identifier).await?.is_none() {
        return Ok(identifier.to_owned());
    }
    tables::propose(connection, identifier, Some("registered")).await
}

/// Contracts are long, and so are documents: lists read neither.
const LISTED: &str = "SELECT t.uid, t.identifier, t.physical_name, t.owner, t.listed, r.said \
     FROM datanode.tables AS t LEFT JOIN datanode.registrations AS r ON r.table_uid = t.uid";

async fn list(connection: &mut PgConnection, listing: &Listing) -> Result<Vec<ListedTable>, StoreError> {
    let uids = match listing {
        Listing::Uids(uids) => to_json(READING, uids)?,
        _ => String::new(),
    };
    let behind = "t.identifier > $1";
    let (condition, value, limit) = match listing {
        Listing::All => (behind, "", None),
        Listing::After { identifier, limit } => (behind, identifier.as_str(), Some(i64::from(*limit))),
        Listing::Uid(uid) => ("t.uid = $1", uid.as_str(), None),
        Listing::Uids(_) => ("t.uid IN (SELECT jsonb_array_elements_text($1::jsonb))", uids.as_str(), None),
        // A name by the rules is none of the others, and none of them is a name by the rules.
        Listing::Identifier(identifier) if check_name("identifier", identifier).is_ok() => {
            ("t.identifier = $1", identifier.as_str(), None)
        }
        Listing::Identifier(identifier) => ("r.identifier = $1", identifier.as_str(), None),
        Listing::PhysicalName(name) => ("t.physical_name = $1", name.as_str(), None),
    };
    let sql = format!("{LISTED} WHERE {condition} ORDER BY t.identifier LIMIT $2");
    let rows: Vec<RawListed> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(value)
        .bind(limit)
        .fetch_all(connection)
        .await
        .map_err(failed(READING))?;
    rows.into_iter().map(rules::listed).collect()
}

async fn describe(connection: &mut PgConnection, uids: &[String]) -> Result<Vec<DescribedTable>, StoreError> {
    let sums: Vec<RawBounds> = sqlx::query_as(
        "SELECT table_uid, min(min_time), max(max_time), count(*) FROM datanode.progress \
         WHERE table_uid = ANY($1) GROUP BY table_uid",
    )
    .bind(uids)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed(READING))?;
    let rows: Vec<RawDescribed> = sqlx::query_as(
        "SELECT t.uid, t.contract, t.epoch, t.created_at, t.owner, r.document \
         FROM datanode.tables AS t LEFT JOIN datanode.registrations AS r ON r.table_uid = t.uid \
         WHERE t.uid = ANY($1)",
    )
    .bind(uids)
    .fetch_all(connection)
    .await
    .map_err(failed(READING))?;
    rules::described(uids, rows, sums)
}

/// The tables that refer to one of these, by identifier. Most refer to nothing.
pub(super) async fn referring(
    connection: &mut PgConnection,
    targets: &[String],
) -> Result<Vec<Table>, StoreError> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT uid, listed FROM datanode.tables WHERE right(listed, 3) <> '[]}' ORDER BY identifier",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(failed(READING))?;
    tables::called(connection, &rules::referring(rows, targets)?).await
}

/// Change a table, and write down that this actor has done so.
async fn change(
    connection: &mut PgConnection,
    actor: &Actor,
    uid: &str,
    edit: &TableEdit,
) -> Result<RegisteredTable, StoreError> {
    if let Some(seen) = &edit.seen {
        let found = tables::by_uid(connection, uid).await?;
        refuse_changed(&found.contract.identifier, Some(seen), Some(&found))?;
    }
    if edit.registration != RegistrationEdit::default() {
        change_registration(connection, actor, uid, &edit.registration).await?;
    }
    // As it is called by now.
    let table = tables::by_uid(connection, uid).await?;
    let contract = rules::edited_contract(&table.contract, edit)?;
    let described = tables::apply_metadata(connection, table, contract).await?;
    if let Some(entry) = entries::table_described(&described) {
        audit::record(connection, actor, &entry).await?;
    }
    Ok(described)
}

async fn change_registration(
    connection: &mut PgConnection,
    actor: &Actor,
    uid: &str,
    edit: &RegistrationEdit,
) -> Result<(), StoreError> {
    let table = tables::by_uid(connection, uid).await?;
    let before = registration(connection, uid).await?;
    let mut kept = before.clone();
    if let Some(identifier) = &edit.identifier {
        if check_name("identifier", identifier).is_ok() {
            if *identifier != table.contract.identifier {
                repoint::repoint(connection, actor, identifier, uid, None).await?;
            }
            kept.identifier = None;
        } else {
            if let Some(other) = called(connection, identifier).await?.filter(|other| other.uid != uid) {
                return Err(rules::identifier_taken(identifier, &other));
            }
            kept.identifier = Some(identifier.clone());
        }
    }
    kept.protected = edit.protected.unwrap_or(kept.protected);
    if kept == before {
        return Ok(());
    }
    keep(connection, uid, &kept).await?;
    audit::record(connection, actor, &rules::edited(&table, &kept)).await
}

/// Who needs a table, in words.
async fn users(connection: &mut PgConnection, table: &Table) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar(
        "SELECT 'node ' || update_hash || ' writes it' FROM datanode.nodes WHERE table_uid = $1 \
         UNION SELECT 'node ' || n.update_hash || ' reads it' FROM datanode.node_dependencies AS d \
         JOIN datanode.nodes AS n ON n.uid = d.node_uid WHERE d.table_uid = $1 \
         UNION SELECT 'run ' || run_id || ' has read it' FROM datanode.run_inputs WHERE table_uid = $1 \
         ORDER BY 1 LIMIT 20",
    )
    .bind(&table.uid)
    .fetch_all(connection)
    .await
    .map_err(failed(REMOVING))
}

async fn remove_table(
    connection: &mut PgConnection,
    actor: &Actor,
    remove: &RemoveTable,
) -> Result<Vec<Table>, StoreError> {
    let going = rules::going(&tables::all(connection).await?, remove)?;
    for table in &going {
        // Behind commits of runs and deletes of rows that are under way.
        tables::locked(connection, &table.uid).await?;
        let registration = registration(connection, &table.uid).await?;
        if registration.protected && !remove.protected {
            return Err(rules::protected(table, &registration));
        }
        let users = users(connection, table).await?;
        if !users.is_empty() {
            return Err(rules::in_use(table, users));
        }
    }
    for table in &going {
        for part in OF_A_TABLE {
            sqlx::query(part).bind(&table.uid).execute(&mut *connection).await.map_err(failed(REMOVING))?;
        }
        audit::record(connection, actor, &rules::removed(table)).await?;
    }
    // In one statement: they may refer to each other in a circle.
    let names: Vec<String> = going.iter().map(|table| table_name(&table.contract)).collect();
    sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE {}", names.join(", "))))
        .execute(connection)
        .await
        .map_err(failed(REMOVING))?;
    Ok(going)
}

/// What the catalogue has of a table, what refers to it first.
const OF_A_TABLE: [&str; 5] = [
    "DELETE FROM datanode.registrations WHERE table_uid = $1",
    "DELETE FROM datanode.progress WHERE table_uid = $1",
    "DELETE FROM datanode.table_revisions WHERE table_uid = $1",
    "DELETE FROM datanode.roles WHERE subject_kind = 'table' AND subject = $1",
    "DELETE FROM datanode.tables WHERE uid = $1",
];
