//! Configs as the host hashes them: defaults filled in, one spelling of a number, tables by their uids.
//!
//! The host is the judge of a config and refuses much that is passed over here; its published vectors
//! (`tests/vectors/update_hash.json`) are the test of what is done.

use serde_json::{Map, Value};

/// Depth to which schema and config are walked, as in the host, where more is refused.
const MAX_DEPTH: usize = 32;

/// Complete a config in place.
pub(super) fn complete(schema: &Value, config: &mut Value, table_uid: &impl Fn(&str) -> Option<String>) {
    Walk { root: schema, table_uid }.value(schema, config, 0);
}

struct Walk<'s, F> {
    root: &'s Value,
    table_uid: &'s F,
}

impl<'s, F: Fn(&str) -> Option<String>> Walk<'s, F> {
    fn value(&self, schema: &'s Value, value: &mut Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let mut parts = Vec::new();
        self.applicable(schema, value, &mut parts, 0);
        match value {
            Value::String(table) if parts.iter().any(|part| part["x-table-reference"] == true) => {
                if let Some(uid) = (self.table_uid)(table) {
                    *table = uid;
                }
            }
            // `1.0` where the schema says integer means `1`.
            Value::Number(number) if parts.iter().any(|part| names(part, "integer")) => {
                if let Some(whole) = whole(number) {
                    *value = Value::from(whole);
                }
            }
            Value::Object(fields) => self.object(&parts, fields, depth),
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    for part in &parts {
                        let fixed = part.get("prefixItems").and_then(|list| list.get(index));
                        if let Some(inner) = fixed.or_else(|| part.get("items")) {
                            self.value(inner, item, depth + 1);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn object(&self, parts: &[&'s Value], fields: &mut Map<String, Value>, depth: usize) {
        let properties = || parts.iter().filter_map(|part| part.get("properties")?.as_object());
        for (name, schema) in properties().flatten() {
            if let (false, Some(default)) = (fields.contains_key(name), schema.get("default")) {
                fields.insert(name.clone(), default.clone());
            }
        }
        for (name, value) in fields {
            let mut known = properties().filter_map(|list| list.get(name)).peekable();
            if known.peek().is_some() {
                known.for_each(|schema| self.value(schema, value, depth + 1));
            } else {
                let rest = parts.iter().filter_map(|part| part.get("additionalProperties"));
                rest.filter(|rest| rest.is_object()).for_each(|schema| self.value(schema, value, depth + 1));
            }
        }
    }

    /// The schemas that say something about a value: the schema itself, what it refers to, all of `allOf`, and those
    /// alternatives that fit (an optional field is `anyOf [T, null]`).
    fn applicable(&self, schema: &'s Value, value: &Value, parts: &mut Vec<&'s Value>, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        parts.push(schema);
        if let Some(inner) = self.referred(schema) {
            self.applicable(inner, value, parts, depth + 1);
        }
        for (keyword, is_choice) in [("allOf", false), ("anyOf", true), ("oneOf", true)] {
            for inner in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                if !is_choice || self.fits(inner, value, 0) {
                    self.applicable(inner, value, parts, depth + 1);
                }
            }
        }
    }

    /// Whether an alternative may be the one that is meant: it allows the type, and its tags are those that are written.
    fn fits(&self, schema: &'s Value, value: &Value, depth: usize) -> bool {
        let all = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
        depth < MAX_DEPTH
            && (schema.get("$ref").is_none() || self.referred(schema).is_some())
            && allows_type(schema, value)
            && !self.contradicts_a_tag(schema, value)
            && self.referred(schema).into_iter().chain(all).all(|inner| self.fits(inner, value, depth + 1))
    }

    /// Whether a field is written with another value than the only one that the schema allows there. Numbers are no
    /// tags: they have several spellings.
    fn contradicts_a_tag(&self, schema: &'s Value, value: &Value) -> bool {
        let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        fields.into_iter().any(|(name, field)| {
            let field = self.referred(field).unwrap_or(field);
            let single = || field.get("enum")?.as_array().filter(|values| values.len() == 1)?.first();
            let only =
                field.get("const").or_else(single).filter(|only| only.is_string() || only.is_boolean());
            only.zip(value.get(name)).is_some_and(|(only, written)| only != written)
        })
    }

    fn referred(&self, schema: &Value) -> Option<&'s Value> {
        self.root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
    }
}

/// Whether a schema says nothing of types, or allows that of the value.
fn allows_type(schema: &Value, value: &Value) -> bool {
    schema.get("type").is_none()
        || match value {
            Value::Null => names(schema, "null"),
            Value::Bool(_) => names(schema, "boolean"),
            Value::Number(number) => {
                names(schema, "number") || (names(schema, "integer") && whole(number).is_some())
            }
            Value::String(_) => names(schema, "string"),
            Value::Array(_) => names(schema, "array"),
            Value::Object(_) => names(schema, "object"),
        }
}

/// Whether a schema names this type, alone or among others.
fn names(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|one| one == name),
        one => one.is_some_and(|one| one == name),
    }
}

/// The integer that a number spells, within the range that a double holds exactly.
#[allow(clippy::cast_possible_truncation)] // whole and below 2^53: exact
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0).then_some(float as i64)
    })
}
