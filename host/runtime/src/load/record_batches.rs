//! Files of record batches: Parquet and Arrow IPC.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{Field, Schema};
use datanode_core::contract::Contract;
use datanode_store::{PlacedBatch, RowsError};

use super::{Checks, LoadError, convert};

/// The rows of a file of record batches.
pub(super) struct BatchRows<R> {
    checks: Checks,
    reader: R,
    /// The columns as they are after conversion.
    schema: Arc<Schema>,
    /// Rows before the next batch.
    rows: u64,
    ended: bool,
}

impl<R: RecordBatchReader> BatchRows<R> {
    pub(super) fn new(name: String, reader: R, contract: Arc<Contract>) -> Result<Self, LoadError> {
        let fields = reader.schema();
        let fields = fields.fields().iter().map(|field| {
            let data_type = match contract.column(field.name()) {
                Some(column) => convert::becomes(column.data_type, field.data_type()),
                None => field.data_type().clone(),
            };
            Field::new(field.name(), data_type, true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let checks = Checks::new(name, "row", contract, &schema)?;
        Ok(Self { checks, reader, schema, rows: 0, ended: false })
    }

    fn batch(&mut self) -> Result<Option<PlacedBatch>, LoadError> {
        let file = self.checks.file.clone();
        let unreadable = |problem: String| LoadError::Unreadable { file: file.clone(), problem };
        let Some(batch) = self.reader.next() else { return Ok(None) };
        let batch = batch.map_err(|error| unreadable(error.to_string()))?;
        let first = self.rows;
        self.rows += batch.num_rows() as u64;
        let mut arrays = Vec::with_capacity(batch.num_columns());
        for (field, array) in self.schema.fields().iter().zip(batch.columns()) {
            let column = self.checks.contract.column(field.name());
            let column = column.ok_or_else(|| unreadable("another schema than its own".to_owned()))?;
            arrays.push(convert::convert(column, array).map_err(|convert::Misfit { row, problem }| {
                LoadError::Value {
                    file: file.clone(),
                    place: format!("row {}", first + row as u64 + 1),
                    column: column.name.clone(),
                    problem,
                }
            })?);
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|error| unreadable(error.to_string()))?;
        self.checks.check(&batch, (first + 1..=self.rows).collect()).map(Some)
    }
}

impl<R: RecordBatchReader> Iterator for BatchRows<R> {
    type Item = Result<PlacedBatch, RowsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.batch();
        self.ended = !matches!(next, Ok(Some(_)));
        next.map_err(|error| -> RowsError { Box::new(error) }).transpose()
    }
}
