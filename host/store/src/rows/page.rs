//! Pages of a read, and the keys of their rows.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_schema::Schema;
use datanode_core::Timestamp;
use datanode_core::contract::{Column, Contract, TIME_INDEX, TableKind};
use datanode_core::coordinate::{Coordinate, CoordinateValue};

use super::ColumnBuilder;
use crate::{IndexKey, Page, StoreError};

/// A page ends early when its texts and bytes reach this size, so that neither memory nor Arrow's 32-bit offsets
/// depend on how long the values of a table are.
pub(crate) const MAX_PAGE_BYTES: usize = 4 << 20;
/// Rows for which builders make room in advance.
pub(crate) const ROWS_AT_ONCE: usize = 8_192;

/// A page out of its columns; None when it has no rows.
pub(crate) fn page(
    contract: &Contract,
    columns: &[Column],
    built: Vec<ColumnBuilder>,
    rows: usize,
) -> Result<Option<Page>, StoreError> {
    let Some(last) = rows.checked_sub(1) else { return Ok(None) };
    let damaged = |error| StoreError::Damaged(format!("table `{}`: {error}", contract.identifier));
    let schema = Schema::new(columns.iter().map(Column::arrow_field).collect::<Vec<_>>());
    let arrays =
        built.into_iter().map(ColumnBuilder::finish).collect::<Result<Vec<_>, _>>().map_err(damaged)?;
    let batch = RecordBatch::try_new(Arc::new(schema), arrays).map_err(damaged)?;
    let last = index_key(contract, &batch, last)?;
    Ok(Some(Page { batch, last }))
}

/// The key of a row; the key is always among the columns of an answer.
fn index_key(contract: &Contract, batch: &RecordBatch, row: usize) -> Result<IndexKey, StoreError> {
    let missing = || StoreError::Damaged(format!("table `{}`: a row has no key", contract.identifier));
    let time = match contract.kind {
        TableKind::Reference => None,
        TableKind::TimeIndexed => {
            let times = batch
                .column_by_name(TIME_INDEX)
                .and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>());
            let micros = times.ok_or_else(missing)?.value(row);
            Some(Timestamp::from_micros(micros).map_err(|error| {
                StoreError::Damaged(format!(
                    "table `{}`, column `{TIME_INDEX}`: {error}",
                    contract.identifier
                ))
            })?)
        }
    };
    let coordinate = contract.key_dimensions().iter().map(|name| {
        CoordinateValue::from_array(batch.column_by_name(name)?, contract.column(name)?.data_type, row)
    });
    Ok(IndexKey { time, coordinate: Coordinate(coordinate.collect::<Option<_>>().ok_or_else(missing)?) })
}

/// The key of a row, as text.
pub(crate) fn key_tuple(contract: &Contract, batch: &RecordBatch, row: usize) -> String {
    let values = contract.key().iter().filter_map(|name| {
        CoordinateValue::from_array(batch.column_by_name(name)?, contract.column(name)?.data_type, row)
    });
    Coordinate(values.collect()).to_string()
}
