//! Deleting the tail of a table, and asking whether its progress is right.

use std::collections::BTreeMap;

use datanode_core::Timestamp;
use datanode_core::contract::{Contract, ForeignKey, OnDelete, TIME_INDEX, TableKind};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::progress::{CoordinateProgress, Progress};
use datanode_core::query::ReadQuery;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::ddl::{list, quote, table_name};
use super::keys::{coordinate, micros, selected};
use super::literal::{array, literal};
use super::message::answers;
use super::refusal::{Refusal, refusal};
use super::select::conditions;
use super::stored::{count, failed, timestamp};
use super::{foreign_keys, ledger, progress, tables};
use crate::tail_delete::guess;
use crate::{DeleteAfter, DeleteScope, Deleted, ProgressDifference, StoreError, Table};

const DELETING: &str = "deleting the tail of a table";
const SAVE: &str = "SAVEPOINT _delete";
const GO_BACK: &str = "ROLLBACK TO SAVEPOINT _delete";
const COUNTING: &str = "counting the rows of a table";

/// On which side of the cut a row lies.
const GOING: &str = ">=";
const STAYING: &str = "<";
/// Rows that are looked at, for each coordinate, before those that were not found are looked up one by one.
const STEPS_BACK: usize = 16;

/// Delete rows, correct progress, open windows and raise the table's epoch. The caller commits, or rolls back on an error.
pub(super) async fn delete_after(
    connection: &mut PgConnection,
    delete: &DeleteAfter,
) -> Result<Deleted, StoreError> {
    let table = tables::locked(connection, &delete.table_uid).await?;
    if table.contract.kind != TableKind::TimeIndexed {
        return Err(StoreError::NoTail { table: table.contract.identifier });
    }
    let kept = progress::read(connection, &table).await?;
    let (rows, progress) = match Tail::new(&table, delete) {
        Some(tail) => tail.delete(connection, kept).await?,
        None => (0, kept),
    };
    if rows > 0 {
        for uid in foreign_keys::changed_by_deletion(connection, &table.uid).await? {
            if uid != table.uid {
                tables::raise_epoch(connection, &uid).await?;
            }
        }
    }
    let reopened = ledger::reopen(connection, &table.uid, delete.after, progress.max_time()).await?;
    // A commit in flight must not close a window that was opened here, even if it brings no row.
    let epoch = if rows > 0 || !reopened.is_empty() {
        tables::raise_epoch(connection, &table.uid).await?
    } else {
        table.epoch
    };
    // Nothing else of it can have changed: it is locked.
    Ok(Deleted { table: Table { epoch, ..table }, rows, progress, reopened })
}

/// The rows that go.
struct Tail<'t> {
    table: &'t Table,
    /// The moment from which on they go, in SQL.
    after: String,
    /// What they have in common beside it, of the table `AS _t`; nothing: all coordinates lose their tail.
    scope: Vec<String>,
    delete: &'t DeleteAfter,
}

/// Rows by coordinate.
type Counts = BTreeMap<Coordinate, u64>;
/// The latest times of coordinates, in microseconds.
type Latest = BTreeMap<Coordinate, i64>;

impl<'t> Tail<'t> {
    /// None: the scope matches no row.
    fn new(table: &'t Table, delete: &'t DeleteAfter) -> Option<Self> {
        let mut query = ReadQuery::default();
        match &delete.scope {
            DeleteScope::All => {}
            DeleteScope::DimensionFilters(filters) => query.dimension_filters.clone_from(filters),
            // None of several alternatives matches nothing.
            DeleteScope::IndexCoordinates(coordinates) if coordinates.is_empty() => return None,
            DeleteScope::IndexCoordinates(coordinates) => query.index_coordinates.clone_from(coordinates),
        }
        let after = literal(&CoordinateValue::Timestamp(delete.after), DataType::TimestampTz);
        Some(Self { table, after, scope: conditions(&table.contract, &query), delete })
    }

    /// Rows of the scope on one side of the cut.
    fn rows(&self, side: &str) -> String {
        let mut condition = format!("_t.{} {side} {}", quote(TIME_INDEX), self.after);
        for further in &self.scope {
            condition += " AND ";
            condition += further;
        }
        condition
    }

    /// Delete them and correct the progress of their coordinates, which is `kept` by now; how many there were, and what
    /// the table holds without them.
    async fn delete(
        &self,
        connection: &mut PgConnection,
        kept: Progress,
    ) -> Result<(u64, Progress), StoreError> {
        let (go, stay) = guess(&kept, self.delete.after);
        // Either side tells what the other one is: the smaller one is counted.
        let of_those_that_stay = self.scope.is_empty() && stay < go;
        let side = if of_those_that_stay { STAYING } else { GOING };
        let (counts, latest, rows) = self.count_and_delete(connection, side).await?;
        let gone = if of_those_that_stay { self.all_but(&kept, counts)? } else { counts };
        let counted: u64 = gone.values().sum();
        if counted != rows {
            let problem = format!("of {rows} rows that would go, it counts {counted}");
            return Err(StoreError::Damaged(format!("progress of table {}: {problem}", self.table.uid)));
        }
        if rows == 0 {
            return Ok((0, kept));
        }
        let latest = of_those_that_stay.then_some(latest);
        Ok((rows, self.correct(connection, kept, gone, latest).await?))
    }

    /// Count the rows of one side and delete those that go, in one message: how many there are of each coordinate and when
    /// the latest one is, and how many went. Nobody else writes to the table meanwhile, for it is locked.
    async fn count_and_delete(
        &self,
        connection: &mut PgConnection,
        side: &str,
    ) -> Result<(Counts, Latest, u64), StoreError> {
        let contract = &self.table.contract;
        let (name, dimensions) = (table_name(contract), contract.dimensions());
        let sql = format!(
            "{SAVE}; SELECT count(*), {}{} FROM {name} AS _t WHERE {}{}; DELETE FROM {name} AS _t WHERE {}",
            micros(&format!("max(_t.{})", quote(TIME_INDEX))),
            also(&selected("_t", contract, dimensions)),
            self.rows(side),
            grouped(dimensions),
            self.rows(GOING),
        );
        let (rows, gone) = match answers(connection, sql).await {
            Ok(answers) => answers,
            Err(error) if refusal(&error) == Some(Refusal::ForeignKey) => {
                // Behind the savepoint the transaction can still be asked why.
                sqlx::raw_sql(GO_BACK).execute(&mut *connection).await.map_err(failed(DELETING))?;
                let found = still_referenced(connection, self.table, &self.rows(GOING)).await?;
                return Err(found.unwrap_or_else(|| failed(DELETING)(error)));
            }
            Err(error) => return Err(failed(DELETING)(error)),
        };
        let (mut counts, mut latest) = (Counts::new(), Latest::new());
        for row in rows {
            let rows = count("rows of a coordinate", row.try_get(0).map_err(failed(DELETING))?)?;
            if rows > 0 {
                let coordinate = coordinate(&row, 2, contract, dimensions)?;
                latest.insert(coordinate.clone(), row.try_get(1).map_err(failed(DELETING))?);
                counts.insert(coordinate, rows);
            }
        }
        Ok((counts, latest, gone))
    }

    /// What goes where so much stays.
    fn all_but(&self, kept: &Progress, mut stays: Counts) -> Result<Counts, StoreError> {
        let mut gone = Counts::new();
        for (coordinate, known) in kept.iter() {
            let rows = known.rows.checked_sub(stays.remove(coordinate).unwrap_or_default());
            let rows = rows.ok_or_else(|| self.wrong(coordinate, "it counts fewer rows than would stay"))?;
            if rows > 0 {
                gone.insert(coordinate.clone(), rows);
            }
        }
        match stays.keys().next() {
            Some(coordinate) => Err(self.wrong(coordinate, "there is none")),
            None => Ok(gone),
        }
    }

    /// Of a coordinate that keeps rows, the latest is looked up where it is not known, and its earliest stays; the others
    /// fall away.
    async fn correct(
        &self,
        connection: &mut PgConnection,
        kept: Progress,
        gone: Counts,
        latest: Option<Latest>,
    ) -> Result<Progress, StoreError> {
        let (mut left, mut emptied) = (Vec::new(), Vec::new());
        for (coordinate, rows) in gone {
            let known = kept.get(&coordinate).ok_or_else(|| self.wrong(&coordinate, "there is none"))?;
            match known.rows.checked_sub(rows) {
                Some(0) => emptied.push(coordinate),
                Some(rows) => left.push((coordinate, CoordinateProgress { rows, ..*known })),
                None => return Err(self.wrong(&coordinate, "it counts fewer rows than were deleted")),
            }
        }
        let latest = match latest {
            Some(latest) => latest,
            None => self.latest_before(connection, &left).await?,
        };
        let mut changed = Progress::default();
        for (coordinate, known) in left {
            let max = latest.get(&coordinate).copied();
            let max = max.ok_or_else(|| self.wrong(&coordinate, "it counts more rows than there are"))?;
            let max = timestamp("the latest time of a coordinate", max)?;
            changed.extend(coordinate, CoordinateProgress { max, ..known });
        }
        progress::replace(connection, self.table, &changed, &emptied).await?;
        let mut progress = kept;
        for coordinate in emptied {
            progress.set(coordinate, None);
        }
        for (coordinate, known) in changed.iter() {
            progress.set(coordinate.clone(), Some(*known));
        }
        Ok(progress)
    }

    fn wrong(&self, coordinate: &Coordinate, problem: &str) -> StoreError {
        let uid = &self.table.uid;
        StoreError::Damaged(format!("progress of table {uid}, coordinate {coordinate}: {problem}"))
    }

    /// The latest time of each coordinate before the cut. One walk back through the index finds all that have rows shortly
    /// before it; the others are looked up one by one from where it ended.
    async fn latest_before(
        &self,
        connection: &mut PgConnection,
        left: &[(Coordinate, CoordinateProgress)],
    ) -> Result<Latest, StoreError> {
        let Some(earliest) = left.iter().map(|(_, known)| known.min).min() else { return Ok(Latest::new()) };
        let contract = &self.table.contract;
        let (dimensions, time) = (contract.dimensions(), quote(TIME_INDEX));
        let sql = format!(
            "SELECT {}, {}{} FROM (SELECT {} FROM {} AS _t WHERE {} AND _t.{time} >= {} ORDER BY _t.{time} DESC LIMIT {}) \
             AS _b{}",
            micros(&format!("max(_b.{time})")),
            micros(&format!("min(min(_b.{time})) OVER ()")),
            also(&selected("_b", contract, dimensions)),
            list(contract.key()),
            table_name(contract),
            self.rows(STAYING),
            literal(&CoordinateValue::Timestamp(earliest), DataType::TimestampTz),
            (left.len() + 1).saturating_mul(STEPS_BACK),
            grouped(dimensions),
        );
        let (rows, _) = answers(connection, sql).await.map_err(failed(DELETING))?;
        let (mut latest, mut until) = (Latest::new(), None);
        for row in rows {
            let times = (row.try_get(0), row.try_get(1));
            if let (Some(time), Some(first)) =
                (times.0.map_err(failed(DELETING))?, times.1.map_err(failed(DELETING))?)
            {
                until = Some(timestamp("the time of a row", first)?);
                latest.insert(coordinate(&row, 2, contract, dimensions)?, time);
            }
        }
        let open: Vec<_> = left.iter().filter(|(coordinate, _)| !latest.contains_key(coordinate)).collect();
        // Without a row before the cut there is none to be found, either.
        if let Some(until) = until.filter(|_| !open.is_empty()) {
            latest.extend(self.latest_alone(connection, &open, until).await?);
        }
        Ok(latest)
    }

    /// The latest time of each of these until a moment, by a walk for each.
    async fn latest_alone(
        &self,
        connection: &mut PgConnection,
        coordinates: &[&(Coordinate, CoordinateProgress)],
        until: Timestamp,
    ) -> Result<Latest, StoreError> {
        let contract = &self.table.contract;
        let dimensions = contract.dimensions();
        // The earliest time of a coordinate bounds the walk.
        let min: Vec<CoordinateValue> =
            coordinates.iter().map(|(_, known)| CoordinateValue::Timestamp(known.min)).collect();
        let mut arrays = vec![array(&min, DataType::TimestampTz)];
        let (mut names, mut matches) = (vec!["_min".to_owned()], Vec::new());
        for (at, (name, data_type)) in dimensions.iter().zip(contract.dimension_types()).enumerate() {
            let values = coordinates.iter().filter_map(|(coordinate, _)| coordinate.0.get(at));
            arrays.push(array(values, data_type));
            names.push(format!("_d{at}"));
            matches.push(format!(" AND _t.{} = _of._d{at}", quote(name)));
        }
        let time = format!("_t.{}", quote(TIME_INDEX));
        let until = literal(&CoordinateValue::Timestamp(until), DataType::TimestampTz);
        let sql = format!(
            "SELECT (SELECT {} FROM {} AS _t WHERE {time} <= {until} AND {time} >= _of._min{} ORDER BY {time} DESC \
             LIMIT 1) FROM unnest({}) WITH ORDINALITY AS _of ({}, _at) ORDER BY _of._at",
            micros(&time),
            table_name(contract),
            matches.concat(),
            arrays.join(", "),
            names.join(", "),
        );
        let (rows, _) = answers(connection, sql).await.map_err(failed(DELETING))?;
        let mut latest = Latest::new();
        for (row, (coordinate, _)) in rows.iter().zip(coordinates) {
            if let Some(time) = row.try_get(0).map_err(failed(DELETING))? {
                latest.insert(coordinate.clone(), time);
            }
        }
        Ok(latest)
    }
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
