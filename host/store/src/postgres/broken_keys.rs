//! Which foreign key a row breaks: one that was refused, or one of those that wait.

use arrow_array::RecordBatch;
use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::ddl::{list, quote, table_name};
use super::literal::literal;
use super::stored::failed;
use super::{keys, tables};
use crate::rows::key_tuple;
use crate::{BrokenKey, StoreError, Table};

/// Which foreign key a row that was refused breaks; None when none does.
pub(super) async fn explain_row(
    connection: &mut PgConnection,
    contract: &Contract,
    batch: &RecordBatch,
    row: usize,
) -> Result<Option<StoreError>, StoreError> {
    for key in &contract.foreign_keys {
        let values = key.columns.iter().map(|name| {
            let data_type = contract.column(name)?.data_type;
            Some((CoordinateValue::from_array(batch.column_by_name(name)?, data_type, row)?, data_type))
        });
        // A null refers to nothing.
        let Some(values) = values.collect::<Option<Vec<_>>>() else { continue };
        let target = tables::by_uid(connection, &key.references.table).await?;
        let conditions = key.references.columns.iter().zip(&values);
        let conditions: Vec<String> = conditions
            .map(|(name, (value, data_type))| format!("{} = {}", quote(name), literal(value, *data_type)))
            .collect();
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM {} WHERE {})",
            table_name(&target.contract),
            conditions.join(" AND ")
        );
        let there: bool = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut *connection)
            .await
            .map_err(failed("looking for the row that a foreign key wants"))?;
        if !there {
            let row = format!("row {}", key_tuple(contract, batch, row));
            let values = Coordinate(values.into_iter().map(|(value, _)| value).collect());
            return Ok(Some(BrokenKey::of(contract, key, row, &values, &target)));
        }
    }
    Ok(None)
}

/// The first row that waits for a table and refers to nothing. `place` is what the place of a row is called, where the
/// waiting table has them.
pub(super) async fn explain_waiting(
    connection: &mut PgConnection,
    table: &Table,
    waiting: &str,
    place: Option<&str>,
) -> Result<Option<StoreError>, StoreError> {
    const DOING: &str = "looking for the row that a foreign key refuses";
    let contract = &table.contract;
    for key in &contract.foreign_keys {
        let target = tables::by_uid(connection, &key.references.table).await?;
        let matches = |theirs: &str| {
            let pairs = key.columns.iter().zip(&key.references.columns);
            pairs
                .map(|(own, other)| format!("{theirs}.{} = _own.{}", quote(other), quote(own)))
                .collect::<Vec<_>>()
                .join(" AND ")
        };
        let there: Vec<String> =
            key.columns.iter().map(|column| format!("_own.{} IS NOT NULL", quote(column))).collect();
        let shown = contract.key().iter().chain(&key.columns);
        let mut sql = format!(
            "SELECT {}{} FROM {waiting} AS _own WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS _target WHERE {})",
            keys::selected("_own", contract, shown),
            if place.is_some() { ", _own._place" } else { "" },
            there.join(" AND "),
            table_name(&target.contract),
            matches("_target")
        );
        if target.uid == table.uid {
            sql += &format!(
                " AND NOT EXISTS (SELECT 1 FROM {waiting} AS _waiting WHERE {})",
                matches("_waiting")
            );
        }
        let order = if place.is_some() { "_own._place".to_owned() } else { list(contract.key()) };
        sql += &format!(" ORDER BY {order} LIMIT 1");
        let found = sqlx::query(AssertSqlSafe(sql)).fetch_optional(&mut *connection).await;
        if let Some(found) = found.map_err(failed(DOING))? {
            let width = contract.key().len();
            let row_key = keys::coordinate(&found, 0, contract, contract.key())?;
            let values = keys::coordinate(&found, width, contract, &key.columns)?;
            let row = match place {
                Some(place) => {
                    let number: i64 = found.try_get(width + key.columns.len()).map_err(failed(DOING))?;
                    format!("{place} {number}, row {row_key}")
                }
                None => format!("row {row_key}"),
            };
            return Ok(Some(BrokenKey::of(contract, key, row, &values, &target)));
        }
    }
    Ok(None)
}
