//! Deleting the tail of a table, and asking whether its progress is right.

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::contract::{Contract, ForeignKey, OnDelete, TIME_INDEX, TableKind};
use datanode_core::coordinate::Coordinate;
use datanode_core::data_type::DataType;
use datanode_core::progress::{CoordinateProgress, Progress};
use datanode_core::query::ReadQuery;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::ddl::{list, quote};
use super::stored::{count, failed, timestamp};
use super::value_list::{from_cell, parameter};
use super::{SqliteStore, foreign_keys, ledger, progress, select, tables};
use crate::catalogue::audit as entries;
use crate::{DeleteAfter, DeleteScope, Deleted, ProgressDifference, StoreError, Table, TailDeletes};

const DELETING: &str = "deleting the tail of a table";
const COUNTING: &str = "counting the rows of a table";

#[async_trait]
impl TailDeletes for SqliteStore {
    async fn delete_after(&self, delete: &DeleteAfter) -> Result<Deleted, StoreError> {
        let (delete, asked) = (delete.clone(), delete.clone());
        self.change(
            DELETING,
            move |connection| delete_after(connection, &delete),
            move |deleted| entries::tail_deleted(&asked, deleted),
        )
        .await
    }

    async fn verify_progress(&self, table_uid: &str) -> Result<Vec<ProgressDifference>, StoreError> {
        let uid = table_uid.to_owned();
        self.read(COUNTING, move |connection| verify_progress(connection, &uid)).await
    }
}

/// Delete rows, correct progress, open windows and raise the table's epoch. The caller commits, or rolls back on an error.
fn delete_after(connection: &Connection, delete: &DeleteAfter) -> Result<Deleted, StoreError> {
    let table = tables::by_uid(connection, &delete.table_uid)?;
    if table.contract.kind != TableKind::TimeIndexed {
        return Err(StoreError::NoTail { table: table.contract.identifier });
    }
    let rows = match Tail::new(connection, &table, delete) {
        Some(tail) => tail.delete()?,
        None => 0,
    };
    let progress = progress::read(connection, &table)?;
    let reopened = ledger::reopen(connection, &table.uid, delete.after, progress.max_time())?;
    // A commit in flight must not close a window that was opened here, even if it brings no row.
    if rows > 0 || !reopened.is_empty() {
        tables::raise_epoch(connection, &table.uid)?;
    }
    if rows > 0 {
        for uid in foreign_keys::changed_by_deletion(connection, &table.uid)? {
            if uid != table.uid {
                tables::raise_epoch(connection, &uid)?;
            }
        }
    }
    let table = tables::by_uid(connection, &table.uid)?;
    Ok(Deleted { table, rows, progress, reopened })
}

/// The rows that go.
struct Tail<'t> {
    connection: &'t Connection,
    table: &'t Table,
    after: Timestamp,
    /// What they have in common, of the table `AS _t`.
    condition: String,
    parameters: Vec<Value>,
}

impl<'t> Tail<'t> {
    /// None: the scope matches no row.
    fn new(connection: &'t Connection, table: &'t Table, delete: &DeleteAfter) -> Option<Self> {
        let mut query = ReadQuery::default();
        match &delete.scope {
            DeleteScope::All => {}
            DeleteScope::DimensionFilters(filters) => query.dimension_filters.clone_from(filters),
            // None of several alternatives matches nothing.
            DeleteScope::IndexCoordinates(coordinates) if coordinates.is_empty() => return None,
            DeleteScope::IndexCoordinates(coordinates) => query.index_coordinates.clone_from(coordinates),
        }
        let (condition, parameters) = select::tail(&table.contract, &query, delete.after);
        Some(Self { connection, table, after: delete.after, condition, parameters })
    }

    /// Delete them and correct the progress of their coordinates; how many there were.
    fn delete(&self) -> Result<u64, StoreError> {
        let gone =
            groups(self.connection, &self.table.contract, &self.name(), &self.condition, &self.parameters)?;
        if gone.is_empty() {
            return Ok(0);
        }
        let sql = format!("DELETE FROM {} AS _t WHERE {}", self.name(), self.condition);
        let rows = match self.connection.execute(&sql, params_from_iter(&self.parameters)) {
            Ok(rows) => rows as u64,
            Err(error) if foreign_keys::is_broken(&error) => {
                return Err(self.still_referenced()?.unwrap_or_else(|| failed(DELETING)(error)));
            }
            Err(error) => return Err(failed(DELETING)(error)),
        };
        self.correct(&gone)?;
        Ok(rows)
    }

    /// Of a coordinate that keeps rows, the latest is looked up, and its earliest stays; the others fall away.
    fn correct(&self, gone: &Progress) -> Result<(), StoreError> {
        let wrong = |coordinate: &Coordinate, problem: &str| {
            let uid = &self.table.uid;
            StoreError::Damaged(format!("progress of table {uid}, coordinate {coordinate}: {problem}"))
        };
        let kept = progress::read(self.connection, self.table)?;
        let (mut left, mut emptied) = (Progress::default(), Vec::new());
        let mut latest = self.connection.prepare(&self.latest()).map_err(failed(DELETING))?;
        for (coordinate, gone) in gone.iter() {
            let known = kept.get(coordinate).ok_or_else(|| wrong(coordinate, "there is none"))?;
            match known.rows.checked_sub(gone.rows) {
                Some(0) => emptied.push(coordinate.clone()),
                Some(rows) => {
                    let bounds = [self.after, known.min].map(|time| Value::Integer(time.micros()));
                    let parameters = bounds.into_iter().chain(coordinate.0.iter().map(parameter));
                    let max = latest
                        .query_row(params_from_iter(parameters), |row| row.get(0))
                        .optional()
                        .map_err(failed(DELETING))?
                        .ok_or_else(|| wrong(coordinate, "it counts more rows than there are"))?;
                    let max = timestamp("the latest time of a coordinate", max)?;
                    left.extend(coordinate.clone(), CoordinateProgress { max, rows, ..*known });
                }
                None => return Err(wrong(coordinate, "it counts fewer rows than were deleted")),
            }
        }
        progress::replace(self.connection, &self.table.uid, &left, &emptied)
    }

    /// The latest time of a coordinate before the cut, by a walk back through the index from there; the earliest time
    /// of the coordinate bounds the walk.
    fn latest(&self) -> String {
        let time = quote(TIME_INDEX);
        let dimensions = self.table.contract.dimensions().iter().enumerate();
        let matches: Vec<String> =
            dimensions.map(|(at, name)| format!(" AND {} = ?{}", quote(name), at + 3)).collect();
        format!(
            "SELECT {time} FROM {} WHERE {time} < ?1 AND {time} >= ?2{} ORDER BY {time} DESC LIMIT 1",
            self.name(),
            matches.concat()
        )
    }

    /// The first row that would go and that a row that stays refers to.
    fn still_referenced(&self) -> Result<Option<StoreError>, StoreError> {
        let contract = &self.table.contract;
        for referrer in foreign_keys::referrers(self.connection, &self.table.uid)? {
            let ForeignKey { columns, references, on_delete } = &referrer.foreign_key;
            if *on_delete != OnDelete::Restrict {
                continue;
            }
            let other = tables::by_uid(self.connection, &referrer.table_uid)?;
            let mut matches: Vec<String> = columns
                .iter()
                .zip(&references.columns)
                .map(|(theirs, own)| format!("_referrer.{} = _t.{}", quote(theirs), quote(own)))
                .collect();
            if other.uid == self.table.uid {
                let key: Vec<String> =
                    contract.key().iter().map(|name| format!("_referrer.{}", quote(name))).collect();
                matches.push(format!(
                    "({}) NOT IN (SELECT {} FROM {} AS _t WHERE {})",
                    key.join(", "),
                    list(contract.key()),
                    self.name(),
                    self.condition
                ));
            }
            let sql = format!(
                "SELECT {} FROM {} AS _t WHERE {} AND EXISTS (SELECT 1 FROM {} AS _referrer WHERE {}) ORDER BY {} LIMIT 1",
                list(contract.key()),
                self.name(),
                self.condition,
                quote(other.contract.physical_name()),
                matches.join(" AND "),
                list(contract.key())
            );
            let mut statement = self.connection.prepare(&sql).map_err(failed(DELETING))?;
            let mut rows = statement.query(params_from_iter(&self.parameters)).map_err(failed(DELETING))?;
            if let Some(row) = rows.next().map_err(failed(DELETING))? {
                return Ok(Some(StoreError::StillReferenced {
                    table: contract.identifier.clone(),
                    key: coordinate(row, 0, contract, contract.key())?.to_string(),
                    referrer: other.contract.identifier.clone(),
                    columns: columns.join(", "),
                }));
            }
        }
        Ok(None)
    }

    fn name(&self) -> String {
        quote(self.table.contract.physical_name())
    }
}

/// What the rows of a condition say, coordinate by coordinate. They are in a table with the columns of the contract,
/// `AS _t` in the condition.
pub(super) fn groups(
    connection: &Connection,
    contract: &Contract,
    table: &str,
    condition: &str,
    parameters: &[Value],
) -> Result<Progress, StoreError> {
    let dimensions = contract.dimensions();
    let time = format!("_t.{}", quote(TIME_INDEX));
    let (also, grouped) = if dimensions.is_empty() {
        Default::default()
    } else {
        (format!(", {}", list(dimensions)), format!(" GROUP BY {}", list(dimensions)))
    };
    let sql = format!(
        "SELECT count(*), min({time}), max({time}){also} FROM {table} AS _t WHERE {condition}{grouped}"
    );
    let mut statement = connection.prepare(&sql).map_err(failed(COUNTING))?;
    let mut rows = statement.query(params_from_iter(parameters)).map_err(failed(COUNTING))?;
    let mut progress = Progress::default();
    while let Some(row) = rows.next().map_err(failed(COUNTING))? {
        let rows = count(COUNTING, row.get(0).map_err(failed(COUNTING))?)?;
        if rows == 0 {
            // Without dimensions there is one group, of no row too.
            continue;
        }
        let time = |at: usize| timestamp(COUNTING, row.get(at).map_err(failed(COUNTING))?);
        let counted = CoordinateProgress { min: time(1)?, max: time(2)?, rows };
        progress.extend(coordinate(row, 3, contract, dimensions)?, counted);
    }
    Ok(progress)
}

/// The values of key columns, which a row has from a place on.
pub(super) fn coordinate(
    row: &Row<'_>,
    first: usize,
    contract: &Contract,
    names: &[String],
) -> Result<Coordinate, StoreError> {
    let value = |(at, name): (usize, &String)| {
        let cell: Value = row.get(at).map_err(failed(COUNTING))?;
        let data_type = contract.column(name).map_or(DataType::String, |column| column.data_type);
        from_cell(cell, data_type).ok_or_else(|| {
            let problem = format!("a value that is no {data_type}");
            StoreError::Damaged(format!("table `{}`, column `{name}`: {problem}", contract.identifier))
        })
    };
    Ok(Coordinate((first..).zip(names).map(value).collect::<Result<_, _>>()?))
}

/// Count the rows of a table anew and compare with the progress that is kept. The caller's transaction is one view.
fn verify_progress(connection: &Connection, table_uid: &str) -> Result<Vec<ProgressDifference>, StoreError> {
    let table = tables::by_uid(connection, table_uid)?;
    if table.contract.kind != TableKind::TimeIndexed {
        return Ok(Vec::new());
    }
    let kept = progress::read(connection, &table)?;
    let name = quote(table.contract.physical_name());
    let counted = groups(connection, &table.contract, &name, "TRUE", &[])?;
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
