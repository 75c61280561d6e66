//! Table contracts: what a dataset promises, as a file that a person writes and reviews.
//!
//! ```
//! use datanode_core::contract::Contract;
//! let contract = Contract::from_toml(r#"
//!     identifier = "fx_rates"
//!     description = "Euro reference rates: one row per day and currency, for conversion and returns."
//!     cadence = "1d"
//!     index = ["time_index", "currency"]
//!
//!     [[columns]]
//!     name = "time_index"
//!     type = "timestamp_tz"
//!     description = "The day of the rate."
//!
//!     [[columns]]
//!     name = "currency"
//!     type = "string"
//!     description = "ISO 4217 code."
//!
//!     [[columns]]
//!     name = "rate"
//!     type = "float64"
//!     nullable = true
//!     description = "Units of the currency per euro."
//! "#).unwrap();
//! assert_eq!(contract.dimensions(), ["currency"]);
//! ```

use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cadence::Cadence;
use crate::data_type::DataType;
use crate::diagnostic::{Diagnostic, ErrorClass};
use crate::name::{self, NameError};

/// The name that the first index column always has.
pub const TIME_INDEX: &str = "time_index";

/// The most columns of a table.
pub const MAX_COLUMNS: usize = 1_000;

/// What kind of table a contract declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// Written by nodes, indexed by time.
    #[default]
    TimeIndexed,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Lower case, stable, at most 63 bytes.
    pub name: String,
    /// Type token.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// Whether a value may be missing. Index columns never are.
    #[serde(default)]
    pub nullable: bool,
    /// A short name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// What the values mean, with their unit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// The declared shape and meaning of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Published name, unique in the organisation.
    pub identifier: String,
    /// Kind of table.
    #[serde(default)]
    pub kind: TableKind,
    /// Groups tables of one topic, such as `examples.fx`. Not the hash namespace of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the table in the database; the identifier when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical_name: Option<String>,
    /// Intention, row grain and analytical use.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Labels for discovery; they change no behaviour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How often a row is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cadence: Option<Cadence>,
    /// `time_index`, then the identity dimensions. The tuple is unique.
    pub index: Vec<String>,
    /// All columns, the index included.
    pub columns: Vec<Column>,
}

/// Why a contract is refused.
#[derive(Debug, Error)]
pub enum ContractError {
    /// Not TOML of the expected shape; the text points at line and column.
    #[error("the contract cannot be read:\n{0}")]
    Toml(String),
    /// Not JSON of the expected shape; the text names line and column.
    #[error("the contract cannot be read: {0}")]
    Json(String),
    /// A bad name.
    #[error("contract `{identifier}`: {source}")]
    Name {
        /// Identifier as given.
        identifier: String,
        /// What is wrong.
        source: NameError,
    },
    /// A broken rule.
    #[error("contract `{identifier}`: {problem}")]
    Rule {
        /// Identifier as given.
        identifier: String,
        /// What is wrong.
        problem: String,
    },
}

impl Diagnostic for ContractError {
    fn code(&self) -> &'static str {
        match self {
            Self::Toml(_) | Self::Json(_) => "contract.syntax",
            Self::Name { .. } => "contract.name",
            Self::Rule { .. } => "contract.rule",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Usage
    }
}

impl Contract {
    /// Read and check a TOML file.
    pub fn from_toml(text: &str) -> Result<Self, ContractError> {
        let contract: Self = toml::from_str(text).map_err(|error| ContractError::Toml(error.to_string()))?;
        contract.check()?;
        Ok(contract)
    }

    /// Read and check a JSON file.
    pub fn from_json(text: &str) -> Result<Self, ContractError> {
        let contract: Self =
            serde_json::from_str(text).map_err(|error| ContractError::Json(error.to_string()))?;
        contract.check()?;
        Ok(contract)
    }

    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Names of the identity dimensions, in index order.
    pub fn dimensions(&self) -> &[String] {
        self.index.get(1..).unwrap_or_default()
    }

    /// Types of the identity dimensions, in index order.
    pub fn dimension_types(&self) -> Vec<DataType> {
        self.dimensions().iter().filter_map(|name| self.column(name)).map(|column| column.data_type).collect()
    }

    /// Name of the table in the database.
    pub fn physical_name(&self) -> &str {
        self.physical_name.as_deref().unwrap_or(&self.identifier)
    }

    /// The Arrow schema of frames of this table, in contract order.
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(Column::arrow_field).collect::<Vec<_>>()))
    }

    /// What a careful author would still add; never a reason to refuse.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.description.trim().is_empty() {
            warnings.push(format!("table `{}` has no description", self.identifier));
        }
        let bare = self.columns.iter().filter(|column| column.description.trim().is_empty());
        warnings.extend(bare.map(|column| format!("column `{}` has no description", column.name)));
        if self.cadence.is_none() {
            warnings.push(format!("table `{}` declares no cadence", self.identifier));
        }
        warnings
    }

    fn check(&self) -> Result<(), ContractError> {
        let rule = |problem: String| ContractError::Rule { identifier: self.identifier.clone(), problem };
        let name = |source| ContractError::Name { identifier: self.identifier.clone(), source };
        name::check_name("identifier", &self.identifier).map_err(name)?;
        name::check_name("physical name", self.physical_name()).map_err(name)?;
        if let Some(namespace) = &self.namespace {
            name::check_namespace("namespace", namespace).map_err(name)?;
        }
        if self.columns.len() > MAX_COLUMNS {
            return Err(rule(format!("{} columns where {MAX_COLUMNS} are allowed", self.columns.len())));
        }
        for (position, column) in self.columns.iter().enumerate() {
            name::check_name("column name", &column.name).map_err(name)?;
            if self.columns[..position].iter().any(|earlier| earlier.name == column.name) {
                return Err(rule(format!("column `{}` is declared twice", column.name)));
            }
        }
        if self.index.first().map(String::as_str) != Some(TIME_INDEX) {
            return Err(rule(format!("the index must begin with `{TIME_INDEX}`")));
        }
        for (position, name) in self.index.iter().enumerate() {
            let Some(column) = self.column(name) else {
                return Err(rule(format!("index column `{name}` is not among the columns")));
            };
            if self.index[..position].contains(name) {
                return Err(rule(format!("index column `{name}` is listed twice")));
            }
            if column.nullable {
                return Err(rule(format!("index column `{name}` cannot be nullable")));
            }
            if position == 0 && column.data_type != DataType::TimestampTz {
                return Err(rule(format!(
                    "`{TIME_INDEX}` must have the type timestamp_tz, not {}",
                    column.data_type
                )));
            }
            if position > 0 && !column.data_type.can_be_dimension() {
                return Err(rule(format!(
                    "identity dimension `{name}` cannot have the type {}; use string, an integer, bool, date, \
                     timestamp_tz or uuid",
                    column.data_type
                )));
            }
        }
        Ok(())
    }
}

impl Column {
    /// The Arrow field of this column.
    pub fn arrow_field(&self) -> Field {
        Field::new(&self.name, self.data_type.arrow(), self.nullable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toml(index: &str, columns: &[(&str, &str)]) -> String {
        let mut text = format!("identifier = \"t\"\nindex = {index}\n");
        for (name, data_type) in columns {
            text += &format!("[[columns]]\nname = \"{name}\"\ntype = \"{data_type}\"\n");
        }
        text
    }

    #[test]
    fn broken_contracts_say_what_is_wrong() {
        let time = ("time_index", "timestamp_tz");
        let cases = [
            toml("[\"id\"]", &[time, ("id", "string")]),
            toml("[]", &[time]),
            toml("[\"time_index\", \"id\"]", &[time]),
            toml("[\"time_index\", \"id\"]", &[time, ("id", "float64")]),
            toml("[\"time_index\", \"time_index\"]", &[time]),
            toml("[\"time_index\"]", &[("time_index", "date")]),
            toml("[\"time_index\"]", &[time, time]),
            toml("[\"time_index\"]", &[time, ("Bad", "string")]),
            toml("[\"time_index\"]", &[time, ("x", "float128")]),
            "identifier = \"t\"\ncolour = 1\nindex = []\ncolumns = []".to_owned(),
            "identifier = ".to_owned(),
        ];
        let messages: Vec<_> =
            cases.iter().map(|text| Contract::from_toml(text).unwrap_err().to_string()).collect();
        insta::assert_snapshot!(messages.join("\n---\n"));
    }

    #[test]
    fn toml_and_json_are_the_same_contract() {
        let contract =
            Contract::from_toml(&toml("[\"time_index\"]", &[("time_index", "timestamp_tz")])).unwrap();
        let json = serde_json::to_string(&contract).unwrap();
        assert_eq!(Contract::from_json(&json).unwrap(), contract);
        assert_eq!(contract.warnings().len(), 3);
    }
}
