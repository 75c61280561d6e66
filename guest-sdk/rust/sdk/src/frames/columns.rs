//! Typed columns of a batch, by name.

use arrow_array::{
    Array, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};

use crate::{NodeError, Timestamp};

/// Typed columns by name, with errors that say what the batch has instead.
///
/// ```
/// use datanode_sdk::frames::{BatchExt, FrameBuilder};
/// let batch = FrameBuilder::new().floats("rate", [1.5, 2.5]).build().unwrap();
/// assert_eq!(batch.floats("rate").unwrap().value(1), 2.5);
/// assert_eq!(batch.strings("rate").unwrap_err().message, "column `rate` is Float64, not Utf8");
/// assert_eq!(batch.floats("price").unwrap_err().message, "no column `price`: there are rate");
/// ```
pub trait BatchExt {
    /// A column as an array of this type; `wanted` names the type in the error.
    #[track_caller]
    fn typed<A: Array + 'static>(&self, name: &str, wanted: &str) -> Result<&A, NodeError>;

    /// A `timestamp_tz` column; [`TimestampsExt`] reads its values.
    #[track_caller]
    fn timestamps(&self, name: &str) -> Result<&TimestampMicrosecondArray, NodeError> {
        self.typed(name, "Timestamp(µs)")
    }

    /// A `float64` column.
    #[track_caller]
    fn floats(&self, name: &str) -> Result<&Float64Array, NodeError> {
        self.typed(name, "Float64")
    }

    /// An `int64` column.
    #[track_caller]
    fn integers(&self, name: &str) -> Result<&Int64Array, NodeError> {
        self.typed(name, "Int64")
    }

    /// A `string` or `json` column.
    #[track_caller]
    fn strings(&self, name: &str) -> Result<&StringArray, NodeError> {
        self.typed(name, "Utf8")
    }

    /// A `bool` column.
    #[track_caller]
    fn booleans(&self, name: &str) -> Result<&BooleanArray, NodeError> {
        self.typed(name, "Boolean")
    }

    /// A `date` column: days since 1970-01-01.
    #[track_caller]
    fn dates(&self, name: &str) -> Result<&Date32Array, NodeError> {
        self.typed(name, "Date32")
    }
}

impl BatchExt for RecordBatch {
    #[track_caller]
    fn typed<A: Array + 'static>(&self, name: &str, wanted: &str) -> Result<&A, NodeError> {
        let Some(column) = self.column_by_name(name) else {
            return Err(no_column(self, name));
        };
        let Some(typed) = column.as_any().downcast_ref() else {
            let problem = format!("column `{name}` is {}, not {wanted}", column.data_type());
            return Err(NodeError::new("frame.column", problem));
        };
        Ok(typed)
    }
}

#[track_caller]
pub(crate) fn no_column(batch: &RecordBatch, name: &str) -> NodeError {
    let names: Vec<&str> = batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    NodeError::new("frame.column", format!("no column `{name}`: there are {}", names.join(", ")))
}

/// Moments of a `timestamp_tz` column.
pub trait TimestampsExt {
    /// The moment in a row. `time_index` is never null; for another column ask `is_null` first.
    fn at(&self, row: usize) -> Timestamp;
}

impl TimestampsExt for TimestampMicrosecondArray {
    #[inline]
    fn at(&self, row: usize) -> Timestamp {
        Timestamp::from_micros(self.value(row))
    }
}
