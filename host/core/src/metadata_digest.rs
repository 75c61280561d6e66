//! The digest of what people read about a node: descriptions, examples, labels.
//!
//! `update_hash` says whether the same job is computed; this digest says whether it is still described in the same words.
//! A change of the one never changes the other. The split is that of the fingerprints of `SQLMesh`, where metadata has a
//! hash of its own beside the hash of the data.
//!
//! SHA-256 over the RFC 8785 canonical form of
//!
//! ```json
//! {"component": {"description": "…"}, "config": {"/window": {"description": "…", "examples": [20]}},
//!  "table": {"cadence": "1d", "columns": {"rate": {"description": "…", "label": "…"}}, "description": "…",
//!            "labels": ["…"], "namespace": "…"}}
//! ```
//!
//! Labels are a set: their order does not matter.

use serde_json::{Map, Value, json};

use crate::component::Manifest;
use crate::contract::Contract;
use crate::digest::Digest;
use crate::hash::canonical_json;

/// Keywords of JSON Schema that only people read.
const ANNOTATIONS: [&str; 3] = ["title", "description", "examples"];

/// Keywords whose values are data, not schemas.
const DATA: [&str; 4] = ["examples", "default", "const", "enum"];

/// Keywords whose values map names to schemas.
const MAPS: [&str; 4] = ["properties", "patternProperties", "dependentSchemas", "$defs"];

/// Depth to which a schema is read.
const MAX_DEPTH: usize = 32;

/// The exact document that is digested, in canonical form.
pub fn metadata_document(manifest: &Manifest, contract: &Contract) -> String {
    let mut fields = Map::new();
    annotations(&manifest.config_schema, "", true, 0, &mut fields);
    let columns: Map<String, Value> = contract
        .columns
        .iter()
        .map(|column| {
            (column.name.clone(), json!({"description": column.description, "label": column.label}))
        })
        .collect();
    let mut labels = contract.labels.clone();
    labels.sort();
    labels.dedup();
    canonical_json(&json!({
        "component": {"description": manifest.description},
        "config": fields,
        "table": {
            "cadence": contract.cadence.map(|cadence| cadence.to_string()),
            "columns": columns,
            "description": contract.description,
            "labels": labels,
            "namespace": contract.namespace,
        },
    }))
}

/// SHA-256 of [`metadata_document`].
pub fn metadata_digest(manifest: &Manifest, contract: &Contract) -> Digest {
    Digest::of(metadata_document(manifest, contract).as_bytes())
}

/// The annotations of a schema and of every schema inside it, by JSON pointer into the schema.
///
/// `is_schema` is false for a map of names to schemas, where `description` is a name like any other.
fn annotations(schema: &Value, pointer: &str, is_schema: bool, depth: usize, found: &mut Map<String, Value>) {
    if depth > MAX_DEPTH {
        return;
    }
    match schema {
        Value::Object(keywords) => {
            let said: Map<String, Value> = keywords
                .iter()
                .filter(|(name, _)| is_schema && ANNOTATIONS.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            if !said.is_empty() {
                found.insert(pointer.to_owned(), Value::Object(said));
            }
            for (name, inner) in keywords {
                // Examples, defaults and constants are data, which may look like schemas.
                let is_data = is_schema && DATA.contains(&name.as_str());
                let is_map = is_schema && MAPS.contains(&name.as_str());
                if !is_data {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    annotations(inner, &format!("{pointer}/{name}"), !is_map, depth + 1, found);
                }
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                annotations(inner, &format!("{pointer}/{index}"), true, depth + 1, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            name: "volatility".to_owned(),
            version: "1.0.0".parse().unwrap(),
            description: "Rolling volatility.".to_owned(),
            config_schema: json!({
                "title": "Config",
                "properties": {
                    "n": {"type": "integer", "default": 20, "description": "Window.", "examples": [20]},
                    "description": {"type": "string", "default": "x"},
                },
            }),
            default_offset_start: None,
            sources: Vec::new(),
            index: Vec::new(),
            columns: Vec::new(),
        }
    }

    fn contract() -> Contract {
        Contract::from_toml(
            "identifier = \"t\"\nindex = [\"time_index\"]\nlabels = [\"a\", \"b\"]\ndescription = \"T.\"\ncolumns = [\
             { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"v\", type = \"float64\" }]",
        )
        .unwrap()
    }

    #[test]
    fn the_document_holds_what_people_read_and_nothing_else() {
        assert_eq!(
            metadata_document(&manifest(), &contract()),
            concat!(
                r#"{"component":{"description":"Rolling volatility."},"config":{"":{"title":"Config"},"#,
                r#""/properties/n":{"description":"Window.","examples":[20]}},"table":{"cadence":null,"columns":{"#,
                r#""time_index":{"description":"","label":""},"v":{"description":"","label":""}},"#,
                r#""description":"T.","labels":["a","b"],"namespace":null}}"#
            )
        );
    }

    #[test]
    fn words_change_it() {
        let digest = metadata_digest(&manifest(), &contract());
        let mut seen = vec![digest];
        let mut with = |manifest: Manifest, contract: Contract| {
            let changed = metadata_digest(&manifest, &contract);
            assert!(!seen.contains(&changed), "a change that went unseen");
            seen.push(changed);
        };
        with(Manifest { description: "Other.".to_owned(), ..manifest() }, contract());
        for (pointer, value) in [
            ("/title", json!("Settings")),
            ("/properties/n/description", json!("Days.")),
            ("/properties/n/examples", json!([60])),
        ] {
            let mut changed = manifest();
            *changed.config_schema.pointer_mut(pointer).unwrap() = value;
            with(changed, contract());
        }
        with(manifest(), Contract { description: "U.".to_owned(), ..contract() });
        with(manifest(), Contract { labels: vec!["a".to_owned()], ..contract() });
        with(manifest(), Contract { namespace: Some("fx".to_owned()), ..contract() });
        with(manifest(), Contract { cadence: Some("1d".parse().unwrap()), ..contract() });
        let mut labelled = contract();
        labelled.columns[1].label = "V".to_owned();
        with(manifest(), labelled);
        let mut described = contract();
        described.columns[1].description = "Value.".to_owned();
        with(manifest(), described);
    }

    #[test]
    fn what_is_computed_does_not_change_it() {
        let digest = metadata_digest(&manifest(), &contract());
        let mut other = manifest();
        other.config_schema["properties"]["n"]["default"] = json!(60);
        other.config_schema["properties"]["n"]["minimum"] = json!(2);
        other.config_schema["properties"]["description"]["default"] = json!("y");
        other.version = "2.0.0".parse().unwrap();
        assert_eq!(metadata_digest(&other, &contract()), digest);
        let turned = Contract { labels: vec!["b".to_owned(), "a".to_owned()], ..contract() };
        assert_eq!(metadata_digest(&manifest(), &turned), digest);
        let elsewhere =
            Contract { identifier: "u".to_owned(), physical_name: Some("v".to_owned()), ..contract() };
        assert_eq!(metadata_digest(&manifest(), &elsewhere.with_field_ids(None).unwrap()), digest);
    }
}
