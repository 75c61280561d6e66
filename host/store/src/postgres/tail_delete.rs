//! Deleting the tail of a table, and asking whether its progress is right.

use std::collections::BTreeMap;

use datanode_core::contract::{Contract, ForeignKey, OnDelete, TIME_INDEX, TableKind};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::progress::{CoordinateProgress, Progress};
use datanode_core::query::ReadQuery;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::ddl::{list, quote, table_name};
use super::keys::{coordinate, micros, selected};
use super::literal::{array, literal};
use super::refusal::{Refusal, refusal};
use super::select::conditions;
use super::stored::{count, failed, timestamp};
use super::{foreign_keys, ledger, progress, tables};
use crate::{DeleteAfter, DeleteScope, Deleted, ProgressDifference, StoreError, Table};

const DELETING: &str = "deleting the tail of a table";
const SAVE: &str = "SAVEPOINT _delete";
const GO_BACK: &str = "ROLLBACK TO SAVEPOINT _delete";
const COUNTING: &str = "counting the rows of a table";

/// Delete rows, correct progress, open windows and raise the table's epoch. The caller commits, or rolls back on an error.
pub(super) async fn delete_after(
    connection: &mut PgConnection,
    delete: &DeleteAfter,
) -> Result<Deleted, StoreError> {
    let table = tables::locked(connection, &delete.table_uid).await?;
    if table.contract.kind != TableKind::TimeIndexed {
        return Err(StoreError::NoTail { table: table.contract.identifier });
    }
    let gone = delete_rows(connection, &table, delete).await?;
    let rows: u64 = gone.values().sum();
    if rows > 0 {
        let kept = progress::read(connection, &table).await?;
        correct(connection, &table, &kept, gone, delete).await?;
        for uid in foreign_keys::changed_by_deletion(connection, &table.uid).await? {
            if uid != table.uid {
                tables::raise_epoch(connection, &uid).await?;
            }
        }
    }
    let progress = progress::read(connection, &table).await?;
    let reopened = ledger::reopen(connection, &table.uid, delete.after, progress.max_time()).await?;
    // A commit in flight must not close a window that was opened here, even if it brings no row.
    if rows > 0 || !reopened.is_empty() {
        tables::raise_epoch(connection, &table.uid).await?;
    }
    let table = tables::by_uid(connection, &table.uid).await?;
    Ok(Deleted { table, rows, progress, reopened })
}

/// Delete the rows; how many of each coordinate.
async fn delete_rows(
    connection: &mut PgConnection,
    table: &Table,
    delete: &DeleteAfter,
) -> Result<BTreeMap<Coordinate, u64>, StoreError> {
    let contract = &table.contract;
    let mut query = ReadQuery::default();
    match &delete.scope {
        DeleteScope::All => {}
        DeleteScope::DimensionFilters(filters) => query.dimension_filters.clone_from(filters),
        // None of several alternatives matches nothing.
        DeleteScope::IndexCoordinates(coordinates) if coordinates.is_empty() => return Ok(BTreeMap::new()),
        DeleteScope::IndexCoordinates(coordinates) => query.index_coordinates.clone_from(coordinates),
    }
    let mut conditions = conditions(contract, &query);
    let after = literal(&CoordinateValue::Timestamp(delete.after), DataType::TimestampTz);
    conditions.push(format!("_t.{} >= {after}", quote(TIME_INDEX)));
    let dimensions = contract.dimensions();
    let sql = format!(
        "WITH _gone AS (DELETE FROM {} AS _t WHERE {} RETURNING _t.*) SELECT count(*){} FROM _gone{}",
        table_name(contract),
        conditions.join(" AND "),
        also(&selected("_gone", contract, dimensions)),
        grouped(dimensions),
    );
    sqlx::raw_sql(SAVE).execute(&mut *connection).await.map_err(failed(DELETING))?;
    let rows = match sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *connection).await {
        Ok(rows) => rows,
        Err(error) if refusal(&error) == Some(Refusal::ForeignKey) => {
            // Behind the savepoint the transaction can still be asked why.
            sqlx::raw_sql(GO_BACK).execute(&mut *connection).await.map_err(failed(DELETING))?;
            let found = still_referenced(connection, table, &conditions.join(" AND ")).await?;
            return Err(found.unwrap_or_else(|| failed(DELETING)(error)));
        }
        Err(error) => return Err(failed(DELETING)(error)),
    };
    let mut gone = BTreeMap::new();
    for row in rows {
        let rows = count("rows that were deleted", row.try_get(0).map_err(failed(DELETING))?)?;
        if rows > 0 {
            gone.insert(coordinate(&row, 1, contract, dimensions)?, rows);
        }
    }
    Ok(gone)
}

/// The first row that would go and to which a row refers that would stay. `condition` says of `_t` which rows go.
async fn still_referenced(
    connection: &mut PgConnection,
    table: &Table,
    condition: &str,
) -> Result<Option<StoreError>, StoreError> {
    let contract = &table.contract;
    for referrer in foreign_keys::referrers(connection, &table.uid).await? {
        let ForeignKey { columns, references, on_delete } = &referrer.foreign_key;
        if *on_delete != OnDelete::Restrict {
            continue;
        }
        let other = tables::by_uid(connection, &referrer.table_uid).await?;
        let pairs = columns.iter().zip(&references.columns);
        let mut matches: Vec<String> =
            pairs.map(|(theirs, own)| format!("_referrer.{} = _t.{}", quote(theirs), quote(own))).collect();
        if other.uid == table.uid {
            let key: Vec<String> =
                contract.key().iter().map(|name| format!("_referrer.{}", quote(name))).collect();
            matches.push(format!(
                "({}) NOT IN (SELECT {} FROM {} AS _t WHERE {condition})",
                key.join(", "),
                list(contract.key()),
                table_name(contract)
            ));
        }
        let sql = format!(
            "SELECT {} FROM {} AS _t WHERE {condition} AND EXISTS (SELECT 1 FROM {} AS _referrer WHERE {}) \
             ORDER BY {} LIMIT 1",
            selected("_t", contract, contract.key()),
            table_name(contract),
            table_name(&other.contract),
            matches.join(" AND "),
            list(contract.key())
        );
        let found = sqlx::query(AssertSqlSafe(sql)).fetch_optional(&mut *connection).await;
        if let Some(row) = found.map_err(failed(DELETING))? {
            return Ok(Some(StoreError::StillReferenced {
                table: contract.identifier.clone(),
                key: coordinate(&row, 0, contract, contract.key())?.to_string(),
                referrer: other.contract.identifier,
                columns: columns.join(", "),
            }));
        }
    }
    Ok(None)
}

/// Of a coordinate that keeps rows, the latest is looked up, and its earliest stays; the others fall away.
async fn correct(
    connection: &mut PgConnection,
    table: &Table,
    kept: &Progress,
    gone: BTreeMap<Coordinate, u64>,
    delete: &DeleteAfter,
) -> Result<(), StoreError> {
    let wrong = |coordinate: &Coordinate, problem: &str| {
        StoreError::Damaged(format!("progress of table {}, coordinate {coordinate}: {problem}", table.uid))
    };
    let (mut emptied, mut left) = (Vec::new(), Vec::new());
    for (coordinate, rows) in gone {
        let known = kept.get(&coordinate).ok_or_else(|| wrong(&coordinate, "there is none"))?;
        match known.rows.checked_sub(rows) {
            Some(0) => emptied.push(coordinate),
            Some(rows) => left.push((coordinate, CoordinateProgress { rows, ..*known })),
            None => return Err(wrong(&coordinate, "it counts fewer rows than were deleted")),
        }
    }
    let latest = latest_before(connection, &table.contract, &left, delete).await?;
    let mut counted = Progress::default();
    for ((coordinate, known), max) in left.into_iter().zip(latest) {
        let max = max.ok_or_else(|| wrong(&coordinate, "it counts more rows than there are"))?;
        let max = timestamp("the latest time of a coordinate", max)?;
        counted.extend(coordinate, CoordinateProgress { max, ..known });
    }
    progress::replace(connection, table, &counted, &emptied).await
}

/// The latest time of each coordinate before the cut, by a walk back through the index from there.
async fn latest_before(
    connection: &mut PgConnection,
    contract: &Contract,
    coordinates: &[(Coordinate, CoordinateProgress)],
    delete: &DeleteAfter,
) -> Result<Vec<Option<i64>>, StoreError> {
    if coordinates.is_empty() {
        return Ok(Vec::new());
    }
    let dimensions = contract.dimensions();
    // The earliest time of a coordinate bounds the walk.
    let min: Vec<CoordinateValue> =
        coordinates.iter().map(|(_, known)| CoordinateValue::Timestamp(known.min)).collect();
    let mut arrays = vec![array(&min, DataType::TimestampTz)];
    let (mut names, mut matches) = (vec!["_min".to_owned()], Vec::new());
    for (at, (name, data_type)) in dimensions.iter().zip(contract.dimension_types()).enumerate() {
        arrays.push(array(coordinates.iter().filter_map(|(coordinate, _)| coordinate.0.get(at)), data_type));
        names.push(format!("_d{at}"));
        matches.push(format!(" AND _t.{} = _of._d{at}", quote(name)));
    }
    let time = format!("_t.{}", quote(TIME_INDEX));
    let after = literal(&CoordinateValue::Timestamp(delete.after), DataType::TimestampTz);
    let sql = format!(
        "SELECT (SELECT {} FROM {} AS _t WHERE {time} < {after} AND {time} >= _of._min{} ORDER BY {time} DESC LIMIT 1) \
         FROM unnest({}) WITH ORDINALITY AS _of ({}, _at) ORDER BY _of._at",
        micros(&time),
        table_name(contract),
        matches.concat(),
        arrays.join(", "),
        names.join(", "),
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(failed(DELETING))
}

/// Count the rows of a table anew and compare with the progress that is kept. The caller's transaction is one view.
pub(super) async fn verify_progress(
    connection: &mut PgConnection,
    table_uid: &str,
) -> Result<Vec<ProgressDifference>, StoreError> {
    let table = tables::by_uid(connection, table_uid).await?;
    if table.contract.kind != TableKind::TimeIndexed {
        return Ok(Vec::new());
    }
    let kept = progress::read(connection, &table).await?;
    let counted = counted(connection, &table.contract).await?;
    let mut coordinates: Vec<&Coordinate> = kept.iter().chain(counted.iter()).map(|(at, _)| at).collect();
    coordinates.sort_unstable();
    coordinates.dedup();
    let differences = coordinates.into_iter().map(|coordinate| ProgressDifference {
        coordinate: coordinate.clone(),
        kept: kept.get(coordinate).copied(),
        counted: counted.get(coordinate).copied(),
    });
    Ok(differences.filter(|difference| difference.kept != difference.counted).collect())
}

/// What the rows say.
pub(super) async fn counted(
    connection: &mut PgConnection,
    contract: &Contract,
) -> Result<Progress, StoreError> {
    let dimensions = contract.dimensions();
    let time = format!("_t.{}", quote(TIME_INDEX));
    let sql = format!(
        "SELECT count(*), {}, {}{} FROM {} AS _t{}",
        micros(&format!("min({time})")),
        micros(&format!("max({time})")),
        also(&selected("_t", contract, dimensions)),
        table_name(contract),
        grouped(dimensions),
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(failed(COUNTING))?;
    let mut progress = Progress::default();
    for row in rows {
        let rows = count(COUNTING, row.try_get(0).map_err(failed(COUNTING))?)?;
        if rows == 0 {
            // Without dimensions there is one group, of an empty table too.
            continue;
        }
        let time = |at: usize| timestamp(COUNTING, row.try_get(at).map_err(failed(COUNTING))?);
        let counted = CoordinateProgress { min: time(1)?, max: time(2)?, rows };
        progress.extend(coordinate(&row, 3, contract, dimensions)?, counted);
    }
    Ok(progress)
}

/// Further expressions of a list, if there are any.
fn also(expressions: &str) -> String {
    if expressions.is_empty() { String::new() } else { format!(", {expressions}") }
}

fn grouped(dimensions: &[String]) -> String {
    if dimensions.is_empty() { String::new() } else { format!(" GROUP BY {}", list(dimensions)) }
}
