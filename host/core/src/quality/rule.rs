//! A check with its values in the type of its column.

use std::cmp::Ordering;

use arrow_array::types::{Decimal128Type, DecimalType, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, cast::AsArray};
use serde_json::Value;

use super::{Check, CheckKind, StoredRule};
use crate::cadence::Cadence;
use crate::contract::{Contract, TableKind};
use crate::coordinate::CoordinateValue;
use crate::data_type::DataType;
use crate::text_column::decimal;

/// Digits of which a float keeps any that are written: with more of them it may be another number.
const FLOAT_DIGITS: usize = 15;

/// A value of a column that can be compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// `float64`, `float32`
    Float(f64),
    /// `decimal(p,s)`: the number times 10^s, and s, which is that of the column.
    Decimal(i128, u8),
    /// All others.
    Exact(CoordinateValue),
}

impl Cell {
    /// The value at a row; None for a null.
    pub(super) fn of(array: &ArrayRef, data_type: DataType, row: usize) -> Option<Self> {
        if array.is_null(row) {
            return None;
        }
        match data_type {
            DataType::Float64 => Some(Self::Float(array.as_primitive_opt::<Float64Type>()?.value(row))),
            DataType::Float32 => {
                Some(Self::Float(array.as_primitive_opt::<Float32Type>()?.value(row).into()))
            }
            DataType::Decimal { scale, .. } => {
                Some(Self::Decimal(array.as_primitive_opt::<Decimal128Type>()?.value(row), scale))
            }
            _ => CoordinateValue::from_array(array, data_type, row).map(Self::Exact),
        }
    }

    fn read(value: &Value, data_type: DataType) -> Result<Self, String> {
        let wrong = || format!("{value} is no value of type {data_type}");
        match data_type {
            DataType::Float64 | DataType::Float32 => value.as_f64().map(Self::Float).ok_or_else(wrong),
            DataType::Decimal { precision, scale } => {
                let digits = decimal(&decimal_text(value)?, data_type);
                let before = precision.saturating_sub(scale);
                digits.map(|digits| Self::Decimal(digits, scale)).ok_or_else(|| {
                    format!(
                        "{}, which has at most {before} digits before the point and {scale} behind it",
                        wrong()
                    )
                })
            }
            _ => {
                let text = match (value, data_type) {
                    (Value::Number(number), DataType::Int16 | DataType::Int32 | DataType::Int64) => {
                        number.to_string()
                    }
                    (Value::Bool(flag), DataType::Bool) => flag.to_string(),
                    (
                        Value::String(text),
                        DataType::String | DataType::Date | DataType::TimestampTz | DataType::Uuid,
                    ) => text.clone(),
                    _ => return Err(wrong()),
                };
                CoordinateValue::parse(&text, data_type).map(Self::Exact).map_err(|_| wrong())
            }
        }
    }

    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Float(one), Self::Float(other)) => one.partial_cmp(other),
            (Self::Decimal(one, _), Self::Decimal(other, _)) => Some(one.cmp(other)),
            (Self::Exact(one), Self::Exact(other)) => Some(one.cmp(other)),
            _ => None,
        }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Float(value) => value.fmt(f),
            #[allow(clippy::cast_possible_wrap)] // at most 38
            Self::Decimal(digits, scale) => f.write_str(&Decimal128Type::format_decimal(
                *digits,
                Decimal128Type::MAX_PRECISION,
                *scale as i8,
            )),
            Self::Exact(value) => value.fmt(f),
        }
    }
}

/// A decimal as a contract writes it: a text, or a number. But for integers that one has come through a float.
fn decimal_text(value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => return Ok(text.clone()),
        // Without an exponent, whatever its size.
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(String::new, |float| float.to_string())
        }
        other => return Ok(other.to_string()),
    };
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if digits.trim_matches('0').len() > FLOAT_DIGITS {
        return Err(format!(
            "{value} has more than the {FLOAT_DIGITS} digits that a number keeps: write it as text"
        ));
    }
    Ok(text)
}

/// What a check demands. Columns are places in the contract's order.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    NotNull {
        column: usize,
    },
    Range {
        column: usize,
        data_type: DataType,
        min: Option<Cell>,
        max: Option<Cell>,
    },
    AcceptedValues {
        column: usize,
        data_type: DataType,
        values: Vec<Cell>,
    },
    RowCount {
        min: u64,
        max: u64,
    },
    Freshness {
        max_age: Cadence,
    },
    /// What the store judges.
    Stored(StoredRule),
}

/// The field that is wrong, and why.
pub(super) type Wrong = (&'static str, String);

impl Rule {
    /// Read a check for its contract. An error is the field that is wrong, and why.
    pub(super) fn of(check: &Check, contract: &Contract) -> Result<Self, Wrong> {
        if contract.kind == TableKind::Reference {
            return Err(("kind", "a reference table has no checks: they judge the rows of runs".to_owned()));
        }
        only_its_fields(check)?;
        match check.kind {
            CheckKind::RowCount => {
                let rows = |field, bound: &Option<Value>, missing| match bound {
                    None => Ok(missing),
                    Some(value) => value.as_u64().ok_or((field, format!("{value} is no number of rows"))),
                };
                let (min, max) = (rows("min", &check.min, 0)?, rows("max", &check.max, u64::MAX)?);
                if min > max { Err(reversed()) } else { Ok(Self::RowCount { min, max }) }
            }
            CheckKind::Freshness => {
                let missing = || ("kind", "`freshness` needs `max_age`, such as \"2d\"".to_owned());
                Ok(Self::Freshness { max_age: check.max_age.ok_or_else(missing)? })
            }
            CheckKind::NotNull | CheckKind::Range | CheckKind::AcceptedValues => of_column(check, contract),
            CheckKind::Unique | CheckKind::Monotonic | CheckKind::Sql => {
                StoredRule::of(check, contract).map(Self::Stored)
            }
        }
    }
}

/// The place of the column that a check names.
pub(super) fn column_of(check: &Check, contract: &Contract) -> Result<usize, Wrong> {
    let kind = check.kind.as_str();
    let name = check.column.as_deref().ok_or_else(|| ("kind", format!("`{kind}` needs a `column`")))?;
    let place = contract.columns.iter().position(|column| column.name == name);
    place.ok_or_else(|| ("column", format!("the table has no column `{name}`")))
}

fn of_column(check: &Check, contract: &Contract) -> Result<Rule, Wrong> {
    let kind = check.kind.as_str();
    let column = column_of(check, contract)?;
    let name = &contract.columns[column].name;
    let data_type = contract.columns[column].data_type;
    let unfit = || ("column", format!("`{kind}` cannot judge column `{name}` of type {data_type}"));
    let read = |field: &'static str, value: &Value| Cell::read(value, data_type).map_err(|why| (field, why));
    match check.kind {
        CheckKind::Range => {
            use DataType as T;
            if !matches!(
                data_type,
                T::Float64
                    | T::Float32
                    | T::Int64
                    | T::Int32
                    | T::Int16
                    | T::Decimal { .. }
                    | T::Date
                    | T::TimestampTz
            ) {
                return Err(unfit());
            }
            let min = check.min.as_ref().map(|value| read("min", value)).transpose()?;
            let max = check.max.as_ref().map(|value| read("max", value)).transpose()?;
            match (&min, &max) {
                (None, None) => Err(("kind", "`range` needs `min`, `max` or both".to_owned())),
                (Some(min), Some(max)) if min.compare(max) == Some(Ordering::Greater) => Err(reversed()),
                _ => Ok(Rule::Range { column, data_type, min, max }),
            }
        }
        CheckKind::AcceptedValues => {
            if matches!(data_type, DataType::Json | DataType::Bytes) {
                return Err(unfit());
            }
            if check.values.is_empty() {
                return Err(("kind", "`accepted_values` needs `values`".to_owned()));
            }
            let values = check.values.iter().map(|value| read("values", value));
            Ok(Rule::AcceptedValues { column, data_type, values: values.collect::<Result<_, _>>()? })
        }
        _ => Ok(Rule::NotNull { column }),
    }
}

fn reversed() -> Wrong {
    ("min", "`min` is greater than `max`".to_owned())
}

/// A field that a kind does not read was meant to do something: it is refused.
fn only_its_fields(check: &Check) -> Result<(), Wrong> {
    let read: &[&str] = match check.kind {
        CheckKind::NotNull => &["column"],
        CheckKind::Range => &["column", "min", "max"],
        CheckKind::AcceptedValues => &["column", "values"],
        CheckKind::RowCount => &["min", "max"],
        CheckKind::Freshness => &["max_age"],
        CheckKind::Unique => &["columns", "max_seconds"],
        CheckKind::Monotonic => &["column", "direction", "strict", "max_seconds"],
        CheckKind::Sql => &["query", "max_seconds"],
    };
    let given = [
        ("column", check.column.is_some()),
        ("min", check.min.is_some()),
        ("max", check.max.is_some()),
        ("values", !check.values.is_empty()),
        ("max_age", check.max_age.is_some()),
        ("columns", !check.columns.is_empty()),
        ("direction", check.direction.is_some()),
        ("strict", check.strict.is_some()),
        ("query", check.query.is_some()),
        ("max_seconds", check.max_seconds.is_some()),
    ];
    match given.into_iter().find(|(field, is_given)| *is_given && !read.contains(field)) {
        Some((field, _)) => Err((field, format!("`{}` has no `{field}`", check.kind.as_str()))),
        None => Ok(()),
    }
}
