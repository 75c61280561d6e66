//! The document of the API, held to the server: what it tells of bodies and parameters is what handlers read.

use std::collections::BTreeSet;

use datanode_tests::{Answer, Project, Server};
use serde_json::{Value, json};

use super::rights::token;
use super::walk::filled;
use super::{SERIES, contract};

/// Bodies that are read field by field, whatever else is in them.
const OPEN: [&str; 1] = ["PUT /api/v1/sources/{name}"];

fn served(project: &Project) -> Server {
    let admin = token(project, "root", Some("admin"), "read,write,run,upload,grant,manage");
    let server = Server::start(project, &[]).with_token(&admin);
    server.upload(SERIES);
    server.post("/tables", &contract("daily"));
    server.post("/nodes", &json!({"component": SERIES, "table": "daily"}));
    server
}

/// All operations: method, path, operation.
fn operations(document: &Value) -> impl Iterator<Item = (String, &String, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (method.to_ascii_uppercase(), path, operation))
    })
}

/// Whether the handler could make nothing of a body.
fn is_unread(answer: &Answer) -> bool {
    answer.status == 415 || answer.status >= 400 && answer.text().contains("cannot be read")
}

/// The fields that a type knows, as serde tells them of one that it does not know.
fn expected(detail: &str) -> BTreeSet<String> {
    let (_, rest) = detail.split_once("expected").unwrap_or_else(|| panic!("{detail}"));
    let names = rest.split(" at line ").next().unwrap_or_default();
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn bodies_are_read_as_they_are_told() {
    let project = Project::new();
    let server = served(&project);
    let document = server.get("/openapi.json");
    let mut seen = 0;
    for (method, path, operation) in operations(&document) {
        let content = &operation["requestBody"]["content"]["application/json"];
        if content.is_null() {
            continue;
        }
        seen += 1;
        let name = format!("{method} {path}");
        let send = |body: &Value| server.request(&method, &filled(path)).json(body).send();
        let example = &content["example"];
        let taken = send(example);
        assert!(!is_unread(&taken), "{name} cannot read its example: {}", taken.text());
        assert!(taken.status < 500, "{name}: {}", taken.text());
        if !operation["requestBody"]["required"].as_bool().unwrap() {
            let nothing = server.request(&method, &filled(path)).send();
            assert!(!is_unread(&nothing), "{name} cannot do without a body: {}", nothing.text());
        }
        if OPEN.contains(&name.as_str()) {
            continue;
        }
        // What the type knows is what its schema tells, and nothing else.
        let mut stranger = example.clone();
        stranger["surprise"] = json!(true);
        let refused = send(&stranger);
        assert!(is_unread(&refused), "{name} takes a field that there is none of: {}", refused.text());
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        let mut known = expected(&detail);
        if name == "POST /api/v1/users" {
            // It is taken out before the rest is read.
            known.insert("role".to_owned());
        }
        let place = content["schema"]["$ref"].as_str().unwrap().trim_start_matches('#');
        let schema = document.pointer(place).unwrap();
        let told: BTreeSet<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(known, told, "{name}: {detail}");
    }
    assert!(seen > 25, "{seen}");
    let toml =
        document["paths"]["/api/v1/tables"]["post"]["requestBody"]["content"]["application/toml"]["example"]
            .as_str()
            .unwrap();
    let request = server.request("POST", "/api/v1/tables/diff").header("content-type", "application/toml");
    let taken = request.body(toml.as_bytes().to_vec()).send();
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!(taken.json()["changes"], json!([]), "the example in JSON, which was registered, is the same");
}

/// A value that such a parameter may have.
fn value(document: &Value, schema: &Value) -> String {
    let schema = match schema["$ref"].as_str() {
        Some(place) => document.pointer(place.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    match schema["type"].as_str().unwrap() {
        "boolean" => "true".to_owned(),
        "integer" | "number" => "1".to_owned(),
        "array" => value(document, &schema["items"]),
        _ if schema["enum"].is_array() => {
            schema["enum"][0].as_str().unwrap().replace('>', "%3E").replace('<', "%3C")
        }
        _ if schema["pattern"].is_string() => "0".repeat(64),
        _ if schema["contentEncoding"].is_string() => "QUJD".to_owned(),
        _ if schema["contentMediaType"].is_string() => "%7B%7D".to_owned(),
        _ => "2026-01-31".to_owned(),
    }
}

#[test]
fn parameters_are_read_as_they_are_told() {
    let project = Project::new();
    let server = served(&project);
    let document = server.get("/openapi.json");
    let unknown = |answer: &Answer| answer.status == 400 && answer.text().contains("there is no parameter");
    let mut seen = 0;
    for (method, path, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().unwrap().iter();
        let of_query: Vec<&Value> = parameters.filter(|parameter| parameter["in"] == "query").collect();
        let send = |query: &str| {
            let mut request = server.request(&method, &format!("{}?{query}", filled(path)));
            for kind in ["application/wasm", "application/octet-stream", "text/csv"] {
                if operation["requestBody"]["content"][kind].is_object() {
                    request = request.header("content-type", kind).body(b"x".to_vec());
                }
            }
            request.header("upload-length", "1").header("upload-offset", "0").send()
        };
        for parameter in &of_query {
            let name = parameter["name"].as_str().unwrap();
            let schema = &parameter["schema"];
            if schema["type"] == "object" {
                continue;
            }
            seen += 1;
            let answer = send(&format!("{name}={}", value(&document, schema)));
            assert!(!unknown(&answer), "{method} {path} does not know {name}: {}", answer.text());
            // A cursor is made by the server.
            let is_refused =
                answer.status == 400 && answer.text().contains(&format!("the parameter `{name}`"));
            assert!(name == "cursor" || !is_refused, "{method} {path} {name}: {}", answer.text());
            assert!(answer.status < 500, "{method} {path} {name}: {}", answer.text());
        }
        let takes_any = of_query.iter().any(|parameter| parameter["schema"]["type"] == "object");
        if !of_query.is_empty() && !takes_any {
            assert!(unknown(&send("surprise=1")), "{method} {path} takes a parameter that there is none of");
        }
    }
    assert!(seen > 50, "{seen}");
}
