//! Memory bounded by the batch: output that is spilled is not held, is committed whole, and leaves nothing behind.
#![cfg(target_os = "linux")] // what a process holds is read from /proc
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use datanode_tests::memory::{peak_of, register};
use datanode_tests::{Project, on_both_databases, root};

/// Output beyond 4 MiB goes to the disk.
const SETTINGS: &str = "[runs]\nspill_after_bytes = 4_194_304\n";
/// Rows of a run.
const EMITTED: u64 = 6_000_000;
/// Rows of a table that is read out.
const STORED: u64 = 3_000_000;
/// A row of `many_rows` as Arrow: a time, four numbers, and a name of six letters with its offset.
const BYTES_PER_ROW: u64 = 8 + 4 * 8 + 6 + 4;
/// What a run may hold beyond one that emits a few rows: less than a third of its output.
const OF_A_RUN: u64 = 95 << 20;
/// What reading out may hold beyond reading a few rows.
const OF_AN_EXPORT: u64 = 48 << 20;
const FEW: u64 = 1_000;

on_both_databases!(
    a_run_holds_less_than_its_output,
    an_export_holds_less_than_its_rows,
    a_run_that_is_killed_leaves_no_spilled_output,
);

fn files_of(data: &Path) -> Vec<String> {
    let names = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// A table that a node has still to fill with so many rows.
fn with_node(project: Project, rows: u64) -> Project {
    let project = project.set(SETTINGS);
    register(&project, "many_rows", &format!("{{\"rows\": {rows}, \"coordinates\": 100}}"));
    project
}

/// What a process held beyond another that did the same with a few rows. What both hold is the program itself: how much of
/// it there is depends on how it was compiled, and not on the rows.
fn beyond(few: u64, many: u64) -> u64 {
    many.saturating_sub(few)
}

fn a_run_holds_less_than_its_output(empty: Project) {
    const { assert!(3 * OF_A_RUN < EMITTED * BYTES_PER_ROW, "the bound would hold without spilling") };
    let run = |project: &Project| peak_of(project.command(&["node", "run", "many_rows"]));
    let few = run(&with_node(empty.copy(), FEW));
    let project = with_node(empty, EMITTED);
    let many = run(&project);
    let held = beyond(few, many);
    println!("a run of {EMITTED} rows holds {held} bytes beyond {few}");
    assert!(held < OF_A_RUN, "the process held {many} bytes, one of {FEW} rows {few}");
    assert_eq!(project.json(&["table", "show", "many_rows"])["rows"], EMITTED);
    assert_eq!(files_of(&project.path().join(".datanode/spill")), [""; 0]);
}

/// Reading a table out holds a page and what a format keeps of it, whatever the number of rows.
fn an_export_holds_less_than_its_rows(empty: Project) {
    let projects = [with_node(empty.copy(), FEW), with_node(empty, STORED)];
    for project in &projects {
        project.run(&["node", "run", "many_rows"]);
    }
    let [small, project] = projects;
    for name in ["rows.arrow", "rows.parquet", "rows.csv", "rows.jsonl"] {
        let read =
            |project: &Project| peak_of(project.command(&["table", "read", "many_rows", "--output", name]));
        let (few, many) = (read(&small), read(&project));
        let held = beyond(few, many);
        println!("{name} of {STORED} rows holds {held} bytes beyond {few}");
        assert!(held < OF_AN_EXPORT, "{name}: the process held {many} bytes, one of {FEW} rows {few}");
        let written = std::fs::metadata(project.path().join(name)).unwrap().len();
        assert!(written > STORED, "{name} has {written} bytes");
        std::fs::remove_file(project.path().join(name)).unwrap();
    }
}

/// Killed while output lies on the disk: nothing of it is left, and the next run is as good as any.
fn a_run_that_is_killed_leaves_no_spilled_output(empty: Project) {
    let project = empty.set("[runs]\nspill_after_bytes = 0\n");
    register(&project, "many_rows", "{\"rows\": 400000}");
    for event in ["rows_emitted", "rows_written"] {
        let mut child = project
            .command(&["node", "run", "many_rows", "--progress", "json"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = lines.map_while(Result::ok).filter(|line| line.contains(&format!("\"{event}\"")));
        // The second one of its kind: by then there is a file.
        assert!(seen.nth(1).is_some(), "no two `{event}`");
        child.kill().unwrap();
        child.wait().unwrap();
        project.expire_leases();
        assert_eq!(files_of(&project.path().join(".datanode/spill")), [""; 0], "killed at `{event}`");
    }
    assert_eq!(project.json(&["table", "show", "many_rows"])["rows"], 0);
    project.run(&["node", "run", "many_rows"]);
    assert_eq!(project.json(&["table", "show", "many_rows"])["rows"], 400_000);
}

#[test]
fn a_spill_directory_that_cannot_be_used_is_an_error_of_the_machine() {
    let project = Project::with_settings(SETTINGS);
    register(&project, "many_rows", "{\"rows\": 400000}");
    let spill = project.path().join(".datanode/spill");
    std::fs::write(&spill, "in the way").unwrap();
    let (exit, said) = project.fails(&["node", "run", "many_rows"]);
    assert_eq!(exit, 5, "{said}");
    assert!(said.starts_with("error[run.spill]"), "{said}");
    let run = &project.json(&["run", "list"])[0];
    assert_eq!((run["status"].as_str(), run["rows_inserted"].as_u64()), (Some("failed"), Some(0)));
    std::fs::remove_file(spill).unwrap();
    project.run(&["node", "run", "many_rows"]);
}

/// What is read ahead of the guest is not part of what it read.
#[test]
fn a_reader_that_is_closed_early_is_recorded_as_far_as_it_was_read() {
    let project = Project::new();
    register(&project, "many_rows", "{\"rows\": 200000}");
    project.run(&["node", "run", "many_rows"]);
    project.upload("reads_rows");
    let contract = root().join("tests/guests/reads_rows/contract.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    let create = |config: &str| {
        let node =
            project.json(&["node", "create", "reads_rows", "--table", "reads_rows", "--config", config]);
        let nodes = node.as_array().unwrap();
        nodes.last().unwrap()["node"]["uid"].as_str().unwrap().to_owned()
    };
    let read = |config: &str, until: &str| {
        let runs = project.json(&["node", "run", &create(config), "--until", until]);
        runs.as_array().unwrap().last().unwrap()["inputs"].clone()
    };
    let whole = read("{\"table\": \"many_rows\"}", "2025-01-01");
    let begun = read("{\"table\": \"many_rows\", \"batches\": 2}", "2025-01-02");
    let twice = read("{\"table\": \"many_rows\", \"readers\": 2}", "2025-01-03");
    assert_eq!(whole[0]["rows"], 200_000);
    let (rows, bytes) = (begun[0]["rows"].as_u64().unwrap(), begun[0]["bytes"].as_u64().unwrap());
    assert!(rows < 200_000 && bytes < whole[0]["bytes"].as_u64().unwrap(), "{begun}");
    assert!(rows.is_multiple_of(2), "two pages of one size: {rows}");
    assert_eq!((&twice[0], &twice[1]), (&whole[0], &whole[0]));
}
