//! Every document that `--json` prints is the one that docs/reference/json.schema.json describes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use datanode_tests::{Project, component, root};
use serde_json::{Value, json};

struct Schemas {
    root: Value,
    used: BTreeSet<String>,
}

impl Schemas {
    fn new() -> Self {
        let text = std::fs::read_to_string(root().join("docs/reference/json.schema.json")).unwrap();
        Self { root: serde_json::from_str(&text).unwrap(), used: BTreeSet::new() }
    }

    fn check(&mut self, name: &str, document: &Value) {
        assert!(self.root["$defs"][name].is_object(), "no definition `{name}`");
        self.used.insert(name.to_owned());
        let mut schema = self.root.clone();
        schema["$ref"] = json!(format!("#/$defs/{name}"));
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(document)
            .take(5)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {}", errors.join("\n"));
    }

    fn each(&mut self, name: &str, documents: &Value) {
        let documents = documents.as_array().expect("an array");
        assert!(!documents.is_empty(), "no `{name}` to check");
        for document in documents {
            self.check(name, document);
        }
    }
}

#[test]
fn every_command_prints_what_the_schema_says() {
    let mut schemas = Schemas::new();
    let project = Project::with_fx();
    let place = project.path().to_str().unwrap();
    schemas.check("initialised", &project.json(&["init", place]));
    let (example, guest) = (root().join("examples/fx"), component("fx_log_returns"));
    let contract = example.join("contracts/fx_log_returns.toml");
    schemas.each("uploaded", &project.json(&["component", "upload", guest.to_str().unwrap()]));
    schemas.each("registered", &project.json(&["table", "register", contract.to_str().unwrap()]));
    let create = ["node", "create", "fx_log_returns", "--table", "fx_log_returns"];
    schemas.each("planned_node", &project.json(&create));
    schemas.check("graph", &project.json(&["node", "graph"]));
    schemas.check("plot", &project.json(&["table", "show", "fx_log_returns", "--plot", "log_return"]));

    let run = ["node", "run", "fx_log_returns", "--until", "1999-02-01", "--progress", "json", "--json"];
    let output = project.output(&run);
    assert!(output.status.success());
    schemas.each("run", &serde_json::from_slice(&output.stdout).unwrap());
    let mut events = BTreeSet::new();
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        let mut event: Value = serde_json::from_str(line).unwrap();
        schemas.check("event", &event);
        events.insert(event["event"].as_str().unwrap().to_owned());
        // Beside its name the last one is a run, whole.
        if event["event"] == "finished" {
            event.as_object_mut().unwrap().remove("event");
            schemas.check("run", &event);
        }
    }
    assert_eq!(events.len(), 8, "{events:?}");

    schemas.each("component", &project.json(&["component", "list"]));
    schemas.check("component", &project.json(&["component", "show", "fx_log_returns"]));
    schemas.check("component", &project.json(&["component", "disable", "fx_log_returns"]));
    // A run that fails, and a command that does.
    let (_, error) = project.fails(&["node", "run", "fx_log_returns", "--json"]);
    schemas.check("error", &serde_json::from_str(&error).unwrap());
    schemas.check("component", &project.json(&["component", "enable", "fx_log_returns"]));
    schemas.each("table", &project.json(&["table", "list"]));
    schemas.check("table_shown", &project.json(&["table", "show", "fx_log_returns"]));
    schemas.check("plot", &project.json(&["table", "show", "fx_log_returns", "--plot", "log_return"]));
    schemas.each("row", &project.json(&["table", "read", "fx_log_returns"]));
    schemas.each("source", &project.json(&["source", "list"]));
    schemas.check("source", &project.json(&["source", "grant", "ecb", "fx_log_returns"]));
    schemas.check("source", &project.json(&["source", "revoke", "ecb", "fx_log_returns"]));
    let taken = project.json(&["source", "revoke", "ecb", "ecb_daily_fx_rates"]);
    schemas.check("source", &taken);
    let output = project.output(&["node", "run", "fx_ecb_daily_rates", "--json"]);
    assert!(!output.status.success());
    let failed: Value = serde_json::from_slice(&output.stdout).unwrap();
    schemas.each("run", &failed);
    schemas.check("run_error", &failed[0]["error"]);
    schemas.each("node", &project.json(&["node", "list"]));
    schemas.check("node_shown", &project.json(&["node", "show", "fx_log_returns"]));
    schemas.check("graph", &project.json(&["node", "graph"]));
    let runs = project.json(&["run", "list", "--limit", "0"]);
    schemas.each("run", &runs);
    let ok = runs.as_array().unwrap().iter().find(|run| run["status"] == "ok").unwrap();
    let id = ok["run_id"].as_str().unwrap();
    schemas.check("run", &project.json(&["run", "show", id]));
    let logs = project.run(&["run", "logs", id, "--json"]);
    assert!(!logs.is_empty());
    logs.lines().for_each(|line| schemas.check("log_line", &serde_json::from_str(line).unwrap()));
    let remove = ["component", "remove", "fx_log_returns", "--json"];
    schemas.check("error", &serde_json::from_str(&project.fails(&remove).1).unwrap());

    // No definition describes what nobody prints; `built` is checked in tests/build.rs.
    schemas
        .used
        .extend(["built", "contract", "manifest", "moment", "sha256", "value", "window"].map(str::to_owned));
    let defined: BTreeSet<String> = schemas.root["$defs"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(schemas.used, defined);
}
