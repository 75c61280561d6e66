//! Registered tables.

use datanode_core::Timestamp;
use datanode_core::access::Actor;
use datanode_core::contract::{Contract, MetadataEdit};
use datanode_core::difference::changes;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::stored::{failed, to_json};
use super::{audit, ddl, foreign_keys};
use crate::catalogue::audit as entries;
use crate::catalogue::tables::{Raw, bound, in_order, metadata_changes, not_found, proposals, table, taken};
use crate::{RegisteredTable, StoreError, Table, TableDifference};

const BY_UID: &str = "SELECT uid, contract, epoch, created_at, owner FROM datanode.tables WHERE uid = $1";
const LOCKED: &str =
    "SELECT uid, contract, epoch, created_at, owner FROM datanode.tables WHERE uid = $1 FOR NO KEY UPDATE";
const SHARED: &str =
    "SELECT uid, contract, epoch, created_at, owner FROM datanode.tables WHERE uid = $1 FOR SHARE";
const BY_IDENTIFIER: &str =
    "SELECT uid, contract, epoch, created_at, owner FROM datanode.tables WHERE identifier = $1";
const BY_PHYSICAL_NAME: &str =
    "SELECT uid, contract, epoch, created_at, owner FROM datanode.tables WHERE physical_name = $1";
const ALL: &str = "SELECT uid, contract, epoch, created_at, owner FROM datanode.tables ORDER BY identifier";
const CALLED: &str = "SELECT uid, contract, epoch, created_at, owner FROM datanode.tables \
     WHERE uid = ANY($1) OR identifier = ANY($1)";

async fn find(
    connection: &mut PgConnection,
    sql: &'static str,
    value: &str,
) -> Result<Option<Table>, StoreError> {
    let row: Option<Raw> = sqlx::query_as(sql)
        .bind(value)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading a table"))?;
    row.map(table).transpose()
}

/// All tables, by identifier.
pub(super) async fn all(connection: &mut PgConnection) -> Result<Vec<Table>, StoreError> {
    let rows: Vec<Raw> = sqlx::query_as(ALL).fetch_all(connection).await.map_err(failed("reading tables"))?;
    rows.into_iter().map(table).collect()
}

/// By identifier or uid, in the order in which they are asked for.
pub(super) async fn called(
    connection: &mut PgConnection,
    references: &[String],
) -> Result<Vec<Table>, StoreError> {
    let rows: Vec<Raw> = sqlx::query_as(CALLED)
        .bind(references)
        .fetch_all(connection)
        .await
        .map_err(failed("reading tables"))?;
    let found = rows.into_iter().map(table).collect::<Result<Vec<_>, _>>()?;
    Ok(in_order(references, &found))
}

/// The table that holds an identifier.
pub(super) async fn holding(
    connection: &mut PgConnection,
    identifier: &str,
) -> Result<Option<Table>, StoreError> {
    find(connection, BY_IDENTIFIER, identifier).await
}

/// By uid.
pub(super) async fn by_uid(connection: &mut PgConnection, uid: &str) -> Result<Table, StoreError> {
    find(connection, BY_UID, uid).await?.ok_or_else(|| not_found(uid))
}

/// By uid; nobody else locks it in this way or shares it until the transaction ends. What merely refers to it, as records
/// of other runs do, does not wait.
pub(super) async fn locked(connection: &mut PgConnection, uid: &str) -> Result<Table, StoreError> {
    find(connection, LOCKED, uid).await?.ok_or_else(|| not_found(uid))
}

/// By uid; others may lock it so, too, but nobody changes its epoch until the transaction ends.
pub(super) async fn shared(connection: &mut PgConnection, uid: &str) -> Result<Table, StoreError> {
    find(connection, SHARED, uid).await?.ok_or_else(|| not_found(uid))
}

/// By identifier or uid. (No text is both: an identifier holds no `-`.)
pub(super) async fn by_reference(
    connection: &mut PgConnection,
    reference: &str,
) -> Result<Table, StoreError> {
    if let Some(table) = holding(connection, reference).await? {
        return Ok(table);
    }
    by_uid(connection, reference).await
}

/// Register a table and create its storage, and write down that this actor has done so, whose table it is.
pub(super) async fn register(
    connection: &mut PgConnection,
    actor: &Actor,
    contract: &Contract,
    now: Timestamp,
) -> Result<RegisteredTable, StoreError> {
    let owner = actor.user.as_ref().map(|user| user.uid.clone());
    let registered = enter(connection, contract, owner, now).await?;
    if let Some(entry) = entries::table_registered(&registered) {
        audit::record(connection, actor, &entry).await?;
    }
    Ok(registered)
}

async fn enter(
    connection: &mut PgConnection,
    contract: &Contract,
    owner: Option<String>,
    now: Timestamp,
) -> Result<RegisteredTable, StoreError> {
    const DOING: &str = "registering a table";
    if let Some(holder) = holding(connection, &contract.identifier).await? {
        let contract = bind(connection, contract, &holder.uid, Some(&holder.contract)).await?;
        return apply_metadata(connection, holder, contract).await;
    }
    let uid = Uuid::new_v4().to_string();
    let contract = bind(connection, contract, &uid, None).await?;
    let targets = foreign_keys::targets(connection, &contract, Some(&uid)).await?;
    let create = ddl::create_table(&contract, &targets)?;
    if let Some(holder) = find(connection, BY_PHYSICAL_NAME, contract.physical_name()).await? {
        return Err(StoreError::PhysicalNameTaken {
            physical_name: contract.physical_name().to_owned(),
            holder: holder.contract.identifier,
        });
    }
    let value = Table { uid, contract, epoch: 0, created_at: now, owner };
    sqlx::query(
        "INSERT INTO datanode.tables (uid, identifier, physical_name, contract, epoch, created_at, owner) \
         VALUES ($1, $2, $3, $4, 0, $5, $6)",
    )
    .bind(&value.uid)
    .bind(&value.contract.identifier)
    .bind(value.contract.physical_name())
    .bind(to_json(DOING, &value.contract)?)
    .bind(now.micros())
    .bind(&value.owner)
    .execute(&mut *connection)
    .await
    .map_err(failed(DOING))?;
    sqlx::raw_sql(AssertSqlSafe(create))
        .execute(connection)
        .await
        .map_err(failed("creating the storage of a table"))?;
    Ok(RegisteredTable { value, created: true, changes: Vec::new() })
}

/// A contract as the catalogue keeps it.
pub(super) async fn bind(
    connection: &mut PgConnection,
    contract: &Contract,
    uid: &str,
    held: Option<&Contract>,
) -> Result<Contract, StoreError> {
    bound(foreign_keys::resolve(connection, contract.clone(), uid).await?, held)
}

/// What registering a contract would change.
pub(super) async fn difference(
    connection: &mut PgConnection,
    contract: &Contract,
) -> Result<TableDifference, StoreError> {
    let holder = holding(connection, &contract.identifier).await?;
    let table = holder.ok_or_else(|| not_found(&contract.identifier))?;
    let contract = bind(connection, contract, &table.uid, Some(&table.contract)).await?;
    let changes = changes(&table.contract, &contract);
    Ok(TableDifference { table, contract, changes })
}

/// Change what people read of a table.
pub(super) async fn edit(
    connection: &mut PgConnection,
    reference: &str,
    edit: &MetadataEdit,
) -> Result<RegisteredTable, StoreError> {
    let table = by_reference(connection, reference).await?;
    let contract = edit.apply(&table.contract)?;
    apply_metadata(connection, table, contract).await
}

/// Take over what changes no row, reader or writer; refuse the rest.
pub(super) async fn apply_metadata(
    connection: &mut PgConnection,
    holder: Table,
    contract: Contract,
) -> Result<RegisteredTable, StoreError> {
    const DOING: &str = "changing the metadata of a table";
    let Some(changes) = metadata_changes(&holder, &contract) else {
        let proposal = propose(connection, &contract.identifier, contract.namespace.as_deref()).await?;
        return Err(taken(&holder, contract, proposal));
    };
    if changes.is_empty() {
        return Ok(RegisteredTable { value: holder, created: false, changes });
    }
    sqlx::query("UPDATE datanode.tables SET contract = $2 WHERE uid = $1")
        .bind(&holder.uid)
        .bind(to_json(DOING, &contract)?)
        .execute(connection)
        .await
        .map_err(failed(DOING))?;
    Ok(RegisteredTable { value: Table { contract, ..holder }, created: false, changes })
}

/// An identifier like this one that is free.
pub(super) async fn propose(
    connection: &mut PgConnection,
    identifier: &str,
    namespace: Option<&str>,
) -> Result<String, StoreError> {
    for proposal in proposals(identifier, namespace) {
        if holding(connection, &proposal).await?.is_none() {
            return Ok(proposal);
        }
    }
    Ok(identifier.to_owned())
}

/// Count a change of rows other than by appending: commits that read the table before it are refused. The epoch from now on.
pub(super) async fn raise_epoch(connection: &mut PgConnection, uid: &str) -> Result<i64, StoreError> {
    sqlx::query_scalar("UPDATE datanode.tables SET epoch = epoch + 1 WHERE uid = $1 RETURNING epoch")
        .bind(uid)
        .fetch_one(connection)
        .await
        .map_err(failed("raising an epoch"))
}
