//! The shape of a table as PostgreSQL tells it, and whether it still is what its contract says.

use std::collections::BTreeMap;

use datanode_core::contract::{Contract, OnDelete};
use datanode_core::data_type::DataType;
use datanode_core::revision::RevisionError;
use sqlx::PgConnection;

use super::super::stored::failed;
use super::super::{ddl, foreign_keys};
use super::script::Names;
use crate::catalogue::foreign_keys::on_delete;
use crate::{StoreError, Table};

const DOING: &str = "reading the shape of a table";

/// What a table is to PostgreSQL, as far as its contract says. The order of its columns plays no part: they are read and
/// written by name. Neither do further indexes, which change no row.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Type, nullability and collation, by name.
    columns: BTreeMap<String, String>,
    key: Vec<String>,
    /// What the constraint of the key is called.
    key_name: String,
    /// What each is, and what it is called.
    foreign_keys: BTreeMap<String, String>,
    /// Triggers, rules, checks and unique constraints: a contract knows none.
    others: Vec<String>,
}

fn say(sql_type: &str, not_null: bool, collation: &str, extra: &str) -> String {
    let null = if not_null { "not null" } else { "nullable" };
    let collation = if collation.is_empty() { String::new() } else { format!(", sorted by \"{collation}\"") };
    format!("{sql_type}, {null}{collation}{extra}")
}

fn foreign_key(columns: &[String], target: &str, theirs: &[String], action: &str) -> String {
    format!("foreign key ({}) to `{target}` ({}), on delete {action}", columns.join(", "), theirs.join(", "))
}

/// The foreign keys of a contract, in its order.
fn said_keys(contract: &Contract, targets: &[String]) -> Vec<String> {
    let keys = contract.foreign_keys.iter().zip(targets).map(|(key, target)| {
        let action = on_delete(contract, key, target).to_lowercase();
        foreign_key(&key.columns, target, &key.references.columns, &action)
    });
    keys.collect()
}

impl Shape {
    /// What a contract asks for; `targets` as in [`ddl::create_table`].
    fn of(contract: &Contract, targets: &[String]) -> Self {
        let column = |column: &datanode_core::contract::Column| {
            let collation = if column.data_type == DataType::String { "C" } else { "" };
            (column.name.clone(), say(&ddl::sql_type(column.data_type), !column.nullable, collation, ""))
        };
        let keys = said_keys(contract, targets).into_iter().map(|key| (key, String::new()));
        Self {
            columns: contract.columns.iter().map(column).collect(),
            key: contract.key().to_vec(),
            foreign_keys: keys.collect(),
            ..Self::default()
        }
    }

    /// Of a table in the database; None when it has no such table.
    pub(super) async fn read(
        connection: &mut PgConnection,
        physical_name: &str,
    ) -> Result<Option<Self>, StoreError> {
        let columns: Vec<(String, String, bool, String, bool)> = sqlx::query_as(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
             CASE WHEN a.atttypid = 'text'::regtype THEN coalesce(c.collname::text, '') ELSE '' END, \
             a.atthasdef OR a.attidentity <> '' FROM pg_attribute a \
             JOIN pg_class t ON t.oid = a.attrelid JOIN pg_namespace n ON n.oid = t.relnamespace \
             LEFT JOIN pg_collation c ON c.oid = a.attcollation \
             WHERE n.nspname = 'datanode_tables' AND t.relname = $1 AND t.relkind IN ('r', 'p') \
             AND a.attnum > 0 AND NOT a.attisdropped",
        )
        .bind(physical_name)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed(DOING))?;
        if columns.is_empty() {
            return Ok(None);
        }
        let columns = columns.into_iter().map(|(name, sql_type, not_null, collation, has_default)| {
            let extra = if has_default { ", with a default" } else { "" };
            (name, say(&sql_type, not_null, &collation, extra))
        });
        let mut shape = Self { columns: columns.collect(), ..Self::default() };
        shape.read_constraints(connection, physical_name).await?;
        Ok(Some(shape))
    }

    async fn read_constraints(
        &mut self,
        connection: &mut PgConnection,
        physical_name: &str,
    ) -> Result<(), StoreError> {
        type Row = (String, String, Vec<String>, Option<String>, Vec<String>, String);
        let rows: Vec<Row> = sqlx::query_as(
            "WITH _t AS (SELECT t.oid FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace \
             WHERE n.nspname = 'datanode_tables' AND t.relname = $1) \
             SELECT c.contype::text, c.conname::text, \
             ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k (at, place) \
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.at ORDER BY k.place), \
             (SELECT relname::text FROM pg_class WHERE oid = c.confrelid), \
             ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY AS k (at, place) \
             JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.at ORDER BY k.place), \
             c.confdeltype::text FROM pg_constraint c JOIN _t ON c.conrelid = _t.oid \
             WHERE c.contype IN ('p', 'f', 'c', 'u', 'x') \
             UNION ALL SELECT 'trigger', tgname::text, '{}', NULL, '{}', '' FROM pg_trigger JOIN _t ON tgrelid = _t.oid \
             WHERE NOT tgisinternal \
             UNION ALL SELECT 'rule', rulename::text, '{}', NULL, '{}', '' FROM pg_rewrite JOIN _t ON ev_class = _t.oid",
        )
        .bind(physical_name)
        .fetch_all(connection)
        .await
        .map_err(failed(DOING))?;
        for (kind, name, columns, target, theirs, action) in rows {
            match kind.as_str() {
                "p" => (self.key, self.key_name) = (columns, name),
                "f" => {
                    let action = match action.as_str() {
                        "a" => "no action",
                        "r" => OnDelete::Restrict.sql(),
                        "c" => OnDelete::Cascade.sql(),
                        "n" => OnDelete::SetNull.sql(),
                        _ => "set default",
                    };
                    let target = target.unwrap_or_default();
                    let key = foreign_key(&columns, &target, &theirs, &action.to_lowercase());
                    self.foreign_keys.insert(key, name);
                }
                "c" => self.others.push(format!("check `{name}`")),
                "u" | "x" => self.others.push(format!("constraint `{name}`")),
                what => self.others.push(format!("{what} `{name}`")),
            }
        }
        self.others.sort();
        Ok(())
    }

    /// Where another shape differs from this one, one sentence each: this is the contract, the other the database.
    fn differences(&self, found: Option<&Self>) -> Vec<String> {
        let Some(found) = found else { return vec!["the database has no such table".to_owned()] };
        let mut differences = Vec::new();
        for (name, column) in &self.columns {
            let other = found.columns.get(name).map_or("missing", String::as_str);
            if other != column {
                differences
                    .push(format!("column `{name}`: {column} in the contract, {other} in the database"));
            }
        }
        for (name, column) in found.columns.iter().filter(|(name, _)| !self.columns.contains_key(*name)) {
            differences.push(format!("column `{name}`: missing in the contract, {column} in the database"));
        }
        if self.key != found.key {
            let (contract, database) = (self.key.join(", "), found.key.join(", "));
            differences.push(format!("key: ({contract}) in the contract, ({database}) in the database"));
        }
        let missing = self.foreign_keys.keys().filter(|key| !found.foreign_keys.contains_key(*key));
        differences.extend(missing.map(|key| format!("{key}: missing in the database")));
        let surplus = found.foreign_keys.keys().filter(|key| !self.foreign_keys.contains_key(*key));
        differences.extend(surplus.map(|key| format!("{key}: missing in the contract")));
        differences.extend(found.others.iter().map(|other| format!("{other}: the contract knows none")));
        differences
    }

    /// What the constraints of a contract are called here; as PostgreSQL would call them where they are not there.
    pub(super) fn names(&self, contract: &Contract, targets: &[String]) -> Names {
        let mut names = Names::of(contract);
        if !self.key_name.is_empty() {
            names.key.clone_from(&self.key_name);
        }
        for (name, key) in names.foreign_keys.iter_mut().zip(said_keys(contract, targets)) {
            if let Some(found) = self.foreign_keys.get(&key) {
                name.clone_from(found);
            }
        }
        names
    }
}

/// Where a table in the database differs from its contract.
pub(super) async fn drift(
    connection: &mut PgConnection,
    contract: &Contract,
) -> Result<Vec<String>, StoreError> {
    let targets = foreign_keys::targets(connection, contract, None).await?;
    let found = Shape::read(connection, contract.physical_name()).await?;
    Ok(Shape::of(contract, &targets).differences(found.as_ref()))
}

/// Refuse to work on a table that is not what the catalogue says.
pub(in super::super) async fn refuse_drift(
    connection: &mut PgConnection,
    table: &Table,
) -> Result<(), StoreError> {
    let differences = drift(connection, &table.contract).await?;
    if differences.is_empty() {
        return Ok(());
    }
    Err(RevisionError::Drifted { table: table.contract.identifier.clone(), differences }.into())
}
