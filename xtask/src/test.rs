//! Everything that CI runs.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::postgres::{self, Disk, Server};
use crate::shell::{cargo, root, run, succeeds, target};
use crate::{client, guests, links};

const GUESTS: &str = "guest-sdk/rust/Cargo.toml";

/// Run all steps; the first failure ends it.
fn run_all(long: bool) -> Result<()> {
    step("format", || {
        run(cargo().args(["fmt", "--all", "--check"]))?;
        run(cargo().args(["fmt", "--all", "--check", "--manifest-path", GUESTS]))?;
        run(cargo().args(["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"]))
    })?;
    step("links of the documentation", links::check)?;
    step("lints of the host", || run(cargo().args(["clippy", "--workspace", "--all-targets", "--locked"])))?;
    step("lints of the guests", || {
        run(guest_cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--manifest-path",
            GUESTS,
        ]))
    })?;
    step("documentation", || {
        run(cargo()
            .args(["doc", "--workspace", "--no-deps", "--locked"])
            .env("RUSTDOCFLAGS", "-D warnings"))?;
        let mut guests = guest_cargo();
        guests.args(["doc", "--workspace", "--no-deps", "--locked", "--manifest-path", GUESTS]);
        run(guests.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    step("the book", book)?;
    step("licences, sources and bans", licences)?;
    step("bindings are those of the contract", || {
        run(guest_cargo().args([
            "run",
            "--quiet",
            "--locked",
            "--manifest-path",
            GUESTS,
            "-p",
            "datanode-bindgen",
            "--",
            "--check",
        ]))
    })?;
    step("native tests of the guests", || {
        run(guest_cargo().args(["test", "--workspace", "--locked", "--manifest-path", GUESTS]))
    })?;
    tests_of_the_host(long, &[])
}

/// The tests of the host with all that they need; all of them, or those of one file whose names hold one of the words behind
/// it.
fn tests_of_the_host(long: bool, only: &[String]) -> Result<()> {
    step("guest components", || guests::build().map(|_| ()))?;
    // All targets at once: the features of shared dependencies are then those of the tests, and nothing is built twice.
    step("the datanode command and the tests", || {
        run(cargo().args(["build", "--workspace", "--all-targets", "--locked"]))
    })?;
    let mut python = None;
    step("the existing client", || {
        python = Some(client::prepare()?);
        Ok(())
    })?;
    step("tests of the host", || {
        let server = Server::find_or_start(Disk::Unsynced)?;
        let mut tests = cargo();
        // All that is wrong is told at once: a run takes long.
        tests.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
        if let Some((file, words)) = only.split_first() {
            // What they count is what one wants to see.
            tests.args(["--test", file, "--"]).args(words).arg("--nocapture");
        }
        // Tests wait for disks, servers and processes more than they compute: two for each processor take two thirds of
        // the time of one. Who sets it decides.
        if std::env::var_os("RUST_TEST_THREADS").is_none() {
            let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            tests.env("RUST_TEST_THREADS", (2 * processors).to_string());
        }
        tests.env("DATANODE_BIN", target().join("debug/datanode"));
        tests.env("DATANODE_COMPONENTS", target().join("components"));
        tests.env(postgres::VARIABLE, server.url());
        tests.envs(python.iter().map(|python| (client::VARIABLE, python)));
        if long {
            tests.env("DATANODE_TEST_LONG", "1");
        }
        run(&mut tests)
    })
}

/// The pages of docs/ as a book, where mdBook is installed; a page with a fault is an error of it.
fn book() -> Result<()> {
    if !succeeds(Command::new("mdbook").arg("--version")) {
        println!("   mdbook is not installed: the book is not rendered (cargo install mdbook)");
        return Ok(());
    }
    let mut mdbook = Command::new("mdbook");
    mdbook.arg("build").arg(root().join("docs")).arg("-d").arg(target().join("book"));
    run(&mut mdbook)
}

/// Entry of `cargo xtask test [--long] [--only FILE [NAME…]]`. A long one makes more rounds of the tests that kill and stop
/// processes.
pub(crate) fn run_tests(arguments: &[String]) -> Result<()> {
    let begin = Instant::now();
    let long = arguments.iter().any(|argument| argument == "--long");
    let only = arguments.iter().position(|argument| argument == "--only").map(|at| &arguments[at + 1..]);
    match only {
        None => run_all(long)?,
        Some(only) => {
            let only: Vec<String> =
                only.iter().filter(|argument| !argument.starts_with("--")).cloned().collect();
            if only.is_empty() {
                bail!("name a file of tests: cargo xtask test --only crash kills");
            }
            tests_of_the_host(long, &only)?;
        }
    }
    println!("\nall green in {} s", begin.elapsed().as_secs());
    Ok(())
}

/// The host's cargo on the guest workspace, natively: everything of it stays under one target directory.
fn guest_cargo() -> Command {
    let mut command = cargo();
    command.env("CARGO_TARGET_DIR", target().join("guests-native"));
    command
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("\n── {name}");
    let begin = Instant::now();
    work()?;
    println!("   {name}: {} s", begin.elapsed().as_secs());
    Ok(())
}

/// `cargo deny`, installed when it is missing. The advisories need the network's advisory database; where that cannot
/// be reached they are left out, and said to be.
fn licences() -> Result<()> {
    if !succeeds(cargo().args(["deny", "--version"])) {
        println!("   cargo-deny is not installed; installing it (a few minutes, once)");
        run(cargo().args(["install", "cargo-deny", "--locked", "--version", "0.20.2"]))?;
    }
    let reachable = succeeds(cargo().args(["deny", "fetch", "db"]));
    for manifest in ["Cargo.toml", GUESTS] {
        let mut deny = cargo();
        deny.args(["deny", "--manifest-path"]).arg(root().join(manifest));
        deny.arg("--config").arg(root().join("deny.toml")).args(["check", "--hide-inclusion-graph"]);
        if reachable {
            deny.arg("all");
        } else {
            println!(
                "   the advisory database cannot be reached from here: advisories of {manifest} are not checked"
            );
            deny.args(["bans", "licenses", "sources"]);
        }
        run(&mut deny)?;
    }
    Ok(())
}
