//! The existing Python client, in a virtual environment of its own: tests drive it, unmodified, at servers of theirs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{root, run, succeeds, target};

/// The variable by which tests are told of its interpreter.
pub(crate) const VARIABLE: &str = "DATANODE_TEST_CLIENT";
/// What is installed, each package with the digests of its files.
const REQUIREMENTS: &str = "tests/client/requirements.txt";
/// The interpreter that the client is for.
const PYTHON: &str = "python3.11";

/// Make the environment, unless it is there as the requirements are now. Answers its interpreter.
pub(crate) fn prepare() -> Result<PathBuf> {
    let requirements = fs::read_to_string(root().join(REQUIREMENTS)).context(REQUIREMENTS)?;
    let environment = target().join("client");
    let python = environment.join("bin/python");
    let stamp = environment.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == requirements) && python.exists() {
        return Ok(python);
    }
    if !succeeds(Command::new(PYTHON).arg("--version")) {
        bail!("{PYTHON} is needed, with venv: the tests drive the existing client with it");
    }
    if environment.exists() {
        fs::remove_dir_all(&environment)?;
    }
    run(Command::new(PYTHON).args(["-m", "venv"]).arg(&environment))?;
    install(&python)?;
    fs::write(&stamp, requirements)?;
    Ok(python)
}

/// Nothing but what is pinned, and nothing that would have to be built.
fn install(python: &Path) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]);
    pip.args(["--require-hashes", "--requirement"]).arg(root().join(REQUIREMENTS));
    run(&mut pip)
}
