//! Which tables the references in a stored config mean.
//!
//! A config keeps identifiers as its author wrote them; the hashed document beside it keeps the uids that they meant
//! when the node was created. An identifier may have moved to another table since; the node stays with the uid.

use serde_json::Value;
use uuid::Uuid;

/// One table reference of a stored config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Identifier, as the author wrote it.
    pub identifier: String,
    /// The table that it meant when the node was created.
    pub uid: String,
}

/// The references by identifier of a stored config. `hashed_document` is the canonical document of its node.
///
/// ```
/// use datanode_core::binding::bindings;
/// let uid = "018f0000-0000-7000-8000-000000000001";
/// let config = serde_json::json!({"rates": "fx_rates", "days": 3});
/// let hashed = format!(r#"{{"component":"c","config":{{"days":3,"rates":"{uid}"}}}}"#);
/// let found = bindings(&config, &hashed);
/// assert_eq!((found[0].identifier.as_str(), found[0].uid.as_str()), ("fx_rates", uid));
/// ```
pub fn bindings(config: &Value, hashed_document: &str) -> Vec<Binding> {
    let mut found = Vec::new();
    if let Ok(document) = serde_json::from_str::<Value>(hashed_document) {
        collect(config, &document["config"], &mut found);
    }
    found
}

/// The two documents differ in nothing but the table references (and in how numbers are spelt).
fn collect(written: &Value, hashed: &Value, found: &mut Vec<Binding>) {
    match (written, hashed) {
        (Value::String(identifier), Value::String(uid))
            if identifier != uid && Uuid::parse_str(uid).is_ok() =>
        {
            let binding = Binding { identifier: identifier.clone(), uid: uid.clone() };
            if !found.contains(&binding) {
                found.push(binding);
            }
        }
        (Value::Array(written), Value::Array(hashed)) => {
            written.iter().zip(hashed).for_each(|(written, hashed)| collect(written, hashed, found));
        }
        (Value::Object(written), Value::Object(hashed)) => {
            for (name, written) in written {
                if let Some(hashed) = hashed.get(name) {
                    collect(written, hashed, found);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigSchema;
    use crate::hash::canonical_document;
    use serde_json::json;

    #[test]
    fn references_are_found_wherever_they_stand_and_nothing_else_is() {
        let uid = |table: &str| format!("{:0>8}-0000-7000-8000-000000000000", table.len());
        let schema = ConfigSchema::parse(&json!({"properties": {
            "rates": {"type": "string", "x-table-reference": true},
            "more": {"type": "array", "items": {"type": "string", "x-table-reference": true}},
            "inner": {"type": "object", "properties": {"names": {"type": "string", "x-table-reference": true}}},
            "text": {"type": "string"}, "number": {"type": "number"}, "offset_start": {"type": "string"},
        }}))
        .unwrap();
        let text = json!({
            "rates": "a", "more": ["bb", "a"], "inner": {"names": "ccc"}, "text": uid("x"), "number": 1.0,
            "offset_start": "2020-01-01",
        });
        let config = schema.resolve(&text.to_string(), 4_096, |table| Some(uid(table))).unwrap();
        let found = bindings(&config.value, &canonical_document("c", &config, "ns"));
        let mut found: Vec<_> = found.into_iter().map(|found| (found.identifier, found.uid)).collect();
        found.sort();
        let expected = ["a", "bb", "ccc"].map(|table| (table.to_owned(), uid(table)));
        assert_eq!(found, expected);
        assert!(bindings(&config.value, "not JSON").is_empty());
    }
}
