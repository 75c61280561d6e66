//! What differs between two contracts, as typed changes: pure, so that a person, a registration and a migration judge
//! alike.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use crate::cadence::Cadence;
use crate::contract::{Column, Contract, ForeignKey, TableKind};
use crate::data_type::DataType;
use crate::quality::Check;

/// Characters of a description that a difference shows.
const SHOWN_CHARS: usize = 200;

/// How far a change reaches. The order is that of growing care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// What says something about rows and changes none: every stored row and every hash stays. Applied at once. A new
    /// cadence is more than words all the same: windows of later runs end, and may begin, elsewhere.
    Metadata,
    /// Adds what nobody reads yet.
    Additive,
    /// Every value that was valid stays valid and keeps its meaning.
    Widening,
    /// Rows, readers or writers may break.
    Breaking,
}

impl Reach {
    /// The name used in JSON and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Additive => "additive",
            Self::Widening => "widening",
            Self::Breaking => "breaking",
        }
    }
}

/// One change from the contract that is held to the one that is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// The table's description.
    Description {
        /// In the catalogue.
        held: String,
        /// In the file.
        given: String,
    },
    /// The table's labels.
    Labels {
        /// In the catalogue.
        held: Vec<String>,
        /// In the file.
        given: Vec<String>,
    },
    /// How often a row is expected.
    Cadence {
        /// In the catalogue.
        held: Option<Cadence>,
        /// In the file.
        given: Option<Cadence>,
    },
    /// What is demanded of the rows of runs.
    Checks {
        /// In the catalogue.
        held: Vec<Check>,
        /// In the file.
        given: Vec<Check>,
    },
    /// A column's short name for people.
    ColumnLabel {
        /// Column.
        column: String,
        /// In the catalogue.
        held: String,
        /// In the file.
        given: String,
    },
    /// A column's description.
    ColumnDescription {
        /// Column.
        column: String,
        /// In the catalogue.
        held: String,
        /// In the file.
        given: String,
    },
    /// A column that only the file has.
    AddColumn {
        /// The column.
        column: Column,
    },
    /// A column that only the catalogue has.
    RemoveColumn {
        /// The column.
        column: Column,
    },
    /// The same column, by its field id, under another name.
    RenameColumn {
        /// Field id.
        id: u32,
        /// In the catalogue.
        held: String,
        /// In the file.
        given: String,
    },
    /// A foreign key that only the file has.
    AddForeignKey {
        /// The foreign key.
        key: ForeignKey,
    },
    /// A foreign key that only the catalogue has.
    RemoveForeignKey {
        /// The foreign key.
        key: ForeignKey,
    },
    /// Another type.
    ColumnType {
        /// Column.
        column: String,
        /// In the catalogue.
        held: DataType,
        /// In the file.
        given: DataType,
    },
    /// Whether values may be missing.
    Nullability {
        /// Column.
        column: String,
        /// In the file.
        nullable: bool,
    },
    /// The same columns in another order.
    ColumnOrder {
        /// In the catalogue.
        held: Vec<String>,
        /// In the file.
        given: Vec<String>,
    },
    /// The index of a time-indexed table, the primary key of a reference table.
    Index {
        /// In the catalogue.
        held: Vec<String>,
        /// In the file.
        given: Vec<String>,
    },
    /// The kind of table.
    Kind {
        /// In the catalogue.
        held: TableKind,
        /// In the file.
        given: TableKind,
    },
    /// The group of tables that it belongs to.
    Namespace {
        /// In the catalogue.
        held: Option<String>,
        /// In the file.
        given: Option<String>,
    },
    /// The name in the database.
    PhysicalName {
        /// In the catalogue.
        held: String,
        /// In the file.
        given: String,
    },
}

impl Change {
    /// How far it reaches.
    pub fn reach(&self) -> Reach {
        match self {
            Self::Description { .. }
            | Self::Labels { .. }
            | Self::Cadence { .. }
            | Self::Checks { .. }
            | Self::ColumnLabel { .. }
            | Self::ColumnDescription { .. } => Reach::Metadata,
            Self::AddColumn { column } if column.nullable => Reach::Additive,
            Self::Nullability { nullable: true, .. } => Reach::Widening,
            Self::ColumnType { held, given, .. } if widens(*held, *given) => Reach::Widening,
            // A namespace may carry rights, so moving a table to another is no matter of text alone.
            Self::AddColumn { .. }
            | Self::RemoveColumn { .. }
            | Self::RenameColumn { .. }
            | Self::AddForeignKey { .. }
            | Self::RemoveForeignKey { .. }
            | Self::ColumnType { .. }
            | Self::Nullability { .. }
            | Self::ColumnOrder { .. }
            | Self::Index { .. }
            | Self::Kind { .. }
            | Self::Namespace { .. }
            | Self::PhysicalName { .. } => Reach::Breaking,
        }
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut say =
            |what: &str, held: &str, given: &str| write!(f, "{what}: {held} in the catalogue, {given} here");
        match self {
            Self::Description { held, given } => say("description", &quoted(held), &quoted(given)),
            Self::Labels { held, given } => say("labels", &list(held), &list(given)),
            Self::Cadence { held, given } => {
                say("cadence", &or_none(held.as_ref()), &or_none(given.as_ref()))
            }
            Self::Checks { held, given } => {
                let names = |checks: &[Check]| {
                    list(&checks.iter().map(|check| format!("{}: {check}", check.name)).collect::<Vec<_>>())
                };
                say("checks", &names(held), &names(given))
            }
            Self::ColumnLabel { column, held, given } => {
                say(&format!("column `{column}`, label"), &quoted(held), &quoted(given))
            }
            Self::ColumnDescription { column, held, given } => {
                say(&format!("column `{column}`, description"), &quoted(held), &quoted(given))
            }
            Self::AddColumn { column } => {
                say(&format!("column `{}`", column.name), "missing", &shape(column))
            }
            Self::RemoveColumn { column } => {
                say(&format!("column `{}`", column.name), &shape(column), "missing")
            }
            Self::RenameColumn { id, held, given } => {
                say(&format!("name of field {id}"), &format!("`{held}`"), &format!("`{given}`"))
            }
            Self::AddForeignKey { key } => {
                say(&format!("foreign key ({})", key.columns.join(", ")), "missing", &target(key))
            }
            Self::RemoveForeignKey { key } => {
                say(&format!("foreign key ({})", key.columns.join(", ")), &target(key), "missing")
            }
            Self::ColumnType { column, held, given } => {
                say(&format!("column `{column}`, type"), &held.to_string(), &given.to_string())
            }
            Self::Nullability { column, nullable } => {
                let word = |nullable| if nullable { "nullable" } else { "not nullable" };
                say(&format!("column `{column}`"), word(!nullable), word(*nullable))
            }
            Self::ColumnOrder { held, given } => say("order of columns", &list(held), &list(given)),
            Self::Index { held, given } => say("index", &list(held), &list(given)),
            Self::Kind { held, given } => say("kind", held.as_str(), given.as_str()),
            Self::Namespace { held, given } => {
                say("namespace", &or_none(held.as_ref()), &or_none(given.as_ref()))
            }
            Self::PhysicalName { held, given } => say("physical name", held, given),
        }
    }
}

/// What leads from the contract `held` to the contract `given`; empty for contracts that mean the same. Both should have
/// their field ids ([`Contract::with_field_ids`]), without which a new name is a column that goes and one that comes,
/// and foreign keys that name tables by uid.
pub fn changes(held: &Contract, given: &Contract) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut note = |differs: bool, change: Change| {
        if differs {
            changes.push(change);
        }
    };
    note(
        held.physical_name() != given.physical_name(),
        Change::PhysicalName {
            held: held.physical_name().to_owned(),
            given: given.physical_name().to_owned(),
        },
    );
    note(held.kind != given.kind, Change::Kind { held: held.kind, given: given.kind });
    note(
        held.namespace != given.namespace,
        Change::Namespace { held: held.namespace.clone(), given: given.namespace.clone() },
    );
    note(
        held.description != given.description,
        Change::Description { held: held.description.clone(), given: given.description.clone() },
    );
    note(
        held.labels != given.labels,
        Change::Labels { held: held.labels.clone(), given: given.labels.clone() },
    );
    note(
        held.checks != given.checks,
        Change::Checks { held: held.checks.clone(), given: given.checks.clone() },
    );
    note(held.cadence != given.cadence, Change::Cadence { held: held.cadence, given: given.cadence });
    note(!same_key(held, given), Change::Index { held: held.key().to_vec(), given: given.key().to_vec() });
    for column in &held.columns {
        match same_column(column, given) {
            None => note(true, Change::RemoveColumn { column: column.clone() }),
            Some(other) => column_changes(column, other, &mut note),
        }
    }
    let known = |column: &&Column| held.columns.iter().any(|held| is_same(held, column));
    for column in given.columns.iter().filter(|column| !known(column)) {
        note(true, Change::AddColumn { column: column.clone() });
    }
    // The order of columns is the order in files and frames; said only where the columns themselves are the same.
    let (held_order, given_order) = (names(held), names(given));
    let same = held_order.iter().collect::<BTreeSet<_>>() == given_order.iter().collect::<BTreeSet<_>>();
    note(same && held_order != given_order, Change::ColumnOrder { held: held_order, given: given_order });
    for key in held.foreign_keys.iter().filter(|key| !given.foreign_keys.contains(key)) {
        note(true, Change::RemoveForeignKey { key: key.clone() });
    }
    for key in given.foreign_keys.iter().filter(|key| !held.foreign_keys.contains(key)) {
        note(true, Change::AddForeignKey { key: key.clone() });
    }
    changes
}

/// The farthest reach of several changes; None of none.
pub fn farthest(changes: &[Change]) -> Option<Reach> {
    changes.iter().map(Change::reach).max()
}

/// Whether two columns of two contracts of one table are one: by field id where both have one, else by name.
fn is_same(held: &Column, given: &Column) -> bool {
    match (held.id, given.id) {
        (Some(held), Some(given)) => held == given,
        _ => held.name == given.name,
    }
}

fn same_column<'c>(column: &Column, given: &'c Contract) -> Option<&'c Column> {
    given.columns.iter().find(|other| is_same(column, other))
}

/// Whether the keys are of the same columns: a column of the key under a new name is a new name and no new key.
fn same_key(held: &Contract, given: &Contract) -> bool {
    held.key().len() == given.key().len()
        && held.key().iter().zip(given.key()).all(|(one, other)| {
            match (held.column(one), given.column(other)) {
                (Some(one), Some(other)) => is_same(one, other),
                _ => one == other,
            }
        })
}

fn column_changes(held: &Column, given: &Column, note: &mut impl FnMut(bool, Change)) {
    let column = || given.name.clone();
    if let Some(id) = held.id {
        note(
            held.name != given.name,
            Change::RenameColumn { id, held: held.name.clone(), given: given.name.clone() },
        );
    }
    note(
        held.data_type != given.data_type,
        Change::ColumnType { column: column(), held: held.data_type, given: given.data_type },
    );
    note(held.nullable != given.nullable, Change::Nullability { column: column(), nullable: given.nullable });
    note(
        held.label != given.label,
        Change::ColumnLabel { column: column(), held: held.label.clone(), given: given.label.clone() },
    );
    note(
        held.description != given.description,
        Change::ColumnDescription {
            column: column(),
            held: held.description.clone(),
            given: given.description.clone(),
        },
    );
}

/// Whether every value of one type is a value of the other, and reads the same.
fn widens(held: DataType, given: DataType) -> bool {
    use DataType::{Decimal, Float32, Float64, Int16, Int32, Int64};
    match (held, given) {
        (Int16, Int32 | Int64) | (Int32, Int64) | (Float32, Float64) => true,
        (Decimal { precision: from, scale: held }, Decimal { precision: to, scale: given }) => {
            held == given && from < to
        }
        _ => false,
    }
}

fn names(contract: &Contract) -> Vec<String> {
    contract.columns.iter().map(|column| column.name.clone()).collect()
}

fn shape(column: &Column) -> String {
    format!("{}{}", column.data_type, if column.nullable { ", nullable" } else { "" })
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { format!("({})", names.join(", ")) }
}

fn target(key: &ForeignKey) -> String {
    let delete = key.on_delete.sql().to_lowercase();
    format!("{} ({}), on delete {delete}", key.references.table, key.references.columns.join(", "))
}

/// In one line, however the text is written.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        _ if text.is_empty() => "none".to_owned(),
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn or_none(value: Option<&impl Display>) -> String {
    value.map_or_else(|| "none".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(text: &str) -> Contract {
        Contract::from_toml(text).unwrap()
    }

    const HELD: &str = r#"
        identifier = "t"
        cadence = "1d"
        index = ["time_index"]
        columns = [
            { name = "time_index", type = "timestamp_tz" },
            { name = "price", type = "float64", nullable = true, description = "EUR" },
            { name = "old", type = "string" },
        ]"#;

    #[test]
    fn every_difference_has_its_line_and_its_reach() {
        let given = r#"
            identifier = "t"
            physical_name = "t_2"
            namespace = "fx"
            description = "Prices."
            labels = ["a", "b"]
            index = ["time_index", "new"]
            columns = [
                { name = "time_index", type = "timestamp_tz" },
                { name = "price", type = "int64", label = "Price", description = "USD" },
                { name = "new", type = "bool" },
                { name = "late", type = "bool", nullable = true },
            ]"#;
        let lines: Vec<String> = changes(&contract(HELD), &contract(given))
            .iter()
            .map(|change| format!("{:<9} {change}", change.reach().as_str()))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_physical_name_written_out_is_no_difference_but_another_order_is() {
        let written_out = HELD.replace("cadence", "physical_name = \"t\"\n        cadence");
        assert_eq!(changes(&contract(HELD), &contract(&written_out)), []);
        let mut turned = contract(HELD);
        turned.columns.swap(1, 2);
        let turned = changes(&contract(HELD), &turned);
        assert!(matches!(turned[..], [Change::ColumnOrder { .. }]), "{turned:?}");
    }

    #[test]
    fn a_column_with_another_name_is_known_by_its_id_also_in_the_index() {
        let text = HELD.replace("[\"time_index\"]", "[\"time_index\", \"old\"]");
        let held = contract(&text).with_field_ids(None).unwrap();
        let given = contract(
            &text.replace("\"old\", type", "\"asset\", id = 3, type").replace("\"old\"", "\"asset\""),
        )
        .with_field_ids(Some(&held))
        .unwrap();
        let renamed = Change::RenameColumn { id: 3, held: "old".to_owned(), given: "asset".to_owned() };
        assert_eq!(changes(&held, &given), [renamed]);
    }

    #[test]
    fn foreign_keys_come_and_go() {
        let held = contract(HELD);
        let key = "\n[[foreign_keys]]\ncolumns = [\"old\"]\nreferences = { table = \"assets\", columns = [\"id\"] }";
        let given = contract(&format!("{HELD}{key}"));
        let lines =
            |changes: Vec<Change>| changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(lines(changes(&held, &given)), @"foreign key (old): missing in the catalogue, assets (id), on delete restrict here");
        insta::assert_snapshot!(lines(changes(&given, &held)), @"foreign key (old): assets (id), on delete restrict in the catalogue, missing here");
    }

    #[test]
    fn only_lossless_types_widen() {
        let types =
            ["int16", "int32", "int64", "float32", "float64", "decimal(5,2)", "decimal(9,2)", "decimal(9,3)"];
        let parse = |token: &&str| token.parse::<DataType>().unwrap();
        let mut widening = Vec::new();
        for (held, given) in types.iter().flat_map(|held| types.iter().map(move |given| (held, given))) {
            if widens(parse(held), parse(given)) {
                widening.push(format!("{held} -> {given}"));
            }
        }
        assert_eq!(
            widening,
            [
                "int16 -> int32",
                "int16 -> int64",
                "int32 -> int64",
                "float32 -> float64",
                "decimal(5,2) -> decimal(9,2)"
            ]
        );
    }
}
