//! Run records.

use datanode_core::run::RunRecord;
use sqlx::PgConnection;

use super::stored::{damaged, failed, to_integer};
use crate::StoreError;

pub(super) async fn by_id(
    connection: &mut PgConnection,
    run_id: &str,
) -> Result<Option<RunRecord>, StoreError> {
    let record: Option<String> = sqlx::query_scalar("SELECT record FROM datanode.runs WHERE run_id = $1")
        .bind(run_id)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading a run"))?;
    record.map(|record| serde_json::from_str(&record).map_err(damaged("a run"))).transpose()
}

pub(super) async fn insert(connection: &mut PgConnection, run: &RunRecord) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO datanode.runs (run_id, node_uid, table_uid, status, started_at, rows_inserted, record) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(&run.run_id).bind(&run.node_uid).bind(&run.table_uid).bind(run.status.as_str()).bind(run.started_at.micros())
        .bind(to_integer("rows", run.rows_inserted)?).bind(serde_json::to_string(run).map_err(damaged("a run"))?)
        .execute(connection).await.map(|_| ()).map_err(failed("storing a run"))
}

pub(super) async fn insert_lineage(
    _connection: &mut PgConnection,
    _run: &RunRecord,
) -> Result<(), StoreError> {
    Ok(())
}
