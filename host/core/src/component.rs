//! What a component says of itself, checked before it is admitted to the catalogue.

use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::Timestamp;
use crate::config::{ConfigError, ConfigSchema};
use crate::contract::{Contract, MAX_COLUMNS, TIME_INDEX};
use crate::data_type::DataType;
use crate::diagnostic::{Diagnostic, ErrorClass};
use crate::name::{self, NameError};

/// The longest description of a component, source or column, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 16 * 1024;
/// The most sources a component may declare.
pub const MAX_SOURCES: usize = 64;

/// What a component imports, and so what its runs depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentClass {
    /// Nothing but the guest contract.
    #[default]
    Pure,
    /// Interfaces of WASI too, which this host answers by constants. An operator has admitted it.
    Stubbed,
}

impl ComponentClass {
    /// The name used in JSON and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Stubbed => "stubbed",
        }
    }

    /// The class of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pure, Self::Stubbed].into_iter().find(|class| class.as_str() == name)
    }
}

impl fmt::Display for ComponentClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something outside that a component reads, once an operator has granted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDeclaration {
    /// Name under which `fetch` asks for it.
    pub name: String,
    /// What is read and in which form.
    pub description: String,
    /// Whether a run without it makes no sense.
    pub required: bool,
}

/// A column that the component says it emits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputColumn {
    /// Name.
    pub name: String,
    /// Type token.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// Whether values may be missing.
    pub nullable: bool,
    /// What the values mean.
    pub description: String,
}

/// The checked answer of a component's `config` export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name; enters `update_hash`.
    pub name: String,
    /// Release.
    pub version: Version,
    /// What the data mean.
    pub description: String,
    /// JSON Schema 2020-12 of the config.
    pub config_schema: Value,
    /// Where a first run begins when the config has no `offset_start`. It counts like one that was written.
    pub default_offset_start: Option<Timestamp>,
    /// What it reads from outside.
    pub sources: Vec<SourceDeclaration>,
    /// Index of the output; empty when it depends on the config.
    pub index: Vec<String>,
    /// Columns of the output, the index included; empty when they depend on the config.
    pub columns: Vec<OutputColumn>,
}

/// Why a component's description of itself is refused.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// A bad name.
    #[error("component `{component}`: {source}")]
    Name {
        /// The component as it names itself.
        component: String,
        /// What is wrong.
        source: NameError,
    },
    /// The config schema is unusable.
    #[error("component `{component}`: {source}")]
    Schema {
        /// The component.
        component: String,
        /// What is wrong.
        source: ConfigError,
    },
    /// A broken rule.
    #[error("component `{component}`: {problem}")]
    Rule {
        /// The component.
        component: String,
        /// What is wrong.
        problem: String,
    },
}

impl Diagnostic for ManifestError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "component.name",
            Self::Schema { .. } => "component.config_schema",
            Self::Rule { .. } => "component.manifest",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Refused
    }

    fn next_step(&self) -> Option<String> {
        Some("mend the answer of the component's `config` export, build it again and upload it".to_owned())
    }
}

impl Manifest {
    /// Check names, sources and the config schema.
    pub fn check(&self) -> Result<(), ManifestError> {
        let component = || self.name.chars().take(80).collect::<String>();
        let in_name = |source| ManifestError::Name { component: component(), source };
        let rule = |problem| Err(ManifestError::Rule { component: component(), problem });
        name::check_name("component name", &self.name).map_err(in_name)?;
        if self.columns.len() > MAX_COLUMNS {
            return rule(format!("{} output columns where {MAX_COLUMNS} are allowed", self.columns.len()));
        }
        let texts = std::iter::once(&self.description)
            .chain(self.sources.iter().map(|source| &source.description))
            .chain(self.columns.iter().map(|column| &column.description));
        if let Some(text) = texts.into_iter().find(|text| text.len() > MAX_DESCRIPTION_BYTES) {
            return rule(format!(
                "a description of {} bytes where {MAX_DESCRIPTION_BYTES} are allowed",
                text.len()
            ));
        }
        self.schema_of_configs()
            .map_err(|source| ManifestError::Schema { component: component(), source })?;
        if self.sources.len() > MAX_SOURCES {
            return rule(format!("{} sources declared where {MAX_SOURCES} are allowed", self.sources.len()));
        }
        for (position, source) in self.sources.iter().enumerate() {
            name::check_name("source name", &source.name).map_err(in_name)?;
            if self.sources[..position].iter().any(|earlier| earlier.name == source.name) {
                return rule(format!("source `{}` is declared twice", source.name));
            }
        }
        for (position, column) in self.columns.iter().enumerate() {
            name::check_name("column name", &column.name).map_err(in_name)?;
            if self.columns[..position].iter().any(|earlier| earlier.name == column.name) {
                return rule(format!("output column `{}` is declared twice", column.name));
            }
        }
        if !self.index.is_empty() && self.index[0] != TIME_INDEX {
            return rule(format!("the output index must begin with `{TIME_INDEX}`"));
        }
        if let Some(missing) =
            self.index.iter().find(|name| self.columns.iter().all(|column| column.name != **name))
        {
            return rule(format!("output index column `{missing}` is not among the output columns"));
        }
        Ok(())
    }

    /// What its configs are held to, and completed by: its schema, and its default of `offset_start`.
    pub fn schema_of_configs(&self) -> Result<ConfigSchema, ConfigError> {
        let schema = ConfigSchema::parse(&self.config_schema)?;
        Ok(schema.with_default_offset_start(self.default_offset_start))
    }

    /// Where the declared output differs from a table's contract, one sentence each. Empty when the component
    /// declares no columns.
    pub fn output_mismatches(&self, contract: &Contract) -> Vec<String> {
        if self.columns.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        if !self.index.is_empty() && self.index != contract.index {
            found.push(format!(
                "the component's index is ({}), the table's is ({})",
                self.index.join(", "),
                contract.index.join(", ")
            ));
        }
        for column in &self.columns {
            match contract.column(&column.name) {
                None => found.push(format!("the table has no column `{}`", column.name)),
                Some(known) if known.data_type != column.data_type => found.push(format!(
                    "column `{}` is {} in the component and {} in the table",
                    column.name, column.data_type, known.data_type
                )),
                Some(known) if column.nullable && !known.nullable => {
                    found.push(format!(
                        "column `{}` may be null in the component but not in the table",
                        column.name
                    ));
                }
                Some(_) => {}
            }
        }
        for column in &contract.columns {
            if self.columns.iter().all(|declared| declared.name != column.name) {
                found.push(format!("the component does not emit the table's column `{}`", column.name));
            }
        }
        found
    }
}
