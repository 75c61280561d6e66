//! The document is whole: everything that is named is there, and what is told of callers' documents is so.

use std::collections::BTreeSet;

use super::*;

/// All operations of the document: method, path, operation.
fn operations(document: &Value) -> Vec<(String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (method.to_ascii_uppercase(), path, operation))
    });
    all.collect()
}

/// A schema with all that it may lead to.
fn whole(document: &Value, schema: &Value) -> jsonschema::Validator {
    let mut root = schema.clone();
    root["components"] = document["components"].clone();
    jsonschema::validator_for(&root).unwrap()
}

fn given() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12();
    let mut generator = settings.with(|settings| settings.definitions_path = SCHEMAS.into()).into_generator();
    for one in api::documents() {
        (one.schema)(&mut generator);
    }
    generator.take_definitions(true)
}

#[test]
fn every_reference_leads_somewhere_and_every_row_is_there() {
    let document = document();
    let text = document.to_string();
    for piece in text.split("\"#/").skip(1) {
        let place = piece.split('"').next().unwrap();
        assert!(document.pointer(&format!("/{place}")).is_some(), "{place}");
    }
    for (_, route) in routes::all().filter(|(api, _)| *api == Api::Own) {
        let method = route.method.to_ascii_lowercase();
        let operation = &document["paths"][route.path][&method];
        assert!(operation["summary"].is_string(), "{method} {}", route.path);
        let is_answered = |(known, path)| known == route.method && path == route.path;
        assert_eq!(answers::all().filter(|row| is_answered(*row)).count(), 1, "{method} {}", route.path);
    }
    let is_route = |method: &str, path: &str| {
        let found = routes::all().any(|(_, route)| route.method == method && route.path == path);
        assert!(found, "{method} {path}");
    };
    answers::all().for_each(|(method, path)| is_route(method, path));
    parameters::rows().for_each(|(method, path)| is_route(method, path));
    api::documents().for_each(|one| is_route(one.method, one.path));
    let ids: BTreeSet<&str> = operations(&document)
        .iter()
        .map(|(.., operation)| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), operations(&document).len());
}

#[test]
fn what_is_sent_has_a_schema_and_an_example_that_keeps_it() {
    let document = document();
    for (_, route) in routes::all().filter(|(api, _)| *api == Api::Own) {
        let name = format!("{} {}", route.method, route.path);
        let body = &document["paths"][route.path][route.method.to_ascii_lowercase()]["requestBody"];
        assert_eq!(body.is_object(), route.body != Body::None, "{name}");
        let described = api::documents().filter(|one| one.method == route.method && one.path == route.path);
        assert!(described.count() <= 1, "{name} is described twice");
        for (kind, content) in body["content"].as_object().into_iter().flatten() {
            let schema = &content["schema"];
            assert!(schema.is_object(), "{name} {kind}: no schema");
            if kind == "application/json" {
                let example = &content["example"];
                let validator = whole(&document, schema);
                let errors: Vec<String> = validator
                    .iter_errors(example)
                    .map(|error| format!("{}: {error}", error.instance_path()))
                    .collect();
                assert!(example.is_object() && errors.is_empty(), "{name}: {example}: {}", errors.join("\n"));
                // An example that a schema takes whatever it says would prove nothing.
                assert!(!validator.is_valid(&json!("a text")), "{name}: the schema takes a text");
            }
        }
    }
}

#[test]
fn every_field_that_is_sent_is_told_with_its_type() {
    for (name, schema) in given() {
        for (field, what) in schema["properties"].as_object().into_iter().flatten() {
            assert!(what["description"].is_string(), "{name}.{field} is not described");
            let has_type =
                ["type", "$ref", "anyOf", "oneOf", "allOf"].iter().any(|key| what.get(key).is_some());
            // Values of any type.
            let is_any = ["range_map", "statistics", "min", "max"].contains(&field.as_str());
            assert!(has_type || is_any, "{name}.{field}: {what}");
        }
        assert!(schema["description"].is_string(), "{name} is not described");
    }
}

#[test]
fn names_of_schemas_do_not_meet() {
    let document = document();
    let answered = schemas::answered();
    let all = document["components"]["schemas"].as_object().unwrap();
    assert_eq!(all.len(), answered.as_object().unwrap().len() + given().len());
    for (name, schema) in answered.as_object().unwrap() {
        assert_eq!(&all[name], schema, "{name} is told otherwise by what is sent");
    }
}

#[test]
fn codes_of_errors_are_those_of_their_page() {
    let codes = schemas::codes();
    for code in ["server.failed", "store.table_not_found", "sandbox.limit.fuel", "contract.no_such_label"] {
        assert!(codes.contains(&code), "{code}");
    }
    assert!(!codes.iter().any(|code| code.starts_with("cli.")));
    let is_of_words = |code: &&&str| code.split('.').all(|word| !word.is_empty());
    assert_eq!(codes.iter().find(|code| !is_of_words(code)), None);
    for (method, path, operation) in operations(&document()) {
        for code in operation["x-error-codes"].as_array().unwrap() {
            assert!(codes.contains(&code.as_str().unwrap()), "{method} {path}: {code}");
        }
    }
}

/// Names that handlers of the own API ask their queries for.
fn asked_for() -> BTreeSet<String> {
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    let mut names = BTreeSet::new();
    for file in std::fs::read_dir(place).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for call in source.split("params.").skip(1) {
            let verb = call.split(['(', ':']).next().unwrap_or_default();
            if ["text", "value", "flag", "all"].contains(&verb) {
                names.extend(
                    call.split("(\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned),
                );
            }
        }
    }
    names
}

#[test]
fn every_parameter_that_is_asked_for_is_told() {
    let asked = asked_for();
    assert!(asked.contains("until") && asked.contains("w_trgm"), "{asked:?}");
    let document = document();
    let told: BTreeSet<&str> = operations(&document)
        .into_iter()
        .flat_map(|(.., operation)| operation["parameters"].as_array().unwrap())
        .filter(|parameter| parameter["in"] == "query")
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    let missing: Vec<&String> = asked.iter().filter(|name| !told.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "parameters that no operation names: {missing:?}");
}
