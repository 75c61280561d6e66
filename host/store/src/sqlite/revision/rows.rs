//! What a revision leaves in a table: values that their columns can hold, foreign keys that lead somewhere, and a
//! progress that is true.

use datanode_core::Timestamp;
use datanode_core::contract::{Column, Contract, TIME_INDEX, TableKind};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::progress::{CoordinateProgress, Progress};
use datanode_core::revision::RevisionError;
use rusqlite::{Connection, Row};
use uuid::Uuid;

use crate::sqlite::ddl::quote;
use crate::sqlite::progress;
use crate::sqlite::stored::{count, damaged, failed, timestamp};
use crate::{StoreError, Table};

const DOING: &str = "looking at the rows of a revision";

/// Rows of a table.
pub(super) fn rows(connection: &Connection, contract: &Contract) -> Result<u64, StoreError> {
    let sql = format!("SELECT count(*) FROM {}", quote(contract.physical_name()));
    let rows = connection.query_row(&sql, (), |row| row.get(0)).map_err(failed(DOING))?;
    count("rows of a table", rows)
}

/// What no value of a type is, as a condition of SQL; None when SQLite itself refuses all of it.
fn misfit(column: &Column) -> Option<String> {
    let name = quote(&column.name);
    let outside = |low: i64, high: i64| Some(format!("{name} NOT BETWEEN {low} AND {high}"));
    match column.data_type {
        DataType::Float64 => Some(format!("abs({name}) > 1.7976931348623157e308")),
        DataType::Float32 => Some(format!("abs({name}) > 3.4028234663852886e38")),
        DataType::Int64 | DataType::String | DataType::Bytes => None,
        DataType::Int32 | DataType::Date => outside(i32::MIN.into(), i32::MAX.into()),
        DataType::Int16 => outside(i16::MIN.into(), i16::MAX.into()),
        DataType::Bool => Some(format!("{name} NOT IN (0, 1)")),
        DataType::TimestampTz => outside(
            Timestamp::nearest_micros(i64::MIN).micros(),
            Timestamp::nearest_micros(i64::MAX).micros(),
        ),
        DataType::Uuid => Some(format!("length({name}) <> 16")),
        DataType::Json => Some(format!("NOT json_valid({name})")),
        DataType::Decimal { precision, .. } => {
            let end = 10_i64.checked_pow(precision.into())?;
            outside(1 - end, end - 1)
        }
    }
}

/// Refuse values that the types of the contract do not have: they could never be read.
pub(super) fn check_values(connection: &Connection, contract: &Contract) -> Result<(), StoreError> {
    let checked: Vec<(&Column, String)> =
        contract.columns.iter().filter_map(|column| Some((column, misfit(column)?))).collect();
    if checked.is_empty() {
        return Ok(());
    }
    let table = quote(contract.physical_name());
    let counts: Vec<String> =
        checked.iter().map(|(_, misfit)| format!("count(*) FILTER (WHERE {misfit})")).collect();
    let sql = format!("SELECT {} FROM {table}", counts.join(", "));
    let found: Vec<i64> = connection
        .query_row(&sql, (), |row| (0..checked.len()).map(|at| row.get(at)).collect())
        .map_err(failed(DOING))?;
    let Some(((column, misfit), rows)) = checked.iter().zip(found).find(|(_, rows)| *rows > 0) else {
        return Ok(());
    };
    let type_of = |name: &str| contract.column(name).map(|column| column.data_type);
    let text = |name: &String| match type_of(name) {
        Some(DataType::Uuid) => format!("lower(hex({}))", quote(name)),
        _ => format!("CAST({} AS TEXT)", quote(name)),
    };
    let key: Vec<String> = contract.key().iter().map(text).collect();
    let sql = format!("SELECT {} FROM {table} WHERE {misfit} LIMIT 1", key.join(", "));
    let first: Vec<String> = connection
        .query_row(&sql, (), |row| {
            let texts =
                (0..key.len()).map(|at| row.get::<_, Option<String>>(at).map(Option::unwrap_or_default));
            texts.collect::<rusqlite::Result<_>>()
        })
        .map_err(failed(DOING))?;
    let named = contract.key().iter().zip(first).map(|(name, value)| {
        let micros = value.parse().ok().filter(|_| type_of(name) == Some(DataType::TimestampTz));
        let moment = micros.and_then(|micros| Timestamp::from_micros(micros).ok());
        format!("{name} {}", moment.map_or(value, Timestamp::short))
    });
    Err(RevisionError::Values {
        table: contract.identifier.clone(),
        column: column.name.clone(),
        data_type: column.data_type.to_string(),
        rows: count("rows of a table", rows)?,
        first: named.collect::<Vec<_>>().join(", "),
    }
    .into())
}

/// Refuse rows of a table whose foreign keys lead nowhere. The keys were off while the revision ran.
pub(super) fn check_foreign_keys(connection: &Connection, physical_name: &str) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare("SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check(?1) GROUP BY parent ORDER BY parent")
        .map_err(failed(DOING))?;
    let mut rows = statement.query([physical_name]).map_err(failed(DOING))?;
    let Some(row) = rows.next().map_err(failed(DOING))? else { return Ok(()) };
    let read = || -> rusqlite::Result<(String, String, i64)> { Ok((row.get(0)?, row.get(1)?, row.get(2)?)) };
    let (table, target, found) = read().map_err(failed(DOING))?;
    Err(RevisionError::ForeignKey { table, target, rows: count("rows of a table", found)? }.into())
}

/// Count the progress of a table again, from its rows. Everywhere else it is kept and never scanned for; a revision may
/// have changed any row.
pub(super) fn count_again(connection: &Connection, table: &Table) -> Result<(), StoreError> {
    connection.execute("DELETE FROM _progress WHERE table_uid = ?1", [&table.uid]).map_err(failed(DOING))?;
    let contract = &table.contract;
    if contract.kind != TableKind::TimeIndexed {
        return Ok(());
    }
    let time = quote(TIME_INDEX);
    let dimensions: Vec<String> = contract.dimensions().iter().map(|name| quote(name)).collect();
    let grouped =
        if dimensions.is_empty() { String::new() } else { format!("GROUP BY {}", dimensions.join(", ")) };
    let shown = [format!("min({time})"), format!("max({time})"), "count(*)".to_owned()];
    let shown = shown.iter().chain(&dimensions).map(String::as_str).collect::<Vec<_>>().join(", ");
    let sql =
        format!("SELECT {shown} FROM {} {grouped} HAVING count(*) > 0", quote(contract.physical_name()));
    let place = format!("table `{}`", contract.identifier);
    let types = contract.dimension_types();
    let mut statement = connection.prepare(&sql).map_err(failed(DOING))?;
    let mut rows = statement.query(()).map_err(failed(DOING))?;
    let mut found = Progress::default();
    while let Some(row) = rows.next().map_err(failed(DOING))? {
        let number = |at: usize| row.get::<_, i64>(at).map_err(failed(DOING));
        let values = types.iter().enumerate().map(|(at, data_type)| value(row, 3 + at, *data_type, &place));
        let coordinate = Coordinate(values.collect::<Result<_, _>>()?);
        let held = CoordinateProgress {
            min: timestamp(&place, number(0)?)?,
            max: timestamp(&place, number(1)?)?,
            rows: count(&place, number(2)?)?,
        };
        found.extend(coordinate, held);
    }
    progress::extend(connection, &table.uid, contract, &found)
}

fn value(row: &Row<'_>, at: usize, data_type: DataType, place: &str) -> Result<CoordinateValue, StoreError> {
    let number = || row.get::<_, i64>(at).map_err(failed(DOING));
    Ok(match data_type {
        DataType::String => CoordinateValue::Text(row.get(at).map_err(failed(DOING))?),
        DataType::Bool => CoordinateValue::Bool(number()? != 0),
        DataType::Date => CoordinateValue::Date(i32::try_from(number()?).map_err(damaged(place))?),
        DataType::TimestampTz => CoordinateValue::Timestamp(timestamp(place, number()?)?),
        DataType::Uuid => {
            let bytes: Vec<u8> = row.get(at).map_err(failed(DOING))?;
            CoordinateValue::Uuid(Uuid::from_slice(&bytes).map_err(damaged(place))?)
        }
        _ => CoordinateValue::Int(number()?),
    })
}
