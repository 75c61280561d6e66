//! Guests: find or prepare a compiler with a wasm32 standard library, build, and make components of the modules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use wit_component::ComponentEncoder;

use crate::shell::{read, root, run, succeeds, target};

const TARGET: &str = "wasm32-unknown-unknown";

/// Build every guest component into `target/components`; answers their paths, sorted.
pub(crate) fn build() -> Result<Vec<PathBuf>> {
    let build_dir = target().join("guests");
    let mut cargo = compiler()?;
    cargo
        .args(["build", "--release", "--locked", "--lib", "--examples", "--target", TARGET])
        .arg("--manifest-path")
        .arg(root().join("guest-sdk/rust/Cargo.toml"))
        .arg("--target-dir")
        .arg(&build_dir)
        // Without it a dependency's build differs each time, and with it the component's digest.
        .env("CONST_RANDOM_SEED", "fixed");
    run(&mut cargo)?;

    let release = build_dir.join(TARGET).join("release");
    let components = target().join("components");
    fs::create_dir_all(&components)?;
    let mut made = Vec::new();
    for directory in [release.clone(), release.join("examples")] {
        for module in modules(&directory)? {
            made.push(encode(&module, &components)?);
        }
    }
    made.sort();
    Ok(made)
}

/// Core modules that cargo left in a directory: names without the hash that it adds to intermediate files.
fn modules(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !directory.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "wasm") && !name.contains('-') {
            found.push(path);
        }
    }
    Ok(found)
}

fn encode(module: &Path, components: &Path) -> Result<PathBuf> {
    let name = module.file_name().context("a module without a name")?;
    let path = components.join(name);
    let core = fs::read(module)?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&core)
        .and_then(|mut encoder| encoder.encode())
        .with_context(|| format!("{} does not become a component", module.display()))?;
    // Untouched when equal, so that nothing that watches the file is woken.
    if fs::read(&path).ok().as_deref() != Some(component.as_slice()) {
        fs::write(&path, component)?;
    }
    Ok(path)
}

/// A `cargo` that can build for wasm32: by rustup where it can add the target, else the Debian way.
fn compiler() -> Result<Command> {
    let installed = || {
        Command::new("rustup")
            .args(["target", "list", "--installed"])
            .output()
            .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).lines().any(|line| line == TARGET))
    };
    if installed() || succeeds(Command::new("rustup").args(["target", "add", TARGET])) {
        let mut cargo = Command::new("cargo");
        let home = std::env::var("CARGO_HOME")
            .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
            .unwrap_or_default();
        // The same as the Debian way sets, so that both give components without paths of this machine.
        let remap =
            format!("--remap-path-prefix={}=/datanode --remap-path-prefix={home}=/cargo", root().display());
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", remap);
        cargo.env("RUSTC_WORKSPACE_WRAPPER", root().join("guest-sdk/rust/toolchain/stable-metadata.sh"));
        return Ok(cargo);
    }
    eprintln!("rustup cannot add {TARGET} here; preparing Debian's compiler instead (a few minutes, once)");
    let script = root().join("guest-sdk/rust/toolchain/debian-sysroot.sh");
    let settings = read(Command::new("bash").arg(&script)).with_context(|| {
        format!("no compiler for {TARGET}: install rustup and run `rustup target add {TARGET}`")
    })?;
    let settings: Vec<(&str, &str)> = settings.lines().filter_map(|line| line.split_once('=')).collect();
    let Some((_, program)) = settings.iter().find(|(name, _)| *name == "CARGO") else {
        bail!("{} printed no CARGO", script.display());
    };
    let mut cargo = Command::new(program);
    // What the cargo that runs this task has set is for its own compiler.
    cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    for (name, value) in settings {
        cargo.env(name, value.trim_matches('\''));
    }
    Ok(cargo)
}
