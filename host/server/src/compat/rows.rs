//! Rows as the objects of a JSON array. That client reads millions of them in this way: each cell is written straight from
//! its column.

use std::fmt::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use datanode_core::cell;
use datanode_core::contract::Column;
use datanode_core::data_type::DataType;
use serde::de::IgnoredAny;

/// A column of a batch, with its name as the key of an object.
struct Cells<'b> {
    key: String,
    data_type: DataType,
    array: &'b ArrayRef,
}

/// Write the rows of a batch, with commas between them and one before the first unless it is the first of all. Moments have
/// six digits of fraction, always: the client takes the form of the first one for that of all others.
pub(crate) fn write(columns: &[Column], batch: &RecordBatch, into: &mut String) {
    let cells: Vec<Cells<'_>> = columns
        .iter()
        .zip(batch.columns())
        .map(|(column, array)| {
            let mut key = String::new();
            text(&column.name, &mut key);
            key.push(':');
            Cells { key, data_type: column.data_type, array }
        })
        .collect();
    for row in 0..batch.num_rows() {
        if !into.is_empty() && !into.ends_with('[') {
            into.push(',');
        }
        into.push('{');
        for (at, cells) in cells.iter().enumerate() {
            if at > 0 {
                into.push(',');
            }
            into.push_str(&cells.key);
            cells.write(row, into);
        }
        into.push('}');
    }
}

impl Cells<'_> {
    fn write(&self, row: usize, into: &mut String) {
        if self.array.is_null(row) {
            into.push_str("null");
            return;
        }
        let array = self.array;
        // A String takes everything that is written to it.
        let _ = match self.data_type {
            DataType::Int64 => write!(into, "{}", array.as_primitive::<Int64Type>().value(row)),
            DataType::Int32 => write!(into, "{}", array.as_primitive::<Int32Type>().value(row)),
            DataType::Int16 => write!(into, "{}", array.as_primitive::<Int16Type>().value(row)),
            DataType::Bool => write!(into, "{}", array.as_boolean().value(row)),
            DataType::Float64 => {
                float(array.as_primitive::<Float64Type>().value(row), into);
                Ok(())
            }
            DataType::Float32 => {
                let value = array.as_primitive::<Float32Type>().value(row);
                // The shortest text of the single, which is not that of the double of the same value.
                if value.is_finite() { write!(into, "{value:?}") } else { into.write_str("null") }
            }
            DataType::String => {
                text(array.as_string::<i32>().value(row), into);
                Ok(())
            }
            DataType::Json => {
                let document = array.as_string::<i32>().value(row);
                // As it is, where it is one.
                if serde_json::from_str::<IgnoredAny>(document).is_ok() {
                    into.push_str(document);
                } else {
                    text(document, into);
                }
                Ok(())
            }
            DataType::TimestampTz
            | DataType::Date
            | DataType::Uuid
            | DataType::Decimal { .. }
            | DataType::Bytes => {
                write!(into, "{}", cell::value(array, self.data_type, row))
            }
        };
    }
}

/// A number of JSON; what is none is null.
fn float(value: f64, into: &mut String) {
    if !value.is_finite() {
        into.push_str("null");
        return;
    }
    // With a point or an exponent, so that a column of them is one of floats in every row.
    let _ = write!(into, "{value:?}");
}

/// A text of JSON.
fn text(value: &str, into: &mut String) {
    // Texts always have a form.
    into.push_str(&serde_json::to_string(value).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
        Float64Array, Int16Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    };
    use arrow_schema::{Field, Schema};
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_type_is_written_and_read_again() {
        let decimal = DataType::Decimal { precision: 18, scale: 4 };
        let uuid = [7_u8; 16];
        let arrays: Vec<(&str, DataType, ArrayRef)> = vec![
            (
                "time_index",
                DataType::TimestampTz,
                Arc::new(TimestampMicrosecondArray::from(vec![0, 500_000]).with_timezone("UTC")),
            ),
            ("day", DataType::Date, Arc::new(Date32Array::from(vec![Some(1), None]))),
            ("float", DataType::Float64, Arc::new(Float64Array::from(vec![Some(1.0), Some(1e-300)]))),
            ("single", DataType::Float32, Arc::new(Float32Array::from(vec![Some(0.1), None]))),
            ("long", DataType::Int64, Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN]))),
            ("int", DataType::Int32, Arc::new(Int32Array::from(vec![Some(-1), None]))),
            ("short", DataType::Int16, Arc::new(Int16Array::from(vec![Some(-1), None]))),
            ("flag", DataType::Bool, Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ("text", DataType::String, Arc::new(StringArray::from(vec!["a\"\n\u{1}é", ""]))),
            ("document", DataType::Json, Arc::new(StringArray::from(vec!["{\"a\": [1, null]}", "{"]))),
            (
                "uuid",
                DataType::Uuid,
                Arc::new(FixedSizeBinaryArray::try_from_iter([uuid, uuid].iter()).unwrap()),
            ),
            (
                "decimal",
                decimal,
                Arc::new(
                    Decimal128Array::from(vec![Some(12_345), None]).with_precision_and_scale(18, 4).unwrap(),
                ),
            ),
            ("bytes", DataType::Bytes, Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..], b""]))),
        ];
        let columns: Vec<Column> = arrays
            .iter()
            .map(|(name, data_type, _)| Column {
                name: (*name).to_owned(),
                id: None,
                data_type: *data_type,
                nullable: true,
                label: String::new(),
                description: String::new(),
            })
            .collect();
        let fields: Vec<Field> = arrays
            .iter()
            .map(|(name, _, array)| Field::new(*name, array.data_type().clone(), true))
            .collect();
        let arrays = arrays.into_iter().map(|(_, _, array)| array).collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
        let mut written = "[".to_owned();
        write(&columns, &batch, &mut written);
        write(&columns, &batch.slice(0, 1), &mut written);
        written.push(']');
        let read: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read.as_array().unwrap().len(), 3);
        insta::assert_json_snapshot!(read);
        // Floats are floats in every row.
        assert!(written.contains("\"float\":1.0,"), "{written}");
    }
}
