//! Components that import WASI: refused, unless an operator admits them as class stubbed; then what WASI answers follows
//! from what a run was called with.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)]

use std::io::Read;

use datanode_tests::{Project, on_both_databases, root};
use serde_json::Value;

const NAME: &str = "c_clock_and_dice";
const TABLE: &str = "clock_and_dice";

/// The golden component that looks at everything that a node does not have, as a file of the project.
fn component(project: &Project) -> String {
    golden(project, NAME)
}

fn golden(project: &Project, name: &str) -> String {
    let bundle = std::fs::File::open(root().join(format!("tests/golden/{name}.tar"))).unwrap();
    let mut bundle = tar::Archive::new(bundle);
    let mut entries = bundle.entries().unwrap().map(Result::unwrap);
    let mut entry = entries.find(|entry| entry.path().unwrap().to_str() == Some("component.wasm")).unwrap();
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).unwrap();
    let file = project.path().join("clock_and_dice.wasm");
    std::fs::write(&file, bytes).unwrap();
    file.to_str().unwrap().to_owned()
}

fn with_component(project: &Project) {
    project.run(&["component", "upload", &component(project), "--allow-stubbed-wasi"]);
    register(project, TABLE);
    project.run(&["node", "create", NAME, "--table", TABLE]);
}

fn register(project: &Project, identifier: &str) {
    register_like(project, TABLE, identifier);
}

/// A table with the contract of another one.
fn register_like(project: &Project, known: &str, identifier: &str) {
    let contract = root().join(format!("tests/golden/contracts/{known}.toml"));
    let text = std::fs::read_to_string(contract).unwrap();
    let file = project.path().join(format!("{identifier}.toml"));
    std::fs::write(&file, text.replacen(known, identifier, 1)).unwrap();
    project.run(&["table", "register", file.to_str().unwrap()]);
}

/// What was seen, by what was looked at.
fn seen(project: &Project, table: &str) -> Value {
    let rows = project.json(&["table", "read", table]);
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| (row["seen"].as_str().unwrap().to_owned(), row["value"].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn a_refusal_names_both_ways_out_and_an_admission_is_shown_wherever_it_counts() {
    let project = Project::new();
    let file = component(&project);
    let (code, said) = project.fails(&["component", "upload", &file]);
    assert_eq!(code, 3);
    insta::assert_snapshot!("refused", said.replace(&file, "clock_and_dice.wasm"));
    assert_eq!(project.json(&["component", "list"]), serde_json::json!([]));
    // A check of a file is an upload into a copy.
    let (code, _) = project.fails(&["check", &file]);
    assert_eq!(code, 1);
    // Admitted, it is judged, and what it imports is still said.
    let contract = root().join("tests/golden/contracts/clock_and_dice.toml");
    let checked = project.output(&[
        "check",
        &file,
        "--allow-stubbed-wasi",
        "--table",
        contract.to_str().unwrap(),
        "--until",
        "2026-01-02",
        "--json",
    ]);
    let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let findings = checked["findings"].as_array().unwrap();
    let found = findings.iter().find(|found| found["point"] == "deterministic").unwrap();
    assert_eq!(found["verdict"], "warn", "{found}");
    assert!(found["seen"].as_str().unwrap().contains("WASI is imported"), "{found}");

    let mut shown = project.run(&["component", "upload", &file, "--allow-stubbed-wasi"]);
    shown += "\n";
    let list = project.run(&["component", "list"]);
    let uploaded_at = project.json(&["component", "list"])[0]["uploaded_at"].as_str().unwrap().to_owned();
    assert!(list.contains(&uploaded_at), "{list}");
    shown += &list.replace(&uploaded_at, "[uploaded]");
    let page = project.run(&["component", "show", NAME]);
    shown += "\n";
    let lines: Vec<&str> = page.lines().filter(|line| !line.starts_with("uploaded")).collect();
    shown += &lines.join("\n");
    insta::assert_snapshot!("admitted", shown);
    register(&project, TABLE);
    project.run(&["node", "create", NAME, "--table", TABLE]);
    let run = project.json(&["node", "run", TABLE, "--until", "2026-01-02"])[0].clone();
    assert_eq!(run["component_class"], "stubbed");
    assert!(project.run(&["run", "show", run["run_id"].as_str().unwrap()]).contains("(stubbed, sha256 "));
}

on_both_databases!(what_wasi_answers_follows_from_the_call);

fn what_wasi_answers_follows_from_the_call(project: Project) {
    with_component(&project);
    let run = project.json(&["node", "run", TABLE, "--until", "2026-01-02"])[0].clone();
    assert_eq!(run["status"], "ok", "{}", run["error"]);
    let first = seen(&project, TABLE);
    // 2026-01-02T00:00:00Z.
    assert_eq!(first["seconds of the clock"], 1_767_312_000);
    assert!(first["a second of sleep, in nanoseconds"].as_i64().unwrap() >= 1_000_000_000);
    for (nothing, value) in [
        ("variables of the environment", 0),
        ("files that could be opened", 0),
        ("a character of standard input", -1),
    ] {
        assert_eq!(first[nothing], value, "{nothing}");
    }
    assert_ne!(first["a random number"], first["another one"]);
    let logs: Vec<(String, String)> = run["logs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (line["level"].as_str().unwrap().to_owned(), line["message"].as_str().unwrap().to_owned())
        })
        .collect();
    let line = |level: &str, message: &str| (level.to_owned(), message.to_owned());
    assert_eq!(
        logs,
        [
            line("info", "the clock says 1767312000"),
            line("warn", "a warning"),
            // It had no end when the guest ended.
            line("info", "a line that is written in pieces, and has no end"),
        ]
    );

    // The same window in another table: the same dice. Another window: others.
    register(&project, "again");
    project.run(&["node", "create", NAME, "--table", "again"]);
    project.run(&["node", "run", "again", "--until", "2026-01-02"]);
    assert_eq!(seen(&project, "again"), first);
    register(&project, "later");
    project.run(&["node", "create", NAME, "--table", "later"]);
    project.run(&["node", "run", "later", "--until", "2026-01-03"]);
    assert_ne!(seen(&project, "later")["a random number"], first["a random number"]);

    for run in project.json(&["run", "replay", "--all"]).as_array().unwrap() {
        assert_eq!(run["verdict"], "identical", "{run}");
    }
}

/// A language whose runtime was built without stubbing sees no more than a window, whatever its words for it are.
#[test]
fn a_program_in_javascript_has_the_clock_of_its_window_and_the_same_dice_again() {
    const NAME: &str = "js_clock_and_dice";
    let project = Project::new();
    let file = golden(&project, NAME);
    let (code, said) = project.fails(&["component", "upload", &file]);
    assert!(code == 3 && said.contains("wasi:clocks/wall-clock@0.2.12"), "{said}");
    assert!(said.contains("componentize-qjs --stub-wasi") && said.contains("--allow-stubbed-wasi"), "{said}");
    project.run(&["component", "upload", &file, "--allow-stubbed-wasi"]);
    for table in [NAME, "again"] {
        register_like(&project, NAME, table);
        project.run(&["node", "create", NAME, "--table", table]);
        project.run(&["node", "run", table, "--until", "2026-01-02"]);
    }
    let first = seen(&project, NAME);
    assert_eq!(first["milliseconds of the clock"], 1_767_312_000_000_i64);
    assert_eq!(first["a year of the calendar"], 2026);
    assert_ne!(first["a random number"], first["another one"]);
    assert_eq!(seen(&project, "again"), first);
    for run in project.json(&["run", "replay", "--all"]).as_array().unwrap() {
        assert_eq!(run["verdict"], "identical", "{run}");
    }
}

/// `exit` is no way to end a node, whatever status it is given.
#[test]
fn a_program_that_ends_itself_has_failed() {
    let project = Project::new();
    project.run(&["component", "upload", &component(&project), "--allow-stubbed-wasi"]);
    register(&project, TABLE);
    project.run(&["node", "create", NAME, "--table", TABLE, "--config", r#"{"leaves": 1}"#]);
    let output = project.output(&["node", "run", TABLE, "--until", "2026-01-02", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let runs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = &runs[0]["error"];
    assert_eq!(error["code"], "sandbox.trap");
    assert!(error["message"].as_str().unwrap().contains("called `exit`"), "{error}");
    assert_eq!(project.number(&format!("SELECT count(*) FROM {TABLE}")), 0);
    for run in project.json(&["run", "replay", "--all"]).as_array().unwrap() {
        assert_eq!(run["verdict"], "identical", "{run}");
    }
}

/// A component whose imports are these, as a hand would write it.
fn importing(project: &Project, imports: [&str; 3]) -> String {
    let imports: String = imports.map(|name| format!("(import \"{name}\" (instance))")).concat();
    let text = format!(
        "(component {imports} (instance $node) (export \"datanode:node/node@0.1.0\" (instance $node)))"
    );
    let file = project.path().join("by_hand.wasm");
    std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn sockets_http_and_other_versions_are_never_admitted() {
    let project = Project::new();
    let mut said = String::new();
    for refused in [
        "wasi:sockets/tcp@0.2.12",
        "wasi:sockets/udp@0.2.0",
        "wasi:sockets/ip-name-lookup@0.2.12",
        "wasi:sockets/instance-network@0.2.0",
        "wasi:http/outgoing-handler@0.2.10",
        "wasi:http/types@0.2.0",
        "wasi:keyvalue/store@0.2.0-draft",
        "wasi:clocks/wall-clock@0.3.0",
        "wasi:clocks/timezone@0.2.0",
        "wasi:filesystem/types@0.2.0-rc-2023-11-10",
    ] {
        let file = importing(&project, ["wasi:io/poll@0.2.12", "wasi:random/random@0.2.12", refused]);
        let (code, error) = project.fails(&["component", "upload", &file, "--allow-stubbed-wasi"]);
        assert_eq!(code, 3, "{refused}");
        assert!(error.contains("sandbox.imports_refused"), "{error}");
        assert!(
            error.contains(refused) && !error.contains("wasi:random"),
            "only what stands in the way: {error}"
        );
        said += &error.replace(&file, "by_hand.wasm");
    }
    assert_eq!(project.json(&["component", "list"]), serde_json::json!([]));
    insta::assert_snapshot!("never_admitted", said);
}
