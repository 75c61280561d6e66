//! Everything that CI runs.

use std::io::IsTerminal;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::postgres::{self, Disk, Server};
use crate::shell::{cargo, root, run, run_line_by_line, succeeds, target};
use crate::{client, guests, links};

const GUESTS: &str = "guest-sdk/rust/Cargo.toml";
/// So many lines are told of a program that ends without a result.
const LAST_LINES: usize = 8;

/// Steps, and how long each has taken: told again at the end, for what lies between is long.
#[derive(Default)]
struct Steps(Vec<(&'static str, u64)>);

impl Steps {
    fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("\n── {name}");
        let begin = Instant::now();
        let outcome = work();
        let seconds = begin.elapsed().as_secs();
        println!("   {name}: {seconds} s");
        self.0.push((name, seconds));
        outcome
    }

    fn tell(&self) {
        println!("\n── seconds of each step");
        for (name, seconds) in &self.0 {
            println!("{seconds:7}  {name}");
        }
    }
}

/// Run all steps; the first failure ends it.
fn run_all(steps: &mut Steps, long: bool) -> Result<()> {
    steps.step("format", || {
        run(cargo().args(["fmt", "--all", "--check"]))?;
        run(cargo().args(["fmt", "--all", "--check", "--manifest-path", GUESTS]))?;
        run(cargo().args(["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"]))
    })?;
    steps.step("links of the documentation", links::check)?;
    steps.step("lints of the host", || {
        run(cargo().args(["clippy", "--workspace", "--all-targets", "--locked"]))
    })?;
    steps.step("lints of the guests", || {
        run(guest_cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--manifest-path",
            GUESTS,
        ]))
    })?;
    steps.step("documentation", || {
        run(cargo()
            .args(["doc", "--workspace", "--no-deps", "--locked"])
            .env("RUSTDOCFLAGS", "-D warnings"))?;
        let mut guests = guest_cargo();
        guests.args(["doc", "--workspace", "--no-deps", "--locked", "--manifest-path", GUESTS]);
        run(guests.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    steps.step("the book", book)?;
    steps.step("licences, sources and bans", licences)?;
    steps.step("bindings are those of the contract", || {
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
    steps.step("native tests of the guests", || {
        run(guest_cargo().args(["test", "--workspace", "--locked", "--manifest-path", GUESTS]))
    })?;
    tests_of_the_host(steps, long, &[])
}

/// The tests of the host with all that they need; all of them, or those of one file whose names hold one of the words behind
/// it.
fn tests_of_the_host(steps: &mut Steps, long: bool, only: &[String]) -> Result<()> {
    steps.step("guest components", || guests::build().map(|_| ()))?;
    // All targets at once: the features of shared dependencies are then those of the tests, and nothing is built twice.
    steps.step("the datanode command and the tests", || {
        run(cargo().args(["build", "--workspace", "--all-targets", "--locked"]))
    })?;
    let mut python = None;
    steps.step("the existing client", || {
        python = Some(client::prepare()?);
        Ok(())
    })?;
    steps.step("tests of the host", || {
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
        run_tests_of(&mut tests)
    })
}

/// Run tests. What a terminal shows is theirs alone; where the output is kept (CI), what has failed is told again at the
/// end of it, for it may be thousands of lines above.
fn run_tests_of(tests: &mut Command) -> Result<()> {
    if std::io::stdout().is_terminal() {
        return run(tests);
    }
    let mut failures = Failures::default();
    let outcome = run_line_by_line(tests, |line| failures.read(line));
    let told = failures.told();
    if !told.is_empty() {
        println!("\n── what has failed, again\n{told}");
    }
    outcome
}

/// The parts of the output of tests that tell of failures: from `failures:` to the result of a program; of one that ended
/// without a result, as by an overflow of its stack, the last that it said.
#[derive(Default)]
struct Failures {
    told: String,
    inside: bool,
    /// The last lines of a program that has not told its result.
    open: Vec<String>,
}

impl Failures {
    fn read(&mut self, line: &str) {
        if line.starts_with("running ") {
            self.end_without_result();
        }
        if line.starts_with("test result:") {
            self.open.clear();
        } else if line.starts_with("running ") || !self.open.is_empty() {
            if self.open.len() == LAST_LINES {
                self.open.remove(0);
            }
            self.open.push(line.to_owned());
        }
        self.inside |= line == "failures:";
        if self.inside {
            self.told.push_str(line);
            self.told.push('\n');
            self.inside = !line.starts_with("test result:");
        }
    }

    fn end_without_result(&mut self) {
        if !self.open.is_empty() {
            self.told +=
                &format!("a program of tests ended without a result, after:\n{}\n", self.open.join("\n"));
            self.open.clear();
            self.inside = false;
        }
    }

    fn told(mut self) -> String {
        self.end_without_result();
        self.told
    }
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
    let mut steps = Steps::default();
    let outcome = match only {
        None => run_all(&mut steps, long),
        Some(only) => {
            let only: Vec<String> =
                only.iter().filter(|argument| !argument.starts_with("--")).cloned().collect();
            if only.is_empty() {
                bail!("name a file of tests: cargo xtask test --only crash kills");
            }
            tests_of_the_host(&mut steps, long, &only)
        }
    };
    steps.tell();
    outcome?;
    println!("\nall green in {} s", begin.elapsed().as_secs());
    Ok(())
}

/// The host's cargo on the guest workspace, natively: everything of it stays under one target directory.
fn guest_cargo() -> Command {
    let mut command = cargo();
    command.env("CARGO_TARGET_DIR", target().join("guests-native"));
    command
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

#[cfg(test)]
mod tests {
    use super::Failures;

    fn told(output: &str) -> String {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.read(line));
        failures.told()
    }

    #[test]
    fn what_has_failed_is_told_and_nothing_else() {
        let output = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\nboom\n\nfailures:\n    b\n\n\
                      test result: FAILED. 1 passed; 1 failed\n\nrunning 1 test\ntest c ... ok\ntest result: ok. 1 passed";
        assert_eq!(
            told(output),
            "failures:\n\n---- b stdout ----\nboom\n\nfailures:\n    b\n\ntest result: FAILED. 1 passed; 1 failed\n"
        );
    }

    #[test]
    fn a_program_that_ends_in_the_midst_of_its_tests_is_told() {
        let aborted = "running 2 tests\ntest a ... ok";
        let after = "a program of tests ended without a result, after:\nrunning 2 tests\ntest a ... ok\n";
        assert_eq!(
            told(&format!("{aborted}\nrunning 1 test\ntest c ... ok\ntest result: ok. 1 passed")),
            after
        );
        assert_eq!(told(aborted), after);
    }
}
