//! Registered tables.

use datanode_core::contract::Contract;
use sqlx::PgConnection;

use super::stored::{damaged, failed, timestamp};
use crate::{StoreError, Table};

pub(super) async fn find(
    connection: &mut PgConnection,
    sql: &'static str,
    uid: &str,
) -> Result<Table, StoreError> {
    let row: Option<(String, String, i64, i64)> =
        sqlx::query_as(sql).bind(uid).fetch_optional(connection).await.map_err(failed("reading a table"))?;
    let (uid, contract, epoch, created_at) =
        row.ok_or_else(|| StoreError::NotFound { kind: "table", reference: uid.to_owned() })?;
    let contract: Contract = serde_json::from_str(&contract).map_err(damaged("table"))?;
    Ok(Table { contract, epoch, created_at: timestamp("table", created_at)?, uid })
}

pub(super) async fn by_uid(connection: &mut PgConnection, uid: &str) -> Result<Table, StoreError> {
    find(connection, "SELECT uid, contract, epoch, created_at FROM datanode.tables WHERE uid = $1", uid).await
}

/// By uid; locked until the transaction ends.
pub(super) async fn locked(connection: &mut PgConnection, uid: &str) -> Result<Table, StoreError> {
    find(
        connection,
        "SELECT uid, contract, epoch, created_at FROM datanode.tables WHERE uid = $1 FOR UPDATE",
        uid,
    )
    .await
}

pub(super) async fn all(connection: &mut PgConnection) -> Result<Vec<Table>, StoreError> {
    let uids: Vec<String> = sqlx::query_scalar("SELECT uid FROM datanode.tables ORDER BY identifier")
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("reading tables"))?;
    let mut tables = Vec::new();
    for uid in uids {
        tables.push(by_uid(connection, &uid).await?);
    }
    Ok(tables)
}

pub(super) async fn raise_epoch(connection: &mut PgConnection, uid: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE datanode.tables SET epoch = epoch + 1 WHERE uid = $1")
        .bind(uid)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed("raising an epoch"))
}

/// By uid; others may lock it so, too, but nobody changes its epoch until the transaction ends.
pub(super) async fn shared(connection: &mut PgConnection, uid: &str) -> Result<Table, StoreError> {
    find(
        connection,
        "SELECT uid, contract, epoch, created_at FROM datanode.tables WHERE uid = $1 FOR SHARE",
        uid,
    )
    .await
}
