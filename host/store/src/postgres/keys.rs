//! Keys and other short lists of values, out of small queries: each value as a type that needs no decoder of its own.

use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::ddl::quote;
use crate::StoreError;

/// The columns of a table, or of what is called so in a query, as [`coordinate`] reads them.
pub(super) fn selected<'n>(
    table: &str,
    contract: &Contract,
    names: impl IntoIterator<Item = &'n String>,
) -> String {
    let expression = |name: &String| {
        let column = format!("{table}.{}", quote(name));
        match contract.column(name).map(|column| column.data_type) {
            Some(DataType::Int64 | DataType::Int32 | DataType::Int16) => format!("{column}::bigint"),
            Some(DataType::Date) => format!("({column} - 'J2440588'::date)::bigint"),
            Some(DataType::TimestampTz) => micros(&column),
            Some(DataType::Bool) => column,
            _ => format!("{column}::text"),
        }
    };
    names.into_iter().map(expression).collect::<Vec<_>>().join(", ")
}

/// A moment as microseconds since 1970-01-01T00:00:00Z, exactly.
pub(super) fn micros(expression: &str) -> String {
    format!("(extract(epoch FROM {expression}) * 1000000)::bigint")
}

/// Values of [`selected`] columns, from the column at `first` on.
pub(super) fn coordinate<'n>(
    row: &PgRow,
    first: usize,
    contract: &Contract,
    names: impl IntoIterator<Item = &'n String>,
) -> Result<Coordinate, StoreError> {
    let at = (first..).zip(names);
    let values = at.map(|(at, name)| {
        let data_type = contract.column(name).map(|column| column.data_type);
        value(row, at, data_type).map_err(|source| StoreError::Database { doing: "reading keys", source })
    });
    Ok(Coordinate(values.collect::<Result<_, _>>()?))
}

fn value(row: &PgRow, at: usize, data_type: Option<DataType>) -> Result<CoordinateValue, sqlx::Error> {
    let wrong = |problem: String| sqlx::Error::ColumnDecode { index: at.to_string(), source: problem.into() };
    Ok(match data_type {
        Some(DataType::Int64 | DataType::Int32 | DataType::Int16) => CoordinateValue::Int(row.try_get(at)?),
        Some(DataType::Date) => {
            let days: i64 = row.try_get(at)?;
            CoordinateValue::Date(i32::try_from(days).map_err(|error| wrong(error.to_string()))?)
        }
        Some(DataType::TimestampTz) => {
            let time = Timestamp::from_micros(row.try_get(at)?);
            CoordinateValue::Timestamp(time.map_err(|error| wrong(error.to_string()))?)
        }
        Some(DataType::Bool) => CoordinateValue::Bool(row.try_get(at)?),
        Some(DataType::Uuid) => {
            let text: String = row.try_get(at)?;
            CoordinateValue::Uuid(text.parse().map_err(|error: uuid::Error| wrong(error.to_string()))?)
        }
        // What is no type of a key is only shown to people.
        _ => {
            CoordinateValue::Text(row.try_get::<Option<String>, _>(at)?.unwrap_or_else(|| "null".to_owned()))
        }
    })
}
