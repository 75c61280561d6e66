//! What the host costs, each line beside the floor that was measured in the same run.
//!
//! `cargo xtask bench` builds everything optimised, runs this program, and writes `docs/reference/benchmarks.md`. To
//! look at some lines only, name what their group begins with:
//! `cargo run --release -p datanode-benches -- bytes call`. The groups `postgres` and `memory` need a server, found as the
//! tests find theirs. `cargo xtask bench --load` is another page: a server under load, and `docs/reference/load.md`.
//!
//! Ours and the floor take turns, so that what else the machine does falls on both.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)] // a panic here is the report
#![allow(clippy::cast_precision_loss)] // of sizes and counts far below 2^52

mod bytes;
mod calls;
mod cold;
mod determinism;
mod guest;
mod journal;
mod load;
mod machine;
mod measure;
mod raw;
mod report;
mod rows;
mod runs;
mod storage;

use std::process::ExitCode;

use report::Line;

/// A group of lines.
type Group = (&'static str, fn() -> Vec<Line>);

const GROUPS: [Group; 13] = [
    ("instantiate", calls::instantiate),
    ("call", calls::call),
    ("bytes-in", bytes::taken_in),
    ("bytes-out", bytes::given_out),
    ("run-none", runs::none),
    ("run-ten", || vec![runs::ten()]),
    ("run-many", || vec![runs::many()]),
    ("ingest", || vec![runs::ingest()]),
    ("sqlite", storage::on_sqlite),
    ("postgres", storage::on_postgres),
    ("cold", cold::start),
    ("determinism", determinism::settings),
    ("journal", journal::overhead),
];

fn main() -> ExitCode {
    if storage::child() || determinism::child() {
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "--load") {
        return load::measure(&arguments);
    }
    let wanted: Vec<String> = arguments.into_iter().filter(|argument| !argument.starts_with('-')).collect();
    let machine = machine::describe();
    let mut lines = Vec::new();
    let is_wanted =
        |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| name.starts_with(wanted.as_str()));
    for (name, measure) in GROUPS {
        if is_wanted(name) {
            eprintln!("measuring: {name}");
            for line in measure() {
                eprintln!("  {}", line.short());
                lines.push(line);
            }
        }
    }
    let memory = if is_wanted("memory") {
        eprintln!("measuring: memory");
        storage::memory()
    } else {
        String::new()
    };
    print!("{}", report::page(&machine, &lines, &memory));
    ExitCode::SUCCESS
}
