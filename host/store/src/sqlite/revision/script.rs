//! The SQL of a revision as it is first written. It is for people: they read it, and may edit it.

use std::fmt::Write;

use datanode_core::contract::{Column, Contract};
use datanode_core::data_type::DataType;
use datanode_core::difference::Change;
use datanode_core::revision::plan::{self, ValuesFrom};
use datanode_core::revision::statement::EDIT_MARK;

use super::shape::create_as;
use crate::StoreError;
use crate::catalogue::revision::heading;
use crate::scripts::End;
use crate::sqlite::ddl::{define, quote};

/// Before the name of a table that is being rebuilt. No contract can have such a name.
pub(super) const REBUILD_PREFIX: &str = "_rebuild_";

/// Refuse a contract that SQLite cannot keep.
pub(crate) fn keeps(end: &End<'_>) -> Result<(), StoreError> {
    create_as(end.contract, &end.targets, end.contract.physical_name()).map(|_| ())
}

/// The SQL that moves the table of one contract to another. `empty`: it has no rows.
pub(crate) fn write(before: &End<'_>, after: &End<'_>, empty: bool) -> Result<String, StoreError> {
    let (from, to) = (before.contract, after.contract);
    let changes = plan::operations(from, to)?;
    let mut text = heading(from, to, &changes);
    if changes.is_empty() {
        text += "-- Write statements here that touch this table alone.\n";
    } else if needs_rebuild(from, &changes) {
        rebuild(from, after, empty, &mut text)?;
    } else {
        in_place(from, to, &changes, &mut text)?;
    }
    Ok(text)
}

/// What `ALTER TABLE` of SQLite cannot do to a table.
fn needs_rebuild(before: &Contract, changes: &[Change]) -> bool {
    changes.iter().any(|change| match change {
        Change::RemoveColumn { .. }
        | Change::AddForeignKey { .. }
        | Change::RemoveForeignKey { .. }
        | Change::Index { .. }
        | Change::Nullability { .. } => true,
        Change::AddColumn { column } => !column.nullable,
        // By way of a third name it could, but a copy is easier to read.
        Change::RenameColumn { given, .. } => before.column(given).is_some(),
        Change::ColumnType { held, given, .. } => !kept_alike(*held, *given),
        _ => false,
    })
}

/// Whether values of both types are the same to SQLite, as are their columns. (Where the new type holds fewer, the host
/// looks for values that it does not hold.)
fn kept_alike(held: DataType, given: DataType) -> bool {
    use DataType::{Decimal, Float32, Float64, Int16, Int32, Int64, Json, String};
    match (held, given) {
        (Int16 | Int32 | Int64, Int16 | Int32 | Int64)
        | (Float32 | Float64, Float32 | Float64)
        | (Json | String, Json | String) => true,
        (Decimal { scale: held, .. }, Decimal { scale: given, .. }) => held == given,
        _ => false,
    }
}

fn in_place(
    before: &Contract,
    after: &Contract,
    changes: &[Change],
    text: &mut String,
) -> Result<(), StoreError> {
    let table = quote(after.physical_name());
    let mut statements = 0;
    for change in changes {
        match change {
            Change::RenameColumn { held, given, .. } => {
                let _ =
                    writeln!(text, "ALTER TABLE {table} RENAME COLUMN {} TO {};", quote(held), quote(given));
                statements += 1;
            }
            Change::ColumnType { column, held, given } => {
                let _ = writeln!(
                    text,
                    "-- Column {}: {held} and {given} are the same to SQLite. Values that are no {given} are looked for.",
                    quote(column)
                );
            }
            _ => {}
        }
    }
    for column in after.columns.iter().filter(|column| plan::counterpart(before, column).is_none()) {
        let _ = writeln!(text, "ALTER TABLE {table} ADD COLUMN {};", define(after, column)?);
        statements += 1;
    }
    if statements == 0 {
        let _ = writeln!(text, "-- Only the catalogue changes: nothing is to be done in the database.");
    }
    Ok(())
}

/// The way of SQLite's manual (<https://www.sqlite.org/lang_altertable.html#otheralter>): a new table, a copy of all
/// rows, the old one dropped, the new one renamed.
fn rebuild(before: &Contract, after: &End<'_>, empty: bool, text: &mut String) -> Result<(), StoreError> {
    let End { contract: after, targets, .. } = after;
    let name = after.physical_name();
    let (table, new) = (quote(name), quote(&format!("{REBUILD_PREFIX}{name}")));
    let create = create_as(after, targets, &format!("{REBUILD_PREFIX}{name}"))?;
    let _ = writeln!(
        text,
        "-- SQLite cannot change this in place: the rows are copied to a new table.\n{};\n",
        lay_out(&create)
    );
    if before.key() != after.key() {
        let _ = writeln!(
            text,
            "-- The new key is ({}). Where several rows agree in it the copy fails; say here which of them stays.",
            after.key().join(", ")
        );
    }
    let columns: Vec<String> =
        after.columns.iter().map(|column| format!("  {}", quote(&column.name))).collect();
    let sources = plan::sources(before, after, empty);
    let _ = writeln!(text, "INSERT INTO {new} (\n{}\n)\nSELECT", columns.join(",\n"));
    for (at, (column, source)) in after.columns.iter().zip(&sources).enumerate() {
        let comma = if at + 1 < sources.len() { "," } else { "" };
        let (value, note) = value(before, column, source);
        let note = if note.is_empty() { note } else { format!("  -- {note}") };
        let _ = writeln!(text, "  {value}{comma}{note}");
    }
    let _ = writeln!(text, "FROM {table};\n\nDROP TABLE {table};\n\nALTER TABLE {new} RENAME TO {table};");
    Ok(())
}

/// What a column is filled with, and what is to be said of it.
fn value(before: &Contract, column: &Column, source: &ValuesFrom) -> (String, String) {
    let name = quote(&column.name);
    let of_a_person = || {
        let note = format!("{name}: write a value of type {} for the rows that are there", column.data_type);
        (EDIT_MARK.to_owned(), note)
    };
    match source {
        ValuesFrom::Column(held) => {
            let held = quote(held);
            let was_nullable = plan::counterpart(before, column).is_some_and(|held| held.nullable);
            let note = match () {
                () if was_nullable && !column.nullable => {
                    format!("fails where it is null; or write coalesce({held}, …)")
                }
                () if held != name => format!("becomes {name}"),
                () => String::new(),
            };
            (held, note)
        }
        ValuesFrom::Null => ("NULL".to_owned(), format!("{name} is new")),
        ValuesFrom::Person => of_a_person(),
        ValuesFrom::Converted { column: held, from } => {
            match conversion(&quote(held), *from, column.data_type) {
                Some(value) => (value, format!("{name}: {from} becomes {}", column.data_type)),
                None => of_a_person(),
            }
        }
    }
}

/// A value of one type as one of another, where there is one way to see it.
fn conversion(value: &str, from: DataType, to: DataType) -> Option<String> {
    use DataType::{
        Bool, Bytes, Date, Decimal, Float32, Float64, Int16, Int32, Int64, Json, String, TimestampTz, Uuid,
    };
    const DAY_MICROS: &str = "86400000000";
    if kept_alike(from, to)
        || matches!((from, to), (Bool, Int16 | Int32 | Int64) | (Uuid, Bytes) | (Bytes, Uuid))
    {
        return Some(value.to_owned());
    }
    let scaled = |scale: u8| format!("1{}", "0".repeat(scale.into()));
    Some(match (from, to) {
        (Int16 | Int32 | Int64 | Bool, Float32 | Float64) => format!("CAST({value} AS REAL)"),
        (Float32 | Float64, Int16 | Int32 | Int64) => format!("CAST(round({value}) AS INTEGER)"),
        (Int16 | Int32 | Int64 | Float32 | Float64, String) => format!("CAST({value} AS TEXT)"),
        (Int16 | Int32 | Int64, Decimal { scale, .. }) => format!("{value} * {}", scaled(scale)),
        (Float32 | Float64, Decimal { scale, .. }) => {
            format!("CAST(round({value} * {}) AS INTEGER)", scaled(scale))
        }
        (Decimal { scale, .. }, Float32 | Float64) => format!("CAST({value} AS REAL) / {}", scaled(scale)),
        (Decimal { scale: held, .. }, Decimal { scale: given, .. }) if held < given => {
            format!("{value} * {}", scaled(given - held))
        }
        (Decimal { scale: held, .. }, Decimal { scale: given, .. }) => {
            format!("CAST(round(CAST({value} AS REAL) / {}) AS INTEGER)", scaled(held - given))
        }
        (Date, TimestampTz) => format!("{value} * {DAY_MICROS}"),
        (Date, String) => format!("date({value} * 86400, 'unixepoch')"),
        (Bool, String) => format!("iif({value}, 'true', 'false')"),
        (Json | String, Bytes) => format!("CAST({value} AS BLOB)"),
        _ => return None,
    })
}

/// A `CREATE TABLE` with a line for each part.
fn lay_out(create: &str) -> String {
    let mut text = String::new();
    let mut depth = 0;
    let mut skip_blank = false;
    for c in create.chars() {
        if std::mem::take(&mut skip_blank) && c == ' ' {
            continue;
        }
        match c {
            '(' => {
                depth += 1;
                text.push(c);
                if depth == 1 {
                    text += "\n  ";
                }
            }
            ')' => {
                depth -= 1;
                if depth == 0 {
                    text.push('\n');
                }
                text.push(c);
            }
            ',' if depth == 1 => {
                text += ",\n  ";
                skip_blank = true;
            }
            _ => text.push(c),
        }
    }
    text
}
