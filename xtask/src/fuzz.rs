//! The fuzz targets under libFuzzer, on the stable compiler.
//!
//! `cargo fuzz` asks for a nightly compiler because it adds a sanitizer of memory. The counters of coverage alone need no
//! more than the flags below, which every compiler takes; and the targets are safe Rust, where a broken promise is a panic.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result, bail};

use crate::shell::{cargo, read, root, run, target};

const MANIFEST: &str = "fuzz/Cargo.toml";
/// Targets of the rules alone, and those that are built with wasmtime and the databases.
const RULES: [&str; 6] = ["frame", "contract", "config", "sql", "journal", "rewrite"];
const HOST: [&str; 3] = ["upload", "bundle", "symbols"];

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

/// What is fuzzed, and for how long.
#[derive(Debug, PartialEq)]
struct Plan {
    targets: Vec<&'static str>,
    /// Seconds of each target.
    seconds: u32,
}

impl Plan {
    fn of(arguments: &[String]) -> Result<Self> {
        let all: Vec<&'static str> = RULES.into_iter().chain(HOST).collect();
        let mut plan = Self { targets: Vec::new(), seconds: LONG };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--short" => plan.seconds = SHORT,
                "--seconds" => {
                    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok());
                    // To libFuzzer none is no bound.
                    let seconds = seconds.filter(|seconds| *seconds > 0);
                    plan.seconds = seconds.context("say how many seconds of each target: --seconds 60")?;
                }
                flag if flag.starts_with('-') => {
                    bail!("there is no `{flag}`; there are --short and --seconds")
                }
                name => match all.iter().find(|known| **known == name) {
                    Some(known) => plan.targets.push(known),
                    None => bail!("there is no target `{name}`; there are {}", all.join(", ")),
                },
            }
        }
        if plan.targets.is_empty() {
            plan.targets = all;
        }
        Ok(plan)
    }
}

/// Entry of `cargo xtask fuzz [--short | --seconds N] [TARGET…]`. What one target finds ends that one alone.
pub(crate) fn run_fuzz(arguments: &[String]) -> Result<()> {
    let Plan { targets, seconds } = Plan::of(arguments)?;
    let directory = target().join("fuzz");
    println!("── building {} with counters of coverage, in {}", targets.join(", "), directory.display());
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

    let mut broken = Vec::new();
    for name in targets {
        let begin = Instant::now();
        println!("\n── {name}: {seconds} s");
        let program = directory.join(&triple).join("release").join(name);
        match one(name, seconds, &program, &directory) {
            Ok(()) => println!("   {name}: nothing found in {} s", begin.elapsed().as_secs()),
            Err(error) => {
                println!("   {name}: {error:#}");
                broken.push(name);
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { bail!("not fuzzed to the end: {}", broken.join(", ")) }
}

/// Fuzz one target. Everything that it writes is below the directory.
fn one(name: &str, seconds: u32, program: &Path, directory: &Path) -> Result<()> {
    // What is new goes into the first one; the checked-in corpus is only read.
    let (found, crashes) = (directory.join("corpus").join(name), directory.join("artifacts").join(name));
    let scratch = directory.join("tmp");
    for directory in [&found, &crashes, &scratch] {
        fs::create_dir_all(directory)?;
    }
    let before = files(&crashes)?;
    let mut fuzzer = Command::new(program);
    fuzzer.env("TMPDIR", &scratch);
    fuzzer
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={MAX_INPUT}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB}"))
        .arg(format!("-timeout={PATIENCE}"))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .args(["-seed=1", "-print_final_stats=1", "-verbosity=0"])
        .arg(&found)
        .arg(root().join("fuzz/corpus").join(name));
    let Err(error) = run(&mut fuzzer) else { return Ok(()) };
    match files(&crashes)?.into_iter().find(|file| !before.contains(file)) {
        Some((input, _)) => {
            bail!("it ended at an input; to see it again: {} {}", program.display(), input.display())
        }
        None => Err(error),
    }
}

/// The files of a directory, and when each was written.
fn files(directory: &Path) -> Result<Vec<(PathBuf, SystemTime)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        files.push((entry.path(), entry.metadata()?.modified()?));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &str) -> Result<Plan> {
        Plan::of(&arguments.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_read_and_mistakes_refused() {
        assert_eq!(plan("").unwrap().targets.len(), RULES.len() + HOST.len());
        assert_eq!(plan("").unwrap().seconds, LONG);
        assert_eq!(plan("--short sql").unwrap(), Plan { targets: vec!["sql"], seconds: SHORT });
        assert_eq!(
            plan("frame --seconds 5 sql").unwrap(),
            Plan { targets: vec!["frame", "sql"], seconds: 5 }
        );
        for wrong in ["--shrot", "-short", "frames", "--seconds", "--seconds none", "--seconds 0"] {
            assert!(plan(wrong).is_err(), "{wrong}");
        }
    }

    /// A target that is built is one of those that run, and the other way round.
    #[test]
    fn every_target_is_here() {
        let manifest = fs::read_to_string(root().join(MANIFEST)).unwrap();
        let built: Vec<&str> =
            manifest.split("[[bin]]").skip(1).filter_map(|bin| bin.split('"').nth(1)).collect();
        assert_eq!(built, RULES.into_iter().chain(HOST).collect::<Vec<_>>());
        for name in built {
            assert!(root().join("fuzz/corpus").join(name).is_dir(), "{name} has no corpus");
        }
    }
}
