//! Quality checks that compare new rows with stored ones, judged in the commit's transaction. Each runs under a savepoint
//! that is always gone back to: read only, for so long as its contract says, and nothing that it sets stays.

use chrono::DateTime;
use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::coordinate::CoordinateValue;
use datanode_core::data_type::DataType;
use datanode_core::progress::Progress;
use datanode_core::quality::{EXAMPLES, Offending, StoredCheck, StoredRule, Violation};
use datanode_core::sql::{SqlDialect, check};
use serde_json::{Number, Value};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Column, PgConnection, Row, TypeInfo, ValueRef};

use super::ddl::table_name;
use super::literal::literal;
use super::ranges::Ranges;
use super::sql::over;
use super::stored::{failed, is_canceled};
use crate::StoreError;
use crate::checks::{Asking, Question, Reach};

const DOING: &str = "judging a quality check";

const SAVE: &str = "SAVEPOINT _check";
const GO_BACK: &str = "ROLLBACK TO SAVEPOINT _check; RELEASE SAVEPOINT _check";

/// What the checks find of rows that are in the table by now. `before` is the progress before they came.
pub(super) async fn judge(
    connection: &mut PgConnection,
    contract: &Contract,
    checks: &[StoredCheck],
    added: &Progress,
    before: &Progress,
) -> Result<Vec<Violation>, StoreError> {
    let mut violations = Vec::new();
    for check in checks {
        execute(connection, SAVE).await?;
        let found = match &check.rule {
            StoredRule::Unique { columns } => {
                let reach = Reach::written(added);
                offended(connection, contract, check, &reach, |asking| asking.unique(columns)).await
            }
            StoredRule::Monotonic { column, direction, strict } => {
                let reach = Reach::in_order(added, before);
                let ask = |asking: &Asking<'_>| asking.monotonic(*column, *direction, *strict);
                offended(connection, contract, check, &reach, ask).await
            }
            StoredRule::Sql { query } => answered(connection, contract, check, query).await,
        };
        // A connection that is lost says so here, too.
        let found = found?;
        execute(connection, GO_BACK).await?;
        violations.extend(found);
    }
    Ok(violations)
}

async fn offended(
    connection: &mut PgConnection,
    contract: &Contract,
    check: &StoredCheck,
    reach: &Reach,
    ask: impl FnOnce(&Asking<'_>) -> Question,
) -> Result<Option<Violation>, StoreError> {
    let Some((first, last)) = reach.bounds() else { return Ok(None) };
    let ranges = if contract.dimensions().is_empty() {
        None
    } else {
        let ranges = Ranges::new(contract, &reach.map(), 0)?;
        ranges.prepare(connection).await?;
        Some(ranges)
    };
    let moment = |time| literal(&CoordinateValue::Timestamp(time), DataType::TimestampTz);
    let question = ask(&Asking {
        contract,
        table: table_name(contract),
        reach: ranges.as_ref().map(|ranges| ranges.table.as_str()),
        first: &moment(first),
        last: &moment(last),
    });
    read_only(connection, check).await?;
    match rows(connection, &question.sql).await {
        Err(error) if is_canceled(&error) => Ok(Some(check.out_of_time())),
        Err(error) => Err(failed(DOING)(error)),
        Ok(found) => {
            let rows = count(&found);
            let first = found.into_iter().map(|row| {
                let cells = row.into_iter().map(|(_, value)| value);
                // But for the count.
                cells.take(question.types.len() - 1).collect()
            });
            Ok(check.offended_by(contract, &Offending { rows, first: first.collect() }))
        }
    }
}

/// Run the statement of a check.
async fn answered(
    connection: &mut PgConnection,
    contract: &Contract,
    check: &StoredCheck,
    query: &str,
) -> Result<Option<Violation>, StoreError> {
    let checked = match self::check(query, contract, SqlDialect::PostgreSql) {
        Ok(checked) => checked,
        Err(error) => return Ok(Some(check.impossible(&error.message))),
    };
    read_only(connection, check).await?;
    // The table as readers see it.
    let query = over(contract, &checked.sql);
    let sql = format!("SELECT _found.*, count(*) OVER () FROM ({query}) AS _found LIMIT {EXAMPLES}");
    match rows(connection, &sql).await {
        Ok(found) => {
            let rows = count(&found);
            let first: Vec<_> = found
                .into_iter()
                .map(|mut row| {
                    row.pop();
                    row
                })
                .collect();
            Ok(check.answered(rows, &first))
        }
        Err(error) if is_canceled(&error) => Ok(Some(check.out_of_time())),
        Err(error) => match error.as_database_error() {
            Some(said) => Ok(Some(check.impossible(said.message()))),
            None => Err(failed(DOING)(error)),
        },
    }
}

/// From here until the savepoint: nothing is written, a statement has its time, and values look as everywhere in this
/// host. Contracts call a table by its physical name, without the schema.
async fn read_only(connection: &mut PgConnection, check: &StoredCheck) -> Result<(), StoreError> {
    let sql = format!(
        "SET LOCAL transaction_read_only = on; SET LOCAL statement_timeout = {}; \
         SET LOCAL search_path = datanode_sql, pg_catalog, datanode_tables; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; \
         SET LOCAL bytea_output = hex; SET LOCAL extra_float_digits = 1",
        check.patience().as_millis()
    );
    execute(connection, &sql).await
}

async fn execute(connection: &mut PgConnection, sql: &str) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(|_| ()).map_err(failed(DOING))
}

/// The rows of a query, as names and values.
async fn rows(connection: &mut PgConnection, sql: &str) -> sqlx::Result<Vec<Vec<(String, Value)>>> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.iter().map(values).collect()
}

/// How many rows there are: the last column of each.
fn count(found: &[Vec<(String, Value)>]) -> u64 {
    found.first().and_then(|row| row.last()).and_then(|(_, value)| value.as_u64()).unwrap_or_default()
}

/// The values of a row, each in the form that [`datanode_core::cell`] gives it.
fn values(row: &PgRow) -> sqlx::Result<Vec<(String, Value)>> {
    let columns = row.columns().iter().map(|column| {
        let cell = row.try_get_raw(column.ordinal())?;
        let value = if cell.is_null() {
            Value::Null
        } else {
            let text = cell.as_str().map_err(sqlx::Error::Decode)?;
            value(column.type_info().name(), text)
        };
        Ok((column.name().to_owned(), value))
    });
    columns.collect()
}

/// A value that the server has written as text.
fn value(type_name: &str, text: &str) -> Value {
    let float = || text.parse().ok().and_then(Number::from_f64).map(Value::Number);
    match type_name {
        "FLOAT8" | "FLOAT4" => float(),
        "INT8" | "INT4" | "INT2" => text.parse::<i64>().ok().map(Value::from),
        "BOOL" => Some(Value::from(text == "t")),
        "TIMESTAMPTZ" => DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z")
            .ok()
            .and_then(|time| Timestamp::from_datetime(time.to_utc()).ok())
            .map(|time| Value::from(time.to_string())),
        "BYTEA" => text.strip_prefix("\\x").map(Value::from),
        _ => None,
    }
    .unwrap_or_else(|| Value::from(text))
}
