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

mod check;
mod field_id;
mod foreign_key;
mod metadata;
mod place;

use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cadence::Cadence;
use crate::data_type::DataType;
use crate::diagnostic::{Diagnostic, ErrorClass};
use crate::quality::Check;

pub use foreign_key::{ForeignKey, OnDelete, Reference, mismatch};
pub use metadata::{MAX_LABEL_CHARS, MetadataEdit, MetadataError};
pub use place::Place;
use place::Step;

/// The name that the first index column always has.
pub const TIME_INDEX: &str = "time_index";

/// The most columns of a table.
pub const MAX_COLUMNS: usize = 1_000;

/// What kind of table a contract declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// Written by nodes, indexed by time.
    #[default]
    TimeIndexed,
    /// A plain table with a primary key, loaded from files: what foreign keys lead to.
    Reference,
}

impl TableKind {
    /// The name used in contracts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TimeIndexed => "time_indexed",
            Self::Reference => "reference",
        }
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Lower case, stable, at most 63 bytes.
    pub name: String,
    /// Number that the column keeps when it is renamed; given by the catalogue where the file leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Of a time-indexed table: `time_index`, then the identity dimensions. The tuple is unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub index: Vec<String>,
    /// Of a reference table: the columns whose values name a row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub primary_key: Vec<String>,
    /// All columns, those of the key included.
    pub columns: Vec<Column>,
    /// Columns whose values are keys of other tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_keys: Vec<ForeignKey>,
    /// What is demanded of the rows of runs; it changes no stored row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// The highest field id that a column of this table ever had; kept by the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_field_id: Option<u32>,
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
    #[error("contract `{identifier}`{}: {problem}", at(*.place))]
    Name {
        /// Identifier as given.
        identifier: String,
        /// What is wrong.
        problem: String,
        /// Where in the file.
        place: Option<Place>,
    },
    /// A broken rule.
    #[error("contract `{identifier}`{}: {problem}", at(*.place))]
    Rule {
        /// Identifier as given.
        identifier: String,
        /// What is wrong.
        problem: String,
        /// Where in the file; None where no file was read.
        place: Option<Place>,
    },
}

fn at(place: Option<Place>) -> String {
    place.map_or(String::new(), |place| format!(", {place}"))
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

    fn next_step(&self) -> Option<String> {
        Some(match self {
            // Given on the command line.
            Self::Name { place: None, .. } => {
                "choose another: lower-case letters, digits and `_`, a letter first, as in fx_ecb_daily_rates"
                    .to_owned()
            }
            _ => "mend the file, then: datanode table register FILE".to_owned(),
        })
    }
}

impl Contract {
    /// Read and check a TOML file.
    pub fn from_toml(text: &str) -> Result<Self, ContractError> {
        let contract: Self = toml::from_str(text).map_err(|error| ContractError::Toml(error.to_string()))?;
        contract.check_file(|path| place::in_toml(text, path))?;
        Ok(contract)
    }

    /// Read and check a JSON file.
    pub fn from_json(text: &str) -> Result<Self, ContractError> {
        let contract: Self =
            serde_json::from_str(text).map_err(|error| ContractError::Json(error.to_string()))?;
        contract.check_file(|path| place::in_json(text, path))?;
        Ok(contract)
    }

    /// The same contract, which was made and not read from a file, where it keeps the rules.
    pub fn checked(self) -> Result<Self, ContractError> {
        self.check_file(|_| None)?;
        Ok(self)
    }

    fn check_file(&self, place: impl Fn(&[Step]) -> Option<Place>) -> Result<(), ContractError> {
        self.check().map_err(|fault| {
            let (identifier, place) = (self.identifier.clone(), place(&fault.path));
            if fault.is_name {
                ContractError::Name { identifier, problem: fault.problem, place }
            } else {
                ContractError::Rule { identifier, problem: fault.problem, place }
            }
        })
    }

    /// The columns whose values name a row: the index, or the primary key.
    pub fn key(&self) -> &[String] {
        match self.kind {
            TableKind::TimeIndexed => &self.index,
            TableKind::Reference => &self.primary_key,
        }
    }

    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Names of the identity dimensions, in index order; a reference table has none.
    pub fn dimensions(&self) -> &[String] {
        self.index.get(1..).unwrap_or_default()
    }

    /// The columns of the key besides `time_index`: the identity dimensions, or the primary key. Reads narrow by them.
    pub fn key_dimensions(&self) -> &[String] {
        match self.kind {
            TableKind::TimeIndexed => self.dimensions(),
            TableKind::Reference => &self.primary_key,
        }
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
        if self.cadence.is_none() && self.kind == TableKind::TimeIndexed {
            warnings.push(format!("table `{}` declares no cadence", self.identifier));
        }
        warnings
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

    const REFERENCE: &str = r#"
identifier = "assets"
kind = "reference"
primary_key = ["id"]
columns = [
    { name = "id", type = "string" },
    { name = "name", type = "string", nullable = true },
    { name = "parent", type = "string", nullable = true },
]
[[foreign_keys]]
columns = ["parent"]
references = { table = "issuers", columns = ["id"] }
on_delete = "restrict"
"#;

    #[test]
    fn a_reference_table_has_a_primary_key_and_no_dimensions() {
        let contract = Contract::from_toml(REFERENCE).unwrap();
        assert_eq!((contract.key(), contract.dimensions().len()), (&["id".to_owned()][..], 0));
        assert_eq!(contract.foreign_keys[0].on_delete, OnDelete::Restrict);
        let json = serde_json::to_string_pretty(&contract).unwrap();
        assert_eq!(Contract::from_json(&json).unwrap(), contract);
        let broken = json.replace("\"parent\"\n", "\"mother\"\n");
        let error = Contract::from_json(&broken).unwrap_err().to_string();
        assert!(error.contains("line 27, column 9: foreign key column `mother`"), "{error}");
    }

    #[test]
    fn a_foreign_key_leads_to_the_whole_key_of_the_same_types() {
        let contract = Contract::from_toml(REFERENCE).unwrap();
        let target = |key: &str, data_type: &str| {
            Contract::from_toml(&format!(
                "identifier = \"issuers\"\nkind = \"reference\"\nprimary_key = {key}\ncolumns = [\
                 {{ name = \"id\", type = \"{data_type}\" }}, {{ name = \"x\", type = \"bool\" }}]"
            ))
            .unwrap()
        };
        let judge = |target: Contract| mismatch(&contract, &contract.foreign_keys[0], &target);
        assert_eq!(judge(target("[\"id\"]", "string")), None);
        insta::assert_snapshot!(
            format!("{}\n{}", judge(target("[\"id\", \"x\"]", "string")).unwrap(), judge(target("[\"id\"]", "uuid")).unwrap()),
            @r"
        it refers to (id), but the key of table `issuers` is (id, x)
        column `parent` is string, but `id` of table `issuers` is uuid
        "
        );
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
            toml("[\"id\"]", &[("id", "string")]),
            toml("[\"time_index\"]\nprimary_key = [\"time_index\"]", &[time]),
            toml("[\"time_index\"]\ncadence = \"1D\"", &[time]),
            "identifier = \"t\"\nkind = \"reference\"\ncolumns = [{ name = \"id\", type = \"string\" }]"
                .to_owned(),
            REFERENCE.replace("[\"id\"]", "[\"id\", \"name\"]"),
            REFERENCE.replace("[\"id\"]", "[\"id\", \"id\"]"),
            REFERENCE.replace("[\"id\"]", "[\"other\"]"),
            REFERENCE.replace("primary_key", "index = [\"id\"]\nprimary_key"),
            REFERENCE.replace("primary_key", "cadence = \"1d\"\nprimary_key"),
            REFERENCE.replace("id\", type", "id\", id = 0, type"),
            REFERENCE.replace("type =", "id = 7, type ="),
            REFERENCE.replace("restrict", "set_null").replace("nullable = true", "nullable = false"),
            REFERENCE
                .replace("kind = \"reference\"", "index = [\"time_index\"]")
                .replace("primary_key = [\"id\"]\n", "")
                .replace("\"id\", type = \"string\"", "\"time_index\", type = \"timestamp_tz\"")
                .replace("restrict", "cascade"),
            REFERENCE.replace("columns = [\"parent\"]", "columns = [\"parent\", \"id\"]"),
            REFERENCE.replace("columns = [\"parent\"]", "columns = [\"mother\"]"),
            REFERENCE.replace("restrict", "explode"),
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
