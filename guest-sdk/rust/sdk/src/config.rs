//! Configs: a serde type, its JSON Schema, and the mark of a field that selects a table.

use std::borrow::Cow;
use std::fmt;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The identifier or uid of a table, as a config field.
///
/// Its schema carries `"x-table-reference": true`, so the host hashes the table's uid in its place and lets the node
/// read that table. Every table that a dependency reads or writes must come from such a field. A field of another type is marked by
/// `#[schemars(extend("x-table-reference" = true))]`.
///
/// ```
/// use datanode_sdk::prelude::*;
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// #[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
/// struct Config {
///     /// Table of daily rates.
///     #[schemars(example = &"fx_rates")]
///     rates_table: TableRef,
/// }
/// let schema = datanode_sdk::config_schema::<Config>();
/// let field = &schema["properties"]["rates_table"];
/// assert_eq!(field["x-table-reference"], true);
/// assert_eq!(field["description"], "Table of daily rates.");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableRef(String);

impl TableRef {
    /// A reference by identifier or uid. For defaults and tests: a node's dependencies take theirs from the config.
    pub fn new(table: impl Into<String>) -> Self {
        Self(table.into())
    }

    /// The identifier or uid.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TableRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for TableRef {
    /// Inline, so that the mark stands beside the field's own description and not behind a `$ref`.
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TableRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "x-table-reference": true })
    }
}

/// The config of a component that has nothing to configure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// The JSON Schema (2020-12) of a config, as the component reports it.
pub fn config_schema<C: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<C>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        /// The table.
        #[serde(default = "table")]
        #[schemars(example = &"some_table")]
        table: TableRef,
        /// Another table.
        #[schemars(extend("x-table-reference" = true))]
        other: Option<String>,
        /// Tables in a list.
        more: Vec<TableRef>,
    }

    fn table() -> TableRef {
        TableRef::new("default_table")
    }

    #[test]
    fn marks_descriptions_defaults_and_examples_stand_side_by_side() {
        let schema = config_schema::<Sample>();
        assert_eq!(
            schema["properties"]["table"],
            serde_json::json!({
                "type": "string", "minLength": 1, "x-table-reference": true,
                "description": "The table.", "default": "default_table", "examples": ["some_table"],
            })
        );
        assert_eq!(schema["properties"]["other"]["x-table-reference"], true);
        assert_eq!(schema["properties"]["more"]["items"]["x-table-reference"], true);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema.get("$defs"), None);
    }

    #[test]
    fn no_config_is_an_empty_object() {
        assert!(serde_json::from_str::<NoConfig>("{}").is_ok());
        assert!(serde_json::from_str::<NoConfig>(r#"{"a":1}"#).is_err());
    }
}
