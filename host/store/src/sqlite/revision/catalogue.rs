//! The revisions that tables have, in the catalogue.

use datanode_core::contract::Contract;
use rusqlite::{Connection, Row, params};

use crate::sqlite::stored::{count, damaged, failed, from_json, timestamp, to_integer, to_json};
use crate::{AppliedRevision, ApplyRevision, StoreError};

const DOING: &str = "reading the revisions of a table";

/// In their order.
pub(super) fn all(connection: &Connection, table_uid: &str) -> Result<Vec<AppliedRevision>, StoreError> {
    let mut statement = connection
        .prepare(
            "SELECT revision, parent, message, digest, base, contract, down, rows_before, rows_after, applied_at \
             FROM _table_revisions WHERE table_uid = ?1 ORDER BY position",
        )
        .map_err(failed(DOING))?;
    let mut rows = statement.query([table_uid]).map_err(failed(DOING))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed(DOING))? {
        found.push(revision(row, table_uid)?);
    }
    Ok(found)
}

fn revision(row: &Row<'_>, table_uid: &str) -> Result<AppliedRevision, StoreError> {
    let text = |at: usize| row.get::<_, String>(at).map_err(failed(DOING));
    let number = |at: usize| row.get::<_, i64>(at).map_err(failed(DOING));
    let place = format!("revision of table {table_uid}");
    Ok(AppliedRevision {
        revision: text(0)?,
        parent: row.get(1).map_err(failed(DOING))?,
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
pub(super) fn add(
    connection: &Connection,
    apply: &ApplyRevision,
    base: &Contract,
    rows: (u64, u64),
) -> Result<(), StoreError> {
    const DOING: &str = "storing a revision";
    connection
        .execute(
            "INSERT INTO _table_revisions (table_uid, position, revision, parent, message, digest, base, contract, up, \
             down, rows_before, rows_after, applied_at) SELECT ?1, 1 + (SELECT count(*) FROM _table_revisions WHERE \
             table_uid = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12",
            params![
                apply.table_uid,
                apply.revision,
                apply.parent,
                apply.message,
                apply.digest.to_string(),
                to_json(DOING, base)?,
                to_json(DOING, &apply.after)?,
                apply.up.text,
                apply.down,
                to_integer("rows of a table", rows.0)?,
                to_integer("rows of a table", rows.1)?,
                apply.now.micros(),
            ],
        )
        .map(|_| ())
        .map_err(failed(DOING))
}

/// Forget the last revision.
pub(super) fn remove(connection: &Connection, table_uid: &str, revision: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM _table_revisions WHERE table_uid = ?1 AND revision = ?2", [table_uid, revision])
        .map(|_| ())
        .map_err(failed("removing a revision"))
}

/// Bind a contract to a table, and count that for every run that has read it.
pub(super) fn bind(connection: &Connection, table_uid: &str, contract: &Contract) -> Result<(), StoreError> {
    const DOING: &str = "binding a contract";
    connection
        .execute(
            "UPDATE _tables SET contract = ?2, epoch = epoch + 1 WHERE uid = ?1",
            params![table_uid, to_json(DOING, contract)?],
        )
        .map(|_| ())
        .map_err(failed(DOING))
}
