//! Columns from text: how the cells of a CSV file become values of a contract's types.
//!
//! | type | text |
//! | --- | --- |
//! | `float64`, `float32` | `1.5`, `-2e-3`; `nan` and infinities are null, as in frames |
//! | `int64`, `int32`, `int16` | `-42` |
//! | `bool` | `true`, `false` |
//! | `string` | the text |
//! | `json` | a JSON document |
//! | `date` | `2026-11-20` |
//! | `timestamp_tz` | RFC 3339 with an offset, or a date (its midnight in UTC) |
//! | `uuid` | `018f0000-0000-7000-8000-000000000001` |
//! | `decimal(p,s)` | `-12.34`, no more than `s` digits after the point |
//! | `bytes` | hexadecimal digits |
//!
//! An empty cell is null in a nullable column, and the empty text in a `string` column that is not nullable.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, FixedSizeBinaryBuilder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_schema::ArrowError;

use crate::contract::Column;
use crate::coordinate::CoordinateValue;
use crate::data_type::DataType;

/// Characters of a bad cell that an error shows.
const SHOWN_CHARS: usize = 80;

/// A column in the making.
#[derive(Debug)]
pub struct TextColumn {
    data_type: DataType,
    nullable: bool,
    cells: Cells,
}

#[derive(Debug)]
enum Cells {
    Float64(Float64Builder),
    Float32(Float32Builder),
    Int64(Int64Builder),
    Int32(Int32Builder),
    Int16(Int16Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Decimal(Decimal128Builder),
    Bytes(BinaryBuilder),
}

impl TextColumn {
    /// An empty column of a contract's type.
    pub fn new(column: &Column) -> Self {
        let cells = match column.data_type {
            DataType::Float64 => Cells::Float64(Float64Builder::new()),
            DataType::Float32 => Cells::Float32(Float32Builder::new()),
            DataType::Int64 => Cells::Int64(Int64Builder::new()),
            DataType::Int32 => Cells::Int32(Int32Builder::new()),
            DataType::Int16 => Cells::Int16(Int16Builder::new()),
            DataType::Bool => Cells::Bool(BooleanBuilder::new()),
            DataType::String | DataType::Json => Cells::Text(StringBuilder::new()),
            DataType::Date => Cells::Date(Date32Builder::new()),
            DataType::TimestampTz => Cells::Timestamp(TimestampMicrosecondBuilder::new()),
            DataType::Uuid => Cells::Uuid(FixedSizeBinaryBuilder::new(16)),
            DataType::Decimal { .. } => Cells::Decimal(Decimal128Builder::new()),
            DataType::Bytes => Cells::Bytes(BinaryBuilder::new()),
        };
        Self { data_type: column.data_type, nullable: column.nullable, cells }
    }

    /// Add a null.
    pub fn push_null(&mut self) {
        match &mut self.cells {
            Cells::Float64(cells) => cells.append_null(),
            Cells::Float32(cells) => cells.append_null(),
            Cells::Int64(cells) => cells.append_null(),
            Cells::Int32(cells) => cells.append_null(),
            Cells::Int16(cells) => cells.append_null(),
            Cells::Bool(cells) => cells.append_null(),
            Cells::Text(cells) => cells.append_null(),
            Cells::Date(cells) => cells.append_null(),
            Cells::Timestamp(cells) => cells.append_null(),
            Cells::Uuid(cells) => cells.append_null(),
            Cells::Decimal(cells) => cells.append_null(),
            Cells::Bytes(cells) => cells.append_null(),
        }
    }

    /// Add a cell. The error says what is wrong with the text.
    pub fn push(&mut self, text: &str) -> Result<(), String> {
        if text.is_empty() && (self.nullable || self.data_type != DataType::String) {
            if !self.nullable {
                return Err("a value is required here".to_owned());
            }
            self.push_null();
            return Ok(());
        }
        self.push_value(text)
    }

    /// Add a cell that is a value, whatever its text: the empty text is none of any type but `string` and `json`, which
    /// take every text as it is. The error says what is wrong with it.
    pub fn push_value(&mut self, text: &str) -> Result<(), String> {
        let data_type = self.data_type;
        let wrong = || format!("`{}` is not {}", shown(text), expected(data_type));
        let value = || CoordinateValue::parse(text, data_type).map_err(|_| wrong());
        match &mut self.cells {
            Cells::Float64(cells) => cells.append_value(text.parse().map_err(|_| wrong())?),
            Cells::Float32(cells) => cells.append_value(text.parse().map_err(|_| wrong())?),
            Cells::Int64(cells) => cells.append_value(text.parse().map_err(|_| wrong())?),
            Cells::Int32(cells) => cells.append_value(text.parse().map_err(|_| wrong())?),
            Cells::Int16(cells) => cells.append_value(text.parse().map_err(|_| wrong())?),
            Cells::Bool(cells) => cells.append_value(text.parse().map_err(|_| wrong())?),
            Cells::Text(cells) => cells.append_value(text),
            Cells::Date(cells) => match value()? {
                CoordinateValue::Date(days) => cells.append_value(days),
                _ => return Err(wrong()),
            },
            Cells::Timestamp(cells) => match value()? {
                CoordinateValue::Timestamp(time) => cells.append_value(time.micros()),
                _ => return Err(wrong()),
            },
            Cells::Uuid(cells) => match value()? {
                CoordinateValue::Uuid(uuid) => {
                    cells.append_value(uuid.as_bytes()).map_err(|error| error.to_string())?;
                }
                _ => return Err(wrong()),
            },
            Cells::Decimal(cells) => cells.append_value(decimal(text, data_type).ok_or_else(wrong)?),
            Cells::Bytes(cells) => cells.append_value(hexadecimal(text).ok_or_else(wrong)?),
        }
        Ok(())
    }

    /// The column so far, and an empty one again.
    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match &mut self.cells {
            Cells::Float64(cells) => Arc::new(cells.finish()),
            Cells::Float32(cells) => Arc::new(cells.finish()),
            Cells::Int64(cells) => Arc::new(cells.finish()),
            Cells::Int32(cells) => Arc::new(cells.finish()),
            Cells::Int16(cells) => Arc::new(cells.finish()),
            Cells::Bool(cells) => Arc::new(cells.finish()),
            Cells::Text(cells) => Arc::new(cells.finish()),
            Cells::Date(cells) => Arc::new(cells.finish()),
            Cells::Timestamp(cells) => Arc::new(cells.finish().with_timezone("UTC")),
            Cells::Uuid(cells) => Arc::new(cells.finish()),
            Cells::Decimal(cells) => {
                let array = cells.finish();
                match self.data_type {
                    #[allow(clippy::cast_possible_wrap)] // at most 38
                    DataType::Decimal { precision, scale } => {
                        Arc::new(array.with_precision_and_scale(precision, scale as i8)?)
                    }
                    _ => Arc::new(array),
                }
            }
            Cells::Bytes(cells) => Arc::new(cells.finish()),
        })
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

fn expected(data_type: DataType) -> String {
    match data_type {
        DataType::Float64 | DataType::Float32 => "a number".to_owned(),
        DataType::Int64 | DataType::Int32 | DataType::Int16 => format!("an {data_type}"),
        DataType::Bool => "`true` or `false`".to_owned(),
        DataType::Date => "a date, such as 2026-11-20".to_owned(),
        DataType::TimestampTz => {
            "a moment: write RFC 3339 with an offset, such as 2026-11-20T00:00:00Z, or a date".to_owned()
        }
        DataType::Uuid => "a UUID".to_owned(),
        DataType::Decimal { .. } => format!("a {data_type}"),
        DataType::Bytes => "an even number of hexadecimal digits".to_owned(),
        DataType::String | DataType::Json => data_type.to_string(),
    }
}

/// A decimal, scaled to an integer; None when it is not exact.
pub(crate) fn decimal(text: &str, data_type: DataType) -> Option<i128> {
    let DataType::Decimal { precision, scale } = data_type else { return None };
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    // Zeros at the end say nothing.
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::from(scale).checked_sub(fraction.len())?;
    let scaled = format!("{}{fraction}{}", whole.trim_start_matches('0'), "0".repeat(missing));
    if scaled.len() > usize::from(precision).max(usize::from(scale)) {
        return None;
    }
    let value: i128 = if scaled.is_empty() { 0 } else { scaled.parse().ok()? };
    Some(if negative { -value } else { value })
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Decimal128Type;
    use proptest::prelude::*;

    fn column(data_type: &str, nullable: bool) -> TextColumn {
        let text = format!("{{\"name\": \"c\", \"type\": \"{data_type}\", \"nullable\": {nullable}}}");
        TextColumn::new(&serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn every_type_has_its_text_and_refuses_other_text() {
        let cases = [
            ("float64", "1.5", "1,5"),
            ("float32", "-2e-3", "x"),
            ("int64", "-42", "1.0"),
            ("int32", "2147483647", "2147483648"),
            ("int16", "-32768", "32768"),
            ("bool", "true", "1"),
            ("date", "2026-11-20", "20.11.2026"),
            ("timestamp_tz", "2026-11-20T00:00:00+01:00", "2026-11-20 00:00:00"),
            ("uuid", "018f0000-0000-7000-8000-000000000001", "x"),
            ("decimal(4,2)", "-12.34", "12.345"),
            ("bytes", "00ff", "0f0"),
        ];
        let mut messages = Vec::new();
        for (data_type, good, bad) in cases {
            let mut column = column(data_type, true);
            column.push(good).unwrap();
            column.push("").unwrap();
            messages.push(column.push(bad).unwrap_err());
            let array = column.finish().unwrap();
            assert_eq!((array.len(), array.null_count()), (2, 1), "{data_type}");
            assert_eq!(*array.data_type(), data_type.parse::<DataType>().unwrap().arrow());
        }
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn an_empty_cell_is_null_or_the_empty_text_or_refused() {
        let mut text = column("string", false);
        text.push("").unwrap();
        assert_eq!(text.finish().unwrap().as_string::<i32>().value(0), "");
        assert_eq!(column("int64", false).push("").unwrap_err(), "a value is required here");
    }

    proptest! {
        #[test]
        fn decimals_are_exact(value in -9_999_999i128..=9_999_999) {
            let text = format!("{}{}.{:03}", if value < 0 { "-" } else { "" }, value.abs() / 1_000, value.abs() % 1_000);
            let mut column = column("decimal(7,3)", false);
            column.push(&text).unwrap();
            prop_assert_eq!(column.finish().unwrap().as_primitive::<Decimal128Type>().value(0), value);
        }

        #[test]
        fn no_text_panics(text in ".{0,12}") {
            for data_type in ["decimal(38,38)", "decimal(1,0)", "bytes", "date", "timestamp_tz", "uuid"] {
                let _ = column(data_type, false).push(&text);
            }
        }
    }
}
