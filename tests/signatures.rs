//! Where components come from: digests, signatures, and what is never taken.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datanode_core::digest::Digest;
use datanode_tests::{Project, component, on_both_databases, root};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::Value;

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

/// What is signed: the 32 bytes of the digest.
fn digest_of(file: &Path) -> Vec<u8> {
    let digest = Digest::of(&std::fs::read(file).unwrap()).to_string();
    (0..64).step_by(2).map(|at| u8::from_str_radix(&digest[at..at + 2], 16).unwrap()).collect()
}

fn settings(key: &Ed25519KeyPair, required: bool) -> String {
    let key = STANDARD.encode(key.public_key());
    format!("[components]\nrequire_signature = {required}\n[components.trusted_keys]\nrelease = \"{key}\"\n")
}

fn write(project: &Project, name: &str, bytes: &[u8]) -> String {
    let file = project.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    file.to_str().unwrap().to_owned()
}

fn text(file: &Path) -> String {
    file.to_str().unwrap().to_owned()
}

fn only_signed_components_are_taken_and_run(project: Project) {
    let (trusted, other) = (pair(1), pair(2));
    let project = project.set(&settings(&trusted, true));
    let file = component("well_behaved");
    let good = write(&project, "good.sig", trusted.sign(&digest_of(&file)).as_ref());
    let in_base64 = STANDARD.encode(trusted.sign(&digest_of(&file)));
    let in_base64 = write(&project, "base64.sig", in_base64.as_bytes());
    let of_another = write(&project, "other_key.sig", other.sign(&digest_of(&file)).as_ref());
    let of_others =
        write(&project, "other_bytes.sig", trusted.sign(&digest_of(&component("endless_loop"))).as_ref());
    let truncated = write(&project, "truncated.sig", &trusted.sign(&digest_of(&file)).as_ref()[..63]);
    let file = text(&file);
    let mut transcript = String::new();
    for (signature, code, exit) in [
        (None, "signature.missing", 3),
        (Some(&of_another), "signature.untrusted", 3),
        (Some(&of_others), "signature.untrusted", 3),
        (Some(&truncated), "signature.format", 2),
    ] {
        let mut arguments = vec!["component", "upload", &file];
        arguments.extend(signature.into_iter().flat_map(|signature| ["--signature", signature.as_str()]));
        let (exit_code, said) = project.fails(&arguments);
        assert!(said.starts_with(&format!("error[{code}]")), "{said}");
        assert_eq!(exit_code, exit, "{said}");
        let digest = Digest::of(&std::fs::read(&file).unwrap()).to_string();
        transcript += &said.replace(&digest, "DIGEST").replace(&file, "FILE");
    }
    if !project.is_on_server() {
        insta::assert_snapshot!("refusals", transcript);
    }
    assert_eq!(project.json(&["component", "list"]), Value::Array(Vec::new()));
    // Nothing was compiled of what is not trusted.
    let compiled = std::fs::read_dir(project.path().join(".datanode/compiled")).unwrap();
    assert!(compiled.flatten().all(|entry| entry.path().extension().is_none_or(|end| end != "cwasm")));

    for signature in [&good, &in_base64] {
        project.run(&["component", "upload", &file, "--signature", signature]);
    }
    let shown = project.json(&["component", "show", "well_behaved"]);
    assert_eq!(shown["provenance"]["signed"]["key"], "release", "{shown}");
    assert_eq!(shown["provenance"]["file"], file.as_str());
    let contract = text(&root().join("tests/hostile/contract.toml"));
    project.run(&["table", "register", &contract]);
    project.run(&["node", "create", "well_behaved", "--table", "hostile_output"]);
    project.run(&["node", "run", "hostile_output"]);

    // A key that is not trusted any more, and a row that somebody wrote.
    let project = project.set(&settings(&other, true));
    let (exit, said) = project.fails(&["node", "run", "hostile_output", "--force"]);
    assert!(exit == 3 && said.starts_with("error[signature.missing]"), "{said}");
    project.run(&["component", "upload", &file, "--signature", &of_another]);
    project.run(&["node", "run", "hostile_output", "--force"]);
    project.execute("UPDATE _components SET provenance = replace(provenance, '\"key\"', '\"was\"')");
    assert!(!project.output(&["node", "run", "hostile_output", "--force"]).status.success());
    // Where nobody demands it, what was uploaded before provenance was kept runs as ever.
    project.execute("UPDATE _components SET provenance = NULL");
    let project = project.set("");
    project.run(&["node", "run", "hostile_output", "--force"]);
    assert!(project.json(&["component", "list"])[0]["provenance"]["signed"].is_null());
}

on_both_databases!(only_signed_components_are_taken_and_run);

#[test]
fn keys_that_are_none_are_named() {
    let project = Project::new();
    let project = project.set("[components.trusted_keys]\nrelease = \"none\"\n");
    let (exit, said) = project.fails(&["component", "upload", &text(&component("well_behaved"))]);
    assert!(exit == 2 && said.starts_with("error[signature.key]") && said.contains("`release`"), "{said}");
    let project = project.set("[components]\nrequire_signature = true\n");
    let (exit, said) = project.fails(&["component", "upload", &text(&component("well_behaved"))]);
    assert!(exit == 2 && said.starts_with("error[signature.no_keys]"), "{said}");
}

#[test]
fn the_recipe_of_the_guide_works() {
    let openssl = |arguments: &[&str]| {
        Command::new("openssl").args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let project = Project::new();
    let place = |name: &str| text(&project.path().join(name));
    let file = text(&component("well_behaved"));
    let (key, public, digest, signature) =
        (place("key.pem"), place("public.pem"), place("digest"), place("node.sig"));
    // A machine without it, or with one that is too old, has nothing to show here.
    if !openssl(&["genpkey", "-algorithm", "ed25519", "-out", &key]) {
        return;
    }
    assert!(openssl(&["pkey", "-in", &key, "-pubout", "-out", &public]));
    assert!(openssl(&["dgst", "-sha256", "-binary", "-out", &digest, &file]));
    assert!(openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", &key, "-in", &digest, "-out", &signature]));
    let public = std::fs::read_to_string(public).unwrap();
    let project = project.set(&format!(
        "[components]\nrequire_signature = true\n[components.trusted_keys]\nme = \"\"\"\n{public}\"\"\"\n"
    ));
    let said = project.run(&["component", "upload", &file, "--signature", &signature]);
    assert!(said.contains("signed by `me`"), "{said}");
}

#[test]
fn a_component_is_taken_by_its_digest_and_shown_with_its_origin() {
    let project = Project::new();
    let file: PathBuf = component("well_behaved");
    let digest = Digest::of(&std::fs::read(&file).unwrap()).to_string();
    let file = text(&file);
    let other = "0".repeat(64);
    let (exit, said) = project.fails(&["component", "upload", &file, "--sha256", &other]);
    assert!(exit == 3 && said.starts_with("error[component.other_bytes]"), "{said}");
    assert!(said.contains(&digest) && said.contains(&other), "{said}");
    let (exit, said) = project.fails(&["component", "upload", &file, &file, "--sha256", &digest]);
    assert!(exit == 2, "{said}");
    let (exit, said) = project.fails(&["component", "upload", &file, "--signature", &file]);
    assert!(exit == 2 && said.starts_with("error[signature.no_keys]"), "{said}");
    let output = project
        .command(&["component", "upload", &file, "--sha256", &digest])
        .env("USER", "ada")
        .output()
        .unwrap();
    assert!(output.status.success());
    let shown = project.json(&["component", "show", "well_behaved"]);
    let origin = &shown["provenance"];
    assert_eq!((&origin["uploaded_by"], &origin["file"]), (&"ada".into(), &file.as_str().into()));
    assert_eq!((&origin["contract"], &origin["signed"]), (&"datanode:node@0.1.0".into(), &Value::Null));
    assert!(origin["languages"][0].as_str().unwrap().contains("Rust"), "{origin}");
    let said = project.run(&["component", "show", "well_behaved"]);
    for line in ["uploaded by    ada", "signed         no", "language       Rust"] {
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn a_pin_is_kept_until_it_is_taken_back() {
    let project = Project::new();
    project.upload("well_behaved");
    let digest = Digest::of(&std::fs::read(component("well_behaved")).unwrap()).to_string();
    project.run(&["table", "register", &text(&root().join("tests/hostile/contract.toml"))]);
    let create = ["node", "create", "well_behaved", "--table", "hostile_output"];
    project.run(&[&create[..], &["--pin", &digest]].concat());
    let renewed = project.released_as("well_behaved", "well_behaved", "0.1.0", "0.1.1");
    project.run(&["component", "upload", &renewed]);
    let runs = |version: &str| {
        let runs = project.json(&["node", "run", "hostile_output", "--force"]);
        assert_eq!(runs[0]["component_version"], version);
    };
    runs("0.1.0");
    project.run(&create);
    runs("0.1.0");
    assert!(project.json(&["node", "unpin", "hostile_output"])["pinned_digest"].is_null());
    runs("0.1.1");
}

/// What this very host compiled, and what merely looks like it.
#[test]
fn compiled_code_is_never_taken_from_outside() {
    let project = Project::new();
    project.upload("well_behaved");
    let mut images = vec![b"\x7fELF and nothing".to_vec()];
    for entry in std::fs::read_dir(project.path().join(".datanode/compiled")).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap();
        if let Some(at) = bytes.windows(4).position(|window| window == b"\x7fELF") {
            images.push(bytes[at..].to_vec());
        }
    }
    assert!(images.len() > 1, "the compiled form of the component");
    for image in images {
        let file = write(&project, "node.wasm", &image);
        let (exit, said) = project.fails(&["component", "upload", &file]);
        assert!(exit == 3 && said.starts_with("error[sandbox.precompiled]"), "{said}");
        assert!(said.contains("next: upload the component (.wasm)"), "{said}");
    }
    assert_eq!(project.json(&["component", "list"]).as_array().unwrap().len(), 1);
}
