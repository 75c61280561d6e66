//! Cargo, driven so that the same source gives the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{BuildError, TARGET, Toolchain};

/// Makes symbols independent of where the sources lie.
const STABLE_METADATA: &str = include_str!("../../../guest-sdk/rust/toolchain/stable-metadata.sh");

/// Loops over columns take two or four numbers at once, as those of a native program do. Every engine with which this host
/// could execute a component has these instructions, and their answers are as fixed as those of all others; those of
/// *relaxed* SIMD are not, and are refused.
const VECTORS: &str = "-Ctarget-feature=+simd128";

/// What to compile.
#[derive(Debug, Clone)]
pub struct Request<'r> {
    /// The `Cargo.toml`.
    pub manifest: &'r Path,
    /// Where to build.
    pub target_directory: &'r Path,
    /// Keep line tables, so that a trap can name the line of the source. The component gets larger.
    pub debug_lines: bool,
    /// Further arguments of `cargo build`.
    pub arguments: &'r [String],
}

/// A module that cargo made, ready to be encoded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Module {
    /// Name of the crate's library or example.
    pub name: String,
    /// The `.wasm` file.
    pub path: PathBuf,
}

/// Where cargo builds the crates of a manifest when nobody says where.
pub fn target_directory(toolchain: &Toolchain, manifest: &Path) -> Result<PathBuf, BuildError> {
    let mut cargo = cargo_at(toolchain, manifest)?;
    cargo.args(["metadata", "--format-version", "1", "--no-deps"]);
    let text = read(&mut cargo)?;
    let unreadable = |problem: String| BuildError::Answer { command: shown(&cargo), problem };
    let answer: Value = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let directory = answer["target_directory"].as_str().map(PathBuf::from);
    directory.ok_or_else(|| unreadable("it names no target_directory".to_owned()))
}

/// Compile; answers the modules that can become components, sorted. What the compiler says goes to standard error.
pub fn compile(toolchain: &Toolchain, request: &Request<'_>) -> Result<Vec<Module>, BuildError> {
    let target_directory = absolute(request.target_directory)?;
    let mut cargo = cargo_at(toolchain, request.manifest)?;
    cargo.args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    cargo.arg("--target-dir").arg(&target_directory);
    // By `--config` and not by a variable: it takes paths with spaces, and adds to what the author has set for this
    // target. What stands under `[build]` cargo then leaves out: it takes flags from one place, and the target's wins.
    let cargo_home = cargo_home();
    let remap = format!("--remap-path-prefix={}=/cargo", cargo_home.display());
    let flags = Value::from(vec![remap, VECTORS.to_owned()]);
    cargo.arg("--config").arg(format!("target.{TARGET}.rustflags={flags}"));
    if request.debug_lines {
        cargo.args(["--config", "profile.release.debug=\"line-tables-only\""]);
        cargo.args(["--config", "profile.release.strip=false"]);
    }
    cargo.args(request.arguments);
    // `const-random`, below Arrow's hash maps, would otherwise draw a number at each build.
    cargo.env("CONST_RANDOM_SEED", "fixed");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let wrapper = target_directory.join("datanode/stable-metadata.sh");
        write(&wrapper, STABLE_METADATA.as_bytes())?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))
            .map_err(|error| file(&wrapper, &error))?;
        cargo.env("RUSTC_WRAPPER", wrapper).env("DATANODE_CARGO_HOME", cargo_home);
    }
    let messages = read(&mut cargo)?;
    let mut modules: Vec<Module> = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|message: &Value| message["reason"] == "compiler-artifact")
        .filter_map(|message| module(&message["target"], &message["filenames"]))
        .collect();
    modules.sort();
    Ok(modules)
}

/// The module of an artefact, when it is one that can become a component.
fn module(target: &Value, files: &Value) -> Option<Module> {
    target["crate_types"].as_array()?.iter().find(|crate_type| *crate_type == "cdylib")?;
    let mut files = files.as_array()?.iter().filter_map(Value::as_str).map(PathBuf::from);
    let path = files.find(|path| path.extension().is_some_and(|extension| extension == "wasm"))?;
    // Of a library the file's name is the crate's, with underscores.
    Some(Module { name: target["name"].as_str()?.replace('-', "_"), path })
}

/// A cargo in the directory of a manifest, so that the toolchain and the settings chosen there hold.
fn cargo_at(toolchain: &Toolchain, manifest: &Path) -> Result<Command, BuildError> {
    let mut cargo = toolchain.cargo();
    cargo.current_dir(absolute(manifest.parent().unwrap_or(manifest))?);
    Ok(cargo)
}

fn absolute(path: &Path) -> Result<PathBuf, BuildError> {
    std::path::absolute(path).map_err(|error| file(path, &error))
}

fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(
        || std::env::home_dir().unwrap_or_else(|| PathBuf::from("/")).join(".cargo"),
        PathBuf::from,
    )
}

/// Run a command whose errors go to the terminal, and answer what it printed.
fn read(command: &mut Command) -> Result<String, BuildError> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|error| {
        BuildError::NoCargo {
            program: command.get_program().to_string_lossy().into_owned(),
            problem: error.to_string(),
        }
    })?;
    if !output.status.success() {
        return Err(BuildError::Cargo { command: shown(command), status: output.status.to_string() });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first words of a command line: what it does, without the settings.
fn shown(command: &Command) -> String {
    let words = command.get_args().take(1).map(|word| word.to_string_lossy().into_owned());
    std::iter::once("cargo".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Write a file unless it is there already with the same content, so that nothing that watches it is woken.
pub fn write(path: &Path, content: &[u8]) -> Result<(), BuildError> {
    if fs::read(path).ok().as_deref() == Some(content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| file(parent, &error))?;
    }
    fs::write(path, content).map_err(|error| file(path, &error))
}

fn file(path: &Path, error: &std::io::Error) -> BuildError {
    BuildError::File { path: path.display().to_string(), problem: error.to_string() }
}
