//! Lists of values as one parameter: a JSON array that `json_each` takes apart inside SQLite.
//!
//! A parameter per value would end at 32,766 of them, and each length would be another statement. JSON has no blobs, so
//! these travel as hexadecimal digits; texts do too, for then nothing depends on how JSON escapes them (SQLite 3.40 cut
//! a text at U+0000, 3.51 does not).

use std::fmt::Write;

use datanode_core::Timestamp;
use datanode_core::coordinate::CoordinateValue;
use datanode_core::data_type::DataType;
use rusqlite::types::Value;
use uuid::Uuid;

/// Writes a JSON array of integers and hexadecimal texts; nothing in it needs escaping.
#[derive(Debug, Default)]
pub(super) struct ValueList {
    text: String,
}

impl ValueList {
    pub(super) fn value(&mut self, value: &CoordinateValue) {
        match value {
            CoordinateValue::Text(text) => self.hex(text.as_bytes()),
            CoordinateValue::Uuid(uuid) => self.hex(uuid.as_bytes()),
            CoordinateValue::Int(value) => self.integer(*value),
            CoordinateValue::Bool(value) => self.integer(i64::from(*value)),
            CoordinateValue::Date(days) => self.integer(i64::from(*days)),
            CoordinateValue::Timestamp(time) => self.integer(time.micros()),
        }
    }

    pub(super) fn integer(&mut self, value: i64) {
        self.comma();
        // Writing to a `String` cannot fail, here and below.
        let _ = write!(self.text, "{value}");
    }

    fn hex(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.comma();
        self.text.reserve(2 + 2 * bytes.len());
        self.text.push('"');
        for byte in bytes {
            self.text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            self.text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        self.text.push('"');
    }

    /// An array inside the array.
    pub(super) fn nested(&mut self, fill: impl FnOnce(&mut Self)) {
        self.comma();
        self.text.push('[');
        fill(self);
        self.text.push(']');
    }

    fn comma(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('[') {
            self.text.push(',');
        }
    }

    /// The parameter.
    pub(super) fn into_parameter(self) -> Value {
        Value::Text(format!("[{}]", self.text))
    }
}

/// SQL that turns an element of the array back into a value as a column of this type holds it, with the column's
/// affinity, so that comparing the two converts nothing and can use an index.
pub(super) fn decode(element: &str, data_type: DataType) -> String {
    match data_type {
        DataType::String => format!("CAST(unhex({element}) AS TEXT)"),
        DataType::Uuid => format!("unhex({element})"),
        _ => format!("CAST({element} AS INTEGER)"),
    }
}

/// A single value as a parameter.
pub(super) fn parameter(value: &CoordinateValue) -> Value {
    match value {
        CoordinateValue::Text(text) => Value::Text(text.clone()),
        CoordinateValue::Uuid(uuid) => Value::Blob(uuid.as_bytes().to_vec()),
        CoordinateValue::Int(value) => Value::Integer(*value),
        CoordinateValue::Bool(value) => Value::Integer(i64::from(*value)),
        CoordinateValue::Date(days) => Value::Integer(i64::from(*days)),
        CoordinateValue::Timestamp(time) => Value::Integer(time.micros()),
    }
}

/// The value that a cell of a dimension holds; None when no dimension of this type holds such a cell.
pub(super) fn from_cell(cell: Value, data_type: DataType) -> Option<CoordinateValue> {
    Some(match (cell, data_type) {
        (Value::Text(text), DataType::String) => CoordinateValue::Text(text),
        (Value::Blob(bytes), DataType::Uuid) => CoordinateValue::Uuid(Uuid::from_slice(&bytes).ok()?),
        (Value::Integer(value @ (0 | 1)), DataType::Bool) => CoordinateValue::Bool(value == 1),
        (Value::Integer(days), DataType::Date) => CoordinateValue::Date(i32::try_from(days).ok()?),
        (Value::Integer(micros), DataType::TimestampTz) => {
            CoordinateValue::Timestamp(Timestamp::from_micros(micros).ok()?)
        }
        (Value::Integer(value), DataType::Int64 | DataType::Int32 | DataType::Int16) => {
            CoordinateValue::Int(value)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::Connection;

    fn value() -> impl Strategy<Value = (CoordinateValue, DataType)> {
        prop_oneof![
            any::<String>().prop_map(|text| (CoordinateValue::Text(text), DataType::String)),
            any::<i64>().prop_map(|value| (CoordinateValue::Int(value), DataType::Int64)),
            any::<bool>().prop_map(|value| (CoordinateValue::Bool(value), DataType::Bool)),
            any::<i32>().prop_map(|days| (CoordinateValue::Date(days), DataType::Date)),
            (0..4_000_000_000_000_000_i64).prop_map(|micros| {
                (CoordinateValue::Timestamp(Timestamp::from_micros(micros).unwrap()), DataType::TimestampTz)
            }),
            any::<u128>().prop_map(|bits| (CoordinateValue::Uuid(Uuid::from_u128(bits)), DataType::Uuid)),
        ]
    }

    fn through_sqlite(value: &CoordinateValue, data_type: DataType) -> Value {
        let mut list = ValueList::default();
        list.value(value);
        list.nested(|inner| inner.value(value));
        let sql = format!(
            "SELECT {}, {} FROM json_each(?1) AS a, json_each(?1) AS b WHERE a.key = 0 AND b.key = 1",
            decode("a.value", data_type),
            decode("b.value ->> '$[0]'", data_type)
        );
        let connection = Connection::open_in_memory().unwrap();
        let (flat, nested): (Value, Value) = connection
            .query_row(&sql, [list.into_parameter()], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(flat, nested);
        flat
    }

    #[test]
    fn extremes_survive() {
        for text in ["", "\0", "a\0b", "'); DROP TABLE t; --", "\"\\[", "é\u{10FFFF}"] {
            let value = CoordinateValue::Text(text.to_owned());
            assert_eq!(through_sqlite(&value, DataType::String), parameter(&value), "{text:?}");
        }
        for number in [i64::MIN, -1, 0, i64::MAX] {
            let value = CoordinateValue::Int(number);
            assert_eq!(through_sqlite(&value, DataType::Int64), parameter(&value));
        }
    }

    proptest! {
        #[test]
        fn a_value_comes_out_as_it_went_in((value, data_type) in value()) {
            let cell = through_sqlite(&value, data_type);
            prop_assert_eq!(&cell, &parameter(&value));
            prop_assert_eq!(from_cell(cell, data_type), Some(value));
        }
    }
}
