//! Progress per coordinate, kept by commits.

use std::collections::HashSet;

use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::coordinate::Coordinate;
use datanode_core::progress::{CoordinateProgress, Progress};
use sqlx::{AssertSqlSafe, PgConnection};

use super::append::short;
use super::refusal::{Refusal, refusal};
use super::stored::{count, damaged, failed, timestamp, to_integer};
use crate::catalogue::extents::{Asked, RawExtent, RawProgress, progress_of, typed};
use crate::{Extent, StoreError, Table};

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

/// What some tables hold.
pub(super) async fn read_of(
    connection: &mut PgConnection,
    tables: &[Table],
) -> Result<Vec<Progress>, StoreError> {
    let tables = typed(tables);
    let uids: Vec<&str> = tables.iter().map(|(uid, _)| uid.as_str()).collect();
    let rows: Vec<RawProgress> = sqlx::query_as(
        "SELECT table_uid, coordinate, min_time, max_time, row_count FROM datanode.progress \
         WHERE table_uid = ANY($1)",
    )
    .bind(uids)
    .fetch_all(connection)
    .await
    .map_err(failed("reading progress"))?;
    progress_of(&tables, rows)
}

/// How much some tables hold. `between` is done after each statement that has counted rows.
pub(super) async fn extents(
    connection: &mut PgConnection,
    asked: &Asked,
    between: &'static str,
) -> Result<Vec<Extent>, StoreError> {
    const DOING: &str = "reading progress";
    let sums: Vec<RawExtent> = sqlx::query_as(
        "SELECT table_uid, sum(row_count)::bigint, count(*), min(min_time), max(max_time) \
         FROM datanode.progress WHERE table_uid = ANY($1) GROUP BY table_uid",
    )
    .bind(&asked.uids)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed(DOING))?;
    let mut counts: Vec<(i64, i64)> = Vec::new();
    for counting in &asked.counting {
        let counted: Result<Vec<(i64, i64)>, sqlx::Error> =
            sqlx::query_as(AssertSqlSafe(counting.clone())).fetch_all(&mut *connection).await;
        counts.extend(counted.map_err(failed(DOING))?);
        sqlx::raw_sql(between).execute(&mut *connection).await.map_err(failed(DOING))?;
    }
    asked.answer(&sums, counts)
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

/// Account for rows that a commit appends. Refused with [`StoreError::ProgressMoved`] when rows of their coordinate have
/// come since the run began, so that these are no longer behind everything that is there.
pub(super) async fn extend(
    connection: &mut PgConnection,
    table_uid: &str,
    contract: &Contract,
    added: &Progress,
) -> Result<(), StoreError> {
    let Columns { coordinates, min, max, rows } = Columns::of(contract, added)?;
    // In the order of the coordinates, which is the same for all: two that append to several wait for each other, and
    // never both.
    let extended: Vec<String> = sqlx::query_scalar(
        "INSERT INTO datanode.progress AS kept (table_uid, coordinate, min_time, max_time, row_count) \
         SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) \
         ON CONFLICT (table_uid, coordinate) DO UPDATE SET max_time = excluded.max_time, \
         row_count = kept.row_count + excluded.row_count WHERE kept.max_time < excluded.min_time \
         RETURNING coordinate",
    )
    .bind(table_uid)
    .bind(coordinates)
    .bind(min)
    .bind(max)
    .bind(rows)
    .fetch_all(&mut *connection)
    .await
    .map_err(|error| refused(error, contract, added))?;
    if extended.len() == added.len() {
        return Ok(());
    }
    let extended: HashSet<String> = extended.into_iter().collect();
    let moved = added.iter().map(|(coordinate, progress)| (coordinate, coordinate.to_json(), progress));
    for (coordinate, text, progress) in moved {
        if !extended.contains(&text) {
            return Err(StoreError::ProgressMoved {
                table: contract.identifier.clone(),
                coordinate: coordinate.to_string(),
                stored: latest(connection, table_uid, &text).await?,
                first: progress.min,
            });
        }
    }
    Err(StoreError::Damaged(format!("progress of table {table_uid}: two coordinates have one text")))
}

/// Account for rows that were inserted wherever they lie. Nothing that is kept moves back.
pub(super) async fn merge(
    connection: &mut PgConnection,
    table_uid: &str,
    contract: &Contract,
    inserted: &Progress,
) -> Result<(), StoreError> {
    if inserted.is_empty() {
        return Ok(());
    }
    let Columns { coordinates, min, max, rows } = Columns::of(contract, inserted)?;
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
    .map_err(|error| refused(error, contract, inserted))
}

/// Why progress was not taken.
fn refused(error: sqlx::Error, contract: &Contract, added: &Progress) -> StoreError {
    match refusal(&error) {
        Some(Refusal::Value(problem)) => too_long(contract, added, problem),
        _ => failed(STORING)(error),
    }
}

/// A coordinate that does not fit an index is the longest.
fn too_long(contract: &Contract, added: &Progress, problem: String) -> StoreError {
    let texts = added.iter().map(|(coordinate, _)| coordinate.to_string());
    let longest = texts.max_by_key(String::len).unwrap_or_default();
    StoreError::UnsupportedValue {
        table: contract.identifier.clone(),
        row: format!("of {}", short(longest)),
        column: None,
        problem,
    }
}

/// The latest time of a coordinate that has one.
async fn latest(
    connection: &mut PgConnection,
    table_uid: &str,
    coordinate: &str,
) -> Result<Timestamp, StoreError> {
    let max =
        sqlx::query_scalar("SELECT max_time FROM datanode.progress WHERE table_uid = $1 AND coordinate = $2")
            .bind(table_uid)
            .bind(coordinate)
            .fetch_one(connection)
            .await
            .map_err(failed("reading progress"))?;
    timestamp(&format!("progress of table {table_uid}"), max)
}

/// Put counted progress in the place of what is kept of these coordinates, and forget those that hold nothing more.
pub(super) async fn replace(
    connection: &mut PgConnection,
    table: &Table,
    counted: &Progress,
    emptied: &[Coordinate],
) -> Result<(), StoreError> {
    if !emptied.is_empty() {
        let emptied: Vec<String> = emptied.iter().map(Coordinate::to_json).collect();
        sqlx::query("DELETE FROM datanode.progress WHERE table_uid = $1 AND coordinate = ANY ($2)")
            .bind(&table.uid)
            .bind(emptied)
            .execute(&mut *connection)
            .await
            .map_err(failed(STORING))?;
    }
    if counted.is_empty() {
        return Ok(());
    }
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
