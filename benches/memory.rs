//! What a run of many rows holds in memory: the real `datanode` command, by its own peak.
//!
//! `cargo run -p datanode-benches --bin datanode-memory [ROWS]`, 20 million rows by default, in the scratch directory of
//! the machine (`TMPDIR`), which needs about 6 GB then. Linux only. The command is the dev build, or what `DATANODE_BIN`
//! names. `cargo xtask bench` runs it with the release build.
//!
//! It fails when a process held [`MOST`] or more.

#![allow(clippy::unwrap_used)] // a panic here is the report

use std::path::Path;
use std::time::Instant;

use datanode_tests::memory::{peak_of, register};
use datanode_tests::{Project, root};
use serde_json::Value;

/// What a process may hold, in bytes, however many rows there are. Output and rows together are some gigabytes.
const MOST: u64 = 300_000_000;

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Run a node; what its process held, beside what the record says of it.
fn measure(project: &Project, node: &str, rows: u64) {
    let begun = Instant::now();
    let peak = peak_of(project.command(&["node", "run", node]));
    let took = begun.elapsed();
    let run = &project.json(&["run", "list", "--table", node])[0];
    let seconds = |name: &str| {
        let micros = run["durations"][name].as_u64().unwrap();
        format!("{}.{:02} s", micros / 1_000_000, micros / 10_000 % 100)
    };
    let guest = run["peak_memory"].as_u64().unwrap();
    println!(
        "{node}: {rows} rows in {:.1} s ({} rows/s): update {}, commit {}",
        took.as_secs_f64(),
        u128::from(rows) * 1_000 / took.as_millis(),
        seconds("update_us"),
        seconds("commit_us")
    );
    println!(
        "    the process held at most {}, of which {} are the guest's memory; emitted {}",
        megabytes(peak),
        megabytes(guest),
        megabytes(run["bytes_emitted"].as_u64().unwrap())
    );
    assert!(peak < MOST, "{node} held {}, and may hold {}", megabytes(peak), megabytes(MOST));
}

fn main() {
    let rows = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(20_000_000_u64);
    let project = Project::new();
    register(&project, "many_rows", &format!("{{\"rows\": {rows}, \"coordinates\": 1000}}"));
    measure(&project, "many_rows", rows);
    println!("    the database has {}", megabytes(size_of(&project.path().join(".datanode/datanode.db"))));

    project.upload("reads_rows");
    let contract = root().join("tests/guests/reads_rows/contract.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    project.run(&[
        "node",
        "create",
        "reads_rows",
        "--table",
        "reads_rows",
        "--config",
        "{\"table\": \"many_rows\"}",
    ]);
    measure(&project, "reads_rows", rows);
    let read = &project.json(&["run", "list", "--table", "reads_rows"])[0]["inputs"][0]["rows"];
    assert_eq!(read, &Value::from(rows));
}
