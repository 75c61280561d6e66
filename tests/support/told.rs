//! Answers of a server, held to what its document tells of them. Every test that sends a request proves it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(datanode_server::openapi);
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// The path of the document that a path is one of, as axum would have it: words before parameters.
fn pattern(path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.split('?').next()?.split('/').collect();
    let is_parameter = |part: &str| part.starts_with('{');
    let fits = |known: &&String| {
        let known: Vec<&str> = known.split('/').collect();
        known.len() == parts.len()
            && known.iter().zip(&parts).all(|(known, part)| is_parameter(known) || known == part)
    };
    let paths = DOCUMENT["paths"].as_object()?.keys().filter(fits);
    paths.min_by_key(|known| known.split('/').map(is_parameter).collect::<Vec<_>>()).map(String::as_str)
}

/// What is told of answers with this status.
fn told(method: &str, path: &'static str, status: u16) -> Option<&'static Value> {
    let method = if method == "HEAD" { "GET" } else { method };
    let responses = &DOCUMENT["paths"][path].get(method.to_ascii_lowercase())?["responses"];
    let told = responses.get(status.to_string()).filter(|_| status < 400);
    if told.is_none() {
        assert!(status >= 400, "{method} {path} answers {status}, of which nothing is told");
        return Some(&responses["default"]);
    }
    told
}

/// Hold an answer to the document.
pub(crate) fn check(method: &str, path: &str, answer: &Answer) {
    // Benches ask servers too, and what they measure is built otherwise.
    if !cfg!(debug_assertions) {
        return;
    }
    let Some(pattern) = pattern(path) else { return };
    let Some(mut told) = told(method, pattern, answer.status) else { return };
    if let Some(place) = told["$ref"].as_str() {
        told = DOCUMENT.pointer(place.trim_start_matches('#')).expect("a reference that leads somewhere");
    }
    // Neither what is packed nor what is empty is read.
    if answer.body.is_empty() || answer.header("content-encoding").is_some() || !answer.is_whole {
        return;
    }
    let kind = answer.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let name = format!("{method} {path}: {} {kind}", answer.status);
    let content = told["content"].get(kind);
    let schema = &content.unwrap_or_else(|| panic!("{name} is not told of {pattern}"))["schema"];
    if !kind.ends_with("json") || kind.ends_with("ndjson") {
        return;
    }
    let document = answer.json();
    let validator = validator(schema);
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .take(5)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name} is told otherwise: {}\n{document}", errors.join("\n"));
}

fn validator(schema: &Value) -> Arc<Validator> {
    let mut known = VALIDATORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let made = known.entry(schema.to_string()).or_insert_with(|| {
        let mut root = schema.clone();
        root["components"] = json!({"schemas": DOCUMENT["components"]["schemas"]});
        Arc::new(jsonschema::validator_for(&root).expect("a schema"))
    });
    Arc::clone(made)
}
