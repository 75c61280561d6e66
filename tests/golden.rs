//! Golden components: written in other languages, built long ago, run once. What they did then they do today, in every way
//! in which this machine can execute them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)]

use std::io::Read;
use std::path::PathBuf;

use datanode_core::digest::Digest;
use datanode_tests::{Project, on_both_databases, root};
use serde_json::Value;

fn golden(file: &str) -> PathBuf {
    root().join("tests/golden").join(file)
}

fn text(path: &std::path::Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Names and what is kept of them.
fn goldens() -> serde_json::Map<String, Value> {
    let kept: Value =
        serde_json::from_str(&std::fs::read_to_string(golden("digests.json")).unwrap()).unwrap();
    kept.as_object().unwrap().clone()
}

/// The component of a bundle, as a file of the project.
fn component(project: &Project, name: &str) -> String {
    let mut bundle = tar::Archive::new(std::fs::File::open(golden(&format!("{name}.tar"))).unwrap());
    let entry = bundle
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .find(|entry| entry.path().unwrap().to_str() == Some("component.wasm"));
    let mut bytes = Vec::new();
    entry.unwrap().read_to_end(&mut bytes).unwrap();
    let file = project.path().join(format!("{name}.wasm"));
    std::fs::write(&file, bytes).unwrap();
    text(&file)
}

/// All of them, C and JavaScript, pure and stubbed, in all cells: the same bytes as when they were recorded.
#[test]
fn every_cell_gives_the_digest_that_is_kept() {
    let goldens = goldens();
    let project = Project::new();
    let files: Vec<String> = goldens.keys().map(|name| text(&golden(&format!("{name}.tar")))).collect();
    let words: Vec<&str> = files.iter().map(String::as_str).collect();
    let found = project.json(&[&["check", "--determinism"], &words[..]].concat());
    assert_eq!(found["equal"], true, "{found:#}");
    let runs = found["runs"].as_array().unwrap();
    assert_eq!(runs.len(), goldens.len());
    for run in runs {
        let kept = &goldens[run["component"].as_str().unwrap()];
        assert_eq!(run["component_class"], kept["class"]);
        let cells = run["cells"].as_array().unwrap();
        assert_eq!(cells.len(), 12);
        for cell in cells.iter().filter(|cell| cell["verdict"] != "not_here") {
            assert_eq!(cell["output_digest"], kept["output"], "{}: {}", run["component"], cell["cell"]);
        }
        // A machine may have no newer level, and nothing else may be missing.
        let run = cells.iter().filter(|cell| cell["verdict"] == "equal").count();
        assert!(run == 12 || run == 8, "{run} cells");
    }
}

#[test]
fn what_is_kept_is_a_component_in_each_language_and_class() {
    let project = Project::new();
    for (name, kept) in goldens() {
        let file = component(&project, &name);
        let digest = Digest::of(&std::fs::read(&file).unwrap()).to_string();
        assert_eq!(kept["component"], digest.as_str());
        let flag: &[&str] = if kept["class"] == "stubbed" { &["--allow-stubbed-wasi"] } else { &[] };
        let uploaded = project.json(&[&["component", "upload", &file], flag].concat());
        assert_eq!(uploaded[0]["component"]["class"], kept["class"]);
        assert!(kept["rows"].as_u64().unwrap() > 0);
    }
}

on_both_databases!(three_languages_write_one_graph);

/// Rust, then C, then JavaScript: each reads what the one before has written, and a second run adds what is new.
fn three_languages_write_one_graph(project: Project) {
    project.upload("daily_readings");
    for name in ["c_moving_mean", "js_weekday_labels"] {
        project.run(&["component", "upload", &component(&project, name)]);
    }
    for table in ["readings", "moving_means", "weekday_labels"] {
        let contract = golden(&format!("contracts/{table}.toml"));
        project.run(&["table", "register", &text(&contract)]);
    }
    let config = r#"{"readings_table": "readings", "means_table": "moving_means", "days": 3}"#;
    project.run(&["node", "create", "js_weekday_labels", "--table", "weekday_labels", "--config", config]);
    for (until, rows) in [("2020-01-10", 10), ("2020-01-12", 2)] {
        let runs = project.json(&["node", "run", "weekday_labels", "--until", until]);
        let written: Vec<(&str, &str, u64)> = runs
            .as_array()
            .unwrap()
            .iter()
            .map(|run| {
                let text = |field: &str| run[field].as_str().unwrap();
                (text("table"), text("status"), run["rows_inserted"].as_u64().unwrap())
            })
            .collect();
        assert_eq!(
            written,
            [("readings", "ok", rows), ("moving_means", "ok", rows), ("weekday_labels", "ok", rows)]
        );
    }
    // 2020-01-10 was a Friday; its number is 18,271.
    let last = project.json(&["table", "read", "weekday_labels", "--start", "2020-01-10"]);
    let labels: Vec<&str> =
        last.as_array().unwrap().iter().map(|row| row["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["Fri 18270.00", "Sat 18271.00", "Sun 18272.00"]);
    let first = project.json(&["table", "read", "moving_means", "--end", "2020-01-03"]);
    let means: Vec<(f64, u64)> = first
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["mean"].as_f64().unwrap(), row["readings"].as_u64().unwrap()))
        .collect();
    assert_eq!(means, [(18_262.0, 1), (18_262.5, 2), (18_263.0, 3)]);
    for run in project.json(&["run", "replay", "--all"]).as_array().unwrap() {
        assert_eq!(run["verdict"], "identical", "{run}");
    }
}
