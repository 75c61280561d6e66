//! Identity of an update process: `update_hash`.
//!
//! SHA-256 over the RFC 8785 canonical form of one JSON document:
//!
//! ```json
//! {"component": "fx_log_returns", "config": {"max_gap_days": 10, "rates_table": "<uid>"}, "hash_namespace": "…"}
//! ```
//!
//! `hash_namespace` is absent when empty. The component's *name* enters, not its digest: a bug fix keeps the
//! identity. Table references enter as uids. Labels, descriptions, runtime options and the output table never enter.

use serde_json::{Value, json};

use crate::config::Config;
use crate::digest::Digest;

/// Characters of the component name kept in an `update_hash`.
const NAME_CHARS: usize = 30;
/// Hexadecimal digits of the digest kept in an `update_hash`.
const DIGEST_CHARS: usize = 32;

/// The exact document that is hashed, in canonical form.
pub fn canonical_document(component: &str, config: &Config, hash_namespace: &str) -> String {
    let mut document = json!({ "component": component, "config": config.hashed });
    if !hash_namespace.is_empty() {
        document["hash_namespace"] = Value::from(hash_namespace);
    }
    canonical_json(&document)
}

/// RFC 8785 canonical JSON.
pub fn canonical_json(document: &Value) -> String {
    // A `Value` holds no NaN and no non-text keys, the only things that RFC 8785 cannot write; the compact form is
    // a safe fall-back all the same.
    serde_json_canonicalizer::to_string(document).unwrap_or_else(|_| document.to_string())
}

/// `<component name cut to 30>_<first 32 hex digits>`, at most 63 characters.
///
/// ```
/// # use datanode_core::{config::ConfigSchema, hash::update_hash};
/// let schema = ConfigSchema::parse(&serde_json::json!({"properties": {"n": {"type": "integer", "default": 20}}})).unwrap();
/// let written = schema.resolve(r#"{"n": 20}"#, 4_096, |_| None).unwrap();
/// let omitted = schema.resolve("{}", 4_096, |_| None).unwrap();
/// assert_eq!(update_hash("volatility", &written, ""), update_hash("volatility", &omitted, ""));
/// ```
pub fn update_hash(component: &str, config: &Config, hash_namespace: &str) -> String {
    hash_of_document(component, &canonical_document(component, config, hash_namespace))
}

/// The `update_hash` of a canonical document, which is kept with each node.
pub fn hash_of_document(component: &str, document: &str) -> String {
    let digest = Digest::of(document.as_bytes()).to_string();
    // Component names are ASCII, so characters are bytes.
    let name = component.get(..NAME_CHARS).unwrap_or(component);
    format!("{name}_{}", &digest[..DIGEST_CHARS])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigSchema;
    use proptest::prelude::*;

    fn config(text: &str) -> Config {
        let schema = json!({"properties": {"a": {"type": "integer", "default": 1}, "b": {"type": "string", "default": "x"}}});
        ConfigSchema::parse(&schema).unwrap().resolve(text, 4_096, |_| None).unwrap()
    }

    #[test]
    fn the_document_is_canonical_and_the_hash_is_its_digest() {
        // printf '%s' '{"component":"c","config":{"a":1,"b":"x"}}' | sha256sum
        let document = canonical_document("c", &config(r#"{"b": "x", "a": 1.0}"#), "");
        assert_eq!(document, r#"{"component":"c","config":{"a":1,"b":"x"}}"#);
        assert_eq!(
            update_hash("c", &config("{}"), ""),
            format!("c_{}", &Digest::of(document.as_bytes()).to_string()[..32])
        );
    }

    #[test]
    fn long_names_stay_within_63_characters() {
        assert_eq!(update_hash(&"n".repeat(63), &config("{}"), "").len(), 63);
    }

    proptest! {
        #[test]
        fn order_and_omission_never_matter_but_values_and_namespaces_do(a in -1000i64..1000, b in "[a-z]{0,8}", ns in "[a-z]{1,8}") {
            let one = config(&json!({"a": a, "b": b}).to_string());
            let two = config(&format!("{{ \"b\": {}, \"a\": {a}.0 }}", json!(b)));
            prop_assert_eq!(update_hash("c", &one, ""), update_hash("c", &two, ""));
            let other = config(&json!({"a": a + 1, "b": b}).to_string());
            prop_assert_ne!(update_hash("c", &one, ""), update_hash("c", &other, ""));
            prop_assert_ne!(update_hash("c", &one, ""), update_hash("c", &one, &ns));
            prop_assert_ne!(update_hash("c", &one, ""), update_hash("d", &one, ""));
        }
    }
}
