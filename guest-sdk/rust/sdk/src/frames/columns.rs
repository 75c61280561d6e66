//! Typed columns of a batch, by name.

use std::any::type_name;

use arrow_array::{
    Array, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};

use crate::{NodeError, Timestamp};

/// Typed columns by name, with errors that say what the batch has instead.
///
/// ```
/// use datanode_sdk::frames::{BatchExt, FrameBuilder};
/// let batch = FrameBuilder::new().floats("rate", [1.5, 2.5]).build().unwrap();
/// assert_eq!(batch.floats("rate").unwrap().value(1), 2.5);
/// assert_eq!(batch.strings("rate").unwrap_err().message, "column `rate` is Float64, not StringArray");
/// assert_eq!(batch.floats("price").unwrap_err().message, "no column `price`: there are rate");
/// ```
pub trait BatchExt {
    /// A column as an array of this type.
    fn typed<A: Array + 'static>(&self, name: &str) -> Result<&A, NodeError>;

    /// A `timestamp_tz` column; [`TimestampsExt`] reads its values.
    fn timestamps(&self, name: &str) -> Result<&TimestampMicrosecondArray, NodeError> {
        self.typed(name)
    }

    /// A `float64` column.
    fn floats(&self, name: &str) -> Result<&Float64Array, NodeError> {
        self.typed(name)
    }

    /// An `int64` column.
    fn integers(&self, name: &str) -> Result<&Int64Array, NodeError> {
        self.typed(name)
    }

    /// A `string` or `json` column.
    fn strings(&self, name: &str) -> Result<&StringArray, NodeError> {
        self.typed(name)
    }

    /// A `bool` column.
    fn booleans(&self, name: &str) -> Result<&BooleanArray, NodeError> {
        self.typed(name)
    }

    /// A `date` column: days since 1970-01-01.
    fn dates(&self, name: &str) -> Result<&Date32Array, NodeError> {
        self.typed(name)
    }
}

impl BatchExt for RecordBatch {
    fn typed<A: Array + 'static>(&self, name: &str) -> Result<&A, NodeError> {
        let Some(column) = self.column_by_name(name) else {
            let names: Vec<&str> = self.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
            return Err(NodeError::new("frame.column", format!("no column `{name}`: there are {}", names.join(", "))));
        };
        column.as_any().downcast_ref().ok_or_else(|| {
            let path = type_name::<A>();
            let wanted = path.split('<').next().and_then(|path| path.rsplit("::").next()).unwrap_or(path);
            let wanted = if wanted.starts_with("Primitive") { path.rsplit("::").next().unwrap_or(path) } else { wanted };
            let wanted = if wanted == "GenericByteArray" { "StringArray" } else { wanted.trim_end_matches('>') };
            NodeError::new("frame.column", format!("column `{name}` is {}, not {wanted}", column.data_type()))
        })
    }
}

/// Moments of a `timestamp_tz` column.
pub trait TimestampsExt {
    /// The moment in a row. `time_index` is never null; for another column ask `is_null` first.
    fn at(&self, row: usize) -> Timestamp;
}

impl TimestampsExt for TimestampMicrosecondArray {
    fn at(&self, row: usize) -> Timestamp {
        Timestamp::from_micros(self.value(row))
    }
}
