//! What a config schema says of its fields: of one, for those who got it wrong; of all, for those who judge them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::escaped;

/// Characters of a description, or of one example, that an error repeats.
const SHOWN_CHARS: usize = 300;

/// Examples that an error repeats.
const SHOWN_EXAMPLES: usize = 3;

/// Schemas looked at to find the annotations of one field.
const MAX_SCHEMAS: usize = 200;

/// Levels of a config whose fields are surveyed: deeper than any that a person writes. Schemas that refer to themselves
/// end here.
const MAX_LEVELS: usize = 8;

/// Fields surveyed: a small schema whose fields refer to itself twice has exponentially many.
const MAX_FIELDS: usize = 1_000;

/// The annotations of a config field, cut to what an error can show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldNotes {
    /// The schema's `description`.
    pub description: Option<String>,
    /// The schema's `examples`, as JSON.
    pub examples: Vec<String>,
}

impl FieldNotes {
    /// What a schema says of the place that a JSON pointer leads to in a config; nothing for the config as a whole.
    pub(super) fn of(root: &Value, pointer: &str) -> Self {
        let Some(path) = pointer.strip_prefix('/') else { return Self::default() };
        let mut schemas = expanded(root, vec![root]);
        for token in path.split('/') {
            let name = token.replace("~1", "/").replace("~0", "~");
            let inner = schemas.iter().filter_map(|schema| step(schema, &name)).collect();
            schemas = expanded(root, inner);
        }
        let description = schemas.iter().find_map(|schema| schema.get("description")?.as_str());
        let examples = schemas.iter().find_map(|schema| schema.get("examples")?.as_array());
        Self {
            description: description.map(shown).filter(|text| !text.is_empty()),
            examples: examples
                .into_iter()
                .flatten()
                .take(SHOWN_EXAMPLES)
                .map(|example| shown(&example.to_string()))
                .collect(),
        }
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.description.is_none() && self.examples.is_empty()
    }
}

impl fmt::Display for FieldNotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let description = self.description.as_deref().unwrap_or_default();
        if self.examples.is_empty() {
            return f.write_str(description);
        }
        let space = if description.is_empty() { "" } else { " " };
        write!(f, "{description}{space}(for example {})", self.examples.join(", "))
    }
}

/// Visit each field that a config of this schema may have, at every depth, also those of list elements and of objects
/// whose names are free (`*` in the pointer). With the name and the pointer comes all that is said of the field, its own
/// words before those of its type.
pub(crate) fn each_field<'s>(root: &'s Value, mut visit: impl FnMut(&str, &str, &[&'s Value])) {
    let mut left = MAX_FIELDS;
    survey(root, &expanded(root, vec![root]), "", 0, &mut left, &mut visit);
}

fn survey<'s>(
    root: &'s Value,
    schemas: &[&'s Value],
    pointer: &str,
    level: usize,
    left: &mut usize,
    visit: &mut impl FnMut(&str, &str, &[&'s Value]),
) {
    if level > MAX_LEVELS {
        return;
    }
    // Several alternatives may have a field of one name; it is one field.
    let mut fields: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    let mut elements = Vec::new();
    for schema in schemas {
        for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            fields.entry(name).or_default().push(field);
        }
        elements.extend(schema.get("prefixItems").and_then(Value::as_array).into_iter().flatten());
        elements.extend(schema.get("items"));
        elements.extend(
            schema
                .get("patternProperties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(_, rest)| rest),
        );
        elements.extend(schema.get("additionalProperties"));
    }
    for (name, own) in fields {
        let Some(fewer) = left.checked_sub(1) else { return };
        *left = fewer;
        let at = format!("{pointer}/{}", escaped(name));
        let said = expanded(root, own);
        visit(name, &at, &said);
        survey(root, &said, &at, level + 1, left, visit);
    }
    if !elements.is_empty() {
        survey(root, &expanded(root, elements), &format!("{pointer}/*"), level + 1, left, visit);
    }
}

/// The schema of a field or element, as one schema says it.
fn step<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    let index = || name.parse::<usize>().ok();
    schema
        .get("properties")
        .and_then(|list| list.get(name))
        .or_else(|| schema.get("prefixItems")?.as_array()?.get(index()?))
        .or_else(|| index().and_then(|_| schema.get("items")))
        .or_else(|| schema.get("additionalProperties").filter(|rest| rest.is_object()))
}

/// The schemas themselves, then those that they refer to or are composed of: what a field says of itself comes before
/// what its type says.
fn expanded<'s>(root: &'s Value, mut schemas: Vec<&'s Value>) -> Vec<&'s Value> {
    let mut next = 0;
    while next < schemas.len() && schemas.len() < MAX_SCHEMAS {
        let schema = schemas[next];
        next += 1;
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        schemas.extend(target.and_then(|target| root.pointer(target)));
        for keyword in ["allOf", "anyOf", "oneOf"] {
            schemas.extend(schema.get(keyword).and_then(Value::as_array).into_iter().flatten());
        }
    }
    schemas
}

/// A text of a stranger on one line, cut.
fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SHOWN_CHARS {
        return line;
    }
    let cut: String = line.chars().take(SHOWN_CHARS - 1).collect();
    format!("{cut}…")
}

/// The known name that a written one was probably meant to be: few letters differ, or one begins with the other.
pub(super) fn nearest<'n>(written: &str, known: &[&'n str]) -> Option<&'n str> {
    // A long name is no slip of the pen, and comparing costs the product of the lengths.
    const LONGEST: usize = 64;
    let begins = |name: &str| {
        written.len().min(name.len()) >= 3 && (name.starts_with(written) || written.starts_with(name))
    };
    let length = written.chars().count();
    if length > LONGEST {
        return None;
    }
    let candidates =
        known.iter().filter(|name| name.len() <= LONGEST).map(|name| (distance(written, name), *name));
    candidates
        .filter(|(letters, name)| *letters <= (length / 3).clamp(1, 3) || begins(name))
        .min()
        .map(|(_, name)| name)
}

/// Letters to insert, leave out or change (Levenshtein); case is no difference.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, candidate) in other.iter().enumerate() {
            let change = diagonal + usize::from(letter != *candidate);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_nearest_name_is_close_or_shares_its_beginning() {
        let known = ["window", "rates_table", "max_gap_days", "n"];
        assert_eq!(nearest("windw", &known), Some("window"));
        assert_eq!(nearest("Window", &known), Some("window"));
        assert_eq!(nearest("max_gap", &known), Some("max_gap_days"));
        assert_eq!(nearest("rate_tabel", &known), Some("rates_table"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest(&"window".repeat(100), &known), None);
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("abc", "")), (3, 3, 3));
    }

    #[test]
    fn a_field_speaks_before_its_type_and_is_cut() {
        let schema = json!({
            "description": "the whole",
            "properties": {
                "a/b": {"$ref": "#/$defs/day", "description": "The first\n  day."},
                "days": {"type": "array", "items": {"$ref": "#/$defs/day"}},
                "long": {"description": "x".repeat(10_000)},
            },
            "$defs": {"day": {"description": "A day.", "examples": ["mon", "tue", "wed", "thu"]}}
        });
        let said = |pointer: &str| FieldNotes::of(&schema, pointer).to_string();
        assert_eq!(said("/a~1b"), r#"The first day. (for example "mon", "tue", "wed")"#);
        assert_eq!(said("/days/7"), r#"A day. (for example "mon", "tue", "wed")"#);
        assert_eq!(said("/long").chars().count(), SHOWN_CHARS);
        assert!(FieldNotes::of(&schema, "").is_empty() && FieldNotes::of(&schema, "/none").is_empty());
        let circle = json!({"properties": {"a": {"$ref": "#/properties/a"}}});
        assert!(FieldNotes::of(&circle, "/a").is_empty());
    }

    #[test]
    fn every_field_is_visited_once_wherever_the_schema_says_it() {
        let schema = json!({
            "allOf": [{"properties": {"base": {}}}],
            "properties": {
                "inner": {"$ref": "#/$defs/inner"},
                "maybe": {"anyOf": [{"$ref": "#/$defs/inner"}, {"type": "null"}]},
                "legs": {"type": "array", "items": {"$ref": "#/$defs/inner"}},
                "pair": {"prefixItems": [{"properties": {"a/b": {}}}]},
                "by_name": {"additionalProperties": {"$ref": "#/$defs/inner"}},
                "model": {"oneOf": [
                    {"properties": {"kind": {"const": "a"}, "n": {}}},
                    {"properties": {"kind": {"const": "b"}}},
                ]},
            },
            "$defs": {"inner": {"properties": {"x": {}}}},
        });
        let mut seen = Vec::new();
        each_field(&schema, |_, pointer, _| seen.push(pointer.to_owned()));
        let expected = "/base /by_name /by_name/*/x /inner /inner/x /legs /legs/*/x /maybe /maybe/x /model \
                        /model/kind /model/n /pair /pair/*/a~1b";
        assert_eq!(seen.join(" "), expected);
    }

    #[test]
    fn a_schema_that_refers_to_itself_is_surveyed_to_an_end() {
        let many: serde_json::Map<String, Value> =
            (0..50).map(|field| (format!("f{field}"), json!({"$ref": "#"}))).collect();
        let mut seen = 0;
        each_field(&json!({"properties": many}), |_, _, _| seen += 1);
        assert_eq!(seen, MAX_FIELDS);
        let mut seen = 0;
        each_field(&json!({"items": {"$ref": "#"}, "properties": {"a": {"$ref": "#"}}}), |_, _, _| seen += 1);
        assert!(seen <= MAX_FIELDS, "{seen}");
    }
}
