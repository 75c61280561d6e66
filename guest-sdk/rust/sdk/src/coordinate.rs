//! Coordinates: one value per identity dimension.

use std::fmt;

use arrow_array::types::{Date32Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch, cast::AsArray};
use arrow_schema::{DataType, TimeUnit};
use chrono::{NaiveDate, TimeDelta};

use crate::{NodeError, Timestamp};

/// One value of one identity dimension.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CoordinateValue {
    /// A text.
    Text(String),
    /// An integer.
    S64(i64),
    /// True or false.
    Bool(bool),
    /// A day: days since 1970-01-01.
    Date(i32),
    /// A moment.
    Timestamp(Timestamp),
    /// A UUID in its 36-character lower-case form.
    Uuid(String),
}

/// One value per identity dimension, in the order of the table's index (without `time_index`).
pub type Coordinate = Vec<CoordinateValue>;

impl CoordinateValue {
    /// The value in a row of a column; None when it is null or the column cannot be a dimension.
    pub fn at(column: &dyn Array, row: usize) -> Option<Self> {
        if column.is_null(row) {
            return None;
        }
        Some(match column.data_type() {
            DataType::Utf8 => Self::Text(column.as_string::<i32>().value(row).to_owned()),
            DataType::Int64 => Self::S64(column.as_primitive::<Int64Type>().value(row)),
            DataType::Int32 => Self::S64(column.as_primitive::<Int32Type>().value(row).into()),
            DataType::Int16 => Self::S64(column.as_primitive::<Int16Type>().value(row).into()),
            DataType::Boolean => Self::Bool(column.as_boolean().value(row)),
            DataType::Date32 => Self::Date(column.as_primitive::<Date32Type>().value(row)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Timestamp(Timestamp::from_micros(
                column.as_primitive::<TimestampMicrosecondType>().value(row),
            )),
            DataType::FixedSizeBinary(16) => Self::Uuid(uuid_text(column.as_fixed_size_binary().value(row))),
            _ => return None,
        })
    }
}

fn uuid_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (position, byte) in bytes.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

/// The coordinate of a row: the values of these columns.
///
/// ```
/// use datanode_sdk::{coordinate_at, frames::FrameBuilder};
/// let batch = FrameBuilder::new().strings("currency", ["USD", "JPY"]).build().unwrap();
/// assert_eq!(coordinate_at(&batch, &["currency"], 1).unwrap(), ["JPY".into()]);
/// ```
pub fn coordinate_at(
    batch: &RecordBatch,
    dimensions: &[impl AsRef<str>],
    row: usize,
) -> Result<Coordinate, NodeError> {
    let value = |name: &str| {
        let column = batch.column_by_name(name)?;
        CoordinateValue::at(column.as_ref(), row)
    };
    dimensions.iter().map(|name| value(name.as_ref()).ok_or_else(|| no_value(name.as_ref(), row))).collect()
}

pub(crate) fn no_value(dimension: &str, row: usize) -> NodeError {
    NodeError::new("frame.coordinate", format!("no value of dimension `{dimension}`")).field("row", row)
}

impl fmt::Display for CoordinateValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Uuid(text) => f.write_str(text),
            Self::S64(number) => number.fmt(f),
            Self::Bool(truth) => truth.fmt(f),
            Self::Date(days) => {
                match NaiveDate::default().checked_add_signed(TimeDelta::days((*days).into())) {
                    Some(day) => day.fmt(f),
                    None => write!(f, "day {days}"),
                }
            }
            Self::Timestamp(time) => time.fmt(f),
        }
    }
}

impl From<&str> for CoordinateValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for CoordinateValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for CoordinateValue {
    fn from(number: i64) -> Self {
        Self::S64(number)
    }
}

impl From<bool> for CoordinateValue {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<Timestamp> for CoordinateValue {
    fn from(time: Timestamp) -> Self {
        Self::Timestamp(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{FixedSizeBinaryArray, StringArray};

    #[test]
    fn uuids_have_their_usual_form() {
        let bytes: Vec<u8> = (0..16).map(|number| number * 17).collect();
        let column = FixedSizeBinaryArray::try_from_iter([bytes].into_iter()).unwrap();
        let value = CoordinateValue::at(&column, 0).unwrap();
        assert_eq!(value.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn values_read_as_in_the_store() {
        let midnight = Timestamp::from_micros(-86_400_000_000);
        for (value, text) in [
            (CoordinateValue::Date(-1), "1969-12-31"),
            (CoordinateValue::Date(i32::MAX), "day 2147483647"),
            (CoordinateValue::Timestamp(midnight), "1969-12-31T00:00:00Z"),
            (CoordinateValue::Bool(true), "true"),
            (CoordinateValue::S64(-7), "-7"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn a_null_is_not_a_value() {
        assert_eq!(CoordinateValue::at(&StringArray::from(vec![None::<&str>]), 0), None);
    }
}
