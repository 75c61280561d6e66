//! What clients of the compatible API say of tables, and tables that go.

use std::collections::HashMap;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::access::Actor;
use datanode_core::contract::Contract;
use datanode_core::name::check_name;
use sqlx::{AssertSqlSafe, PgConnection};

use super::ddl::table_name;
use super::stored::{count, failed, timestamp, to_json};
use super::{PostgresStore, audit, repoint, tables};
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
            registered.push(register(&mut transaction, &self.actor, table.clone(), now).await?);
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

    async fn referring_tables(&self) -> Result<Vec<Table>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        referring(&mut transaction).await
    }

    async fn edit_registration(&self, table_uid: &str, edit: &RegistrationEdit) -> Result<(), StoreError> {
        let mut transaction = self.pools.begin_catalogue().await?;
        change(&mut transaction, &self.actor, table_uid, edit).await?;
        transaction.commit().await.map_err(failed(CHANGING))
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
    now: Timestamp,
) -> Result<RegisteredTable, StoreError> {
    let NewRegistration { contract, registration: given } = new;
    let held = match &given.identifier {
        Some(identifier) => called(connection, identifier).await?,
        None => tables::holding(connection, &contract.identifier).await?,
    };
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

const LISTED: &str = "SELECT t.uid, t.identifier, t.physical_name, t.contract, t.owner, r.document \
     FROM datanode.tables AS t LEFT JOIN datanode.registrations AS r ON r.table_uid = t.uid";

async fn list(connection: &mut PgConnection, listing: &Listing) -> Result<Vec<ListedTable>, StoreError> {
    let (condition, value) = match listing {
        Listing::All => ("$1::text IS NULL", None),
        Listing::Uid(uid) => ("t.uid = $1", Some(uid)),
        // A name by the rules is none of the others, and none of them is a name by the rules.
        Listing::Identifier(identifier) if check_name("identifier", identifier).is_ok() => {
            ("t.identifier = $1", Some(identifier))
        }
        Listing::Identifier(identifier) => ("r.identifier = $1", Some(identifier)),
        Listing::PhysicalName(name) => ("t.physical_name = $1", Some(name)),
    };
    let rows: Vec<RawListed> =
        sqlx::query_as(AssertSqlSafe(format!("{LISTED} WHERE {condition} ORDER BY t.identifier")))
            .bind(value)
            .fetch_all(connection)
            .await
            .map_err(failed(READING))?;
    rows.into_iter().map(rules::listed).collect()
}

async fn describe(connection: &mut PgConnection, uids: &[String]) -> Result<Vec<DescribedTable>, StoreError> {
    let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "SELECT table_uid, min(min_time), max(max_time), count(*) FROM datanode.progress \
         WHERE table_uid = ANY($1) GROUP BY table_uid",
    )
    .bind(uids)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed(READING))?;
    let mut held = HashMap::new();
    for (uid, min, max, coordinates) in rows {
        let place = format!("progress of table {uid}");
        let bounds = (timestamp(&place, min)?, timestamp(&place, max)?);
        held.insert(uid, (bounds, count(&place, coordinates)?));
    }
    let mut described = Vec::with_capacity(uids.len());
    for uid in uids {
        let table = match tables::by_uid(connection, uid).await {
            Err(StoreError::NotFound { .. }) => continue,
            found => found?,
        };
        let registration = registration(connection, uid).await?;
        let (bounds, coordinates) =
            held.get(uid).map_or((None, 0), |(bounds, count)| (Some(*bounds), *count));
        described.push(DescribedTable { table, registration, bounds, coordinates });
    }
    Ok(described)
}

/// The text is looked through before anything is parsed: most tables have no foreign key.
async fn referring(connection: &mut PgConnection) -> Result<Vec<Table>, StoreError> {
    let uids: Vec<String> = sqlx::query_scalar(
        "SELECT uid FROM datanode.tables WHERE strpos(contract, '\"foreign_keys\":[{') > 0 ORDER BY identifier",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(failed(READING))?;
    let mut referring = Vec::with_capacity(uids.len());
    for uid in uids {
        referring.push(tables::by_uid(connection, &uid).await?);
    }
    Ok(referring)
}

async fn change(
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
    let going = rules::going(&tables::all(connection).await?, &remove.table_uid, remove.with_referrers)?;
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
