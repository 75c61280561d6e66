//! Coordinates: one value per identity dimension.

use std::fmt;

use arrow_array::types::{Date32Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, cast::AsArray};
use chrono::{Days, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

use crate::Timestamp;
use crate::data_type::DataType;

/// One value of one identity dimension. Serialised with the name of its kind, as in `{"text":"USD"}`: of two values that are
/// not the same, no form is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CoordinateValue {
    /// `string`
    Text(String),
    /// `int64`, `int32`, `int16`
    Int(i64),
    /// `bool`
    Bool(bool),
    /// `date`: days since 1970-01-01
    Date(i32),
    /// `timestamp_tz`
    Timestamp(Timestamp),
    /// `uuid`
    Uuid(#[schemars(with = "String")] Uuid),
}

/// One value per identity dimension, in index order; empty for a table whose index is `time_index` alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub struct Coordinate(pub Vec<CoordinateValue>);

/// Why a value cannot be a coordinate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CoordinateError {
    /// Another number of values than dimensions.
    #[error("a coordinate has {given} values where the index has {expected} identity dimensions")]
    Arity {
        /// Values given.
        given: usize,
        /// Identity dimensions.
        expected: usize,
    },
    /// A value of another type than its dimension.
    #[error("the value {value} does not fit identity dimension type {expected}")]
    Type {
        /// The value, as text.
        value: String,
        /// The dimension's type.
        expected: DataType,
    },
    /// Not the text that [`Coordinate::to_json`] writes.
    #[error("`{0}` is not a coordinate")]
    Syntax(String),
}

impl CoordinateValue {
    /// The value of an array at a row that is not null; None when the array's type cannot be a dimension.
    pub fn from_array(array: &ArrayRef, data_type: DataType, row: usize) -> Option<Self> {
        if array.is_null(row) {
            return None;
        }
        Some(match data_type {
            DataType::String => Self::Text(array.as_string_opt::<i32>()?.value(row).to_owned()),
            DataType::Int64 => Self::Int(array.as_primitive_opt::<Int64Type>()?.value(row)),
            DataType::Int32 => Self::Int(array.as_primitive_opt::<Int32Type>()?.value(row).into()),
            DataType::Int16 => Self::Int(array.as_primitive_opt::<Int16Type>()?.value(row).into()),
            DataType::Bool => Self::Bool(array.as_boolean_opt()?.value(row)),
            DataType::Date => Self::Date(array.as_primitive_opt::<Date32Type>()?.value(row)),
            DataType::TimestampTz => {
                let micros = array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row);
                Self::Timestamp(Timestamp::from_micros(micros).ok()?)
            }
            DataType::Uuid => {
                Self::Uuid(Uuid::from_slice(array.as_fixed_size_binary_opt()?.value(row)).ok()?)
            }
            _ => return None,
        })
    }

    /// Check that this value fits a dimension of the given type.
    pub fn check(&self, data_type: DataType) -> Result<(), CoordinateError> {
        let fits = match (self, data_type) {
            (Self::Int(value), DataType::Int32) => i32::try_from(*value).is_ok(),
            (Self::Int(value), DataType::Int16) => i16::try_from(*value).is_ok(),
            (Self::Text(_), DataType::String)
            | (Self::Int(_), DataType::Int64)
            | (Self::Bool(_), DataType::Bool)
            | (Self::Date(_), DataType::Date)
            | (Self::Timestamp(_), DataType::TimestampTz)
            | (Self::Uuid(_), DataType::Uuid) => true,
            _ => false,
        };
        if fits {
            Ok(())
        } else {
            Err(CoordinateError::Type { value: self.to_string(), expected: data_type })
        }
    }

    /// Read a value as a person writes it on a command line or in a query.
    pub fn parse(text: &str, data_type: DataType) -> Result<Self, CoordinateError> {
        let wrong = || CoordinateError::Type { value: text.chars().take(80).collect(), expected: data_type };
        let value = match data_type {
            DataType::String => Self::Text(text.to_owned()),
            DataType::Int64 | DataType::Int32 | DataType::Int16 => {
                Self::Int(text.parse().map_err(|_| wrong())?)
            }
            DataType::Bool => Self::Bool(text.parse().map_err(|_| wrong())?),
            DataType::Date => Self::Date(parse_date(text).ok_or_else(wrong)?),
            DataType::TimestampTz => Self::Timestamp(text.parse().map_err(|_| wrong())?),
            DataType::Uuid => Self::Uuid(text.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        };
        value.check(data_type)?;
        Ok(value)
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Int(value) => Value::from(*value),
            Self::Bool(value) => Value::from(*value),
            other => Value::from(other.to_string()),
        }
    }

    fn from_json(value: &Value, data_type: DataType) -> Result<Self, CoordinateError> {
        match value {
            Value::String(text) => Self::parse(text, data_type),
            other => Self::parse(&other.to_string(), data_type),
        }
    }
}

fn parse_date(text: &str) -> Option<i32> {
    let days = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()?
        .signed_duration_since(NaiveDate::default())
        .num_days();
    i32::try_from(days).ok()
}

impl fmt::Display for CoordinateValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(value) => f.write_str(value),
            Self::Int(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Date(days) => match date_from_days(*days) {
                Some(date) => date.fmt(f),
                None => write!(f, "day {days}"),
            },
            Self::Timestamp(value) => value.fmt(f),
            Self::Uuid(value) => value.fmt(f),
        }
    }
}

/// The calendar day `days` after 1970-01-01, None outside chrono's range.
pub fn date_from_days(days: i32) -> Option<NaiveDate> {
    let offset = Days::new(u64::from(days.unsigned_abs()));
    let epoch = NaiveDate::default();
    if days < 0 { epoch.checked_sub_days(offset) } else { epoch.checked_add_days(offset) }
}

impl Coordinate {
    /// Check arity and types against the identity dimensions of a table.
    pub fn check(&self, dimensions: &[DataType]) -> Result<(), CoordinateError> {
        if self.0.len() != dimensions.len() {
            return Err(CoordinateError::Arity { given: self.0.len(), expected: dimensions.len() });
        }
        self.0.iter().zip(dimensions).try_for_each(|(value, data_type)| value.check(*data_type))
    }

    /// A JSON array, the same text for the same coordinate always: the key of progress rows.
    pub fn to_json(&self) -> String {
        Value::Array(self.0.iter().map(CoordinateValue::to_json).collect()).to_string()
    }

    /// Read what [`Coordinate::to_json`] wrote.
    pub fn from_json(text: &str, dimensions: &[DataType]) -> Result<Self, CoordinateError> {
        let syntax = || CoordinateError::Syntax(text.chars().take(80).collect());
        let values: Vec<Value> = serde_json::from_str(text).map_err(|_| syntax())?;
        Self::from_array(&values, dimensions, CoordinateValue::from_json)
    }

    /// Read one value per identity dimension, as JSON writes them: a text is no number and a number is no text.
    pub fn from_values(values: &[Value], dimensions: &[DataType]) -> Result<Self, CoordinateError> {
        Self::from_array(values, dimensions, |value, data_type| {
            let fits = match data_type {
                DataType::Int64 | DataType::Int32 | DataType::Int16 => value.is_number(),
                DataType::Bool => value.is_boolean(),
                _ => value.is_string(),
            };
            if fits {
                return CoordinateValue::from_json(value, data_type);
            }
            let value = value.to_string().chars().take(80).collect();
            Err(CoordinateError::Type { value, expected: data_type })
        })
    }

    fn from_array(
        values: &[Value],
        dimensions: &[DataType],
        read: impl Fn(&Value, DataType) -> Result<CoordinateValue, CoordinateError>,
    ) -> Result<Self, CoordinateError> {
        if values.len() != dimensions.len() {
            return Err(CoordinateError::Arity { given: values.len(), expected: dimensions.len() });
        }
        let values = values.iter().zip(dimensions).map(|(value, data_type)| read(value, *data_type));
        Ok(Self(values.collect::<Result<_, _>>()?))
    }
}

impl fmt::Display for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (position, value) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            value.fmt(f)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = (CoordinateValue, DataType)> {
        prop_oneof![
            any::<String>().prop_map(|text| (CoordinateValue::Text(text), DataType::String)),
            any::<i64>().prop_map(|value| (CoordinateValue::Int(value), DataType::Int64)),
            any::<i16>().prop_map(|value| (CoordinateValue::Int(value.into()), DataType::Int16)),
            any::<bool>().prop_map(|value| (CoordinateValue::Bool(value), DataType::Bool)),
            (-700_000..2_900_000).prop_map(|days| (CoordinateValue::Date(days), DataType::Date)),
            (-62_135_596_800_000_000i64..253_402_300_799_999_999).prop_map(|micros| {
                (CoordinateValue::Timestamp(Timestamp::from_micros(micros).unwrap()), DataType::TimestampTz)
            }),
            any::<u128>().prop_map(|bits| (CoordinateValue::Uuid(Uuid::from_u128(bits)), DataType::Uuid)),
        ]
    }

    proptest! {
        #[test]
        fn text_round_trips(values in prop::collection::vec(value(), 0..4)) {
            let (values, types): (Vec<_>, Vec<_>) = values.into_iter().unzip();
            let coordinate = Coordinate(values);
            prop_assert_eq!(Coordinate::from_json(&coordinate.to_json(), &types).unwrap(), coordinate);
        }
    }

    #[test]
    fn values_outside_the_dimension_are_refused() {
        assert!(CoordinateValue::Int(40_000).check(DataType::Int16).is_err());
        assert!(Coordinate(vec![]).check(&[DataType::String]).is_err());
        assert!(CoordinateValue::parse("x", DataType::Float64).is_err());
    }
}
