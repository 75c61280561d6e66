//! The revisions that tables have, in the catalogue.

use datanode_core::contract::Contract;
use sqlx::PgConnection;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::postgres::stored::{count, damaged, failed, from_json, timestamp, to_integer, to_json};
use crate::{AppliedRevision, ApplyRevision, StoreError};

const DOING: &str = "reading the revisions of a table";

/// In their order.
pub(super) async fn all(
    connection: &mut PgConnection,
    table_uid: &str,
) -> Result<Vec<AppliedRevision>, StoreError> {
    let rows = sqlx::query(
        "SELECT revision, parent, message, digest, base, contract, down, rows_before, rows_after, applied_at \
         FROM datanode.table_revisions WHERE table_uid = $1 ORDER BY position",
    )
    .bind(table_uid)
    .fetch_all(connection)
    .await
    .map_err(failed(DOING))?;
    rows.iter().map(|row| revision(row, table_uid)).collect()
}

fn revision(row: &PgRow, table_uid: &str) -> Result<AppliedRevision, StoreError> {
    let text = |at: usize| row.try_get::<String, _>(at).map_err(failed(DOING));
    let number = |at: usize| row.try_get::<i64, _>(at).map_err(failed(DOING));
    let place = format!("revision of table {table_uid}");
    Ok(AppliedRevision {
        revision: text(0)?,
        parent: row.try_get(1).map_err(failed(DOING))?,
        message: text(2)?,
        digest: text(3)?.parse().map_err(damaged(&place))?,
        base: from_json(&place, &text(4)?)?,
        contract: from_json(&place, &text(5)?)?,
        down: text(6)?,
        rows_before: count(&place, number(7)?)?,
        rows_after: count(&place, number(8)?)?,
        applied_at: timestamp(&place, number(9)?)?,
    })
}

/// Keep a revision as the last one.
pub(super) async fn add(
    connection: &mut PgConnection,
    apply: &ApplyRevision,
    base: &Contract,
    rows: (u64, u64),
) -> Result<(), StoreError> {
    const DOING: &str = "storing a revision";
    sqlx::query(
        "INSERT INTO datanode.table_revisions (table_uid, position, revision, parent, message, digest, base, contract, \
         up, down, rows_before, rows_after, applied_at) SELECT $1, 1 + (SELECT count(*) FROM \
         datanode.table_revisions WHERE table_uid = $1), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12",
    )
    .bind(&apply.table_uid)
    .bind(&apply.revision)
    .bind(&apply.parent)
    .bind(&apply.message)
    .bind(apply.digest.to_string())
    .bind(to_json(DOING, base)?)
    .bind(to_json(DOING, &apply.after)?)
    .bind(&apply.up.text)
    .bind(&apply.down)
    .bind(to_integer("rows of a table", rows.0)?)
    .bind(to_integer("rows of a table", rows.1)?)
    .bind(apply.now.micros())
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed(DOING))
}

/// Forget the last revision.
pub(super) async fn remove(
    connection: &mut PgConnection,
    table_uid: &str,
    revision: &str,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM datanode.table_revisions WHERE table_uid = $1 AND revision = $2")
        .bind(table_uid)
        .bind(revision)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed("removing a revision"))
}

/// Bind a contract to a table, and count that for every run that has read it.
pub(super) async fn bind(
    connection: &mut PgConnection,
    table_uid: &str,
    contract: &Contract,
) -> Result<(), StoreError> {
    const DOING: &str = "binding a contract";
    sqlx::query(
        "UPDATE datanode.tables SET contract = $2, epoch = epoch + 1, revised = revised + 1 WHERE uid = $1",
    )
    .bind(table_uid)
    .bind(to_json(DOING, contract)?)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed(DOING))
}
