//! Batches from plain values.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{Field, Schema};

use crate::{NodeError, Timestamp};

/// Makes a batch, column by column. Values may be plain or `Option`s.
///
/// ```
/// use datanode_sdk::{Timestamp, frames::FrameBuilder};
/// let batch = FrameBuilder::new()
///     .timestamps("time_index", ["2020-01-01".parse::<Timestamp>().unwrap()])
///     .strings("currency", ["USD"])
///     .floats("rate", [Some(1.1)])
///     .build()
///     .unwrap();
/// assert_eq!(batch.num_rows(), 1);
/// ```
#[derive(Debug, Default)]
pub struct FrameBuilder {
    columns: Vec<(String, ArrayRef)>,
}

impl FrameBuilder {
    /// No columns yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Any Arrow array.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, values: ArrayRef) -> Self {
        self.columns.push((name.into(), values));
        self
    }

    /// A `timestamp_tz` column.
    #[must_use]
    pub fn timestamps(
        self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<Option<Timestamp>>>,
    ) -> Self {
        let micros = values.into_iter().map(|value| value.into().map(Timestamp::micros));
        self.column(name, Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC")))
    }

    /// A `float64` column.
    #[must_use]
    pub fn floats(
        self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<Option<f64>>>,
    ) -> Self {
        self.column(name, Arc::new(values.into_iter().map(Into::into).collect::<Float64Array>()))
    }

    /// An `int64` column.
    #[must_use]
    pub fn integers(
        self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<Option<i64>>>,
    ) -> Self {
        self.column(name, Arc::new(values.into_iter().map(Into::into).collect::<Int64Array>()))
    }

    /// A `bool` column.
    #[must_use]
    pub fn booleans(
        self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<Option<bool>>>,
    ) -> Self {
        self.column(name, Arc::new(values.into_iter().map(Into::into).collect::<BooleanArray>()))
    }

    /// A `date` column: days since 1970-01-01.
    #[must_use]
    pub fn dates(
        self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<Option<i32>>>,
    ) -> Self {
        self.column(name, Arc::new(values.into_iter().map(Into::into).collect::<Date32Array>()))
    }

    /// A `string` or `json` column with a value in every row. For others pass a `StringArray` to
    /// [`column`](Self::column).
    #[must_use]
    pub fn strings<S: AsRef<str>>(
        self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        self.column(name, Arc::new(values.into_iter().map(Some).collect::<StringArray>()))
    }

    /// The batch. Columns of different lengths are an error.
    #[track_caller]
    pub fn build(self) -> Result<RecordBatch, NodeError> {
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|(name, values)| Field::new(name, values.data_type().clone(), true))
            .collect();
        let columns = self.columns.into_iter().map(|(_, values)| values).collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }
}
