//! Foreign keys: columns whose values are keys of another table.
//!
//! They are physical: the database refuses a row that breaks one. They belong to the contract and never to a config, so
//! they never enter a hash.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Fault, fault};
use super::{Contract, TableKind};
use crate::contract::place::Step;

/// What happens to the rows of this table when the row that they refer to is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// The deletion is refused while a row refers to it.
    #[default]
    Restrict,
    /// The columns become null: only nullable columns outside the key.
    SetNull,
    /// The rows are deleted too: only in reference tables, for rows of a time-indexed table go by tail deletes alone,
    /// which keep its progress right.
    Cascade,
}

impl OnDelete {
    /// The words of SQL.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Restrict => "RESTRICT",
            Self::SetNull => "SET NULL",
            Self::Cascade => "CASCADE",
        }
    }
}

/// The key that a foreign key leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Identifier or uid of a registered table; in the catalogue always the uid.
    pub table: String,
    /// The columns of its key, all of them, in its order.
    pub columns: Vec<String>,
}

/// One foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignKey {
    /// Columns of this table.
    pub columns: Vec<String>,
    /// What they refer to.
    pub references: Reference,
    /// What a deletion there does here.
    #[serde(default)]
    pub on_delete: OnDelete,
}

/// What can be judged of a foreign key without the table that it leads to.
pub(super) fn check(contract: &Contract, position: usize, key: &ForeignKey) -> Result<(), Fault> {
    let path = [Step::Field("foreign_keys"), Step::Item(position)];
    let at = |field| vec![path[0], path[1], Step::Field(field)];
    if key.columns.is_empty() {
        return Err(fault(at("columns"), "a foreign key needs at least one column"));
    }
    if key.columns.len() != key.references.columns.len() {
        return Err(fault(
            at("references"),
            format!(
                "a foreign key of {} columns cannot refer to {}",
                key.columns.len(),
                key.references.columns.len()
            ),
        ));
    }
    for (place, name) in key.columns.iter().enumerate() {
        let at_name = vec![path[0], path[1], Step::Field("columns"), Step::Item(place)];
        let Some(column) = contract.column(name) else {
            return Err(fault(at_name, format!("foreign key column `{name}` is not among the columns")));
        };
        if key.columns[..place].contains(name) {
            return Err(fault(at_name, format!("foreign key column `{name}` is listed twice")));
        }
        if key.on_delete == OnDelete::SetNull && !column.nullable {
            return Err(fault(
                at("on_delete"),
                format!("`set_null` needs a nullable column, and `{name}` is not"),
            ));
        }
    }
    if key.on_delete == OnDelete::Cascade && contract.kind == TableKind::TimeIndexed {
        return Err(fault(
            at("on_delete"),
            "`cascade` is for reference tables: rows of a time-indexed table are only deleted from a date on, so \
             that its progress stays right; use `restrict` or `set_null`",
        ));
    }
    let same = |other: &&ForeignKey| other.columns == key.columns && other.references == key.references;
    if contract.foreign_keys[..position].iter().any(|other| same(&other)) {
        return Err(fault(path.to_vec(), "this foreign key is declared twice"));
    }
    Ok(())
}

/// What a foreign key demands of the table that it leads to: its columns are that table's key, and the types are equal.
/// The answer is the problem, in words.
pub fn mismatch(contract: &Contract, key: &ForeignKey, target: &Contract) -> Option<String> {
    if key.references.columns != target.key() {
        return Some(format!(
            "it refers to ({}), but the key of table `{}` is ({})",
            key.references.columns.join(", "),
            target.identifier,
            target.key().join(", ")
        ));
    }
    key.columns.iter().zip(&key.references.columns).find_map(|(own, other)| {
        let (own, other) = (contract.column(own)?, target.column(other)?);
        (own.data_type != other.data_type).then(|| {
            format!(
                "column `{}` is {}, but `{}` of table `{}` is {}",
                own.name, own.data_type, other.name, target.identifier, other.data_type
            )
        })
    })
}
