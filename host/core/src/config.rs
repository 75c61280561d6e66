//! Configs: JSON validated by the component's JSON Schema 2020-12, defaults filled in, ready to be hashed.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::Timestamp;
use crate::diagnostic::{Diagnostic, ErrorClass};

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

/// Why a config or its schema is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The schema itself is unusable.
    #[error("the config schema is not usable: {0}")]
    Schema(String),
    /// Larger than the setting allows.
    #[error("the config has {bytes} bytes where {limit} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The document is not JSON.
    #[error("the config is not JSON: {0}")]
    Syntax(String),
    /// The schema refuses the document; one line per problem, each with a JSON pointer.
    #[error("the config does not fit its schema:\n{}", .0.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<String>),
    /// A referenced table is not registered.
    #[error("the config refers to table `{table}` at {pointer}, which is not registered")]
    UnknownTable {
        /// The reference.
        table: String,
        /// Where in the config.
        pointer: String,
    },
}

impl Diagnostic for ConfigError {
    fn code(&self) -> &'static str {
        match self {
            Self::Schema(_) => "config.schema",
            Self::TooLarge { .. } => "config.too_large",
            Self::Syntax(_) => "config.syntax",
            Self::Invalid(_) => "config.invalid",
            Self::UnknownTable { .. } => "config.table_not_registered",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::UnknownTable { .. } | Self::Schema(_) => ErrorClass::Refused,
            _ => ErrorClass::Usage,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::UnknownTable { table, .. } => {
                Some(format!("register it first: datanode table register {table}.toml"))
            }
            Self::TooLarge { .. } => {
                Some("write less, or raise `config_bytes` under [limits] in datanode.toml".to_owned())
            }
            _ => None,
        }
    }
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
        Ok(Self { schema: schema.clone(), validator })
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
            return Err(ConfigError::Invalid(vec!["/: a config is a JSON object".to_owned()]));
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
            offset_start = take_offset_start(fields)?;
            if let Some(start) = offset_start {
                fields.insert(OFFSET_START.to_owned(), Value::from(start.to_string()));
            }
        }
        // The walk has named unknown fields already, and with them the fields there are.
        let said = |error: &ValidationError<'_>| {
            matches!(error.kind(), ValidationErrorKind::AdditionalProperties { .. })
        };
        problems.extend(self.validator.iter_errors(&value).filter(|error| !said(error)).take(20).map(
            |error| {
                let at = error.instance_path().to_string();
                format!("{}: {error}", if at.is_empty() { "/" } else { &at })
            },
        ));
        if !problems.is_empty() {
            return Err(ConfigError::Invalid(problems));
        }

        if let (Some(start), Value::Object(fields)) = (offset_start, &mut value) {
            fields.insert(OFFSET_START.to_owned(), Value::from(start.to_string()));
        }
        let mut hashed = value.clone();
        for (pointer, table) in &walk.tables {
            let unknown = || ConfigError::UnknownTable { table: table.clone(), pointer: pointer.clone() };
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
        Some(Value::String(text)) => text
            .parse()
            .map(Some)
            .map_err(|error| ConfigError::Invalid(vec![format!("/{OFFSET_START}: {error}")])),
        Some(other) => {
            Err(ConfigError::Invalid(vec![format!("/{OFFSET_START}: {other} is not an RFC 3339 text")]))
        }
    }
}

/// RFC 8785 writes numbers as doubles: beyond 2^53 - 1 two integers would share one hash.
fn refuse_inexact_integers(value: &Value, pointer: &str, problems: &mut Vec<String>) {
    const EXACT: u64 = (1 << 53) - 1;
    match value {
        Value::Number(number) => {
            let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            if size.is_some_and(|size| size > EXACT) {
                problems.push(format!("{pointer}: {number} is beyond 2^53 - 1, where JSON numbers are not exact; write it as text"));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                refuse_inexact_integers(item, &format!("{pointer}/{index}"), problems);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                refuse_inexact_integers(item, &format!("{pointer}/{name}"), problems);
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

/// One walk over schema and document together: fills defaults, finds unknown fields and table references.
struct Walk<'s> {
    root: &'s Value,
    tables: Vec<(String, String)>,
    problems: Vec<String>,
    /// Schemas looked at: a small schema that refers to itself twice is an exponential walk.
    visits: usize,
}

impl<'s> Walk<'s> {
    fn complete(&mut self, schema: &'s Value, value: &mut Value, pointer: &str, depth: usize) {
        if depth > MAX_DEPTH {
            self.problems.push(format!("{pointer}: nested deeper than {MAX_DEPTH} levels"));
            return;
        }
        let mut parts = Vec::new();
        self.applicable(schema, value, &mut parts, 0);
        if self.visits > MAX_VISITS {
            if self.problems.is_empty() {
                self.problems.push(format!("{pointer}: the schema refers to itself too often to be walked"));
            }
            return;
        }
        let is_reference = parts.iter().any(|part| part.get(TABLE_REFERENCE) == Some(&Value::Bool(true)));
        match value {
            Value::String(table)
                if is_reference && !self.tables.iter().any(|(known, _)| known == pointer) =>
            {
                self.tables.push((pointer.to_owned(), table.clone()));
            }
            // `1.0` where the schema says integer means `1`.
            Value::Number(number) => {
                if let Some(whole) = whole_number(number)
                    && parts.iter().any(|part| allows_integer(part))
                {
                    *value = Value::from(whole);
                }
            }
            Value::Object(fields) => self.complete_object(&parts, fields, pointer, depth),
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let at = format!("{pointer}/{index}");
                    for part in &parts {
                        let fixed = part
                            .pointer("/prefixItems")
                            .and_then(Value::as_array)
                            .and_then(|list| list.get(index));
                        if let Some(inner) = fixed.or_else(|| part.get("items")) {
                            self.complete(inner, item, &at, depth + 1);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn complete_object(
        &mut self,
        parts: &[&'s Value],
        fields: &mut Map<String, Value>,
        pointer: &str,
        depth: usize,
    ) {
        let properties = || parts.iter().filter_map(|part| part.get("properties").and_then(Value::as_object));
        for (name, schema) in properties().flatten() {
            if !fields.contains_key(name)
                && let Some(default) = schema.get("default")
            {
                fields.insert(name.clone(), default.clone());
            }
        }
        // A schema that lists properties and says nothing of others means that there are no others.
        let open = parts.iter().any(|part| {
            part.get("patternProperties").is_some()
                || part.get("additionalProperties").is_some_and(|rest| *rest != Value::Bool(false))
                || part.get("unevaluatedProperties").is_some()
        }) || properties().next().is_none() && depth > 0;
        for (name, inner) in fields.iter_mut() {
            let at = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            let mut known = false;
            for schema in properties().filter_map(|list| list.get(name)) {
                known = true;
                self.complete(schema, inner, &at, depth + 1);
            }
            if !known {
                for part in parts {
                    if let Some(schema @ Value::Object(_)) = part.get("additionalProperties") {
                        self.complete(schema, inner, &at, depth + 1);
                    }
                }
            }
            if !known && !open {
                let names: Vec<_> = properties().flatten().map(|(name, _)| name.as_str()).collect();
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                self.problems.push(format!("{at}: unknown field; the config has these fields: {names}"));
            }
        }
    }

    /// The schemas that say something about `value`: the schema itself, what it references, all of `allOf`, and
    /// those alternatives of `anyOf`/`oneOf` whose type fits (an optional field is `anyOf [T, null]`).
    fn applicable(&mut self, schema: &'s Value, value: &Value, parts: &mut Vec<&'s Value>, depth: usize) {
        self.visits += 1;
        if depth > MAX_DEPTH || self.visits > MAX_VISITS {
            return;
        }
        parts.push(schema);
        if let Some(target) =
            schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'))
            && let Some(inner) = self.root.pointer(target)
        {
            self.applicable(inner, value, parts, depth + 1);
        }
        for inner in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.applicable(inner, value, parts, depth + 1);
        }
        for keyword in ["anyOf", "oneOf"] {
            for inner in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                if self.type_fits(inner, value, 0) {
                    self.applicable(inner, value, parts, depth + 1);
                }
            }
        }
    }

    fn type_fits(&self, schema: &Value, value: &Value, depth: usize) -> bool {
        // One reference is followed at a time, so this is at most `MAX_DEPTH` steps.
        if depth > MAX_DEPTH {
            return false;
        }
        if let Some(target) =
            schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'))
        {
            return self.root.pointer(target).is_some_and(|inner| self.type_fits(inner, value, depth + 1));
        }
        let fits = |name: &str| match value {
            Value::Null => name == "null",
            Value::Bool(_) => name == "boolean",
            Value::Number(number) => name == "number" || name == "integer" && whole_number(number).is_some(),
            Value::String(_) => name == "string",
            Value::Array(_) => name == "array",
            Value::Object(_) => name == "object",
        };
        match schema.get("type") {
            Some(Value::String(name)) => fits(name),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(fits),
            _ => true,
        }
    }
}

fn allows_integer(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(name)) => name == "integer",
        Some(Value::Array(names)) => names.iter().any(|name| name == "integer"),
        _ => false,
    }
}

/// The integer that a float spells, within the range that a double holds exactly.
#[allow(clippy::cast_possible_truncation)] // whole and below 2^53: exact
fn whole_number(number: &serde_json::Number) -> Option<i64> {
    if let Some(whole) = number.as_i64() {
        return Some(whole);
    }
    let float = number.as_f64()?;
    (float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0).then_some(float as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MAX_BYTES: usize = 4_096;

    fn schema() -> ConfigSchema {
        ConfigSchema::parse(&json!({
            "type": "object",
            "properties": {
                "rates": {"type": "string", "x-table-reference": true, "default": "fx_rates"},
                "window": {"type": "integer", "default": 20, "minimum": 1},
                "inner": {"$ref": "#/$defs/inner"},
                "other": {"anyOf": [{"type": "string", "x-table-reference": true}, {"type": "null"}]},
            },
            "$defs": {"inner": {"type": "object", "properties": {"depth": {"type": "number", "default": 1}}}}
        }))
        .unwrap()
    }

    fn resolve(text: &str) -> Result<Config, ConfigError> {
        schema().resolve(text, MAX_BYTES, |table| (table != "missing").then(|| format!("uid-of-{table}")))
    }

    #[test]
    fn defaults_spellings_and_references_are_resolved() {
        let config = resolve(r#"{"inner": {}, "other": "extra", "window": 20.0}"#).unwrap();
        assert_eq!(
            config.value,
            json!({"rates": "fx_rates", "window": 20, "inner": {"depth": 1}, "other": "extra"})
        );
        assert_eq!(config.hashed["rates"], "uid-of-fx_rates");
        assert_eq!(config.hashed["other"], "uid-of-extra");
        assert_eq!(
            config.value,
            resolve(r#"{"window":20,"other":"extra","inner":{"depth":1}}"#).unwrap().value
        );
    }

    #[test]
    fn offset_start_is_reserved_hashed_and_kept_from_guests_that_do_not_declare_it() {
        let config = resolve(r#"{"offset_start": "2020-01-01T01:00:00+01:00"}"#).unwrap();
        assert_eq!(config.hashed["offset_start"], "2020-01-01T00:00:00.000000Z");
        assert_eq!(schema().guest_document(&config).get("offset_start"), None);
        assert!(resolve(r#"{"offset_start": 5}"#).is_err());
    }

    #[test]
    fn bad_configs_say_where() {
        let cases = [
            r#"{"windw": 3}"#,
            r#"{"window": 0}"#,
            r#"{"window": "x"}"#,
            r#"{"inner": {"deep": 1}}"#,
            r#"{"rates": "missing"}"#,
            "[]",
            "{",
        ];
        let messages: Vec<_> = cases.iter().map(|text| resolve(text).unwrap_err().to_string()).collect();
        insta::assert_snapshot!(messages.join("\n---\n"));
    }

    #[test]
    fn integers_that_json_cannot_keep_apart_are_refused() {
        let schema = ConfigSchema::parse(&json!({"properties": {"id": {"type": "integer"}}})).unwrap();
        let resolve = |text: &str| schema.resolve(text, MAX_BYTES, |_| None);
        assert!(resolve(r#"{"id": 9007199254740991}"#).is_ok());
        for beyond in ["9007199254740992", "9007199254740993", "-9007199254740993", "18446744073709551615"] {
            let error = resolve(&format!("{{\"id\": {beyond}}}")).unwrap_err();
            assert!(error.to_string().contains("/id"), "{error}");
        }
    }

    #[test]
    fn a_default_offset_start_counts_like_a_written_one() {
        let schema = json!({"properties": {"offset_start": {"type": "string", "default": "2020-01-01"}}});
        let schema = ConfigSchema::parse(&schema).unwrap();
        let omitted = schema.resolve("{}", MAX_BYTES, |_| None).unwrap();
        let written =
            schema.resolve(r#"{"offset_start": "2020-01-01T00:00:00Z"}"#, MAX_BYTES, |_| None).unwrap();
        assert_eq!(omitted, written);
        assert_eq!(omitted.offset_start, Some("2020-01-01".parse().unwrap()));
    }

    #[test]
    fn a_config_has_a_greatest_size() {
        let text = r#"{"window": 3}"#;
        assert!(schema().resolve(text, text.len(), |table| Some(table.to_owned())).is_ok());
        let error = schema().resolve(text, text.len() - 1, |table| Some(table.to_owned())).unwrap_err();
        assert_eq!(error.to_string(), "the config has 13 bytes where 12 are allowed");
        assert!(error.next_step().unwrap().contains("`config_bytes`"));
    }

    #[test]
    fn schemas_that_multiply_are_refused_quickly() {
        for bomb in [
            json!({"properties": {"a": {"$ref": "#", "default": {}}, "b": {"$ref": "#", "default": {}}}}),
            json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}),
            json!({"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}], "default": {}}}}),
        ] {
            // The compiler of schemas may refuse it first.
            if let Ok(schema) = ConfigSchema::parse(&bomb) {
                assert!(schema.resolve("{}", MAX_BYTES, |_| None).is_err(), "{bomb}");
            }
        }
    }

    #[test]
    fn schemas_that_reach_outside_or_loop_are_refused() {
        assert!(ConfigSchema::parse(&json!({"$ref": "https://example.com/schema.json"})).is_err());
        assert!(ConfigSchema::parse(&json!({"$ref": "file:///etc/passwd"})).is_err());
        let mut deep = json!({});
        for _ in 0..100 {
            deep = json!({"properties": {"a": deep}});
        }
        assert!(ConfigSchema::parse(&deep).is_err());
    }
}
