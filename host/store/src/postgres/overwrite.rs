//! Rows that may be there already: they wait in a temporary table, and one statement inserts those that are new and
//! updates those that differ.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use datanode_core::contract::{Column, Contract, TIME_INDEX};
use datanode_core::coordinate::CoordinateValue;
use datanode_core::data_type::DataType;
use datanode_core::progress::{CoordinateProgress, Progress};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::append::{append, append_and_look, short};
use super::ddl::{define, list, quote, table_name};
use super::keys::{coordinate, micros, selected};
use super::literal::literal;
use super::message::answers;
use super::refusal::{Refusal, refusal};
use super::stored::{count, failed, timestamp};
use super::write::Caller;
use super::{broken_keys, progress, tables};
use crate::fault::{self, Step};
use crate::rows::{BatchTally, Cells};
use crate::write_mode::Written;
use crate::{Rows, StoreError, Table, WriteMode};

const DOING: &str = "storing rows";

/// Where the rows of a run wait.
const WAITING: &str = "pg_temp._rows";

/// Before the statement that a foreign key may refuse.
const SAVE: &str = "SAVEPOINT _overwrite";
const GO_BACK: &str = "ROLLBACK TO SAVEPOINT _overwrite";

/// The copy that brings rows with all columns of a contract.
pub(super) fn copy_into(table: &str, contract: &Contract) -> String {
    format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", columns(contract))
}

/// The columns of a contract, in its order.
pub(super) fn columns(contract: &Contract) -> String {
    contract.columns.iter().map(|column| quote(&column.name)).collect::<Vec<_>>().join(", ")
}

/// Create the table where rows wait; `further` is a column of it behind those of the contract, if there is any. No name of a
/// contract begins with an underscore.
pub(super) async fn create_waiting(
    connection: &mut PgConnection,
    waiting: &str,
    contract: &Contract,
    further: &str,
) -> Result<(), StoreError> {
    let mut columns = contract.columns.iter().map(define).collect::<Vec<_>>();
    columns.extend((!further.is_empty()).then(|| further.to_owned()));
    let create = format!("CREATE TEMPORARY TABLE {waiting} ({}) ON COMMIT DROP", columns.join(", "));
    let created = sqlx::raw_sql(AssertSqlSafe(create)).execute(connection).await;
    created.map(|_| ()).map_err(failed("making room for rows"))
}

/// The statement that inserts the rows that wait, or updates those whose key is there and whose values differ, unless
/// these are to stay. Of the rows that wait no two have one key. The rows of the table are `_held` in it.
pub(super) fn overwrite(waiting: &str, contract: &Contract, mode: WriteMode) -> String {
    let key = contract.key();
    let others: Vec<&Column> = contract.columns.iter().filter(|column| !key.contains(&column.name)).collect();
    let action = if others.is_empty() || mode != WriteMode::Overwrite {
        "NOTHING".to_owned()
    } else {
        let set = others.iter().map(|column| format!("{0} = excluded.{0}", quote(&column.name)));
        // What stays as it is costs a look and no new version of the row.
        let differs = others.iter().map(|column| {
            let comparable = comparable(column);
            format!("_held.{0}{comparable} IS DISTINCT FROM excluded.{0}{comparable}", quote(&column.name))
        });
        format!(
            "UPDATE SET {} WHERE {}",
            set.collect::<Vec<_>>().join(", "),
            differs.collect::<Vec<_>>().join(" OR ")
        )
    };
    let columns = columns(contract);
    format!(
        "INSERT INTO {} AS _held ({columns}) SELECT {columns} FROM {waiting} ON CONFLICT ({}) DO {action}",
        table_name(contract),
        list(key)
    )
}

/// Store the rows of a run wherever they lie in time, and account for those that were not there. `sent` is what the rows
/// are. The table's epoch is raised unless they merely append. The caller has locked the table.
pub(super) async fn store(
    connection: &mut PgConnection,
    table: &Table,
    mode: WriteMode,
    rows: Rows,
    sent: &Progress,
    on_rows: &(dyn Fn(u64) + Send + Sync),
    caller: Caller,
) -> Result<Written, StoreError> {
    let contract = &table.contract;
    let held = progress::read(connection, table).await?;
    let (written, inserted) = if are_new(connection, contract, &held, sent).await? {
        let name = table_name(contract);
        let inserted = append(connection, contract, &name, rows, on_rows, caller).await?;
        (Written::new(inserted), sent.clone())
    } else {
        create_waiting(connection, "_rows", contract, "").await?;
        let differ = Arc::new(AtomicBool::new(true));
        let look = look_whether_they_differ(contract, &differ);
        let waiting = append_and_look(connection, contract, WAITING, rows, on_rows, caller, look).await?;
        if !differ.load(Ordering::Relaxed) {
            refuse_twice(connection, contract).await?;
        }
        let (inserted, updated) = store_waiting(connection, table, mode).await?;
        let unchanged = waiting.saturating_sub(inserted.rows() + updated);
        (Written { inserted: inserted.rows(), updated, unchanged }, inserted)
    };
    fault::reached(Step::RowsStored);
    progress::merge(connection, &table.uid, contract, &inserted).await?;
    fault::reached(Step::ProgressStored);
    if written.updated > 0 || !held.is_followed_by(&inserted) {
        // What others have computed from the rows of this table may be another now.
        tables::raise_epoch(connection, &table.uid).await?;
    }
    Ok(written)
}

/// Looks at batches that pass by, and says when two of their rows may have one key. Most rows come in the order of time, or
/// of the time of each coordinate, and then none have; an index of the waiting table would find it too, at a cost for every
/// row.
fn look_whether_they_differ(
    contract: &Contract,
    differ: &Arc<AtomicBool>,
) -> impl FnMut(&RecordBatch) -> Result<(), StoreError> + Send + use<> {
    let (contract, differ) = (contract.clone(), Arc::clone(differ));
    let mut tally = BatchTally::new(&contract);
    move |batch| {
        if differ.load(Ordering::Relaxed) {
            let cells = Cells::new(&contract, batch)?;
            let counted = tally.rows(&cells, 0..batch.num_rows());
            differ.store(counted.is_some() && tally.all_differ(), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Refuse rows that wait if two of them have one key.
async fn refuse_twice(connection: &mut PgConnection, contract: &Contract) -> Result<(), StoreError> {
    let key = list(contract.key());
    let sql = format!(
        "SELECT {} FROM {WAITING} AS _rows GROUP BY {key} HAVING count(*) > 1 ORDER BY {key} LIMIT 1",
        selected("_rows", contract, contract.key())
    );
    let (rows, _) = answers(connection, sql).await.map_err(failed(DOING))?;
    let Some(row) = rows.first() else { return Ok(()) };
    Err(StoreError::DuplicateKey {
        table: contract.identifier.clone(),
        key: coordinate(row, 0, contract, contract.key())?.to_string(),
    })
}

/// Whether none of the rows can be there: they lie apart from what is held of their coordinates, or nothing at all is
/// held of the time that they cover.
async fn are_new(
    connection: &mut PgConnection,
    contract: &Contract,
    held: &Progress,
    sent: &Progress,
) -> Result<bool, StoreError> {
    let (Some(min), Some(max)) = (sent.min_time(), sent.max_time()) else { return Ok(true) };
    if held.is_clear_of(sent) {
        return Ok(true);
    }
    let [min, max] = [min, max].map(|time| literal(&CoordinateValue::Timestamp(time), DataType::TimestampTz));
    let sql = format!(
        "SELECT NOT EXISTS (SELECT FROM {} WHERE {} BETWEEN {min} AND {max})",
        table_name(contract),
        quote(TIME_INDEX)
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await.map_err(failed(DOING))
}

/// Store the rows that wait. What those add that were not there, and how many were updated.
async fn store_waiting(
    connection: &mut PgConnection,
    table: &Table,
    mode: WriteMode,
) -> Result<(Progress, u64), StoreError> {
    let contract = &table.contract;
    let dimensions = contract.dimensions();
    let time = format!("_stored.{}", quote(TIME_INDEX));
    let (also, grouped) = if dimensions.is_empty() {
        Default::default()
    } else {
        (
            format!(", {}", selected("_stored", contract, dimensions)),
            format!(" GROUP BY {}", list(dimensions)),
        )
    };
    // A row that was inserted has never been locked, one that was updated was locked first: by this transaction.
    let sql = format!(
        "{SAVE}; WITH _stored AS ({} RETURNING (_held.xmax = 0) AS _new, {}) \
         SELECT count(*) FILTER (WHERE _new), count(*) FILTER (WHERE NOT _new), {}, {}{also} FROM _stored{grouped}; \
         DROP TABLE {WAITING}",
        overwrite(WAITING, contract, mode),
        contract.key().iter().map(|name| format!("_held.{}", quote(name))).collect::<Vec<_>>().join(", "),
        micros(&format!("min({time}) FILTER (WHERE _new)")),
        micros(&format!("max({time}) FILTER (WHERE _new)")),
    );
    let rows = match answers(connection, sql).await {
        Ok((rows, _)) => rows,
        Err(error) if refusal(&error) == Some(Refusal::ForeignKey) => {
            // Behind the savepoint the transaction can still be asked why.
            sqlx::raw_sql(GO_BACK).execute(&mut *connection).await.map_err(failed(DOING))?;
            let broken = broken_keys::explain_waiting(connection, table, WAITING, None).await?;
            return Err(broken.unwrap_or_else(|| failed(DOING)(error)));
        }
        Err(error) if let Some(Refusal::Value(problem)) = refusal(&error) => {
            sqlx::raw_sql(GO_BACK).execute(&mut *connection).await.map_err(failed(DOING))?;
            return Err(too_long(connection, contract, problem).await?);
        }
        Err(error) => return Err(failed(DOING)(error)),
    };
    let (mut inserted, mut updated) = (Progress::default(), 0);
    for row in rows {
        let number = |at: usize| count(DOING, row.try_get(at).map_err(failed(DOING))?);
        updated += number(1)?;
        let rows = number(0)?;
        if rows > 0 {
            let time = |at: usize| timestamp(DOING, row.try_get(at).map_err(failed(DOING))?);
            let added = CoordinateProgress { min: time(2)?, max: time(3)?, rows };
            inserted.extend(coordinate(&row, 4, contract, dimensions)?, added);
        }
    }
    Ok((inserted, updated))
}

/// The table keeps what the waiting table kept, but in a key that fits its index: the longest one does not.
async fn too_long(
    connection: &mut PgConnection,
    contract: &Contract,
    problem: String,
) -> Result<StoreError, StoreError> {
    let lengths = contract.key().iter().map(|name| format!("octet_length({}::text)", quote(name)));
    let sql = format!(
        "SELECT {} FROM {WAITING} AS _rows ORDER BY {} DESC LIMIT 1",
        selected("_rows", contract, contract.key()),
        lengths.collect::<Vec<_>>().join(" + ")
    );
    let (rows, _) = answers(connection, sql).await.map_err(failed(DOING))?;
    let row = match rows.first() {
        Some(row) => short(coordinate(row, 0, contract, contract.key())?.to_string()),
        None => String::new(),
    };
    Ok(StoreError::UnsupportedValue { table: contract.identifier.clone(), row, column: None, problem })
}

/// JSON has no equality; its text, which is kept as it came, has one.
fn comparable(column: &Column) -> &'static str {
    if column.data_type == DataType::Json { "::text" } else { "" }
}
