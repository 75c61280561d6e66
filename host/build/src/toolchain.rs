//! A cargo that can build for wasm32.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::{BuildError, TARGET};

/// Prepares Debian's compiler where rustup cannot add the target.
const DEBIAN: &str = include_str!("../../../guest-sdk/rust/toolchain/debian-sysroot.sh");
/// Flags for this target that come from outside, as `debian-sysroot.sh` prints them.
const RUSTFLAGS: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS";
/// Variables with flags. The first two would win over the flags that make a build reproducible, the third adds to them:
/// the same command on the same source would give other bytes.
const FLAGS: &[&str] = &["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS];

/// Whether packages of the system may be installed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packages {
    /// When the user is root.
    Install,
    /// Never; what is missing is named.
    Name,
}

/// A cargo, and the settings with which it builds for wasm32.
#[derive(Debug, Clone)]
pub struct Toolchain {
    program: OsString,
    settings: Vec<(String, String)>,
    /// Variables that belong to another compiler.
    foreign: &'static [&'static str],
}

impl Toolchain {
    /// Find a cargo that can build for wasm32 in a directory (whose `rust-toolchain.toml` rustup honours): the one of
    /// `CARGO` and `RUSTC`, else of the `PATH`. When its standard library for wasm32 is missing, add it by rustup; when
    /// that fails on Debian, prepare Debian's compiler. `scratch` is a directory for scripts. `say` hears of what takes
    /// long.
    pub fn find(
        directory: &Path,
        scratch: &Path,
        packages: Packages,
        say: &mut dyn FnMut(&str),
    ) -> Result<Self, BuildError> {
        let variable = |name: &str, default: &str| std::env::var_os(name).unwrap_or_else(|| default.into());
        let program = variable("CARGO", "cargo");
        let run = |program: &OsString, arguments: &[&str]| {
            Command::new(program).args(arguments).current_dir(directory).stdin(Stdio::null()).output()
        };
        let no_cargo = |problem: String| BuildError::NoCargo {
            program: program.to_string_lossy().into_owned(),
            problem,
        };
        let version = run(&program, &["--version"]).map_err(|error| no_cargo(error.to_string()))?;
        if !version.status.success() {
            return Err(no_cargo(said(&version)));
        }
        let own = |foreign| Self { program: program.clone(), settings: Vec::new(), foreign };
        let rustc = variable("RUSTC", "rustc");
        if has_library(&rustc, directory, "") {
            return Ok(own(FLAGS));
        }
        // A sysroot elsewhere is named there: without these flags nothing could be built.
        let flags = std::env::var(RUSTFLAGS).unwrap_or_default();
        if !flags.is_empty() && has_library(&rustc, directory, &flags) {
            return Ok(own(&["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"]));
        }
        let compiler = run(&rustc, &["--version"])
            .map_or_else(|_| format!("`{}`", rustc.to_string_lossy()), |output| first_line(&output.stdout));
        let mut tried = String::new();
        let rustup = OsString::from("rustup");
        let by_rustup = run(&rustup, &["--version"]).is_ok_and(|output| output.status.success());
        if by_rustup {
            say(&format!(
                "{compiler} has no standard library for {TARGET}; adding it: rustup target add {TARGET}"
            ));
            match run(&rustup, &["target", "add", TARGET]) {
                Ok(output) if output.status.success() && has_library(&rustc, directory, "") => {
                    return Ok(own(FLAGS));
                }
                Ok(output) => tried += &format!("\n  rustup target add {TARGET}: {}", said(&output)),
                Err(error) => tried += &format!("\n  rustup target add {TARGET}: {error}"),
            }
        }
        let mut next_step = if by_rustup {
            format!("run it yourself, where the network is: rustup target add {TARGET}")
        } else {
            format!("install Rust with rustup (https://rustup.rs), then: rustup target add {TARGET}")
        };
        if Path::new("/etc/debian_version").is_file() {
            match debian(scratch, packages, say)? {
                Ok(toolchain) => return Ok(toolchain),
                Err(problem) => {
                    tried += &format!("\n  Debian's compiler instead: {problem}");
                    if let Some((_, command)) = problem.split_once("as root: ") {
                        next_step += &format!("\n  or, as root: {command}");
                    }
                }
            }
        }
        Err(BuildError::NoTarget { compiler, tried, next_step })
    }

    /// The cargo, ready to be given arguments.
    pub fn cargo(&self) -> Command {
        let mut cargo = Command::new(&self.program);
        for name in self.foreign {
            cargo.env_remove(name);
        }
        cargo.envs(self.settings.iter().map(|(name, value)| (name, value)));
        cargo
    }
}

/// Whether a compiler has what is needed to build for wasm32, when it is given these flags.
fn has_library(rustc: &OsStr, directory: &Path, flags: &str) -> bool {
    let mut command = Command::new(rustc);
    command
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(directory)
        .stdin(Stdio::null());
    command.args(flags.split_whitespace());
    let Ok(output) = command.output() else { return false };
    let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let Ok(entries) = libraries.read_dir() else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// Debian's compiler with a standard library built from Debian's sources; or what its script says against it.
fn debian(
    scratch: &Path,
    packages: Packages,
    say: &mut dyn FnMut(&str),
) -> Result<Result<Toolchain, String>, BuildError> {
    let script = scratch.join("debian-sysroot.sh");
    crate::compile::write(&script, DEBIAN.as_bytes())?;
    say(&format!("preparing Debian's compiler for {TARGET} (a few minutes, once)"));
    let mut bash = Command::new("bash");
    bash.arg(&script).stdin(Stdio::null());
    if packages == Packages::Name {
        bash.arg("--no-install");
    }
    let output = match bash.output() {
        Ok(output) if output.status.success() => output,
        Ok(output) => return Ok(Err(said(&output))),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let answer = String::from_utf8_lossy(&output.stdout);
    let mut program = None;
    let mut settings = Vec::new();
    for (name, value) in answer.lines().filter_map(|line| line.split_once('=')) {
        if name == "CARGO" {
            program = Some(OsString::from(value));
        }
        settings.push((name.to_owned(), value.to_owned()));
    }
    let Some(program) = program else { return Ok(Err("its script printed no CARGO".to_owned())) };
    // What the cargo that may have started this process has set is for its own compiler.
    let foreign = &["RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS];
    Ok(Ok(Toolchain { program, settings, foreign }))
}

/// The line of an output that says what is wrong: the first with `error`, else the last.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().find(|line| line.contains("error")).or_else(|| lines().next_back());
    line.map_or_else(|| output.status.to_string(), str::to_owned)
}

fn first_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned()
}
