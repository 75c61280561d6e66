//! Cells of Arrow columns as JSON values: the one way in which rows reach a terminal, CSV or JSON.

use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use serde_json::Value;
use uuid::Uuid;

use crate::Timestamp;
use crate::coordinate::date_from_days;
use crate::data_type::DataType;

/// The value at a row. Times are RFC 3339 text, always with six digits of fraction; bytes are hexadecimal; decimals
/// are text, since JSON numbers are not exact.
pub fn value(array: &ArrayRef, data_type: DataType, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match data_type {
        DataType::Float64 => Value::from(array.as_primitive::<Float64Type>().value(row)),
        // Through its shortest text, so that 0.1 stays 0.1 instead of 0.10000000149011612.
        DataType::Float32 => {
            let text = array.as_primitive::<Float32Type>().value(row).to_string();
            text.parse::<f64>().map_or(Value::Null, Value::from)
        }
        DataType::Int64 => Value::from(array.as_primitive::<Int64Type>().value(row)),
        DataType::Int32 => Value::from(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int16 => Value::from(array.as_primitive::<Int16Type>().value(row)),
        DataType::Bool => Value::from(array.as_boolean().value(row)),
        DataType::String => Value::from(array.as_string::<i32>().value(row)),
        DataType::Json => {
            let text = array.as_string::<i32>().value(row);
            serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
        }
        DataType::Date => {
            let days = array.as_primitive::<Date32Type>().value(row);
            date_from_days(days).map_or(Value::from(days), |date| Value::from(date.to_string()))
        }
        DataType::TimestampTz => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            Timestamp::from_micros(micros).map_or(Value::from(micros), |time| Value::from(time.to_string()))
        }
        DataType::Uuid => {
            let bytes = array.as_fixed_size_binary().value(row);
            Uuid::from_slice(bytes).map_or(Value::Null, |uuid| Value::from(uuid.to_string()))
        }
        DataType::Decimal { .. } => Value::from(array.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Bytes => {
            let bytes = array.as_binary::<i32>().value(row);
            Value::from(bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
                let _ = write!(text, "{byte:02x}"); // a String takes everything
                text
            }))
        }
    }
}
