//! Quality checks that compare new rows with stored ones, judged in the commit's transaction.
//!
//! SQLite has no clock for statements, so a thread beside the query interrupts it when its time is over. Only queries are
//! ever interrupted: SQLite ends a transaction with a write of it that is.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use datanode_core::contract::Contract;
use datanode_core::data_type::DataType;
use datanode_core::progress::Progress;
use datanode_core::quality::{EXAMPLES, Offending, StoredCheck, StoredRule, Violation};
use datanode_core::query::RangeMap;
use datanode_core::sql::{SqlDialect, check};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::ddl::quote;
use super::handle::Interrupt;
use super::read::push;
use super::sql::{Readers, cell, values};
use super::stored::{failed, is_interrupted};
use super::value_list::parameter;
use crate::StoreError;
use crate::checks::{Asking, Question, Reach};
use crate::rows::ColumnBuilder;

const DOING: &str = "judging a quality check";
/// How soon a query is interrupted again that had not begun when it was.
const AGAIN: Duration = Duration::from_millis(10);
/// The ranges of a check, by coordinate. No name of a contract begins with an underscore.
const REACH: &str = "temp._reach";

/// What the checks find of rows that are in the table by now. `before` is the progress before they came.
pub(super) fn judge(
    connection: &Connection,
    contract: &Contract,
    checks: &[StoredCheck],
    added: &Progress,
    before: &Progress,
) -> Result<Vec<Violation>, StoreError> {
    let judges = Judges { connection, contract };
    let found = checks.iter().map(|check| match &check.rule {
        StoredRule::Unique { columns } => {
            judges.offended(check, &Reach::written(added), |asking| asking.unique(columns))
        }
        StoredRule::Monotonic { column, direction, strict } => {
            let reach = Reach::in_order(added, before);
            judges.offended(check, &reach, |asking| asking.monotonic(*column, *direction, *strict))
        }
        StoredRule::Sql { query } => judges.answered(check, query),
    });
    Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

struct Judges<'c> {
    connection: &'c Connection,
    contract: &'c Contract,
}

impl Judges<'_> {
    fn offended(
        &self,
        check: &StoredCheck,
        reach: &Reach,
        ask: impl FnOnce(&Asking<'_>) -> Question,
    ) -> Result<Option<Violation>, StoreError> {
        let Some((first, last)) = reach.bounds() else { return Ok(None) };
        let has_dimensions = !self.contract.dimensions().is_empty();
        if has_dimensions {
            self.bring(&reach.map())?;
        }
        let question = ask(&Asking {
            contract: self.contract,
            table: quote(self.contract.physical_name()),
            reach: has_dimensions.then_some(REACH),
            first: "?1",
            last: "?2",
        });
        let found = within(self.connection, check.patience(), || {
            self.rows(&question, [first.micros(), last.micros()])
        });
        if has_dimensions {
            self.connection.execute_batch(&format!("DROP TABLE {REACH}")).map_err(failed(DOING))?;
        }
        match found? {
            Err(error) if is_interrupted(&error) => Ok(Some(check.out_of_time())),
            Err(error) => Err(failed(DOING)(error)),
            Ok(found) => Ok(check.offended_by(self.contract, &self.values(&question, found)?)),
        }
    }

    /// Bring the ranges into the database.
    fn bring(&self, map: &RangeMap) -> Result<(), StoreError> {
        let dimensions = 0..self.contract.dimensions().len();
        let list = |form: &str| dimensions.clone().map(|at| format!("_d{at}{form}")).collect::<Vec<_>>();
        // `ANY`: values are what they are, in a key too.
        let create = format!(
            "CREATE TABLE {REACH} ({}, _start INTEGER NOT NULL, _end INTEGER NOT NULL, PRIMARY KEY ({})) \
             STRICT, WITHOUT ROWID",
            list(" ANY").join(", "),
            list("").join(", ")
        );
        self.connection.execute_batch(&create).map_err(failed(DOING))?;
        let values = vec!["?"; dimensions.len() + 2].join(", ");
        let insert = format!("INSERT INTO {REACH} VALUES ({values})");
        let mut insert = self.connection.prepare(&insert).map_err(failed(DOING))?;
        for entry in &map.entries {
            let (start, end) = entry.range.inclusive_micros();
            let range = [Value::Integer(start), Value::Integer(end)];
            let row = entry.coordinate.0.iter().map(parameter).chain(range);
            insert.execute(params_from_iter(row)).map_err(failed(DOING))?;
        }
        Ok(())
    }

    fn rows(&self, question: &Question, bounds: [i64; 2]) -> rusqlite::Result<Vec<Vec<Value>>> {
        let mut statement = self.connection.prepare(&question.sql)?;
        let columns = question.types.len();
        let cells = |row: &Row<'_>| (0..columns).map(|at| row.get(at)).collect();
        let rows = statement.query_map(bounds, cells)?;
        rows.collect()
    }

    /// Cells as values of their types. The last column is how many rows there are.
    fn values(&self, question: &Question, found: Vec<Vec<Value>>) -> Result<Offending, StoreError> {
        let Some(rows) = found.first().and_then(|row| row.last()) else { return Ok(Offending::default()) };
        let Value::Integer(rows) = rows else {
            return Err(StoreError::Damaged("a number of rows is no number".to_owned()));
        };
        let rows = u64::try_from(*rows).unwrap_or_default();
        let first = found.into_iter().map(|row| {
            let cells = row.into_iter().zip(&question.types);
            // But for the count.
            cells
                .take(question.types.len() - 1)
                .map(|(cell, data_type)| self.value(&cell, *data_type))
                .collect()
        });
        Ok(Offending { rows, first: first.collect::<Result<_, _>>()? })
    }

    fn value(&self, cell: &Value, data_type: DataType) -> Result<serde_json::Value, StoreError> {
        let damaged =
            |problem: String| StoreError::Damaged(format!("table `{}`: {problem}", self.contract.identifier));
        let mut column = ColumnBuilder::new(data_type, 1);
        push(&mut column, cell.into()).map_err(damaged)?;
        let array = column.finish().map_err(|error| damaged(error.to_string()))?;
        Ok(datanode_core::cell::value(&array, data_type, 0))
    }

    /// Run the statement of a check over the table as readers see it.
    fn answered(&self, check: &StoredCheck, query: &str) -> Result<Option<Violation>, StoreError> {
        let checked = match self::check(query, self.contract, SqlDialect::Sqlite) {
            Ok(checked) => checked,
            Err(error) => return Ok(Some(check.impossible(&error.message))),
        };
        let sql = format!(
            "WITH {} AS ({}) SELECT _found.*, count(*) OVER () FROM ({}) AS _found LIMIT {EXAMPLES}",
            quote(self.contract.physical_name()),
            values::select(self.contract),
            checked.sql
        );
        let _readers = Readers::see(self.connection, check.patience()).map_err(failed(DOING))?;
        let found = within(self.connection, check.patience(), || {
            let mut statement = self.connection.prepare(&sql)?;
            if !statement.readonly() {
                // The parser lets none through; this is the second half of that assertion.
                return Err(rusqlite::Error::InvalidQuery);
            }
            let names: Vec<String> = statement.column_names().into_iter().map(ToOwned::to_owned).collect();
            let mut rows = statement.query(())?;
            let (mut count, mut first) = (0, Vec::new());
            while let Some(row) = rows.next()? {
                let last = names.len() - 1;
                count = row.get::<_, i64>(last)?;
                let cells = names[..last].iter().enumerate();
                first.push(
                    cells
                        .map(|(at, name)| Ok((name.clone(), cell(row.get_ref(at)?))))
                        .collect::<rusqlite::Result<Vec<_>>>()?,
                );
            }
            Ok((u64::try_from(count).unwrap_or_default(), first))
        })?;
        Ok(match found {
            Ok((rows, first)) => check.answered(rows, &first),
            Err(error) if is_interrupted(&error) => Some(check.out_of_time()),
            Err(rusqlite::Error::SqliteFailure(_, Some(said))) => Some(check.impossible(&said)),
            Err(error) => Some(check.impossible(&error.to_string())),
        })
    }
}

/// Run a query, and interrupt it when its time is over.
fn within<T>(
    connection: &Connection,
    patience: Duration,
    query: impl FnOnce() -> rusqlite::Result<T>,
) -> Result<rusqlite::Result<T>, StoreError> {
    let interrupt = Interrupt::of(connection);
    let (working, ended) = channel::<()>();
    // The thread is gone before this returns: it never interrupts what comes next.
    std::thread::scope(|scope| {
        let watch = move || {
            let interrupt = interrupt;
            let mut patience = patience;
            while ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                interrupt.interrupt();
                patience = AGAIN;
            }
        };
        std::thread::Builder::new()
            .spawn_scoped(scope, watch)
            .map_err(|error| StoreError::Database { doing: DOING, source: sqlx::Error::Io(error) })?;
        let answer = query();
        drop(working);
        Ok(answer)
    })
}
