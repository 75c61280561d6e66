//! Tests of configs.

use super::*;
use crate::diagnostic::Diagnostic;
use serde_json::json;

const MAX_BYTES: usize = 4_096;

fn schema() -> ConfigSchema {
    ConfigSchema::parse(&json!({
        "type": "object",
        "properties": {
            "rates": {"type": "string", "x-table-reference": true, "default": "fx_rates",
                    "description": "Table of daily rates.", "examples": ["fx_rates"]},
            "window": {"type": "integer", "default": 20, "minimum": 1,
                    "description": "Returns in a window.", "examples": [20, 60]},
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
    assert_eq!(config.value, resolve(r#"{"window":20,"other":"extra","inner":{"depth":1}}"#).unwrap().value);
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
    let written = schema.resolve(r#"{"offset_start": "2020-01-01T00:00:00Z"}"#, MAX_BYTES, |_| None).unwrap();
    assert_eq!(omitted, written);
    assert_eq!(omitted.offset_start, Some("2020-01-01".parse().unwrap()));
}

#[test]
fn the_default_offset_start_of_a_component_counts_like_a_written_one() {
    let start = Some("2020-01-01".parse().unwrap());
    let resolve = |schema: &ConfigSchema, text: &str| schema.resolve(text, MAX_BYTES, |_| None).unwrap();
    let of = |schema: Value| ConfigSchema::parse(&schema).unwrap().with_default_offset_start(start);
    let plain = of(json!({}));
    let omitted = resolve(&plain, "{}");
    assert_eq!(omitted, resolve(&plain, r#"{"offset_start": "2020-01-01T00:00:00Z"}"#));
    assert_eq!(
        (omitted.offset_start, &omitted.hashed["offset_start"]),
        (start, &omitted.value["offset_start"])
    );
    assert_eq!(plain.guest_document(&omitted), json!({}), "a guest that does not declare it does not see it");
    // One of the schema goes before it, and one of the config before both.
    let declared = |more: Value| of(json!({"properties": {"offset_start": more}}));
    let bare = declared(json!({"type": "string"}));
    assert_eq!(resolve(&bare, "{}").offset_start, start);
    assert_eq!(bare.guest_document(&resolve(&bare, "{}"))["offset_start"], omitted.value["offset_start"]);
    let own = declared(json!({"type": "string", "default": "2021-01-01"}));
    assert_eq!(resolve(&own, "{}").offset_start, Some("2021-01-01".parse().unwrap()));
    let written = resolve(&own, r#"{"offset_start": "2022-01-01"}"#);
    assert_eq!(written.offset_start, Some("2022-01-01".parse().unwrap()));
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
