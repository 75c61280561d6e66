//! The shape of a table as SQLite tells it, and where two shapes differ.
//!
//! What a contract asks for is not written down a second time: the table is created in an empty database in memory, and
//! both are asked the same questions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use datanode_core::contract::Contract;
use datanode_core::revision::{RevisionError, statement};
use rusqlite::Connection;

use super::super::stored::{failed, find};
use super::super::{ddl, foreign_keys, tables};
use crate::{StoreError, Table};

/// Shapes by the statement that creates them, which they follow from. An empty database and a table in it cost several
/// times what the questions to the real one cost, and every run asks for each of its tables.
static KNOWN: Mutex<BTreeMap<String, Arc<Shape>>> = Mutex::new(BTreeMap::new());
/// How many are kept.
const MAX_KNOWN: usize = 256;

/// Tables that were found to be what their contract asks for: by file and by the statement that creates them, the version
/// of the file's schema then. SQLite raises that with whatever alters any table, by whose hand ever; and what a table is
/// costs a walk through all tables of the database, which every read and every run would pay.
static SOUND: Mutex<BTreeMap<PathBuf, Sound>> = Mutex::new(BTreeMap::new());
/// How many of one file are kept.
const MAX_SOUND: usize = 65_536;

/// Tables of one file.
#[derive(Debug)]
struct Sound {
    schema_version: i64,
    tables: BTreeSet<String>,
}

const DOING: &str = "reading the shape of a table";

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ColumnShape {
    sql_type: String,
    not_null: bool,
    default: Option<String>,
    /// Generated, or hidden by a virtual table.
    hidden: bool,
}

/// What a table is to SQLite. The order of its columns plays no part: they are read and written by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shape {
    columns: BTreeMap<String, ColumnShape>,
    key: Vec<String>,
    strict: bool,
    without_rowid: bool,
    checks: Vec<String>,
    foreign_keys: BTreeSet<String>,
    /// Indexes, triggers and whatever else hangs on it: a contract knows none.
    others: BTreeSet<String>,
}

impl Shape {
    /// Of a table in a database; None when it has no such table.
    pub(super) fn read(connection: &Connection, physical_name: &str) -> Result<Option<Self>, StoreError> {
        let failed = failed(DOING);
        // `pragma_table_list` goes through all tables of the database: joined to the schema it would do so for each of them.
        let kind = "SELECT wr, strict FROM pragma_table_list(?1) WHERE schema = 'main' AND type = 'table'";
        let kind: Option<(bool, bool)> =
            find(connection, kind, [physical_name], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&failed)?;
        let Some((without_rowid, strict)) = kind else { return Ok(None) };
        let sql = "SELECT sql FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type = 'table'";
        let sql: Option<String> =
            find(connection, sql, [physical_name], |row| row.get(0)).map_err(&failed)?;
        let Some(sql) = sql else { return Ok(None) };
        let mut shape = Self { strict, without_rowid, checks: statement::checks(&sql), ..Self::default() };
        shape.read_columns(connection, physical_name).map_err(&failed)?;
        shape.read_foreign_keys(connection, physical_name).map_err(&failed)?;
        let mut statement = connection
            .prepare_cached("SELECT type || ' `' || name || '`' FROM sqlite_schema WHERE tbl_name = ?1 AND type <> 'table' AND sql IS NOT NULL")
            .map_err(&failed)?;
        let others = statement.query_map([physical_name], |row| row.get(0)).map_err(&failed)?;
        shape.others = others.collect::<rusqlite::Result<_>>().map_err(&failed)?;
        Ok(Some(shape))
    }

    fn read_columns(&mut self, connection: &Connection, name: &str) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "SELECT name, type, \"notnull\", dflt_value, hidden, pk FROM pragma_table_xinfo(?1)",
        )?;
        let mut rows = statement.query([name])?;
        let mut key = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let place: i64 = row.get(5)?;
            if place > 0 {
                key.insert(place, name.clone());
            }
            let column = ColumnShape {
                sql_type: row.get(1)?,
                not_null: row.get(2)?,
                default: row.get(3)?,
                hidden: row.get::<_, i64>(4)? != 0,
            };
            self.columns.insert(name, column);
        }
        self.key = key.into_values().collect();
        Ok(())
    }

    fn read_foreign_keys(&mut self, connection: &Connection, name: &str) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "SELECT id, \"table\", \"from\", coalesce(\"to\", '?'), on_delete, on_update FROM pragma_foreign_key_list(?1) \
             ORDER BY id, seq",
        )?;
        let mut rows = statement.query([name])?;
        let mut keys: BTreeMap<i64, (Vec<String>, String, Vec<String>, String)> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let (target, on_delete, on_update): (String, String, String) =
                (row.get(1)?, row.get(4)?, row.get(5)?);
            let rule = format!("on delete {on_delete}, on update {on_update}").to_lowercase();
            let key = keys.entry(row.get(0)?).or_insert((Vec::new(), target, Vec::new(), rule));
            key.0.push(row.get(2)?);
            key.2.push(row.get(3)?);
        }
        self.foreign_keys = keys
            .into_values()
            .map(|(from, target, to, rule)| {
                format!("foreign key ({}) to `{target}` ({}), {rule}", from.join(", "), to.join(", "))
            })
            .collect();
        Ok(())
    }

    /// What a contract asks for. `connection` is that of the catalogue, for the tables that foreign keys lead to.
    pub(super) fn of(connection: &Connection, contract: &Contract) -> Result<Arc<Self>, StoreError> {
        let name = contract.physical_name();
        let create = create_as(contract, &foreign_keys::targets(connection, contract, None)?, name)?;
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shape) = known().get(&create) {
            return Ok(Arc::clone(shape));
        }
        let scratch = Connection::open_in_memory().map_err(failed(DOING))?;
        scratch.execute_batch(&create).map_err(failed(DOING))?;
        let shape = Self::read(&scratch, name)?.ok_or_else(|| {
            StoreError::Damaged(format!("table `{}` cannot be created", contract.identifier))
        })?;
        let shape = Arc::new(shape);
        let mut known = known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(create, Arc::clone(&shape));
        Ok(shape)
    }

    /// Where another shape differs from this one, one sentence each: this is the contract, the other the database.
    fn differences(&self, found: Option<&Self>) -> Vec<String> {
        let Some(found) = found else {
            return vec!["the database has no such table".to_owned()];
        };
        let mut differences = Vec::new();
        for (name, column) in &self.columns {
            match found.columns.get(name) {
                None => differences.push(format!(
                    "column `{name}`: {} in the contract, missing in the database",
                    say(column)
                )),
                Some(other) if other != column => differences.push(format!(
                    "column `{name}`: {} in the contract, {} in the database",
                    say(column),
                    say(other)
                )),
                Some(_) => {}
            }
        }
        for (name, column) in found.columns.iter().filter(|(name, _)| !self.columns.contains_key(*name)) {
            differences
                .push(format!("column `{name}`: missing in the contract, {} in the database", say(column)));
        }
        let mut compare = |what: &str, contract: &str, database: &str| {
            if contract != database {
                differences.push(format!("{what}: {contract} in the contract, {database} in the database"));
            }
        };
        compare("key", &format!("({})", self.key.join(", ")), &format!("({})", found.key.join(", ")));
        let kind = |shape: &Self| {
            let strict = if shape.strict { "strict" } else { "not strict" };
            let rowid = if shape.without_rowid { "without rowid" } else { "with rowid" };
            format!("{strict}, {rowid}")
        };
        compare("table", &kind(self), &kind(found));
        let checks = |shape: &Self| {
            if shape.checks.is_empty() { "none".to_owned() } else { shape.checks.join(" and ") }
        };
        compare("checks", &checks(self), &checks(found));
        let missing = self.foreign_keys.difference(&found.foreign_keys);
        differences.extend(missing.map(|key| format!("{key}: missing in the database")));
        let surplus = found.foreign_keys.difference(&self.foreign_keys);
        differences.extend(surplus.map(|key| format!("{key}: missing in the contract")));
        differences.extend(found.others.iter().map(|other| format!("{other}: the contract knows none")));
        differences
    }
}

fn say(column: &ColumnShape) -> String {
    let mut text = column.sql_type.clone();
    text += if column.not_null { ", not null" } else { ", nullable" };
    if let Some(default) = &column.default {
        text += &format!(", default {default}");
    }
    if column.hidden {
        text += ", generated";
    }
    text
}

/// The statement that creates the table of a contract under a physical name. A foreign key that leads to the table
/// itself leads to that name.
pub(super) fn create_as(
    contract: &Contract,
    targets: &[String],
    physical_name: &str,
) -> Result<String, StoreError> {
    let named = Contract { physical_name: Some(physical_name.to_owned()), ..contract.clone() };
    let mut targets = targets.to_vec();
    for target in targets.iter_mut().filter(|target| *target == contract.physical_name()) {
        physical_name.clone_into(target);
    }
    ddl::create_table(&named, &targets)
}

/// Where a table in the database differs from a contract.
pub(super) fn drift(connection: &Connection, contract: &Contract) -> Result<Vec<String>, StoreError> {
    let expected = Shape::of(connection, contract)?;
    let found = Shape::read(connection, contract.physical_name())?;
    Ok(expected.differences(found.as_ref()))
}

/// Refuse to work on a table that is not what the catalogue says.
pub(super) fn refuse_drift(connection: &Connection, table: &Table) -> Result<(), StoreError> {
    let differences = drift(connection, &table.contract)?;
    if differences.is_empty() {
        return Ok(());
    }
    Err(RevisionError::Drifted { table: table.contract.identifier.clone(), differences }.into())
}

/// The same for a transaction that has altered no table: what was once found sound is not looked at again until the schema
/// has changed. (A version that was made in a transaction may come again with another schema when that is rolled back.)
pub(in super::super) fn refuse_drift_since(connection: &Connection, table: &Table) -> Result<(), StoreError> {
    let Some(path) = connection.path().filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return refuse_drift(connection, table);
    };
    let name = table.contract.physical_name();
    let create =
        create_as(&table.contract, &foreign_keys::targets(connection, &table.contract, None)?, name)?;
    let version: i64 = connection
        .prepare_cached("PRAGMA schema_version")
        .and_then(|mut statement| statement.query_row((), |row| row.get(0)))
        .map_err(failed(DOING))?;
    let sound = || SOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if sound().get(&path).is_some_and(|of| of.schema_version == version && of.tables.contains(&create)) {
        return Ok(());
    }
    refuse_drift(connection, table)?;
    let mut sound = sound();
    let of = sound.entry(path).or_insert_with(|| Sound { schema_version: version, tables: BTreeSet::new() });
    if of.schema_version != version || of.tables.len() >= MAX_SOUND {
        *of = Sound { schema_version: version, tables: BTreeSet::new() };
    }
    of.tables.insert(create);
    Ok(())
}

/// A file is opened: another one may have been put in its place.
pub(in super::super) fn forget_sound(path: &Path) {
    SOUND.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
}

/// Physical names of the tables that foreign keys of a contract lead to.
pub(super) fn targets(connection: &Connection, contract: &Contract) -> Result<Vec<String>, StoreError> {
    let target = |table: &str| {
        tables::by_reference(connection, table).map(|table| table.contract.physical_name().to_owned())
    };
    contract.foreign_keys.iter().map(|key| target(&key.references.table)).collect()
}
