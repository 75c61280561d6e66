//! Guests of this repository, all at once: what `datanode build` does for one crate, for their whole workspace.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use datanode_build::{BuildError, Packages, Request, Toolchain, compile, encode};

use crate::shell::{root, target};

/// Build every guest component into `target/components`; answers their paths, sorted.
pub(crate) fn build() -> Result<Vec<PathBuf>> {
    build_all().map_err(|error| match error.next_step() {
        Some(step) => anyhow::anyhow!("{error}\nnext: {step}"),
        None => error.into(),
    })
}

fn build_all() -> Result<Vec<PathBuf>, BuildError> {
    let build_dir = target().join("guests");
    let toolchain = Toolchain::find(&root(), &build_dir.join("datanode"), Packages::Install, &mut |doing| {
        eprintln!("{doing}");
    })?;
    let modules = compile(
        &toolchain,
        &Request {
            manifest: &root().join("guest-sdk/rust/Cargo.toml"),
            target_directory: &build_dir,
            debug_lines: false,
            arguments: &["--locked", "--lib", "--examples"].map(str::to_owned),
        },
    )?;
    let components = target().join("components");
    let mut made = Vec::new();
    for module in modules {
        let path = components.join(format!("{}.wasm", module.name));
        let file = |error: std::io::Error| BuildError::File {
            path: module.path.display().to_string(),
            problem: error.to_string(),
        };
        let core = fs::read(&module.path).map_err(file)?;
        datanode_build::write(&path, &encode(&module.name, &core)?)?;
        made.push(path);
    }
    Ok(made)
}
