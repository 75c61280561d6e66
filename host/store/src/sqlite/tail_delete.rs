//! Deleting the tail of a table, and asking whether its progress is right.

use std::collections::BTreeMap;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::contract::{Contract, ForeignKey, OnDelete, TIME_INDEX, TableKind};
use datanode_core::coordinate::Coordinate;
use datanode_core::data_type::DataType;
use datanode_core::progress::{CoordinateProgress, Progress};
use datanode_core::query::ReadQuery;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::ddl::{list, quote};
use super::functions::{self, COUNT};
use super::stored::{change, count, failed, timestamp};
use super::value_list::{from_cell, parameter};
use super::{SqliteStore, foreign_keys, ledger, progress, select, stored, tables};
use crate::catalogue::audit as entries;
use crate::rows::Tally;
use crate::tail_delete::guess;
use crate::{DeleteAfter, DeleteScope, Deleted, ProgressDifference, StoreError, Table, TailDeletes};

const DELETING: &str = "deleting the tail of a table";
const COUNTING: &str = "counting the rows of a table";

/// On which side of the cut a row lies.
const GOING: &str = ">=";
const STAYING: &str = "<";
/// So many times as long it takes to count a row that stays as one that goes, which a statement comes to in any case.
const LITTLE: i128 = 3;
/// Rows that are looked at, for each coordinate, before those that were not found are looked up one by one.
const STEPS_BACK: i64 = 64;

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
    let kept = progress::read(connection, &table)?;
    let (rows, progress) = match Tail::new(connection, &table, delete) {
        Some(tail) => tail.delete(kept)?,
        None => (0, kept),
    };
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
    /// What they have in common beside their time, of the table `AS _t`; nothing: all coordinates lose their tail.
    scope: Vec<String>,
    /// The first one is the time.
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
        let (scope, parameters) = select::scope(&table.contract, &query, delete.after);
        Some(Self { connection, table, after: delete.after, scope, parameters })
    }

    /// Delete them and correct the progress of their coordinates, which is `kept` by now; how many there were, and what
    /// the table holds without them.
    fn delete(&self, kept: Progress) -> Result<(u64, Progress), StoreError> {
        let (rows, gone) = if self.leaves_little(&kept) {
            let left = self.left()?;
            // Without a condition SQLite gives the pages of a table back and looks at no row.
            let condition = (!left.is_empty()).then(|| self.rows(GOING));
            (self.remove(condition.as_deref())?, self.all_but(&kept, left)?)
        } else {
            let counted = self.counted(GOING);
            let (rows, tally) = functions::counting(|| self.remove(Some(&counted)));
            (rows?, self.counts(&tally)?)
        };
        let counted: u64 = gone.iter().map(|(_, rows)| rows).sum();
        if counted != rows {
            let problem = format!("of {rows} rows that would go, it counts {counted}");
            return Err(StoreError::Damaged(format!("progress of table {}: {problem}", self.table.uid)));
        }
        if rows == 0 {
            return Ok((0, kept));
        }
        Ok((rows, self.correct(kept, gone)?))
    }

    /// Whether it takes less to count what stays than what goes.
    fn leaves_little(&self, kept: &Progress) -> bool {
        let (go, stay) = guess(kept, self.after);
        self.scope.is_empty() && stay * LITTLE < go
    }

    /// Of the table `AS _t`, rows of the scope on one side of the cut.
    fn rows(&self, side: &str) -> String {
        let mut condition = format!("_t.{} {side} ?1", quote(TIME_INDEX));
        for further in &self.scope {
            condition += " AND ";
            condition += further;
        }
        condition
    }

    /// The same, each of them counted where the condition is asked.
    fn counted(&self, side: &str) -> String {
        let dimensions = self.table.contract.dimensions();
        let dimensions: Vec<String> = dimensions.iter().map(|name| format!("_t.{}", quote(name))).collect();
        let count = format!("{COUNT}({})", dimensions.join(", "));
        let time = format!("_t.{} {side} ?1", quote(TIME_INDEX));
        if self.scope.is_empty() {
            // The key of the table finds the others.
            return format!("{time} AND {count}");
        }
        // Of conditions joined by `AND` any may be asked first; what stands behind `THEN` is asked last.
        format!("{time} AND CASE WHEN {} THEN {count} END", self.scope.join(" AND "))
    }

    /// Delete rows; how many there were.
    fn remove(&self, condition: Option<&str>) -> Result<u64, StoreError> {
        let name = self.name();
        let removed = match condition {
            Some(condition) => {
                let sql = format!("DELETE FROM {name} AS _t WHERE {condition}");
                change(self.connection, &sql, params_from_iter(&self.parameters))
            }
            None => change(self.connection, &format!("DELETE FROM {name}"), ()),
        };
        match removed {
            Ok(rows) => Ok(rows as u64),
            Err(error) if foreign_keys::is_broken(&error) => {
                Err(self.still_referenced()?.unwrap_or_else(|| failed(DELETING)(error)))
            }
            Err(error) => Err(failed(DELETING)(error)),
        }
    }

    /// The rows before the cut, by coordinate.
    fn left(&self) -> Result<BTreeMap<Coordinate, u64>, StoreError> {
        let sql = format!("SELECT count(*) FROM {} AS _t WHERE {}", self.name(), self.counted(STAYING));
        let (found, tally) = functions::counting(|| {
            stored::find(self.connection, &sql, params_from_iter(&self.parameters), |row| row.get(0))
        });
        let found = found.map_err(failed(COUNTING))?.unwrap_or_default();
        let left: BTreeMap<Coordinate, u64> = self.counts(&tally)?.into_iter().collect();
        if left.values().sum::<u64>() != count(COUNTING, found)? {
            let problem = format!("of {found} rows that would stay, some were not counted");
            return Err(StoreError::Damaged(format!("table {}: {problem}", self.table.uid)));
        }
        Ok(left)
    }

    fn counts(&self, tally: &Tally) -> Result<Vec<(Coordinate, u64)>, StoreError> {
        let contract = &self.table.contract;
        tally.counts(&contract.dimension_types()).ok_or_else(|| {
            let problem = "a row has a coordinate with values of other types";
            StoreError::Damaged(format!("table `{}`: {problem}", contract.identifier))
        })
    }

    /// What goes where so much is left.
    fn all_but(
        &self,
        kept: &Progress,
        mut left: BTreeMap<Coordinate, u64>,
    ) -> Result<Vec<(Coordinate, u64)>, StoreError> {
        let mut gone = Vec::new();
        for (coordinate, known) in kept.iter() {
            let left = left.remove(coordinate).unwrap_or_default();
            let rows = known.rows.checked_sub(left);
            let rows = rows.ok_or_else(|| self.wrong(coordinate, "it counts fewer rows than would stay"))?;
            if rows > 0 {
                gone.push((coordinate.clone(), rows));
            }
        }
        match left.keys().next() {
            Some(coordinate) => Err(self.wrong(coordinate, "there is none")),
            None => Ok(gone),
        }
    }

    /// Of a coordinate that keeps rows, the latest is looked up, and its earliest stays; the others fall away.
    fn correct(&self, kept: Progress, gone: Vec<(Coordinate, u64)>) -> Result<Progress, StoreError> {
        let (mut left, mut emptied) = (Vec::new(), Vec::new());
        for (coordinate, gone) in gone {
            let known = kept.get(&coordinate).ok_or_else(|| self.wrong(&coordinate, "there is none"))?;
            match known.rows.checked_sub(gone) {
                Some(0) => emptied.push(coordinate),
                Some(rows) => left.push((coordinate, CoordinateProgress { rows, ..*known })),
                None => return Err(self.wrong(&coordinate, "it counts fewer rows than were deleted")),
            }
        }
        let latest = self.latest(&left)?;
        let changed: Progress = left
            .into_iter()
            .zip(latest)
            .map(|((coordinate, known), max)| (coordinate, CoordinateProgress { max, ..known }))
            .collect();
        progress::replace(self.connection, &self.table.uid, &changed, &emptied)?;
        let mut progress = kept;
        for coordinate in emptied {
            progress.set(coordinate, None);
        }
        for (coordinate, known) in changed.iter() {
            progress.set(coordinate.clone(), Some(*known));
        }
        Ok(progress)
    }

    /// The latest time of each coordinate before the cut. One walk back through the key finds all that have rows shortly
    /// before it; the others are looked up one by one from where it ended.
    fn latest(&self, left: &[(Coordinate, CoordinateProgress)]) -> Result<Vec<Timestamp>, StoreError> {
        let mut open: BTreeMap<&Coordinate, usize> =
            left.iter().enumerate().map(|(place, (coordinate, _))| (coordinate, place)).collect();
        let mut found = vec![None; left.len()];
        let from = match left.iter().map(|(_, known)| known.min).min() {
            Some(earliest) => self.walk_back(earliest, &mut open, &mut found)?,
            None => return Ok(Vec::new()),
        };
        for place in open.into_values() {
            let (coordinate, known) = &left[place];
            let bounds = [from, known.min.micros()].map(Value::Integer);
            let values = params_from_iter(bounds.into_iter().chain(coordinate.0.iter().map(parameter)));
            let time = stored::find(self.connection, &self.latest_of_one(), values, |row| row.get(0));
            found[place] = time.map_err(failed(DELETING))?;
        }
        let latest = left.iter().zip(found).map(|((coordinate, _), found)| {
            let found = found.ok_or_else(|| self.wrong(coordinate, "it counts more rows than there are"))?;
            timestamp("the latest time of a coordinate", found)
        });
        latest.collect()
    }

    /// Look at some rows before the cut, the latest first and none from before `earliest`, and close what is found of it.
    /// The time before which the others are to be looked for.
    fn walk_back(
        &self,
        earliest: Timestamp,
        open: &mut BTreeMap<&Coordinate, usize>,
        found: &mut [Option<i64>],
    ) -> Result<i64, StoreError> {
        let failed = failed(DELETING);
        let contract = &self.table.contract;
        let (time, further) = (quote(TIME_INDEX), self.parameters.len());
        let sql = format!(
            "SELECT {} FROM {} AS _t WHERE {} AND _t.{time} >= ?{} ORDER BY _t.{time} DESC LIMIT ?{}",
            list(contract.key()),
            self.name(),
            self.rows(STAYING),
            further + 1,
            further + 2
        );
        let steps = i64::try_from(found.len()).unwrap_or(i64::MAX).saturating_mul(STEPS_BACK);
        let also = [earliest.micros(), steps.saturating_add(STEPS_BACK)].map(Value::Integer);
        let mut statement = self.connection.prepare_cached(&sql).map_err(&failed)?;
        let mut rows =
            statement.query(params_from_iter(self.parameters.iter().chain(&also))).map_err(&failed)?;
        let mut from = self.after.micros();
        while !open.is_empty()
            && let Some(row) = rows.next().map_err(&failed)?
        {
            let time: i64 = row.get(0).map_err(&failed)?;
            // Further rows of this time may be still to come.
            from = time + 1;
            if let Some(place) = open.remove(&coordinate(row, 1, contract, contract.dimensions())?) {
                found[place] = Some(time);
            }
        }
        Ok(from)
    }

    /// The latest time of one coordinate before another.
    fn latest_of_one(&self) -> String {
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

    fn wrong(&self, coordinate: &Coordinate, problem: &str) -> StoreError {
        let uid = &self.table.uid;
        StoreError::Damaged(format!("progress of table {uid}, coordinate {coordinate}: {problem}"))
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
                    self.rows(GOING)
                ));
            }
            let sql = format!(
                "SELECT {} FROM {} AS _t WHERE {} AND EXISTS (SELECT 1 FROM {} AS _referrer WHERE {}) ORDER BY {} LIMIT 1",
                list(contract.key()),
                self.name(),
                self.rows(GOING),
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
