//! The bench of a server under load: everything optimised, written down as a page of the reference.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::guests;
use crate::postgres::{self, Disk, Server};
use crate::shell::{cargo, root, run, shown, target};

const PAGE: &str = "docs/reference/load.md";
/// The load tool: <https://crates.io/crates/oha>.
const TOOL: &str = "oha";
/// Its release. Its output is read, so that another one may need another reader.
const VERSION: &str = "1.16.0";

/// Entry of `cargo xtask bench --load [--tables N] [--seconds N]`. With less than is usual it shows that everything works, and
/// writes no page.
pub(crate) fn run_load(arguments: &[String]) -> Result<()> {
    let tool = tool()?;
    guests::build()?;
    run(cargo().args(["build", "--release", "--locked", "-p", "datanode-cli", "-p", "datanode-benches"]))?;
    // With fsync: what is measured without it says nothing.
    let server = Server::find_or_start(Disk::Synced)?;
    let built = target().join("release");
    let mut benches = Command::new(built.join("datanode-benches"));
    benches.current_dir(root()).args(arguments);
    benches.env("DATANODE_BIN", built.join("datanode"));
    benches.env("DATANODE_COMPONENTS", target().join("components"));
    benches.env("DATANODE_LOAD_TOOL", tool);
    benches.env(postgres::VARIABLE, server.url());
    benches.stderr(Stdio::inherit());
    let output = benches.output().with_context(|| format!("{} cannot be started", shown(&benches)))?;
    drop(server);
    let page = String::from_utf8(output.stdout)?;
    println!("{page}");
    if page.is_empty() {
        bail!("{} failed ({})", shown(&benches), output.status);
    }
    if arguments.len() == 1 {
        fs::write(root().join(PAGE), &page)?;
        println!("written to {PAGE}");
    }
    // The page is there all the same: it says which answers were errors.
    if !output.status.success() {
        bail!("{} failed ({})", shown(&benches), output.status);
    }
    Ok(())
}

/// The load tool in its release, installed under the target directory when it is missing: no other program of a person's
/// machine is touched, and what is measured with is the same everywhere.
fn tool() -> Result<PathBuf> {
    let place = target().join("load-tool");
    let program = place.join("bin").join(TOOL);
    let said = Command::new(&program).arg("--version").output();
    if said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).trim().ends_with(VERSION)) {
        return Ok(program);
    }
    println!("   {TOOL} {VERSION} is not installed; installing it (some minutes, once)");
    let mut install = cargo();
    // With the TLS that it has by default, although the server speaks HTTP: it cannot be built without any.
    install.args(["install", TOOL, "--locked", "--version", VERSION, "--force", "--root"]);
    run(install.arg(&place))?;
    Ok(program)
}
