//! The benches: everything optimised, measured in one process, written down as a page of the reference; and what a run
//! of many rows holds in memory, which has a bound.

use std::fs;

use anyhow::{Result, bail};

use crate::postgres::{self, Disk, Server};
use crate::shell::{cargo, read, root, run, target};
use crate::{guests, load};

const PAGE: &str = "docs/reference/benchmarks.md";

/// Entry of `cargo xtask bench [--load]`.
pub(crate) fn entry(arguments: &[String]) -> Result<()> {
    match arguments.first().map(String::as_str) {
        None => run_benches(),
        Some("--load") => load::run_load(arguments),
        Some(other) => bail!("`{other}` is no part of the benches: there is --load"),
    }
}

fn run_benches() -> Result<()> {
    guests::build()?;
    run(cargo().args(["build", "--release", "--locked", "-p", "datanode-cli", "-p", "datanode-benches"]))?;
    let mut native = cargo();
    native.args(["build", "--release", "--locked", "-p", "datanode-native"]);
    native.args(["--manifest-path", "guest-sdk/rust/Cargo.toml"]);
    run(native.env("CARGO_TARGET_DIR", target().join("guests-native")))?;
    // With fsync: what is measured without it says nothing.
    let server = Server::find_or_start(Disk::Synced)?;
    let built = target().join("release");
    let mut benches = std::process::Command::new(built.join("datanode-benches"));
    benches.current_dir(root());
    benches.env("DATANODE_BIN", built.join("datanode"));
    benches.env("DATANODE_COMPONENTS", target().join("components"));
    benches.env("DATANODE_NATIVE", target().join("guests-native/release/datanode-native"));
    benches.env(postgres::VARIABLE, server.url());
    let mut page = read(&mut benches)?;
    drop(server);
    println!("{page}");
    // Linux only: what a process held is read from /proc.
    if cfg!(target_os = "linux") {
        let mut memory = std::process::Command::new(built.join("datanode-memory"));
        memory.current_dir(root());
        memory.env("DATANODE_BIN", built.join("datanode"));
        memory.env("DATANODE_COMPONENTS", target().join("components"));
        page += &section(&read(&mut memory)?);
    }
    fs::write(root().join(PAGE), &page)?;
    println!("written to {PAGE}");
    Ok(())
}

/// What the measurement of the memory said, as a part of the page.
fn section(said: &str) -> String {
    println!("{said}");
    format!(
        "\n## What a run of many rows holds\n\nWhat `benches/memory.rs` said, on the same machine with the same command: a \
         run that stores many rows, and one that reads them all. A process may hold 300 MB; where one holds more, \
         `cargo xtask bench` fails.\n\n```text\n{}\n```\n",
        said.trim_end()
    )
}
