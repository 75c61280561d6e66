//! Field ids: numbers that columns keep for ever, so that a renamed column is known to be the same one.
//!
//! A file may leave them out. The catalogue gives each column the next number when it first sees it, keeps it by name
//! from then on, and never gives the number of a removed column again. The way is that of Apache Iceberg's field ids
//! (<https://iceberg.apache.org/spec/#column-projection>).

use super::check::{Fault, fault};
use super::place::Step;
use super::{Contract, ContractError};

/// What can be judged of the ids of one file.
pub(super) fn check(contract: &Contract) -> Result<(), Fault> {
    for (position, column) in contract.columns.iter().enumerate() {
        let Some(id) = column.id else { continue };
        let at = || vec![Step::Field("columns"), Step::Item(position), Step::Field("id")];
        if id == 0 || i32::try_from(id).is_err() {
            return Err(fault(at(), format!("field id {id} is not between 1 and {}", i32::MAX)));
        }
        if let Some(other) = contract.columns[..position].iter().find(|other| other.id == Some(id)) {
            return Err(fault(
                at(),
                format!("columns `{}` and `{}` have the field id {id}", other.name, column.name),
            ));
        }
        if contract.last_field_id.is_some_and(|last| last < id) {
            return Err(fault(
                vec![Step::Field("last_field_id")],
                format!("column `{}` has the field id {id}, which is higher", column.name),
            ));
        }
    }
    Ok(())
}

impl Contract {
    /// The same contract with an id for every column: as the file says, else as the contract that is held has it for
    /// the column of that name, else the next number. A number that a removed column had is refused.
    pub fn with_field_ids(mut self, held: Option<&Self>) -> Result<Self, ContractError> {
        let held_id = |name: &str| held.and_then(|held| held.column(name)).and_then(|column| column.id);
        let mut taken: Vec<u32> = self.columns.iter().filter_map(|column| column.id).collect();
        for column in &mut self.columns {
            if column.id.is_none() {
                // Its number may have gone to another column of the file: then this one is new.
                column.id = held_id(&column.name).filter(|id| !taken.contains(id));
                taken.extend(column.id);
            }
        }
        let held_last = held.and_then(|held| held.last_field_id).unwrap_or(0);
        for column in &self.columns {
            let known = |id| held.is_some_and(|held| held.columns.iter().any(|held| held.id == Some(id)));
            if let Some(id) = column.id.filter(|id| *id <= held_last && !known(*id)) {
                return Err(ContractError::Rule {
                    identifier: self.identifier,
                    problem: format!(
                        "column `{}` has the field id {id}, which a removed column had; leave it out, or take one \
                         above {held_last}",
                        column.name
                    ),
                    place: None,
                });
            }
        }
        let mut last =
            taken.into_iter().max().unwrap_or(0).max(held_last).max(self.last_field_id.unwrap_or(0));
        for column in self.columns.iter_mut().filter(|column| column.id.is_none()) {
            last += 1;
            column.id = Some(last);
        }
        self.last_field_id = Some(last);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::contract::Contract;

    fn contract(columns: &str) -> Contract {
        let text = format!(
            "identifier = \"t\"\nindex = [\"time_index\"]\ncolumns = [{{ name = \"time_index\", type = \"timestamp_tz\" }}, {columns}]"
        );
        Contract::from_toml(&text).unwrap()
    }

    fn ids(contract: &Contract) -> Vec<(&str, u32)> {
        contract.columns.iter().map(|column| (column.name.as_str(), column.id.unwrap())).collect()
    }

    #[test]
    fn ids_are_kept_by_name_and_never_given_again() {
        let first = contract("{ name = \"a\", type = \"bool\" }, { name = \"b\", type = \"bool\" }")
            .with_field_ids(None)
            .unwrap();
        assert_eq!(ids(&first), [("time_index", 1), ("a", 2), ("b", 3)]);
        let without = contract("{ name = \"a\", type = \"bool\" }").with_field_ids(Some(&first)).unwrap();
        assert_eq!((ids(&without), without.last_field_id), (vec![("time_index", 1), ("a", 2)], Some(3)));
        let again = contract("{ name = \"b\", type = \"bool\" }, { name = \"a\", type = \"bool\" }")
            .with_field_ids(Some(&without))
            .unwrap();
        assert_eq!(ids(&again), [("time_index", 1), ("b", 4), ("a", 2)]);
        let reused = contract("{ name = \"b\", type = \"bool\", id = 3 }").with_field_ids(Some(&without));
        assert!(reused.unwrap_err().to_string().contains("which a removed column had"));
    }

    #[test]
    fn an_id_in_the_file_says_which_column_it_is() {
        let first = contract("{ name = \"a\", type = \"bool\" }").with_field_ids(None).unwrap();
        let renamed =
            contract("{ name = \"z\", type = \"bool\", id = 2 }, { name = \"a\", type = \"bool\" }")
                .with_field_ids(Some(&first))
                .unwrap();
        assert_eq!(ids(&renamed), [("time_index", 1), ("z", 2), ("a", 3)]);
    }
}
