//! Columns of files that mean a contract's type without being it: other spellings of texts and bytes, integers of
//! other widths, texts of values, dictionaries. What would lose anything is refused.

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringArray};
use arrow_schema::DataType as ArrowType;
use datanode_core::contract::Column;
use datanode_core::data_type::DataType;
use datanode_core::text_column::TextColumn;

/// A value that is none of the contract's type.
pub(super) struct Misfit {
    /// Row of the batch, from 0.
    pub(super) row: usize,
    pub(super) problem: String,
}

/// The type that a column of a file has after [`convert`]: the contract's, or its own when nothing leads there.
pub(super) fn becomes(data_type: DataType, found: &ArrowType) -> ArrowType {
    use ArrowType as A;
    let leads = match found {
        A::Dictionary(_, values) => return becomes(data_type, values),
        A::Utf8 | A::LargeUtf8 | A::Utf8View => true,
        A::Binary | A::LargeBinary | A::BinaryView => data_type == DataType::Bytes,
        found if found.is_integer() => {
            matches!(data_type, DataType::Int64 | DataType::Int32 | DataType::Int16)
        }
        A::Float32 => data_type == DataType::Float64,
        _ => false,
    };
    if leads { data_type.arrow() } else { found.clone() }
}

/// A column of a file as the contract's type; as it is when nothing leads there.
pub(super) fn convert(column: &Column, array: &ArrayRef) -> Result<ArrayRef, Misfit> {
    use ArrowType as A;
    if *array.data_type() == column.data_type.arrow() && !matches!(array.data_type(), A::Dictionary(..)) {
        return Ok(Arc::clone(array));
    }
    let integers = matches!(column.data_type, DataType::Int64 | DataType::Int32 | DataType::Int16);
    match array.data_type() {
        A::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let values = arrow_select::take::take(dictionary.values().as_ref(), dictionary.keys(), None)
                .map_err(|error| Misfit { row: 0, problem: error.to_string() })?;
            convert(column, &values)
        }
        A::Utf8 => texts(column, array.as_string::<i32>().iter()),
        A::LargeUtf8 => texts(column, array.as_string::<i64>().iter()),
        A::Utf8View => texts(column, array.as_string_view().iter()),
        A::LargeBinary if column.data_type == DataType::Bytes => Ok(bytes(array.as_binary::<i64>().iter())),
        A::BinaryView if column.data_type == DataType::Bytes => Ok(bytes(array.as_binary_view().iter())),
        A::Float32 if column.data_type == DataType::Float64 => {
            Ok(Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float64Type>(f64::from)))
        }
        A::Int8 if integers => integer::<Int8Type>(column, array),
        A::Int16 if integers => integer::<Int16Type>(column, array),
        A::Int32 if integers => integer::<Int32Type>(column, array),
        A::Int64 if integers => integer::<Int64Type>(column, array),
        A::UInt8 if integers => integer::<UInt8Type>(column, array),
        A::UInt16 if integers => integer::<UInt16Type>(column, array),
        A::UInt32 if integers => integer::<UInt32Type>(column, array),
        A::UInt64 if integers => integer::<UInt64Type>(column, array),
        _ => Ok(Arc::clone(array)),
    }
}

/// Texts of a text column are taken as they are; those of any other column say its values, as in a CSV file.
fn texts<'t>(column: &Column, texts: impl Iterator<Item = Option<&'t str>>) -> Result<ArrayRef, Misfit> {
    if matches!(column.data_type, DataType::String | DataType::Json) {
        return Ok(Arc::new(texts.collect::<StringArray>()));
    }
    let mut values = TextColumn::new(column);
    for (row, text) in texts.enumerate() {
        match text {
            None => values.push_null(),
            Some(text) => values.push(text).map_err(|problem| Misfit { row, problem })?,
        }
    }
    values.finish().map_err(|error| Misfit { row: 0, problem: error.to_string() })
}

fn bytes<'b>(values: impl Iterator<Item = Option<&'b [u8]>>) -> ArrayRef {
    let mut builder = BinaryBuilder::new();
    values.for_each(|value| builder.append_option(value));
    Arc::new(builder.finish())
}

fn integer<T>(column: &Column, array: &ArrayRef) -> Result<ArrayRef, Misfit>
where
    T: ArrowPrimitiveType,
    T::Native: Copy + std::fmt::Display,
    i64: TryFrom<T::Native>,
{
    let values = array.as_primitive::<T>();
    match column.data_type {
        DataType::Int64 => narrow::<T, Int64Type, _>(column, values, i64::try_from),
        DataType::Int32 => narrow::<T, Int32Type, _>(column, values, |value| {
            i64::try_from(value).map_err(|_| ()).and_then(|value| i32::try_from(value).map_err(|_| ()))
        }),
        _ => narrow::<T, Int16Type, _>(column, values, |value| {
            i64::try_from(value).map_err(|_| ()).and_then(|value| i16::try_from(value).map_err(|_| ()))
        }),
    }
}

fn narrow<T, U, E>(
    column: &Column,
    values: &PrimitiveArray<T>,
    to: impl Fn(T::Native) -> Result<U::Native, E>,
) -> Result<ArrayRef, Misfit>
where
    T: ArrowPrimitiveType,
    T::Native: std::fmt::Display,
    U: ArrowPrimitiveType,
{
    let mut array = PrimitiveArray::<U>::builder(values.len());
    for (row, value) in values.iter().enumerate() {
        let Some(value) = value else {
            array.append_null();
            continue;
        };
        let narrow = to(value)
            .map_err(|_| Misfit { row, problem: format!("{value} does not fit {}", column.data_type) })?;
        array.append_value(narrow);
    }
    Ok(Arc::new(array.finish()))
}
