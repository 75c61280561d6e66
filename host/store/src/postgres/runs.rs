//! Run records and their lineage.

use datanode_core::run::{RunRecord, RunStatus};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::reference::starting_with;
use super::stored::{failed, from_json, to_integer, to_json};
use super::{journals, lease, ledger, nodes, tables};
use crate::catalogue::reference::ambiguous;
use crate::{RunFilter, RunJournal, StoreError};

fn record(text: &str) -> Result<RunRecord, StoreError> {
    from_json("a run record", text)
}

/// By run id, written in full.
pub(super) async fn by_id(
    connection: &mut PgConnection,
    run_id: &str,
) -> Result<Option<RunRecord>, StoreError> {
    let found: Option<String> = sqlx::query_scalar("SELECT record FROM datanode.runs WHERE run_id = $1")
        .bind(run_id)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading a run"))?;
    found.map(|text| record(&text)).transpose()
}

/// By run id or prefix of one.
pub(super) async fn by_reference(
    connection: &mut PgConnection,
    reference: &str,
) -> Result<RunRecord, StoreError> {
    if let Some(record) = by_id(connection, reference).await? {
        return Ok(record);
    }
    let mut found = starting_with(
        connection,
        "SELECT run_id FROM datanode.runs WHERE run_id >= $1 AND run_id < $2 ORDER BY run_id LIMIT $3",
        reference,
    )
    .await?;
    if found.len() > 1 {
        return Err(ambiguous("run", reference, found));
    }
    let run = match found.pop() {
        Some(run_id) => by_id(connection, &run_id).await?,
        None => None,
    };
    run.ok_or_else(|| StoreError::NotFound { kind: "run", reference: reference.to_owned() })
}

/// Runs, newest first.
pub(super) async fn list(
    connection: &mut PgConnection,
    filter: &RunFilter,
) -> Result<Vec<RunRecord>, StoreError> {
    // Only conditions that were asked for, so that each has its index.
    let mut query = QueryBuilder::<Postgres>::new("SELECT record FROM datanode.runs WHERE true");
    if let Some(uid) = &filter.node_uid {
        query.push(" AND node_uid = ").push_bind(uid);
    }
    if let Some(uid) = &filter.table_uid {
        query.push(" AND table_uid = ").push_bind(uid);
    }
    if let Some(uids) = &filter.readable {
        query.push(" AND table_uid = ANY(").push_bind(uids).push(")");
    }
    if let Some(status) = filter.status {
        query.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some(before) = &filter.before {
        query
            .push(" AND (started_at, run_id) < (SELECT started_at, run_id FROM datanode.runs WHERE run_id = ")
            .push_bind(before)
            .push(")");
    }
    query.push(" ORDER BY started_at DESC, run_id DESC");
    if let Some(limit) = filter.limit {
        query.push(" LIMIT ").push_bind(i64::from(limit));
    }
    let found: Vec<String> =
        query.build_query_scalar().fetch_all(connection).await.map_err(failed("reading runs"))?;
    found.iter().map(|text| record(text)).collect()
}

/// The last run of each of these nodes.
pub(super) async fn last(
    connection: &mut PgConnection,
    node_uids: &[String],
) -> Result<Vec<RunRecord>, StoreError> {
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT r.record FROM unnest($1::text[]) AS n (uid) CROSS JOIN LATERAL (\
         SELECT record FROM datanode.runs WHERE node_uid = n.uid \
         ORDER BY started_at DESC, run_id DESC LIMIT 1) AS r",
    )
    .bind(node_uids)
    .fetch_all(connection)
    .await
    .map_err(failed("reading runs"))?;
    found.iter().map(|text| record(text)).collect()
}

/// Store a record without its lineage; the run id is new.
pub(super) async fn insert(connection: &mut PgConnection, run: &RunRecord) -> Result<(), StoreError> {
    const DOING: &str = "storing a run";
    // Foreign keys would refuse these too, but not say which.
    nodes::update_hash(connection, &run.node_uid).await?;
    tables::by_uid(connection, &run.table_uid).await?;
    sqlx::query(
        "INSERT INTO datanode.runs (run_id, node_uid, table_uid, status, started_at, rows_inserted, record) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&run.run_id)
    .bind(&run.node_uid)
    .bind(&run.table_uid)
    .bind(run.status.as_str())
    .bind(run.started_at.micros())
    .bind(to_integer("rows of a run", run.rows_inserted)?)
    .bind(to_json(DOING, run)?)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed(DOING))
}

/// Store the lineage of a run whose record is there.
pub(super) async fn insert_lineage(connection: &mut PgConnection, run: &RunRecord) -> Result<(), StoreError> {
    for (position, input) in (0_i64..).zip(&run.inputs) {
        tables::by_uid(connection, &input.table_uid).await?;
        sqlx::query(
            "INSERT INTO datanode.run_inputs (run_id, position, key, table_uid, row_count, digest) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&run.run_id)
        .bind(position)
        .bind(&input.key)
        .bind(&input.table_uid)
        .bind(to_integer("rows of an input", input.rows)?)
        .bind(input.digest.to_string())
        .execute(&mut *connection)
        .await
        .map_err(failed("storing the lineage of a run"))?;
    }
    Ok(())
}

/// Store the record of a run that stores no rows, unless its run id is there: the first outcome of a run stands. Its
/// lease is given up with it. `holds_window` says that it holds its window of a backfill. The record that stands.
pub(super) async fn end(
    connection: &mut PgConnection,
    run: &RunRecord,
    journal: Option<&RunJournal>,
    holds_window: bool,
) -> Result<RunRecord, StoreError> {
    // A commit of this run whose client was cut off may still be under way in the server.
    lease::wait_for_commit(connection, &run.node_uid, &run.run_id).await?;
    let held = lease::release_of_run(connection, &run.node_uid, &run.run_id).await?;
    if let Some(first) = by_id(connection, &run.run_id).await? {
        return Ok(first);
    }
    // Whoever has claimed the node since, or holds it still, knows better what became of its windows.
    if (held || holds_window) && run.status == RunStatus::Failed {
        ledger::fail(connection, run).await?;
    }
    insert(connection, run).await?;
    insert_lineage(connection, run).await?;
    if let Some(journal) = journal {
        journals::insert(connection, &run.run_id, journal).await?;
    }
    Ok(run.clone())
}
