//! The walk that completes a config by its schema.

use serde_json::{Map, Value};

use super::fields::{FieldNotes, nearest};
use super::{MAX_DEPTH, MAX_VISITS, Problem, TABLE_REFERENCE};

/// One walk over schema and document together: fills defaults, finds unknown fields and table references.
pub(super) struct Walk<'s> {
    pub(super) root: &'s Value,
    /// Pointer and reference.
    pub(super) tables: Vec<(String, String)>,
    pub(super) problems: Vec<Problem>,
    /// Schemas looked at: a small schema that refers to itself twice is an exponential walk.
    pub(super) visits: usize,
}

impl<'s> Walk<'s> {
    pub(super) fn complete(&mut self, schema: &'s Value, value: &mut Value, pointer: &str, depth: usize) {
        if depth > MAX_DEPTH {
            self.problems.push(Problem::at(pointer, format!("nested deeper than {MAX_DEPTH} levels")));
            return;
        }
        let mut parts = Vec::new();
        self.applicable(schema, value, &mut parts, 0);
        if self.visits > MAX_VISITS {
            if self.problems.is_empty() {
                self.problems
                    .push(Problem::at(pointer, "the schema refers to itself too often to be walked"));
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
            let at = format!("{pointer}/{}", escaped(name));
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
                let meant = nearest(name, &names);
                let guess = meant.map_or(String::new(), |name| format!("did you mean `{name}`? "));
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                let text = format!("unknown field; {guess}the config has these fields: {names}");
                let mut problem = Problem::at(at, text);
                if let Some(meant) = meant {
                    problem.notes = FieldNotes::of(self.root, &format!("{pointer}/{}", escaped(meant)));
                    problem.suggestion = Some(meant.to_owned());
                }
                self.problems.push(problem);
            }
        }
    }

    /// The schemas that say something about `value`: the schema itself, what it references, all of `allOf`, and
    /// those alternatives of `anyOf`/`oneOf` that fit (an optional field is `anyOf [T, null]`).
    fn applicable(&mut self, schema: &'s Value, value: &Value, parts: &mut Vec<&'s Value>, depth: usize) {
        self.visits += 1;
        if depth > MAX_DEPTH || self.visits > MAX_VISITS {
            return;
        }
        parts.push(schema);
        if let Some(inner) = self.target(schema) {
            self.applicable(inner, value, parts, depth + 1);
        }
        for inner in elements(schema, "allOf") {
            self.applicable(inner, value, parts, depth + 1);
        }
        for keyword in ["anyOf", "oneOf"] {
            let meant = elements(schema, keyword).filter(|inner| self.fits(inner, value, true, 0));
            let mut meant: Vec<_> = meant.collect();
            // None is: the config is refused, and what is said of it names the fields that there are.
            if meant.is_empty() {
                meant.extend(elements(schema, keyword).filter(|inner| self.fits(inner, value, false, 0)));
            }
            for inner in meant {
                self.applicable(inner, value, parts, depth + 1);
            }
        }
    }

    /// Whether an alternative may be the one that is meant: it allows the type and, where that is asked for, its tags are
    /// those that are written. Defaults of an alternative that is not meant are no part of the config.
    fn fits(&mut self, schema: &'s Value, value: &Value, tags: bool, depth: usize) -> bool {
        self.visits += 1;
        if depth > MAX_DEPTH || self.visits > MAX_VISITS {
            return false;
        }
        let is_dangling = schema.get("$ref").is_some() && self.target(schema).is_none();
        let parts = self.target(schema).into_iter().chain(elements(schema, "allOf"));
        !is_dangling
            && allows_type(schema, value)
            && !(tags && self.contradicts_a_tag(schema, value))
            && parts.into_iter().all(|inner| self.fits(inner, value, tags, depth + 1))
    }

    /// Whether a field is written with another value than the only one that the schema allows there. Numbers are no
    /// tags: they have several spellings.
    fn contradicts_a_tag(&self, schema: &'s Value, value: &Value) -> bool {
        let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        fields.into_iter().any(|(name, field)| {
            let field = self.target(field).unwrap_or(field);
            let single = || field.get("enum")?.as_array().filter(|values| values.len() == 1)?.first();
            let only =
                field.get("const").or_else(single).filter(|only| only.is_string() || only.is_boolean());
            only.zip(value.get(name)).is_some_and(|(only, written)| only != written)
        })
    }

    /// What a schema refers to.
    fn target(&self, schema: &Value) -> Option<&'s Value> {
        self.root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
    }
}

/// The schemas under a keyword that lists some.
fn elements<'s>(schema: &'s Value, keyword: &str) -> impl Iterator<Item = &'s Value> + use<'s> {
    schema.get(keyword).and_then(Value::as_array).into_iter().flatten()
}

/// Whether a schema says nothing of types, or allows that of the value.
fn allows_type(schema: &Value, value: &Value) -> bool {
    let is = |name: &str| match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(number) => name == "number" || name == "integer" && whole_number(number).is_some(),
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    };
    match schema.get("type") {
        Some(Value::String(name)) => is(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}

/// A field name as a token of a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
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
