//! `datanode build`: from an author's crate to a component that the host admits.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use datanode_tests::{Project, component, copy_all, program, root, target};
use serde_json::Value;

/// Where guests are built: compiled dependencies are shared with `cargo xtask guests`.
fn guests() -> String {
    target().join("guests").to_str().unwrap().to_owned()
}

#[test]
fn a_crate_of_a_workspace_becomes_a_component_that_can_be_uploaded() {
    let project = Project::new();
    let file = project.path().join("returns.wasm");
    let file = file.to_str().unwrap();
    let example = root().join("examples/fx/fx_log_returns");
    let example = example.to_str().unwrap();
    let build = ["build", example, "--output", file, "--target-dir", &guests()];
    let built = project.json(&build);
    let built = &built[0];
    assert_eq!(built["manifest"]["name"], "fx_log_returns");
    assert_eq!(built["size"], fs::metadata(file).unwrap().len());
    let imports: Vec<&str> =
        built["imports"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(
        !imports.is_empty() && imports.iter().all(|name| name.starts_with("datanode:node/")),
        "{imports:?}"
    );
    // Nothing of this machine is inside.
    let bytes = fs::read(file).unwrap();
    for place in [root().to_str().unwrap(), &std::env::var("HOME").unwrap()] {
        let found = bytes.windows(place.len()).any(|window| window == place.as_bytes());
        assert!(!found, "the component holds the path {place}");
    }
    let uploaded = project.json(&["component", "upload", file]);
    assert_eq!(uploaded[0]["component"]["digest"], built["digest"]);
    // Flags of whoever calls it make no other bytes of it.
    for flags in ["RUSTFLAGS", "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS"] {
        let mut command = project.command(&[&build[..], &["--json"]].concat());
        let output = command.env(flags, "-C overflow-checks=on").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let again: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(again[0]["digest"], built["digest"], "with {flags}");
    }
    // Line tables, whatever the crate's profile says. (Those of Rust's own library are in every component.)
    let size = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        let output = command.env("CARGO_PROFILE_RELEASE_DEBUG", "false").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::metadata(file).unwrap().len()
    };
    let without = size(&build);
    let with = size(&[&build[..], &["--debug-lines"]].concat());
    assert!(with > without, "{with} bytes with lines, {without} without");
}

/// Elsewhere and from nothing: neither a path nor what an earlier build has left can hide a difference.
#[test]
fn the_same_source_in_another_place_gives_the_same_bytes() {
    let project = Project::new();
    let build = |repository: &Path, target: &str| {
        let source = repository.join("examples/fx/fx_log_returns");
        let file = project.path().join("returns.wasm");
        let (source, file) = (source.to_str().unwrap(), file.to_str().unwrap());
        project.json(&["build", source, "--output", file, "--target-dir", target])[0]["digest"].clone()
    };
    let copy = project.path().join("a copy");
    // All that the workspace of the guests has for members, and the contract that they are compiled against.
    for part in [
        "guest-sdk/rust",
        "examples",
        "benches/native",
        "tests/guests",
        "tests/hostile",
        "tests/sources",
        "wit",
    ] {
        copy_all(&root().join(part), &copy.join(part));
    }
    let fresh = project.path().join("fresh target");
    assert_eq!(build(&copy, fresh.to_str().unwrap()), build(root(), &guests()));
}

/// The code blocks of a section, each with its language.
fn blocks(page: &str, heading: &str) -> Vec<(String, String)> {
    let section = page.split_once(&format!("\n{heading}\n")).expect("the heading").1;
    let section = section.split("\n## ").next().unwrap();
    let mut blocks = Vec::new();
    let mut rest = section;
    while let Some((_, block)) = rest.split_once("\n```") {
        let (language, block) = block.split_once('\n').unwrap();
        let (text, after) = block.split_once("\n```").expect("the end of a block");
        blocks.push((language.to_owned(), format!("{text}\n")));
        rest = after;
    }
    blocks
}

#[test]
fn the_node_of_the_readme_goes_from_nothing_to_rows() {
    let page = fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = blocks(&page, "## Your own node");
    let [(_, manifest), (rust, source), (_, contract), (shell, commands)] = blocks.as_slice() else {
        panic!("the section has other blocks: {blocks:?}");
    };
    assert_eq!((rust.as_str(), shell.as_str()), ("rust", "sh"));
    // Outside of the repository, as an author would have it.
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    fs::create_dir(directory.path().join("src")).unwrap();
    write("Cargo.toml", &manifest.replace('…', root().to_str().unwrap()));
    // The versions that the SDK was tested with; cargo leaves out what is not needed.
    fs::copy(root().join("guest-sdk/rust/Cargo.lock"), directory.path().join("Cargo.lock")).unwrap();
    write("src/lib.rs", source);
    write("daily_close.toml", contract);

    let bin = program().parent().unwrap().to_str().unwrap();
    let output = Command::new("bash")
        .args(["-euc", commands])
        .current_dir(directory.path())
        .env("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap()))
        .env("CARGO_TARGET_DIR", guests())
        // The profile of the guests' workspace: dependencies that were compiled for it are compiled.
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        .env("NO_COLOR", "1")
        .env_remove("DATANODE_HOME")
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    let rows: Vec<Vec<&str>> =
        said.lines().rev().take(3).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["2020-01-02", "11.0"], ["2020-01-01", "10.0"], ["time_index", "close"]]);
}

#[test]
fn what_stands_in_the_way_of_a_build_is_named() {
    let project = Project::new();
    let path = |name: &str| project.path().join(name);
    fs::create_dir_all(path("plain/src")).unwrap();
    fs::create_dir_all(path("broken/src")).unwrap();
    fs::create_dir_all(path("empty")).unwrap();
    let manifest = |name: &str, kind: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{kind}")
    };
    fs::write(path("plain/Cargo.toml"), manifest("plain", "")).unwrap();
    fs::write(path("plain/src/lib.rs"), "").unwrap();
    fs::write(path("broken/Cargo.toml"), manifest("broken", "[lib]\ncrate-type = [\"cdylib\"]\n")).unwrap();
    fs::write(path("broken/src/lib.rs"), "fn").unwrap();

    let mut transcript = String::new();
    let mut say = |name: &str, change: &dyn Fn(&mut Command)| {
        let mut command = project.command(&["build", name]);
        command.env_remove("CARGO_TARGET_DIR");
        change(&mut command);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        // What cargo and rustup say is theirs.
        let own = said.split_once("error[build.").map_or(said.as_str(), |(_, own)| own);
        let own = own.replace(project.path().to_str().unwrap(), "PROJECT");
        transcript += &format!("error[build.{own}exit {}\n\n", output.status.code().unwrap());
    };
    say("empty", &|_| ());
    say("plain", &|_| ());
    say("broken", &|_| ());
    say("plain", &|command| {
        command.env_remove("CARGO").env("PATH", Path::new("nowhere"));
    });
    insta::assert_snapshot!(transcript);
}

#[test]
fn a_missing_standard_library_is_explained() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new();
    let tools = project.path().join("tools");
    fs::create_dir_all(&tools).unwrap();
    fs::create_dir_all(project.path().join("crate")).unwrap();
    fs::write(project.path().join("crate/Cargo.toml"), "").unwrap();
    let tool = |name: &str, script: &str| {
        let path = tools.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    // A machine whose compiler has no wasm32, whose rustup has no network, and where the packages of Debian are missing.
    tool("cargo", "echo cargo 1.95.0");
    tool("rustc", "echo rustc 1.95.0");
    tool(
        "bash",
        "echo 'debian-sysroot: error: missing Debian packages; as root: apt-get install a b' >&2; exit 1",
    );
    let run = |path: &Path| {
        let mut command = project.command(&["build", "crate"]);
        command.env_remove("CARGO").env_remove("RUSTC").env("PATH", path);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (exit, without_rustup) = run(&tools);
    assert_eq!(exit, 5, "{without_rustup}");
    assert!(
        without_rustup.contains("error[build.no_target]: rustc 1.95.0 has no standard library"),
        "{without_rustup}"
    );
    assert!(without_rustup.contains("install Rust with rustup (https://rustup.rs)"), "{without_rustup}");
    tool("rustup", "[ \"$1\" = --version ] || { echo 'error: no network' >&2; exit 1; }");
    let (exit, with_rustup) = run(&tools);
    assert_eq!(exit, 5, "{with_rustup}");
    assert!(
        with_rustup.contains("rustup target add wasm32-unknown-unknown: error: no network"),
        "{with_rustup}"
    );
    assert!(with_rustup.contains("next: run it yourself"), "{with_rustup}");
    if Path::new("/etc/debian_version").exists() {
        assert!(with_rustup.contains("or, as root: apt-get install a b"), "{with_rustup}");
    }
}

#[test]
fn guests_of_the_repository_are_built_by_the_same_code() {
    // One of them, as `cargo xtask guests` left it: its messages name its sources without naming the checkout.
    let bytes = fs::read(component("panics")).unwrap();
    let place = root().to_str().unwrap();
    assert!(!bytes.windows(place.len()).any(|window| window == place.as_bytes()));
}
