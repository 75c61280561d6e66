//! What a revision leaves in a table: values that the host can read, and a progress that is true. That foreign keys lead
//! somewhere, and that values have the types of their columns, PostgreSQL sees to itself; of keys that it refuses it does
//! not say how many rows are in the way.

use datanode_core::Timestamp;
use datanode_core::contract::{Column, Contract, TableKind};
use datanode_core::coordinate::CoordinateValue;
use datanode_core::data_type::DataType;
use datanode_core::revision::RevisionError;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::postgres::ddl::{quote, table_name};
use crate::postgres::literal::literal;
use crate::postgres::stored::{count, failed};
use crate::postgres::{progress, tables, tail_delete};
use crate::{StoreError, Table};

const DOING: &str = "looking at the rows of a revision";

/// Rows of a table.
pub(super) async fn rows(connection: &mut PgConnection, contract: &Contract) -> Result<u64, StoreError> {
    let sql = format!("SELECT count(*) FROM {}", table_name(contract));
    let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await.map_err(failed(DOING))?;
    count("rows of a table", rows)
}

/// What the type of PostgreSQL has and that of the contract has not, as a condition; None where they agree.
fn misfit(column: &Column) -> Option<String> {
    let name = quote(&column.name);
    Some(match column.data_type {
        // What is not a number sorts behind infinity.
        DataType::Float64 | DataType::Float32 => {
            format!("NOT ({name} > '-Infinity' AND {name} < 'Infinity')")
        }
        DataType::Decimal { .. } => format!("{name} = 'NaN'"),
        DataType::Date => format!("NOT isfinite({name})"),
        DataType::TimestampTz => {
            let bound = |micros| {
                literal(&CoordinateValue::Timestamp(Timestamp::nearest_micros(micros)), DataType::TimestampTz)
            };
            format!("{name} NOT BETWEEN {} AND {}", bound(i64::MIN), bound(i64::MAX))
        }
        DataType::Int64
        | DataType::Int32
        | DataType::Int16
        | DataType::Bool
        | DataType::String
        | DataType::Uuid
        | DataType::Json
        | DataType::Bytes => return None,
    })
}

/// Refuse values that the types of the contract do not have: they could never be read.
pub(super) async fn check_values(
    connection: &mut PgConnection,
    contract: &Contract,
) -> Result<(), StoreError> {
    let checked: Vec<(&Column, String)> =
        contract.columns.iter().filter_map(|column| Some((column, misfit(column)?))).collect();
    if checked.is_empty() {
        return Ok(());
    }
    let table = table_name(contract);
    let counts: Vec<String> =
        checked.iter().map(|(_, misfit)| format!("count(*) FILTER (WHERE {misfit})")).collect();
    let sql = format!("SELECT {} FROM {table}", counts.join(", "));
    let found = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *connection).await.map_err(failed(DOING))?;
    for (at, (column, misfit)) in checked.iter().enumerate() {
        let rows: i64 = found.try_get(at).map_err(failed(DOING))?;
        if rows == 0 {
            continue;
        }
        let key: Vec<String> = contract.key().iter().map(|name| format!("{}::text", quote(name))).collect();
        let sql = format!("SELECT {} FROM {table} WHERE {misfit} LIMIT 1", key.join(", "));
        let first =
            sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *connection).await.map_err(failed(DOING))?;
        let mut named = Vec::with_capacity(key.len());
        for (at, name) in contract.key().iter().enumerate() {
            let value: Option<String> = first.try_get(at).map_err(failed(DOING))?;
            named.push(format!("{name} {}", value.unwrap_or_default()));
        }
        return Err(RevisionError::Values {
            table: contract.identifier.clone(),
            column: column.name.clone(),
            data_type: column.data_type.to_string(),
            rows: count("rows of a table", rows)?,
            first: named.join(", "),
        }
        .into());
    }
    Ok(())
}

/// Refuse rows whose foreign keys lead nowhere, as far as the table has the columns of its keys by now.
pub(super) async fn check_foreign_keys(
    connection: &mut PgConnection,
    contract: &Contract,
) -> Result<(), StoreError> {
    for key in &contract.foreign_keys {
        let target = tables::by_uid(connection, &key.references.table).await?.contract;
        let matches = key.columns.iter().zip(&key.references.columns);
        let matches: Vec<String> =
            matches.map(|(own, other)| format!("_target.{} = _own.{}", quote(other), quote(own))).collect();
        let there: Vec<String> =
            key.columns.iter().map(|column| format!("_own.{} IS NOT NULL", quote(column))).collect();
        let sql = format!(
            "SELECT count(*) FROM {} AS _own WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS _target WHERE {})",
            table_name(contract),
            there.join(" AND "),
            table_name(&target),
            matches.join(" AND ")
        );
        let found: i64 = match sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *connection).await {
            Ok(found) => found,
            Err(error) => {
                let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
                // A column that a later statement would have made.
                return if code.is_some_and(|code| code == "42703") {
                    Ok(())
                } else {
                    Err(failed(DOING)(error))
                };
            }
        };
        if found > 0 {
            let (table, target) = (contract.identifier.clone(), target.identifier);
            return Err(
                RevisionError::ForeignKey { table, target, rows: count("rows of a table", found)? }.into()
            );
        }
    }
    Ok(())
}

/// Count the progress of a table again, from its rows. Everywhere else it is kept and never scanned for; a revision may
/// have changed any row.
pub(super) async fn count_again(connection: &mut PgConnection, table: &Table) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM datanode.progress WHERE table_uid = $1")
        .bind(&table.uid)
        .execute(&mut *connection)
        .await
        .map_err(failed(DOING))?;
    if table.contract.kind != TableKind::TimeIndexed {
        return Ok(());
    }
    let counted = tail_delete::counted(connection, &table.contract).await?;
    progress::extend(connection, &table.uid, &table.contract, &counted).await
}
