//! Which foreign key a row breaks.

use arrow_array::RecordBatch;
use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use sqlx::{AssertSqlSafe, PgConnection};

use super::ddl::{quote, table_name};
use super::literal::literal;
use super::stored::failed;
use super::tables;
use crate::rows::key_tuple;
use crate::{BrokenKey, StoreError};

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
