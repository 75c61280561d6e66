//! Changes of what people read of a table: descriptions and labels. They reach no row and no hash.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Contract;
use crate::diagnostic::{Diagnostic, ErrorClass};

/// The longest label, in characters.
pub const MAX_LABEL_CHARS: usize = 63;

/// What to change; the default changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetadataEdit {
    /// The table's description.
    pub description: Option<String>,
    /// These labels instead of those that there are.
    pub set_labels: Option<Vec<String>>,
    /// Labels to add; one that is there already stays.
    pub add_labels: Vec<String>,
    /// Labels to take away; each must be there.
    pub remove_labels: Vec<String>,
    /// Column → its description.
    pub column_descriptions: Vec<(String, String)>,
    /// Column → its short name for people.
    pub column_labels: Vec<(String, String)>,
}

/// Why metadata cannot be changed so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// No such column.
    #[error("table `{table}` has no column `{column}`; it has {known}")]
    UnknownColumn {
        /// Identifier of the table.
        table: String,
        /// The column asked for.
        column: String,
        /// The columns there are.
        known: String,
    },
    /// A label to remove that is not there.
    #[error("table `{table}` has no label `{label}`; it has {known}")]
    NoSuchLabel {
        /// Identifier of the table.
        table: String,
        /// The label asked for.
        label: String,
        /// The labels there are.
        known: String,
    },
    /// A text that cannot be a label.
    #[error("{label:?} cannot be a label of table `{table}`: {problem}")]
    Label {
        /// Identifier of the table.
        table: String,
        /// As given, cut.
        label: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Diagnostic for MetadataError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownColumn { .. } => "contract.unknown_column",
            Self::NoSuchLabel { .. } => "contract.no_such_label",
            Self::Label { .. } => "contract.label",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Usage
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::UnknownColumn { table, .. } | Self::NoSuchLabel { table, .. } => {
                format!("see what there is: datanode table show {table}")
            }
            Self::Label { .. } => "write a short name, such as `fx` or `end of day`".to_owned(),
        })
    }
}

impl MetadataEdit {
    /// The contract with these changes.
    pub fn apply(&self, contract: &Contract) -> Result<Contract, MetadataError> {
        let mut changed = contract.clone();
        if let Some(description) = &self.description {
            changed.description.clone_from(description);
        }
        for (name, text) in &self.column_descriptions {
            column(&mut changed, name)?.description.clone_from(text);
        }
        for (name, text) in &self.column_labels {
            column(&mut changed, name)?.label.clone_from(text);
        }
        self.apply_labels(&mut changed)?;
        Ok(changed)
    }

    fn apply_labels(&self, contract: &mut Contract) -> Result<(), MetadataError> {
        let mut labels = std::mem::take(&mut contract.labels);
        let given = self.set_labels.iter().flatten().chain(&self.add_labels);
        if self.set_labels.is_some() {
            labels.clear();
        }
        for label in given {
            check_label(&contract.identifier, label)?;
            if !labels.contains(label) {
                labels.push(label.clone());
            }
        }
        for label in &self.remove_labels {
            let Some(place) = labels.iter().position(|held| held == label) else {
                return Err(MetadataError::NoSuchLabel {
                    table: contract.identifier.clone(),
                    label: label.chars().take(80).collect(),
                    known: if labels.is_empty() { "none".to_owned() } else { labels.join(", ") },
                });
            };
            labels.remove(place);
        }
        contract.labels = labels;
        Ok(())
    }
}

fn column<'c>(contract: &'c mut Contract, name: &str) -> Result<&'c mut super::Column, MetadataError> {
    let known = || contract.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    let unknown = MetadataError::UnknownColumn {
        table: contract.identifier.clone(),
        column: name.chars().take(80).collect(),
        known: known(),
    };
    contract.columns.iter_mut().find(|column| column.name == name).ok_or(unknown)
}

fn check_label(table: &str, label: &str) -> Result<(), MetadataError> {
    let problem = if label.trim().is_empty() {
        "it is empty"
    } else if label.trim() != label {
        "it begins or ends with white space"
    } else if label.chars().any(char::is_control) {
        "it holds control characters"
    } else if label.chars().count() > MAX_LABEL_CHARS {
        "it is longer than 63 characters"
    } else {
        return Ok(());
    };
    Err(MetadataError::Label { table: table.to_owned(), label: label.chars().take(80).collect(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::{Reach, changes};

    fn contract() -> Contract {
        Contract::from_toml(
            "identifier = \"t\"\nlabels = [\"a\", \"b\"]\nindex = [\"time_index\"]\n\
             columns = [{ name = \"time_index\", type = \"timestamp_tz\" }]",
        )
        .unwrap()
    }

    #[test]
    fn every_change_is_one_of_metadata() {
        let edit = MetadataEdit {
            description: Some("New.".to_owned()),
            add_labels: vec!["c".to_owned(), "b".to_owned()],
            remove_labels: vec!["a".to_owned()],
            column_descriptions: vec![("time_index".to_owned(), "The day.".to_owned())],
            column_labels: vec![("time_index".to_owned(), "Day".to_owned())],
            ..MetadataEdit::default()
        };
        let changed = edit.apply(&contract()).unwrap();
        assert_eq!(changed.labels, ["b", "c"]);
        let changes = changes(&contract(), &changed);
        assert_eq!(changes.len(), 4);
        assert!(changes.iter().all(|change| change.reach() == Reach::Metadata));
        let set = MetadataEdit { set_labels: Some(vec!["z".to_owned()]), ..MetadataEdit::default() };
        assert_eq!(set.apply(&contract()).unwrap().labels, ["z"]);
        assert_eq!(MetadataEdit::default().apply(&contract()).unwrap(), contract());
    }

    #[test]
    fn what_is_not_there_and_what_is_no_label_is_refused() {
        let code = |edit: MetadataEdit| edit.apply(&contract()).unwrap_err().code();
        let text = |text: &str| vec![text.to_owned()];
        let edit = MetadataEdit::default;
        assert_eq!(code(MetadataEdit { remove_labels: text("z"), ..edit() }), "contract.no_such_label");
        for bad in ["", " a", "a\nb", &"x".repeat(64)] {
            assert_eq!(code(MetadataEdit { add_labels: text(bad), ..edit() }), "contract.label", "{bad:?}");
        }
        let column = vec![("x".to_owned(), String::new())];
        assert_eq!(code(MetadataEdit { column_descriptions: column, ..edit() }), "contract.unknown_column");
    }
}
