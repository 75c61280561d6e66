//! Cells as a person reads them.

use datanode_core::Timestamp;
pub(crate) use datanode_core::cell::value;
use datanode_core::data_type::DataType;
use serde_json::Value;

/// A value as a person reads it.
pub(crate) fn text(value: &Value, data_type: DataType) -> String {
    match (value, data_type) {
        (Value::Null, _) => "-".to_owned(),
        (Value::String(text), DataType::TimestampTz) => {
            text.parse::<Timestamp>().map_or_else(|_| text.clone(), Timestamp::short)
        }
        (Value::String(text), _) => text.clone(),
        (other, _) => other.to_string(),
    }
}

/// Whether a column of this type is aligned to the right.
pub(crate) fn is_number(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::Float64
            | DataType::Float32
            | DataType::Int64
            | DataType::Int32
            | DataType::Int16
            | DataType::Decimal { .. }
    )
}
