//! Progress per coordinate, kept by commits.

use datanode_core::contract::Contract;
use datanode_core::coordinate::Coordinate;
use datanode_core::progress::{CoordinateProgress, Progress};
use sqlx::PgConnection;

use super::stored::{count, damaged, failed, timestamp, to_integer};
use crate::{StoreError, Table};

const STORING: &str = "storing progress";

/// What a table holds.
pub(super) async fn read(connection: &mut PgConnection, table: &Table) -> Result<Progress, StoreError> {
    let place = format!("progress of table {}", table.uid);
    let types = table.contract.dimension_types();
    let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "SELECT coordinate, min_time, max_time, row_count FROM datanode.progress WHERE table_uid = $1",
    )
    .bind(&table.uid)
    .fetch_all(connection)
    .await
    .map_err(failed("reading progress"))?;
    rows.into_iter()
        .map(|(coordinate, min, max, rows)| {
            let coordinate = Coordinate::from_json(&coordinate, &types).map_err(damaged(&place))?;
            let progress = CoordinateProgress {
                min: timestamp(&place, min)?,
                max: timestamp(&place, max)?,
                rows: count(&place, rows)?,
            };
            Ok((coordinate, progress))
        })
        .collect()
}

/// Progress as columns of one statement.
#[derive(Default)]
struct Columns {
    coordinates: Vec<String>,
    min: Vec<i64>,
    max: Vec<i64>,
    rows: Vec<i64>,
}

impl Columns {
    fn of(contract: &Contract, progress: &Progress) -> Result<Self, StoreError> {
        let types = contract.dimension_types();
        let mut columns = Self::default();
        for (coordinate, progress) in progress.iter() {
            let text = coordinate.to_json();
            // A text that does not read back would make this table's progress, and so the table, unusable for ever.
            if Coordinate::from_json(&text, &types).as_ref() != Ok(coordinate) {
                return Err(StoreError::Damaged(format!(
                    "table `{}`: the progress of coordinate {coordinate} cannot be kept",
                    contract.identifier
                )));
            }
            columns.coordinates.push(text);
            columns.min.push(progress.min.micros());
            columns.max.push(progress.max.micros());
            columns.rows.push(to_integer("rows of a coordinate", progress.rows)?);
        }
        Ok(columns)
    }
}

/// Account for rows that were added.
pub(super) async fn extend(
    connection: &mut PgConnection,
    table_uid: &str,
    contract: &Contract,
    added: &Progress,
) -> Result<(), StoreError> {
    let Columns { coordinates, min, max, rows } = Columns::of(contract, added)?;
    sqlx::query(
        "INSERT INTO datanode.progress AS kept (table_uid, coordinate, min_time, max_time, row_count) \
         SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) \
         ON CONFLICT (table_uid, coordinate) DO UPDATE SET min_time = least(kept.min_time, excluded.min_time), \
         max_time = greatest(kept.max_time, excluded.max_time), row_count = kept.row_count + excluded.row_count",
    )
    .bind(table_uid)
    .bind(coordinates)
    .bind(min)
    .bind(max)
    .bind(rows)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed(STORING))
}

/// Put counted progress in the place of what is kept of these coordinates, and forget those that hold nothing more.
pub(super) async fn replace(
    connection: &mut PgConnection,
    table: &Table,
    counted: &Progress,
    emptied: &[Coordinate],
) -> Result<(), StoreError> {
    let emptied: Vec<String> = emptied.iter().map(Coordinate::to_json).collect();
    sqlx::query("DELETE FROM datanode.progress WHERE table_uid = $1 AND coordinate = ANY ($2)")
        .bind(&table.uid)
        .bind(emptied)
        .execute(&mut *connection)
        .await
        .map_err(failed(STORING))?;
    let Columns { coordinates, min, max, rows } = Columns::of(&table.contract, counted)?;
    sqlx::query(
        "UPDATE datanode.progress AS kept SET min_time = _new.min, max_time = _new.max, row_count = _new.rows \
         FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS _new (coordinate, min, max, rows) \
         WHERE kept.table_uid = $1 AND kept.coordinate = _new.coordinate",
    )
    .bind(&table.uid)
    .bind(coordinates)
    .bind(min)
    .bind(max)
    .bind(rows)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed(STORING))
}
