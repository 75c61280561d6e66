//! Batches from plain values.

use std::sync::Arc;

use arrow_array::builder::PrimitiveBuilder;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
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
        self.column(name, Arc::new(primitive::<TimestampMicrosecondType>(micros).with_timezone("UTC")))
    }

    /// A `float64` column.
    #[must_use]
    pub fn floats(
        self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<Option<f64>>>,
    ) -> Self {
        self.column(name, Arc::new(primitive::<Float64Type>(values.into_iter().map(Into::into))))
    }

    /// An `int64` column.
    #[must_use]
    pub fn integers(
        self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<Option<i64>>>,
    ) -> Self {
        self.column(name, Arc::new(primitive::<Int64Type>(values.into_iter().map(Into::into))))
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
        self.column(name, Arc::new(primitive::<Date32Type>(values.into_iter().map(Into::into))))
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

/// An array of these values. A bitmap of nulls is made when the first of them comes, and most columns have none.
fn primitive<T: ArrowPrimitiveType>(values: impl Iterator<Item = Option<T::Native>>) -> PrimitiveArray<T> {
    let mut builder = PrimitiveBuilder::with_capacity(values.size_hint().0);
    values.for_each(|value| builder.append_option(value));
    builder.finish()
}
