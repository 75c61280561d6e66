//! Run records and their lineage.

use datanode_core::run::{RunRecord, RunStatus};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::reference::starting_with;
use super::stored::{change, failed, find, from_json, to_integer, to_json};
use super::{journals, lease, ledger, nodes, tables};
use crate::catalogue::reference::ambiguous;
use crate::{RunFilter, RunJournal, StoreError};

fn record(text: &str) -> Result<RunRecord, StoreError> {
    from_json("a run record", text)
}

/// By run id, written in full.
pub(super) fn by_id(connection: &Connection, run_id: &str) -> Result<Option<RunRecord>, StoreError> {
    find(connection, "SELECT record FROM _runs WHERE run_id = ?1", [run_id], |row| row.get::<_, String>(0))
        .map_err(failed("reading a run"))?
        .map(|text| record(&text))
        .transpose()
}

/// By run id or prefix of one.
pub(super) fn by_reference(connection: &Connection, reference: &str) -> Result<RunRecord, StoreError> {
    if let Some(record) = by_id(connection, reference)? {
        return Ok(record);
    }
    let mut found = starting_with(connection, "run_id", "_runs", reference)?;
    if found.len() > 1 {
        return Err(ambiguous("run", reference, found));
    }
    let run = match found.pop() {
        Some(run_id) => by_id(connection, &run_id)?,
        None => None,
    };
    run.ok_or_else(|| StoreError::NotFound { kind: "run", reference: reference.to_owned() })
}

/// Runs, newest first.
pub(super) fn list(connection: &Connection, filter: &RunFilter) -> Result<Vec<RunRecord>, StoreError> {
    // Only conditions that were asked for: `(? IS NULL OR column = ?)` would keep SQLite from using an index.
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    let readable = filter.readable.as_ref().map(|uids| to_json("reading runs", uids)).transpose()?;
    for (condition, value) in [
        ("node_uid = ?", filter.node_uid.clone()),
        ("table_uid = ?", filter.table_uid.clone()),
        ("table_uid IN (SELECT value FROM json_each(?))", readable),
        ("status = ?", filter.status.map(|status| status.as_str().to_owned())),
        (
            "(started_at, run_id) < (SELECT started_at, run_id FROM _runs WHERE run_id = ?)",
            filter.before.clone(),
        ),
    ] {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(Value::Text(value));
        }
    }
    let condition =
        if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    // To SQLite a negative limit is none.
    values.push(Value::Integer(filter.limit.map_or(-1, i64::from)));
    let failed = failed("reading runs");
    let mut statement = connection
        .prepare(&format!(
            "SELECT record FROM _runs {condition} ORDER BY started_at DESC, run_id DESC LIMIT ?"
        ))
        .map_err(&failed)?;
    let rows =
        statement.query_map(params_from_iter(values), |row| row.get::<_, String>(0)).map_err(&failed)?;
    rows.map(|row| record(&row.map_err(&failed)?)).collect()
}

/// The last run of each of these nodes.
pub(super) fn last(connection: &Connection, node_uids: &[String]) -> Result<Vec<RunRecord>, StoreError> {
    let failed = failed("reading runs");
    let mut statement = connection
        .prepare_cached(
            "SELECT record FROM _runs WHERE run_id IN (\
             SELECT (SELECT r.run_id FROM _runs r WHERE r.node_uid = n.value \
             ORDER BY r.started_at DESC, r.run_id DESC LIMIT 1) FROM json_each(?1) n)",
        )
        .map_err(&failed)?;
    let rows = statement
        .query_map([to_json("reading runs", &node_uids)?], |row| row.get::<_, String>(0))
        .map_err(&failed)?;
    rows.map(|row| record(&row.map_err(&failed)?)).collect()
}

/// Store a record without its lineage; the run id is new.
pub(super) fn insert(connection: &Connection, run: &RunRecord) -> Result<(), StoreError> {
    const DOING: &str = "storing a run";
    // Foreign keys would refuse these too, but not say which.
    nodes::must_exist(connection, &run.node_uid)?;
    tables::by_uid(connection, &run.table_uid)?;
    change(
        connection,
        "INSERT INTO _runs (run_id, node_uid, table_uid, status, started_at, rows_inserted, record) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            run.run_id,
            run.node_uid,
            run.table_uid,
            run.status.as_str(),
            run.started_at.micros(),
            to_integer("rows of a run", run.rows_inserted)?,
            to_json(DOING, run)?,
        ],
    )
    .map(|_| ())
    .map_err(failed(DOING))
}

/// Store the lineage of a run whose record is there.
pub(super) fn insert_lineage(connection: &Connection, run: &RunRecord) -> Result<(), StoreError> {
    for (position, input) in (0_i64..).zip(&run.inputs) {
        tables::by_uid(connection, &input.table_uid)?;
        connection
            .execute(
                "INSERT INTO _run_inputs (run_id, position, key, table_uid, row_count, digest) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    run.run_id,
                    position,
                    input.key,
                    input.table_uid,
                    to_integer("rows of an input", input.rows)?,
                    input.digest.to_string(),
                ],
            )
            .map_err(failed("storing the lineage of a run"))?;
    }
    Ok(())
}

/// Store the record of a run that stores no rows, unless its run id is there: the first outcome of a run stands. Its
/// lease is given up with it. `holds_window` says that it holds its window of a backfill. The record that stands.
pub(super) fn end(
    connection: &Connection,
    run: RunRecord,
    journal: Option<&RunJournal>,
    holds_window: bool,
) -> Result<RunRecord, StoreError> {
    let held = lease::release_of_run(connection, &run.node_uid, &run.run_id)?;
    if let Some(first) = by_id(connection, &run.run_id)? {
        return Ok(first);
    }
    // Whoever has claimed the node since, or holds it still, knows better what became of its windows.
    if (held || holds_window) && run.status == RunStatus::Failed {
        ledger::fail(connection, &run)?;
    }
    insert(connection, &run)?;
    insert_lineage(connection, &run)?;
    if let Some(journal) = journal {
        journals::insert(connection, &run.run_id, journal)?;
    }
    Ok(run)
}
