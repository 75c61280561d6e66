//! Progress per coordinate, kept by commits.

use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::coordinate::Coordinate;
use datanode_core::data_type::DataType;
use datanode_core::progress::{CoordinateProgress, Progress};
use rusqlite::{Connection, Row, params};

use super::stored::{count, damaged, failed, timestamp, to_integer, to_json};
use crate::catalogue::extents::{Asked, RawExtent, RawProgress, Typed, progress_of};
use crate::{Extent, StoreError, Table};

/// Put other progress in the place of what is kept of these coordinates, and forget those that hold nothing more.
pub(super) fn replace(
    connection: &Connection,
    table_uid: &str,
    progress: &Progress,
    emptied: &[Coordinate],
) -> Result<(), StoreError> {
    let failed = failed("storing progress");
    let mut forget = connection
        .prepare("DELETE FROM _progress WHERE table_uid = ?1 AND coordinate = ?2")
        .map_err(&failed)?;
    for coordinate in emptied {
        forget.execute(params![table_uid, coordinate.to_json()]).map_err(&failed)?;
    }
    let mut update = connection
        .prepare(
            "UPDATE _progress SET min_time = ?3, max_time = ?4, row_count = ?5 WHERE table_uid = ?1 AND coordinate = ?2",
        )
        .map_err(&failed)?;
    for (coordinate, progress) in progress.iter() {
        let rows = to_integer("rows of a coordinate", progress.rows)?;
        update
            .execute(params![
                table_uid,
                coordinate.to_json(),
                progress.min.micros(),
                progress.max.micros(),
                rows
            ])
            .map_err(&failed)?;
    }
    Ok(())
}

/// What a table holds.
pub(super) fn read(connection: &Connection, table: &Table) -> Result<Progress, StoreError> {
    let place = format!("progress of table {}", table.uid);
    let types = table.contract.dimension_types();
    let failed = failed("reading progress");
    let mut statement = connection
        .prepare_cached(
            "SELECT coordinate, min_time, max_time, row_count FROM _progress WHERE table_uid = ?1",
        )
        .map_err(&failed)?;
    let rows = statement
        .query_map([&table.uid], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .map_err(&failed)?;
    rows.map(|row| {
        let (coordinate, min, max, rows) = row.map_err(&failed)?;
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
pub(super) fn read_of(connection: &Connection, tables: &[Typed]) -> Result<Vec<Progress>, StoreError> {
    const DOING: &str = "reading progress";
    let failed = failed(DOING);
    let uids: Vec<&str> = tables.iter().map(|(uid, _)| uid.as_str()).collect();
    let mut statement = connection
        .prepare_cached(
            "SELECT table_uid, coordinate, min_time, max_time, row_count FROM _progress \
             WHERE table_uid IN (SELECT value FROM json_each(?1))",
        )
        .map_err(&failed)?;
    let raw = |row: &Row<'_>| -> rusqlite::Result<RawProgress> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    };
    let rows = statement.query_map([to_json(DOING, &uids)?], raw).map_err(&failed)?;
    let rows = rows.collect::<Result<Vec<_>, _>>().map_err(&failed)?;
    progress_of(tables, rows)
}

/// How much some tables hold.
pub(super) fn extents(connection: &Connection, asked: &Asked) -> Result<Vec<Extent>, StoreError> {
    const DOING: &str = "reading progress";
    let failed = failed(DOING);
    let mut statement = connection
        .prepare_cached(
            "SELECT table_uid, sum(row_count), count(*), min(min_time), max(max_time) FROM _progress \
             WHERE table_uid IN (SELECT value FROM json_each(?1)) GROUP BY table_uid",
        )
        .map_err(&failed)?;
    let raw = |row: &Row<'_>| -> rusqlite::Result<RawExtent> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    };
    let sums = statement.query_map([to_json(DOING, &asked.uids)?], raw).map_err(&failed)?;
    let sums = sums.collect::<Result<Vec<_>, _>>().map_err(&failed)?;
    let mut counts = Vec::new();
    for counting in &asked.counting {
        let mut statement = connection.prepare(counting).map_err(&failed)?;
        let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).map_err(&failed)?;
        for row in rows {
            counts.push(row.map_err(&failed)?);
        }
    }
    asked.answer(&sums, counts)
}

/// Account for rows that a commit appends. Refused with [`StoreError::ProgressMoved`] when rows of their coordinate have
/// come since the run began, so that these are no longer behind everything that is there.
pub(super) fn extend(
    connection: &Connection,
    table_uid: &str,
    contract: &Contract,
    added: &Progress,
) -> Result<(), StoreError> {
    let types = contract.dimension_types();
    let failed = failed("storing progress");
    let mut statement = connection
        .prepare_cached(
            "INSERT INTO _progress (table_uid, coordinate, min_time, max_time, row_count) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (table_uid, coordinate) DO UPDATE SET max_time = excluded.max_time, \
             row_count = row_count + excluded.row_count WHERE max_time < excluded.min_time",
        )
        .map_err(&failed)?;
    for (coordinate, progress) in added.iter() {
        let text = readable(contract, &types, coordinate)?;
        let rows = to_integer("rows of a coordinate", progress.rows)?;
        let changed = statement
            .execute(params![table_uid, text, progress.min.micros(), progress.max.micros(), rows])
            .map_err(&failed)?;
        if changed == 0 {
            return Err(StoreError::ProgressMoved {
                table: contract.identifier.clone(),
                coordinate: coordinate.to_string(),
                stored: latest(connection, table_uid, &text)?,
                first: progress.min,
            });
        }
    }
    Ok(())
}

/// Account for rows that were inserted wherever they lie. Nothing that is kept moves back.
pub(super) fn merge(
    connection: &Connection,
    table_uid: &str,
    contract: &Contract,
    inserted: &Progress,
) -> Result<(), StoreError> {
    let types = contract.dimension_types();
    let failed = failed("storing progress");
    let mut statement = connection
        .prepare(
            "INSERT INTO _progress (table_uid, coordinate, min_time, max_time, row_count) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (table_uid, coordinate) DO UPDATE SET min_time = min(min_time, excluded.min_time), \
             max_time = max(max_time, excluded.max_time), row_count = row_count + excluded.row_count",
        )
        .map_err(&failed)?;
    for (coordinate, progress) in inserted.iter() {
        let text = readable(contract, &types, coordinate)?;
        let rows = to_integer("rows of a coordinate", progress.rows)?;
        statement
            .execute(params![table_uid, text, progress.min.micros(), progress.max.micros(), rows])
            .map_err(&failed)?;
    }
    Ok(())
}

/// A coordinate as text. One that does not read back would make this table's progress, and so the table, unusable for
/// ever.
fn readable(contract: &Contract, types: &[DataType], coordinate: &Coordinate) -> Result<String, StoreError> {
    let text = coordinate.to_json();
    if Coordinate::from_json(&text, types).as_ref() == Ok(coordinate) {
        return Ok(text);
    }
    Err(StoreError::Damaged(format!(
        "table `{}`: the progress of coordinate {coordinate} cannot be kept",
        contract.identifier
    )))
}

/// The latest time of a coordinate that has one.
fn latest(connection: &Connection, table_uid: &str, coordinate: &str) -> Result<Timestamp, StoreError> {
    let max = connection
        .query_row(
            "SELECT max_time FROM _progress WHERE table_uid = ?1 AND coordinate = ?2",
            [table_uid, coordinate],
            |row| row.get(0),
        )
        .map_err(failed("reading progress"))?;
    timestamp(&format!("progress of table {table_uid}"), max)
}
