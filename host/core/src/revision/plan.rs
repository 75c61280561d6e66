//! What a change from one contract to another does to the rows of a table.

use crate::contract::{Column, Contract};
use crate::data_type::DataType;
use crate::difference::{Change, Reach, changes};

use super::RevisionError;

/// Where the values of a column come from when its table moves to another contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValuesFrom {
    /// They are those of a column of the table as it is, by its name there.
    Column(String),
    /// The same, but of another type.
    Converted {
        /// Its name now.
        column: String,
        /// Its type now.
        from: DataType,
    },
    /// Nothing is known of the rows that are there.
    Null,
    /// Something must be known of the rows that are there, and only a person knows it.
    Person,
}

/// The changes from `before` to `after`, when a revision can make them.
pub fn operations(before: &Contract, after: &Contract) -> Result<Vec<Change>, RevisionError> {
    if before.identifier != after.identifier {
        return Err(RevisionError::OtherTable {
            table: before.identifier.clone(),
            found: after.identifier.clone(),
        });
    }
    let changes = changes(before, after);
    match changes.iter().find(|change| matches!(change, Change::Kind { .. } | Change::PhysicalName { .. })) {
        Some(change) => {
            Err(RevisionError::Unsupported { table: before.identifier.clone(), change: change.to_string() })
        }
        None => Ok(changes),
    }
}

/// Whether two contracts of one table ask for the same storage and mean the same values; what people read of them may
/// differ.
pub fn structure_differs(held: &Contract, given: &Contract) -> Vec<Change> {
    changes(held, given).into_iter().filter(|change| change.reach() != Reach::Metadata).collect()
}

/// For each column of `after`, in its order, where its values come from. `empty`: there are no rows that would need any.
pub fn sources(before: &Contract, after: &Contract, empty: bool) -> Vec<ValuesFrom> {
    let source = |column: &Column| match counterpart(before, column) {
        Some(held) if held.data_type == column.data_type => ValuesFrom::Column(held.name.clone()),
        Some(held) => ValuesFrom::Converted { column: held.name.clone(), from: held.data_type },
        None if column.nullable || empty => ValuesFrom::Null,
        None => ValuesFrom::Person,
    };
    after.columns.iter().map(source).collect()
}

/// The column of a contract that is the same one: by field id, else by name.
pub fn counterpart<'c>(contract: &'c Contract, column: &Column) -> Option<&'c Column> {
    contract.columns.iter().find(|other| match (other.id, column.id) {
        (Some(one), Some(other)) => one == other,
        _ => other.name == column.name,
    })
}

/// What a change loses, in words; None where every value stays.
fn loss(change: &Change, before: &Contract, after: &Contract) -> Option<String> {
    match change {
        Change::RemoveColumn { column } => Some(format!("all values of column `{}`", column.name)),
        Change::ColumnType { column, held, given } if change.reach() == Reach::Breaking => {
            Some(format!("what {given} cannot say of the {held} values of column `{column}`"))
        }
        Change::Nullability { nullable: false, column } => {
            let is_new = after.column(column).is_some_and(|column| counterpart(before, column).is_none());
            (!is_new).then(|| format!("the distinction of a missing value in column `{column}`"))
        }
        _ => None,
    }
}

/// What is lost on the way, one sentence each.
pub fn losses(before: &Contract, after: &Contract) -> Vec<String> {
    changes(before, after).iter().filter_map(|change| loss(change, before, after)).collect()
}

/// The changes as lines for people: how far each reaches, and what it is.
pub fn lines(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| format!("{}: {}", change.reach().as_str(), line(change))).collect()
}

/// A change as something that is done; [`Change`] itself tells of what a catalogue and a file say.
fn line(change: &Change) -> String {
    let shape = |column: &Column| {
        format!("`{}` {}{}", column.name, column.data_type, if column.nullable { ", nullable" } else { "" })
    };
    let names = |names: &[String]| names.join(", ");
    match change {
        Change::AddColumn { column } => format!("add column {}", shape(column)),
        Change::RemoveColumn { column } => format!("remove column {}", shape(column)),
        Change::RenameColumn { held, given, .. } => format!("rename column `{held}` to `{given}`"),
        Change::ColumnType { column, held, given } => {
            format!("change the type of column `{column}` from {held} to {given}")
        }
        Change::Nullability { column, nullable: true } => format!("let column `{column}` be null"),
        Change::Nullability { column, nullable: false } => format!("let column `{column}` never be null"),
        Change::ColumnOrder { given, .. } => format!("order the columns ({})", names(given)),
        Change::Index { held, given } => {
            format!("change the key from ({}) to ({})", names(held), names(given))
        }
        Change::AddForeignKey { key } => format!(
            "add the foreign key ({}) to {} ({})",
            names(&key.columns),
            key.references.table,
            names(&key.references.columns)
        ),
        Change::RemoveForeignKey { key } => format!(
            "remove the foreign key ({}) to {} ({})",
            names(&key.columns),
            key.references.table,
            names(&key.references.columns)
        ),
        Change::Namespace { given, .. } => match given {
            Some(given) => format!("move the table to namespace {given}"),
            None => "take the table out of its namespace".to_owned(),
        },
        Change::Description { .. } => "change the description".to_owned(),
        Change::Labels { given, .. } => format!("set the labels ({})", names(given)),
        Change::Cadence { given, .. } => match given {
            Some(given) => format!("set the cadence {given}"),
            None => "remove the cadence".to_owned(),
        },
        Change::Checks { .. } => "change the checks".to_owned(),
        Change::ColumnLabel { column, .. } => format!("change the label of column `{column}`"),
        Change::ColumnDescription { column, .. } => format!("change the description of column `{column}`"),
        Change::Kind { .. } | Change::PhysicalName { .. } => change.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(columns: &str) -> Contract {
        Contract::from_toml(&format!(
            "identifier = \"t\"\nindex = [\"time_index\"]\ncolumns = [{{ name = \"time_index\", type = \"timestamp_tz\" }}, {columns}]"
        ))
        .unwrap()
    }

    #[test]
    fn a_plan_says_what_it_does_and_what_it_loses() {
        let before = contract(
            "{ name = \"a\", type = \"float64\" }, { name = \"b\", type = \"int64\", nullable = true }, { name = \"c\", type = \"bool\" }",
        )
        .with_field_ids(None)
        .unwrap();
        let after = contract(
            "{ name = \"z\", id = 2, type = \"float64\" }, { name = \"b\", type = \"int16\" }, { name = \"d\", type = \"string\" }, { name = \"e\", type = \"string\", nullable = true }",
        )
        .with_field_ids(Some(&before))
        .unwrap();
        let there = operations(&before, &after).unwrap();
        insta::assert_snapshot!(
            format!("{}\n\nloses\n{}\n\nloses on the way back\n{}", lines(&there).join("\n"),
                losses(&before, &after).join("\n"), losses(&after, &before).join("\n")),
            @r"
        breaking: rename column `a` to `z`
        breaking: change the type of column `b` from int64 to int16
        breaking: let column `b` never be null
        breaking: remove column `c` bool
        breaking: add column `d` string
        additive: add column `e` string, nullable

        loses
        what int16 cannot say of the int64 values of column `b`
        the distinction of a missing value in column `b`
        all values of column `c`

        loses on the way back
        all values of column `d`
        all values of column `e`
        "
        );
        assert_eq!(
            sources(&before, &after, false),
            [
                ValuesFrom::Column("time_index".to_owned()),
                ValuesFrom::Column("a".to_owned()),
                ValuesFrom::Converted { column: "b".to_owned(), from: DataType::Int64 },
                ValuesFrom::Person,
                ValuesFrom::Null,
            ]
        );
        assert_eq!(sources(&before, &after, true)[3], ValuesFrom::Null);
    }

    #[test]
    fn another_table_and_another_place_are_refused() {
        let before = contract("{ name = \"a\", type = \"bool\" }");
        let mut other = before.clone();
        other.identifier = "u".to_owned();
        assert!(matches!(operations(&before, &other), Err(RevisionError::OtherTable { .. })));
        let mut moved = before.clone();
        moved.physical_name = Some("u".to_owned());
        assert!(matches!(operations(&before, &moved), Err(RevisionError::Unsupported { .. })));
    }
}
