//! Configs: JSON validated by the component's JSON Schema 2020-12, defaults filled in, ready to be hashed.

mod error;
mod fields;
mod walk;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::{Map, Value};

pub use error::{ConfigError, Problem};
pub use fields::FieldNotes;
pub(crate) use fields::each_field;
use walk::{Walk, escaped};

use crate::Timestamp;

/// The reserved, hashed field that says where a first run begins.
pub const OFFSET_START: &str = "offset_start";

/// The keyword that marks a field as a table reference in a config schema.
pub const TABLE_REFERENCE: &str = "x-table-reference";

/// The longest config schema, in bytes of JSON. How long a config may be is a setting.
pub const MAX_SCHEMA_BYTES: usize = 256 * 1024;

/// Depth to which schemas and configs are walked; deeper ones are refused.
const MAX_DEPTH: usize = 32;

/// Schemas looked at during one walk; more are refused.
const MAX_VISITS: usize = 20_000;

/// A compiled config schema.
#[derive(Debug)]
pub struct ConfigSchema {
    schema: Value,
    validator: Validator,
    /// Where a first run begins when neither a config nor the schema says so.
    default_offset_start: Option<Timestamp>,
}

/// A config that passed its schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Defaults filled in, `offset_start` in canonical form: what is stored and shown.
    pub value: Value,
    /// The same with each table reference replaced by the table's uid: what is hashed.
    pub hashed: Value,
    /// The table references as the author wrote them.
    pub tables: Vec<String>,
    /// Where a first run begins.
    pub offset_start: Option<Timestamp>,
}

impl ConfigSchema {
    /// Compile a schema. References may only point inside the document.
    pub fn parse(schema: &Value) -> Result<Self, ConfigError> {
        let bytes = schema.to_string().len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(ConfigError::Schema(format!(
                "it has {bytes} bytes where {MAX_SCHEMA_BYTES} are allowed"
            )));
        }
        refuse_foreign_references(schema, 0)?;
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .build(schema)
            .map_err(|error| ConfigError::Schema(error.to_string()))?;
        Ok(Self { schema: schema.clone(), validator, default_offset_start: None })
    }

    /// The same of a component that has a default of its own for the reserved field. One in the schema goes before it.
    #[must_use]
    pub fn with_default_offset_start(self, default_offset_start: Option<Timestamp>) -> Self {
        Self { default_offset_start, ..self }
    }

    /// Read, complete and validate a config of at most so many bytes. `table_uid` answers the uid of a table reference.
    pub fn resolve(
        &self,
        text: &str,
        max_bytes: usize,
        table_uid: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        if text.len() > max_bytes {
            return Err(ConfigError::TooLarge { bytes: text.len(), limit: max_bytes });
        }
        let mut value: Value =
            serde_json::from_str(text).map_err(|error| ConfigError::Syntax(error.to_string()))?;
        let Value::Object(fields) = &mut value else {
            return Err(ConfigError::Invalid(vec![Problem::at("", "a config is a JSON object")]));
        };
        // Reserved: taken out before the schema sees the document unless the schema declares the field itself.
        let declared = self.schema.pointer("/properties/offset_start").is_some();
        let mut offset_start = take_offset_start(fields)?;
        if let (Some(start), true) = (offset_start, declared) {
            fields.insert(OFFSET_START.to_owned(), Value::from(start.to_string()));
        }

        let mut walk = Walk { root: &self.schema, tables: Vec::new(), problems: Vec::new(), visits: 0 };
        walk.complete(&self.schema, &mut value, "", 0);
        let mut problems = walk.problems;
        refuse_inexact_integers(&value, "", &mut problems);
        // A default counts like a value that was written: the same hash, the same start.
        if let (None, true, Value::Object(fields)) = (offset_start, declared, &mut value) {
            offset_start = take_offset_start(fields)?.or(self.default_offset_start);
            if let Some(start) = offset_start {
                fields.insert(OFFSET_START.to_owned(), Value::from(start.to_string()));
            }
        }
        offset_start = offset_start.or(self.default_offset_start);
        // The walk has named unknown fields already, and with them the fields there are.
        let said = |error: &ValidationError<'_>| {
            matches!(error.kind(), ValidationErrorKind::AdditionalProperties { .. })
        };
        problems.extend(self.validator.iter_errors(&value).filter(|error| !said(error)).take(20).map(
            |error| {
                let at = error.instance_path().to_string();
                match error.kind() {
                    // The place is the field that is missing, not the object around it.
                    ValidationErrorKind::Required { property: Value::String(name) } => Problem::at(
                        format!("{at}/{}", escaped(name)),
                        "this field has no default and is missing",
                    ),
                    _ => Problem::at(at, error.to_string()),
                }
            },
        ));
        for problem in problems.iter_mut().filter(|problem| problem.suggestion.is_none()) {
            problem.notes = FieldNotes::of(&self.schema, &problem.pointer);
        }
        if !problems.is_empty() {
            return Err(ConfigError::Invalid(problems));
        }

        if let (Some(start), Value::Object(fields)) = (offset_start, &mut value) {
            fields.insert(OFFSET_START.to_owned(), Value::from(start.to_string()));
        }
        let mut hashed = value.clone();
        for (pointer, table) in &walk.tables {
            let unknown = || ConfigError::UnknownTable {
                table: table.clone(),
                pointer: pointer.clone(),
                notes: Box::new(FieldNotes::of(&self.schema, pointer)),
            };
            let uid = table_uid(table).ok_or_else(unknown)?;
            if let Some(place) = hashed.pointer_mut(pointer) {
                *place = Value::from(uid);
            }
        }
        let tables = walk.tables.into_iter().map(|(_, table)| table).collect();
        Ok(Config { value, hashed, tables, offset_start })
    }

    /// The document that the guest gets: without the reserved field unless its schema declares it.
    pub fn guest_document(&self, config: &Config) -> Value {
        let mut value = config.value.clone();
        if self.schema.pointer("/properties/offset_start").is_none()
            && let Value::Object(fields) = &mut value
        {
            fields.remove(OFFSET_START);
        }
        value
    }
}

fn take_offset_start(fields: &mut Map<String, Value>) -> Result<Option<Timestamp>, ConfigError> {
    match fields.remove(OFFSET_START) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => text.parse::<Timestamp>().map(Some).map_err(|error| {
            ConfigError::Invalid(vec![Problem::at(format!("/{OFFSET_START}"), error.to_string())])
        }),
        Some(other) => {
            let problem = Problem::at(format!("/{OFFSET_START}"), format!("{other} is not an RFC 3339 text"));
            Err(ConfigError::Invalid(vec![problem]))
        }
    }
}

/// RFC 8785 writes numbers as doubles: beyond 2^53 - 1 two integers would share one hash.
fn refuse_inexact_integers(value: &Value, pointer: &str, problems: &mut Vec<Problem>) {
    const EXACT: u64 = (1 << 53) - 1;
    match value {
        Value::Number(number) => {
            let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            if size.is_some_and(|size| size > EXACT) {
                let text = format!(
                    "{number} is beyond 2^53 - 1, where JSON numbers are not exact; write it as text"
                );
                problems.push(Problem::at(pointer, text));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                refuse_inexact_integers(item, &format!("{pointer}/{index}"), problems);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                refuse_inexact_integers(item, &format!("{pointer}/{}", escaped(name)), problems);
            }
        }
        _ => {}
    }
}

fn refuse_foreign_references(schema: &Value, depth: usize) -> Result<(), ConfigError> {
    if depth > MAX_DEPTH {
        return Err(ConfigError::Schema(format!("it is nested deeper than {MAX_DEPTH} levels")));
    }
    match schema {
        Value::Object(fields) => {
            for keyword in ["$ref", "$dynamicRef"] {
                if let Some(Value::String(target)) = fields.get(keyword)
                    && !target.starts_with('#')
                {
                    return Err(ConfigError::Schema(format!(
                        "`{keyword}` leads outside the document: {target}"
                    )));
                }
            }
            fields.values().try_for_each(|inner| refuse_foreign_references(inner, depth + 1))
        }
        Value::Array(items) => items.iter().try_for_each(|inner| refuse_foreign_references(inner, depth + 1)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
