//! Hostile components: each ends in its own error, within its limit, and leaves nothing behind.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use datanode_tests::{Project, root};
use serde_json::Value;

/// Small limits, so that reaching one takes seconds.
const SETTINGS: &str = "
[limits]
fuel = 3_000_000_000
memory_bytes = 536_870_912
emit_bytes = 134_217_728
message_bytes = 33_554_432
host_calls = 100_000
opens = 1_000
";

/// No case takes longer than this, even on a busy machine: the limits end it, not patience.
const PATIENCE: Duration = Duration::from_mins(1);

/// Component, error code, exit code.
const CASES: [(&str, &str, i32); 23] = [
    ("endless_loop", "sandbox.limit.fuel", 1),
    ("memory_bomb", "sandbox.limit.memory", 1),
    ("deep_recursion", "sandbox.limit.stack", 5),
    ("huge_emit", "sandbox.limit.emit_bytes", 1),
    ("huge_message", "sandbox.limit.message_bytes", 1),
    ("log_flood", "sandbox.limit.host_calls", 1),
    ("opens_without_end", "sandbox.limit.opens", 1),
    ("garbage_arrow", "frame.not_arrow", 1),
    ("truncated_arrow", "frame.truncated", 1),
    ("wrong_schema", "frame.schema", 1),
    ("extra_column", "frame.schema", 1),
    ("duplicate_key", "frame.duplicate_key", 1),
    ("duplicate_key_across_batches", "frame.duplicate_key", 1),
    ("null_key", "frame.null_key", 1),
    ("null_time", "frame.null_key", 1),
    ("non_utc_time", "frame.not_utc", 1),
    ("naive_time", "frame.not_utc", 1),
    ("row_after_window", "frame.after_window", 1),
    ("trap", "sandbox.trap", 1),
    ("panics", "sandbox.trap", 1),
    ("error_value", "node.error", 1),
    ("reads_undeclared", "node.error", 1),
    ("fetches_undeclared", "node.error", 1),
];

fn contract_for(table: &str) -> String {
    let contract = std::fs::read_to_string(root().join("tests/hostile/contract.toml")).unwrap();
    contract.replace("\"hostile_output\"", &format!("\"{table}\""))
}

/// What a user reads, without the parts that differ between compilers and runs.
fn stable(said: &str) -> String {
    let differs =
        |line: &str| ["at ", "see:", "log:"].iter().any(|start| line.trim_start().starts_with(start));
    said.lines().filter(|line| !differs(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_ends_in_its_own_error_and_leaves_nothing_behind() {
    let project = Project::with_settings(SETTINGS);
    project.upload("well_behaved");
    let mut transcript = String::new();
    for (component, code, exit) in CASES {
        let table = format!("out_{component}");
        let contract = project.path().join("contract.toml");
        std::fs::write(&contract, contract_for(&table)).unwrap();
        project.run(&["table", "register", contract.to_str().unwrap()]);
        project.upload(component);
        let node = project.json(&["node", "create", component, "--table", &table]);
        // By uid: the same component with the same config has one update hash, whatever table it writes.
        let uid = node[0]["node"]["uid"].as_str().unwrap().to_owned();

        let begin = Instant::now();
        let (exit_code, said) = project.fails(&["node", "run", &uid, "--until", "2026-01-01"]);
        let took = begin.elapsed();
        assert!(said.starts_with(&format!("error[{code}]")), "{component}: {said}");
        assert_eq!(exit_code, exit, "{component}: {said}");
        assert!(took < PATIENCE, "{component} took {took:?}");
        transcript += &format!("── {component}\n{}\n", stable(&said));

        // The record stays small, whatever the guest logged, opened or answered.
        let record = project.json(&["run", "list", "--table", &table]).to_string();
        assert!(record.len() < 4 << 20, "{component}: a run record of {} bytes", record.len());

        // Recorded as failed, with zero rows, and the table is empty.
        let run = project.json(&["run", "list", "--table", &table]);
        assert_eq!((&run[0]["status"], &run[0]["rows_inserted"]), (&Value::from("failed"), &Value::from(0)));
        assert_eq!(run[0]["error"]["code"], code, "{component}");
        assert_eq!(project.json(&["table", "read", &table]), Value::Array(Vec::new()), "{component}");
        assert_eq!(project.json(&["table", "show", &table])["rows"], 0, "{component}");

        // The next good run into the same table succeeds.
        let node = project.json(&["node", "create", "well_behaved", "--table", &table]);
        let runs = project.json(&["node", "run", node[0]["node"]["uid"].as_str().unwrap()]);
        assert_eq!(
            (&runs[0]["status"], &runs[0]["rows_inserted"]),
            (&Value::from("ok"), &Value::from(3)),
            "{component}"
        );
    }
    insta::assert_snapshot!(transcript);
}

#[test]
fn a_panic_is_explained_by_the_log_of_its_run() {
    let project = Project::with_settings(SETTINGS);
    let contract = project.path().join("contract.toml");
    std::fs::write(&contract, contract_for("out")).unwrap();
    project.run(&["table", "register", contract.to_str().unwrap()]);
    project.upload("panics");
    project.run(&["node", "create", "panics", "--table", "out"]);
    let (_, said) = project.fails(&["node", "run", "out"]);
    assert!(
        said.contains("row 7 is impossible"),
        "the error itself shows the last word of the guest: {said}"
    );
    let run = project.json(&["run", "list"]);
    let last = run[0]["logs"].as_array().unwrap().last().unwrap();
    assert_eq!(last["level"], "error");
    assert!(last.to_string().contains("row 7 is impossible"), "{last}");
    assert!(last.to_string().contains("panics.rs"), "{last}");
}
