//! Type tokens of contracts and the one Arrow type of each.
//!
//! | token | Arrow | SQLite | PostgreSQL |
//! | --- | --- | --- | --- |
//! | `float64`, `float32` | `Float64`, `Float32` | `REAL` | `double precision`, `real` |
//! | `int64`, `int32`, `int16` | `Int64`, `Int32`, `Int16` | `INTEGER` | `bigint`, `integer`, `smallint` |
//! | `bool` | `Boolean` | `INTEGER`, 0 or 1 | `boolean` |
//! | `string`, `json` | `Utf8` | `TEXT` | `text COLLATE "C"`, `json` |
//! | `date` | `Date32` | `INTEGER`, days since 1970-01-01 | `date` |
//! | `timestamp_tz` | `Timestamp(µs, "UTC")` | `INTEGER`, microseconds since 1970-01-01T00:00:00Z | `timestamptz` |
//! | `uuid` | `FixedSizeBinary(16)` | `BLOB`, 16 bytes | `uuid` |
//! | `decimal(p,s)` | `Decimal128(p, s)` | `INTEGER`, scaled by 10^s, p ≤ 18 | `numeric(p,s)` |
//! | `bytes` | `Binary` | `BLOB` | `bytea` |
//!
//! The SQL half lives in `host/store`, one module per database; this table is the summary.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow_schema::{DataType as ArrowType, TimeUnit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    /// IEEE 754 double; NaN and infinities are stored as null.
    Float64,
    /// IEEE 754 single; NaN and infinities are stored as null.
    Float32,
    /// Signed 64-bit integer.
    Int64,
    /// Signed 32-bit integer.
    Int32,
    /// Signed 16-bit integer.
    Int16,
    /// True or false.
    Bool,
    /// UTF-8 text.
    String,
    /// A calendar day.
    Date,
    /// A moment, UTC, microseconds.
    TimestampTz,
    /// A UUID.
    Uuid,
    /// A JSON document as text.
    Json,
    /// An exact decimal.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: u8,
    },
    /// Bytes.
    Bytes,
}

impl DataType {
    /// The one Arrow type that frames must have for this token.
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
            Self::TimestampTz => ArrowType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
            Self::Uuid => ArrowType::FixedSizeBinary(16),
            // `precision` is at most 38 and `scale` at most `precision`: both fit.
            #[allow(clippy::cast_possible_wrap)]
            Self::Decimal { precision, scale } => ArrowType::Decimal128(precision, scale as i8),
            Self::Bytes => ArrowType::Binary,
        }
    }

    /// Whether an identity dimension may have this type.
    pub fn can_be_dimension(self) -> bool {
        matches!(
            self,
            Self::String
                | Self::Int64
                | Self::Int32
                | Self::Int16
                | Self::Bool
                | Self::Date
                | Self::TimestampTz
                | Self::Uuid
        )
    }
}

impl fmt::Display for DataType {
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

impl FromStr for DataType {
    type Err = String;

    fn from_str(token: &str) -> Result<Self, String> {
        Ok(match token {
            "float64" => Self::Float64,
            "float32" => Self::Float32,
            "int64" => Self::Int64,
            "int32" => Self::Int32,
            "int16" => Self::Int16,
            "bool" => Self::Bool,
            "string" => Self::String,
            "date" => Self::Date,
            "timestamp_tz" => Self::TimestampTz,
            "uuid" => Self::Uuid,
            "json" => Self::Json,
            "bytes" => Self::Bytes,
            _ => return parse_decimal(token).ok_or_else(|| unknown(token)),
        })
    }
}

fn parse_decimal(token: &str) -> Option<DataType> {
    let (precision, scale) = token.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    ((1..=38).contains(&precision) && scale <= precision).then_some(DataType::Decimal { precision, scale })
}

fn unknown(token: &str) -> String {
    format!(
        "unknown type `{}`: use float64, float32, int64, int32, int16, bool, string, date, timestamp_tz, uuid, json, \
         decimal(p,s) with s ≤ p ≤ 38, or bytes",
        token.chars().take(80).collect::<String>()
    )
}

impl Serialize for DataType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DataType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip() {
        for token in [
            "float64",
            "float32",
            "int64",
            "int32",
            "int16",
            "bool",
            "string",
            "date",
            "timestamp_tz",
            "uuid",
            "json",
            "decimal(18,4)",
            "bytes",
        ] {
            assert_eq!(token.parse::<DataType>().unwrap().to_string(), token);
        }
        for bad in ["", "Float64", "decimal", "decimal(0,0)", "decimal(39,1)", "decimal(4,5)", "decimal(4)"] {
            assert!(bad.parse::<DataType>().is_err(), "{bad}");
        }
    }
}
