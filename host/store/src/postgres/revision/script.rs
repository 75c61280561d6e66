//! The SQL of a revision as it is first written. It is for people: they read it, and may edit it.
//!
//! PostgreSQL alters every part of a table in place. What the order is for: expressions see all columns of before under
//! the names of after, so renaming comes first and dropping last; a key goes before its columns change, and comes when
//! they have.

use std::fmt::Write;

use datanode_core::contract::{Column, Contract, ForeignKey};
use datanode_core::data_type::DataType;
use datanode_core::difference::Change;
use datanode_core::revision::plan::{self, ValuesFrom};
use datanode_core::revision::statement::EDIT_MARK;

use crate::StoreError;
use crate::catalogue::foreign_keys::on_delete;
use crate::catalogue::revision::heading;
use crate::postgres::ddl::{self, define, list, quote, table_name};
use crate::scripts::End;

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// What the constraints of a table are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// Of its key.
    pub(crate) key: String,
    /// Of the foreign keys of its contract, in their order.
    pub(crate) foreign_keys: Vec<String>,
}

impl Names {
    /// As PostgreSQL calls those of a table that is created by its contract.
    pub(crate) fn of(contract: &Contract) -> Self {
        let mut names = Self { key: chosen(contract.physical_name(), "", "pkey"), foreign_keys: Vec::new() };
        for key in &contract.foreign_keys {
            names.foreign_keys.push(free(contract, key, &names.foreign_keys));
        }
        names
    }

    /// Those of `after`: what stays keeps its name.
    fn carried(&self, before: &Contract, after: &Contract) -> Self {
        let held = |key: &ForeignKey| before.foreign_keys.iter().position(|held| held == key);
        let stays: Vec<Option<String>> = after
            .foreign_keys
            .iter()
            .map(|key| held(key).and_then(|at| self.foreign_keys.get(at).cloned()))
            .collect();
        // A name that goes on the way there comes again on the way back, so it stays taken.
        let mut taken = self.foreign_keys.clone();
        let mut foreign_keys = Vec::with_capacity(stays.len());
        for (key, name) in after.foreign_keys.iter().zip(stays) {
            let name = name.unwrap_or_else(|| free(after, key, &taken));
            taken.push(name.clone());
            foreign_keys.push(name);
        }
        Self { key: self.key.clone(), foreign_keys }
    }
}

/// A name of a foreign key that none of these is.
fn free(contract: &Contract, key: &ForeignKey, taken: &[String]) -> String {
    let columns = key.columns.join("_");
    let label = |number: usize| if number == 0 { "fkey".to_owned() } else { format!("fkey{number}") };
    let name = |number: usize| chosen(contract.physical_name(), &columns, &label(number));
    // One more than there are must be free.
    (0..=taken.len()).map(name).find(|name| !taken.contains(name)).unwrap_or_default()
}

/// The name that PostgreSQL chooses for something of a table: table, columns and label, the longer of the first two cut.
fn chosen(table: &str, columns: &str, label: &str) -> String {
    let columns_at_most = columns.len().min(MAX_NAME_BYTES);
    let (mut first, mut second) = (table.len(), columns_at_most);
    let room = MAX_NAME_BYTES - label.len() - 1 - usize::from(!columns.is_empty());
    while first + second > room {
        if first > second { first -= 1 } else { second -= 1 }
    }
    // Names of contracts are ASCII.
    let parts = [table.get(..first), columns.get(..second).filter(|part| !part.is_empty()), Some(label)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("_")
}

/// Refuse a contract that PostgreSQL cannot keep.
pub(crate) fn keeps(end: &End<'_>) -> Result<(), StoreError> {
    ddl::create_table(end.contract, &end.targets).map(|_| ())
}

/// The SQL that moves the table of one contract to another, and back. `empty`: it has no rows.
pub(crate) fn write_both(
    before: &End<'_>,
    after: &End<'_>,
    empty: bool,
) -> Result<(String, String), StoreError> {
    let held = before.names.clone().unwrap_or_else(|| Names::of(before.contract));
    let given = held.carried(before.contract, after.contract);
    let there = Script { before: before.contract, after, held: &held, given: &given, empty };
    let back = Script { before: after.contract, after: before, held: &given, given: &held, empty };
    Ok((there.write()?, back.write()?))
}

/// One way.
struct Script<'s> {
    before: &'s Contract,
    after: &'s End<'s>,
    /// What constraints are called before.
    held: &'s Names,
    /// And after.
    given: &'s Names,
    empty: bool,
}

/// A part of an `ALTER TABLE`, and what is to be said of it.
type Part = (String, String);

impl Script<'_> {
    fn write(&self) -> Result<String, StoreError> {
        let after = self.after.contract;
        let changes = plan::operations(self.before, after)?;
        let mut text = heading(self.before, after, &changes);
        if changes.is_empty() {
            text += "-- Write statements here that touch this table alone.\n";
            return Ok(text);
        }
        let heading = text.len();
        let (renames, names) = self.renames();
        self.keys_that_go(&changes, &mut text);
        for (from, to) in renames {
            self.alter(
                &[(format!("RENAME COLUMN {} TO {}", quote(&from), quote(&to)), String::new())],
                &mut text,
            );
        }
        for column in self.added() {
            // Where there are rows it is filled first.
            let nullable = column.nullable || !self.empty;
            let column = Column { nullable, ..column.clone() };
            self.alter(&[(format!("ADD COLUMN {}", define(&column)), String::new())], &mut text);
        }
        self.alter(&self.columns(), &mut text);
        if changed_key(&changes) {
            let note = "fails where several rows agree in it: say before, by DELETE, which of them stays";
            let key =
                format!("ADD CONSTRAINT {} PRIMARY KEY ({})", quote(&self.given.key), list(after.key()));
            self.alter(&[(key, note.to_owned())], &mut text);
        }
        for (column, name) in self.before.columns.iter().zip(&names) {
            if plan::counterpart(after, column).is_none() {
                self.alter(&[(format!("DROP COLUMN {}", quote(name)), String::new())], &mut text);
            }
        }
        self.keys_that_come(&mut text);
        if text.len() == heading {
            text += "-- Only the catalogue changes: nothing is to be done in the database.\n";
        }
        Ok(text)
    }

    /// One statement, with a line for each of several parts.
    fn alter(&self, parts: &[Part], text: &mut String) {
        let table = table_name(self.after.contract);
        let noted = |note: &str| if note.is_empty() { String::new() } else { format!("  -- {note}") };
        match parts {
            [] => {}
            [(part, note)] => {
                let _ = writeln!(text, "ALTER TABLE {table} {part};{}", noted(note));
            }
            parts => {
                let _ = writeln!(text, "ALTER TABLE {table}");
                for (at, (part, note)) in parts.iter().enumerate() {
                    let end = if at + 1 < parts.len() { "," } else { ";" };
                    let _ = writeln!(text, "  {part}{end}{}", noted(note));
                }
            }
        }
    }

    fn added(&self) -> impl Iterator<Item = &Column> {
        self.after.contract.columns.iter().filter(|column| plan::counterpart(self.before, column).is_none())
    }

    /// The renamings in their order, and what each column of before is called once they are done. A column that stands
    /// in the way of another's new name makes room first.
    fn renames(&self) -> (Vec<(String, String)>, Vec<String>) {
        let after = self.after.contract;
        let finally = |column: &Column| plan::counterpart(after, column).map(|given| given.name.clone());
        let wanted = |name: &str| {
            let comes = self.added().any(|column| column.name == name);
            comes
                || self
                    .before
                    .columns
                    .iter()
                    .any(|other| other.name != name && finally(other).is_some_and(|given| given == name))
        };
        let mut renames = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for column in &self.before.columns {
            let stays = finally(column).is_some_and(|given| given == column.name);
            let mut name = column.name.clone();
            if !stays && wanted(&name) {
                // No name of a contract begins like this.
                name = format!("_was_{}", names.len() + 1);
                renames.push((column.name.clone(), name.clone()));
            }
            names.push(name);
        }
        for (column, name) in self.before.columns.iter().zip(&mut names) {
            if let Some(given) = finally(column).filter(|given| given != name) {
                renames.push((name.clone(), given.clone()));
                *name = given;
            }
        }
        (renames, names)
    }

    fn keys_that_go(&self, changes: &[Change], text: &mut String) {
        let after = self.after.contract;
        for (key, name) in self.before.foreign_keys.iter().zip(&self.held.foreign_keys) {
            if !after.foreign_keys.contains(key) {
                self.alter(&[(format!("DROP CONSTRAINT {}", quote(name)), String::new())], text);
            }
        }
        if changed_key(changes) {
            self.alter(&[(format!("DROP CONSTRAINT {}", quote(&self.held.key)), String::new())], text);
        }
    }

    fn keys_that_come(&self, text: &mut String) {
        let End { contract: after, targets, .. } = self.after;
        for ((key, target), name) in after.foreign_keys.iter().zip(targets).zip(&self.given.foreign_keys) {
            if !self.before.foreign_keys.contains(key) {
                let constraint = ddl::foreign_key(key, target, on_delete(after, key, target));
                self.alter(&[(format!("ADD CONSTRAINT {} {constraint}", quote(name)), String::new())], text);
            }
        }
    }

    /// What becomes of the columns that are there by then: in one pass over the rows.
    fn columns(&self) -> Vec<Part> {
        let after = self.after.contract;
        let sources = plan::sources(self.before, after, self.empty);
        let mut parts = Vec::new();
        for (column, source) in after.columns.iter().zip(&sources) {
            let name = quote(&column.name);
            let held = plan::counterpart(self.before, column);
            let of_a_person = || {
                let note =
                    format!("{name}: write a value of type {} for the rows that are there", column.data_type);
                (EDIT_MARK.to_owned(), note)
            };
            let value = match source {
                ValuesFrom::Column(_) | ValuesFrom::Null => None,
                ValuesFrom::Person => Some(of_a_person()),
                ValuesFrom::Converted { from, .. } => {
                    Some(match conversion(&name, *from, column.data_type) {
                        Some(value) => (value, format!("{name}: {from} becomes {}", column.data_type)),
                        None => of_a_person(),
                    })
                }
            };
            if let Some((value, note)) = value {
                let column_type = ddl::column_type(column.data_type);
                parts.push((format!("ALTER COLUMN {name} TYPE {column_type} USING {value}"), note));
            }
            let was_nullable = held.map_or(!self.empty, |held| held.nullable);
            if was_nullable && !column.nullable {
                let note = match held {
                    Some(_) => format!(
                        "fails where it is null; fill it before: UPDATE … SET {name} = coalesce({name}, …)"
                    ),
                    None => String::new(),
                };
                parts.push((format!("ALTER COLUMN {name} SET NOT NULL"), note));
            }
            if !was_nullable && column.nullable && held.is_some() {
                parts.push((format!("ALTER COLUMN {name} DROP NOT NULL"), String::new()));
            }
        }
        parts
    }
}

fn changed_key(changes: &[Change]) -> bool {
    changes.iter().any(|change| matches!(change, Change::Index { .. }))
}

/// A value of one type as one of another, where there is one way to see it: the same pairs as on SQLite.
fn conversion(value: &str, from: DataType, to: DataType) -> Option<String> {
    use DataType::{
        Bool, Bytes, Date, Decimal, Float32, Float64, Int16, Int32, Int64, Json, String, TimestampTz, Uuid,
    };
    let cast = || format!("{value}::{}", ddl::sql_type(to));
    Some(match (from, to) {
        (Int16 | Int32 | Int64, Int16 | Int32 | Int64 | Float32 | Float64 | Decimal { .. } | String)
        | (Float32 | Float64, Float32 | Float64 | Decimal { .. } | String)
        | (Decimal { .. }, Decimal { .. } | Float32 | Float64)
        | (Bool | Date | Json, String)
        | (String, Json) => cast(),
        (Float32 | Float64, Int16 | Int32 | Int64) => format!("round({value})::{}", ddl::sql_type(to)),
        (Bool, Int16 | Int32 | Int64 | Float32 | Float64) => {
            format!("{value}::integer::{}", ddl::sql_type(to))
        }
        (Date, TimestampTz) => format!("{value}::timestamp AT TIME ZONE 'UTC'"),
        (Json | String, Bytes) => format!("convert_to({value}::text, 'UTF8')"),
        (Uuid, Bytes) => format!("decode(replace({value}::text, '-', ''), 'hex')"),
        (Bytes, Uuid) => format!("encode({value}, 'hex')::uuid"),
        _ => return None,
    })
}
