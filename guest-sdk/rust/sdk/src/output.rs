//! The declared output, and the check of each emitted batch against it.

use std::fmt;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType as ArrowType, Field, Schema, TimeUnit};

use crate::NodeError;

/// The type of a column, as table contracts name it. Each has one Arrow type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataType {
    /// `float64`: `Float64`.
    Float64,
    /// `float32`: `Float32`.
    Float32,
    /// `int64`: `Int64`.
    Int64,
    /// `int32`: `Int32`.
    Int32,
    /// `int16`: `Int16`.
    Int16,
    /// `bool`: `Boolean`.
    Bool,
    /// `string`: `Utf8`.
    String,
    /// `date`: `Date32`.
    Date,
    /// `timestamp_tz`: `Timestamp(us, UTC)`.
    TimestampTz,
    /// `uuid`: `FixedSizeBinary(16)`.
    Uuid,
    /// `json`: `Utf8` holding a JSON document.
    Json,
    /// `decimal(p,s)`: `Decimal128(p, s)`.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// `bytes`: `Binary`.
    Bytes,
}

impl DataType {
    /// The Arrow type of such a column.
    pub fn arrow(self) -> ArrowType {
        match self {
            Self::Float64 => ArrowType::Float64,
            Self::Float32 => ArrowType::Float32,
            Self::Int64 => ArrowType::Int64,
            Self::Int32 => ArrowType::Int32,
            Self::Int16 => ArrowType::Int16,
            Self::Bool => ArrowType::Boolean,
            Self::String | Self::Json => ArrowType::Utf8,
            Self::Date => ArrowType::Date32,
            Self::TimestampTz => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Uuid => ArrowType::FixedSizeBinary(16),
            Self::Decimal { precision, scale } => {
                ArrowType::Decimal128(precision, i8::try_from(scale).unwrap_or(i8::MAX))
            }
            Self::Bytes => ArrowType::Binary,
        }
    }
}

impl fmt::Display for DataType {
    /// The type token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float64 => "float64",
            Self::Float32 => "float32",
            Self::Int64 => "int64",
            Self::Int32 => "int32",
            Self::Int16 => "int16",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Date => "date",
            Self::TimestampTz => "timestamp_tz",
            Self::Uuid => "uuid",
            Self::Json => "json",
            Self::Decimal { precision, scale } => return write!(f, "decimal({precision},{scale})"),
            Self::Bytes => "bytes",
        })
    }
}

/// One column of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Lower case, at most 63 characters.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether a value may be missing.
    pub nullable: bool,
    /// What the values mean, with their unit.
    pub description: String,
}

/// The index and the columns of the frames that a node emits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// `time_index` first, then the identity dimensions.
    pub index: Vec<String>,
    /// All columns, the index included.
    pub columns: Vec<Column>,
}

impl Output {
    /// An output with this index, `time_index` first. Its columns are added like the others.
    pub fn new<S: Into<String>>(index: impl IntoIterator<Item = S>) -> Self {
        Self { index: index.into_iter().map(Into::into).collect(), columns: Vec::new() }
    }

    /// The columns depend on the config; emitted batches are then checked by the host alone.
    pub fn depends_on_config() -> Self {
        Self::default()
    }

    /// Add a column that has a value in every row.
    #[must_use]
    pub fn column(
        self,
        name: impl Into<String>,
        data_type: DataType,
        description: impl Into<String>,
    ) -> Self {
        self.with(name.into(), data_type, false, description.into())
    }

    /// Add a column that may lack a value.
    #[must_use]
    pub fn nullable(
        self,
        name: impl Into<String>,
        data_type: DataType,
        description: impl Into<String>,
    ) -> Self {
        self.with(name.into(), data_type, true, description.into())
    }

    fn with(mut self, name: String, data_type: DataType, nullable: bool, description: String) -> Self {
        self.columns.push(Column { name, data_type, nullable, description });
        self
    }

    /// The batch with the declared columns in the declared order, or an error that names the column at fault.
    #[track_caller]
    pub(crate) fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch, NodeError> {
        if self.columns.is_empty() {
            return Ok(batch.clone());
        }
        let schema = batch.schema_ref();
        let undeclared =
            schema.fields().iter().find(|field| self.columns.iter().all(|known| known.name != *field.name()));
        if let Some(field) = undeclared {
            return Err(refuse(field.name(), "is not declared in `output()`"));
        }
        let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
        for declared in &self.columns {
            let Some(array) = batch.column_by_name(&declared.name) else {
                return Err(refuse(&declared.name, "is missing from the emitted batch"));
            };
            let expected = declared.data_type.arrow();
            if *array.data_type() != expected {
                let problem = format!(
                    "is declared {} (Arrow {expected}), the batch has {}",
                    declared.data_type,
                    array.data_type()
                );
                return Err(refuse(&declared.name, &problem));
            }
            // Which row it is, is asked only where there is one.
            if !declared.nullable
                && array.null_count() > 0
                && let Some(row) = (0..array.len()).find(|row| array.is_null(*row))
            {
                return Err(refuse(&declared.name, "has no value where one is required").field("row", row));
            }
            fields.push(Field::new(&declared.name, expected, declared.nullable));
            columns.push(Arc::clone(array));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
    }
}

#[track_caller]
fn refuse(column: &str, problem: &str) -> NodeError {
    NodeError::new("output.column", format!("column `{column}` {problem}")).field("column", column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::FrameBuilder;

    fn output() -> Output {
        Output::new(["time_index"]).column("time_index", DataType::TimestampTz, "t").nullable(
            "value",
            DataType::Float64,
            "v",
        )
    }

    #[test]
    fn columns_are_put_in_the_declared_order() {
        let batch = FrameBuilder::new()
            .floats("value", [1.0])
            .timestamps("time_index", [crate::Timestamp::from_micros(1)])
            .build()
            .unwrap();
        let conformed = output().conform(&batch).unwrap();
        assert_eq!(conformed.schema_ref().field(0).name(), "time_index");
        assert!(!conformed.schema_ref().field(0).is_nullable());
    }

    #[test]
    fn the_column_at_fault_is_named() {
        let times = || FrameBuilder::new().timestamps("time_index", [crate::Timestamp::from_micros(1)]);
        let message =
            |builder: FrameBuilder| output().conform(&builder.build().unwrap()).unwrap_err().message;
        assert_eq!(message(times()), "column `value` is missing from the emitted batch");
        assert_eq!(
            message(times().strings("value", ["x"])),
            "column `value` is declared float64 (Arrow Float64), the batch has Utf8"
        );
        assert_eq!(
            message(times().floats("value", [1.0]).floats("more", [1.0])),
            "column `more` is not declared in `output()`"
        );
        let missing = FrameBuilder::new().timestamps("time_index", [None]).floats("value", [1.0]);
        assert_eq!(message(missing), "column `time_index` has no value where one is required");
    }
}
