//! The fuzz targets under libFuzzer, on the stable compiler.
//!
//! `cargo fuzz` asks for a nightly compiler because it adds a sanitizer of memory. The counters of coverage alone need no
//! more than the flags below, which every compiler takes; and the targets are safe Rust, where a broken promise is a panic.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::shell::{cargo, read, root, run, target};

const MANIFEST: &str = "fuzz/Cargo.toml";
/// Targets of the rules alone, and those that are built with wasmtime and the databases.
const RULES: [&str; 5] = ["frame", "contract", "config", "sql", "journal"];
const HOST: [&str; 2] = ["upload", "bundle"];

/// What cargo-fuzz gives the compiler, but for the sanitizer.
const COVERAGE: &str = "--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

/// Seconds of each target.
const SHORT: u32 = 30;
const LONG: u32 = 600;
/// Bytes of an input.
const MAX_INPUT: u32 = 64 << 10;
/// Megabytes of the process, and seconds of one input.
const MEMORY_MB: u32 = 2_048;
const PATIENCE: u32 = 25;

/// Entry of `cargo xtask fuzz [--short] [TARGET…]`.
pub(crate) fn run_fuzz(arguments: &[String]) -> Result<()> {
    let is_short = arguments.iter().any(|argument| argument == "--short");
    let named: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with("--")).collect();
    let all: Vec<&str> = RULES.into_iter().chain(HOST).collect();
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        bail!("there is no target `{unknown}`; there are {}", all.join(", "));
    }
    let targets = if named.is_empty() { all } else { named };
    let directory = target().join("fuzz");
    let triple = read(Command::new("rustc").args(["-vV"]))?;
    let triple = triple.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();

    let mut build = cargo();
    // Named, so that the flags reach no build script and no macro, which would not link with them.
    build.args(["build", "--release", "--locked", "--manifest-path", MANIFEST, "--target", &triple]);
    build.arg("--target-dir").arg(&directory).env("RUSTFLAGS", COVERAGE);
    for name in &targets {
        build.args(["--bin", name]);
    }
    if targets.iter().any(|name| HOST.contains(name)) {
        build.args(["--features", "host"]);
    }
    run(&mut build)?;

    let seconds = if is_short { SHORT } else { LONG };
    for name in targets {
        let begin = Instant::now();
        println!("\n── {name}: {seconds} s");
        one(name, seconds, &directory.join(&triple).join("release").join(name), &directory)?;
        println!("   {name}: nothing found in {} s", begin.elapsed().as_secs());
    }
    Ok(())
}

fn one(name: &str, seconds: u32, program: &PathBuf, directory: &std::path::Path) -> Result<()> {
    // What is new goes into the first one; the checked-in corpus is only read.
    let (found, crashes) = (directory.join("corpus").join(name), directory.join("artifacts").join(name));
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&crashes)?;
    let mut fuzzer = Command::new(program);
    fuzzer
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={MAX_INPUT}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB}"))
        .arg(format!("-timeout={PATIENCE}"))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .args(["-seed=1", "-print_final_stats=1", "-verbosity=0"])
        .arg(&found)
        .arg(root().join("fuzz/corpus").join(name));
    run(&mut fuzzer).map_err(|error| {
        let place = crashes.display();
        error.context(format!("the input is in {place}; run the program with it alone to see it again"))
    })
}
