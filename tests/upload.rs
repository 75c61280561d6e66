//! What is refused at upload, and what the user reads.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use datanode_tests::{Project, component};

fn refused(project: &Project, wat: &str) -> String {
    let file = project.path().join("refused.wasm");
    std::fs::write(&file, wat::parse_str(wat).unwrap()).unwrap();
    let (exit, said) = project.fails(&["component", "upload", file.to_str().unwrap()]);
    assert_eq!(exit, 3, "{said}");
    said.replace(project.path().to_str().unwrap(), "PROJECT")
}

#[test]
fn clocks_randomness_environment_sockets_and_unknown_imports_are_refused_by_name() {
    let project = Project::new();
    let mut transcript = String::new();
    for import in [
        "wasi:clocks/monotonic-clock@0.2.12",
        "wasi:random/random@0.2.12",
        "wasi:cli/environment@0.2.12",
        "wasi:sockets/tcp@0.2.12",
        "acme:telemetry/send",
    ] {
        let said = refused(
            &project,
            &format!(
                "(component (import \"datanode:node/log@0.1.0\" (instance)) (import \"{import}\" (instance))
                   (instance $node) (export \"datanode:node/node@0.1.0\" (instance $node)))"
            ),
        );
        assert!(said.contains(import), "{said}");
        transcript += &format!("── {import}\n{said}\n");
    }
    insta::assert_snapshot!(transcript);
    assert_eq!(project.json(&["component", "list"]), serde_json::json!([]), "nothing is kept");
}

#[test]
fn what_is_no_node_is_refused() {
    let project = Project::new();
    assert!(refused(&project, "(module)").contains("sandbox.not_a_component"));
    assert!(refused(&project, "(component)").contains("sandbox.no_node_export"));
    // Exports the right name with nothing behind it.
    let hollow = "(component (instance $node) (export \"datanode:node/node@0.1.0\" (instance $node)))";
    assert!(refused(&project, hollow).contains("sandbox.prepare"));
    let broken = project.path().join("broken.wasm");
    let mut bytes = std::fs::read(component("well_behaved")).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    std::fs::write(&broken, bytes).unwrap();
    assert_eq!(project.fails(&["component", "upload", broken.to_str().unwrap()]).0, 3);
}

#[test]
fn a_file_that_is_no_webassembly_is_told_as_what_it_seems_to_be() {
    let project = Project::new();
    let whole = std::fs::read(component("well_behaved")).unwrap();
    let mut transcript = String::new();
    for (name, bytes) in [
        ("nothing.wasm", &b""[..]),
        ("script.wasm", b"#!/bin/sh\necho hello\n"),
        ("component.wat", b"(component)"),
        ("packed.wasm.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
        ("page.wasm", b"<!DOCTYPE html>\n<html><title>404</title></html>"),
        ("anything.wasm", b"\xde\xad\xbe\xef"),
        ("half.wasm", &whole[..3]),
    ] {
        std::fs::write(project.path().join(name), bytes).unwrap();
        let (exit, said) = project.fails(&["component", "upload", name]);
        assert_eq!(exit, 3, "{said}");
        transcript += &format!("── {name}\n{said}\n");
    }
    insta::assert_snapshot!("no_webassembly", transcript);
    assert_eq!(project.json(&["component", "list"]), serde_json::json!([]), "nothing is kept");
}

#[test]
fn the_same_bytes_again_change_nothing_and_other_bytes_under_a_version_are_refused() {
    let project = Project::new();
    project.upload("well_behaved");
    let again = project.json(&["component", "upload", component("well_behaved").to_str().unwrap()]);
    assert_eq!(again[0]["created"], false);

    // Another file with the same name and version: the original with an empty custom section at its end.
    let mut bytes = std::fs::read(component("well_behaved")).unwrap();
    bytes.extend_from_slice(&[0, 2, 1, b'x']);
    let other = project.path().join("other.wasm");
    std::fs::write(&other, bytes).unwrap();
    let (exit, said) = project.fails(&["component", "upload", other.to_str().unwrap()]);
    assert_eq!(exit, 3, "{said}");
    assert!(said.contains("component.version_taken"), "{said}");
}

#[test]
fn a_release_that_gives_nodes_another_identity_is_asked_for() {
    let (project, table) = with_node();
    let before = project.json(&["node", "show", &table])["node"]["update_hash"].clone();

    let file = component("well_behaved_renewed");
    let (exit, said) = project.fails(&["component", "upload", file.to_str().unwrap()]);
    assert_eq!(exit, 3, "{said}");
    assert!(
        said.contains("error[component.new_identity]: release 0.2.0 of component `well_behaved`"),
        "{said}"
    );
    assert!(said.contains(before.as_str().unwrap()), "the node concerned is named: {said}");
    assert!(said.contains("--accept-new-identity"), "{said}");
    assert_eq!(project.json(&["component", "list"]).as_array().unwrap().len(), 1, "nothing is kept");

    project.run(&["component", "upload", file.to_str().unwrap(), "--accept-new-identity"]);
    let (_, said) = project.fails(&["node", "run", &table]);
    assert!(said.contains("node.identity_changed"), "{said}");
    project.run(&["node", "create", "well_behaved", "--table", &table]);
    let nodes = project.json(&["node", "list"]);
    assert_eq!(nodes.as_array().unwrap().len(), 2, "the old identity and the new one");
}

/// `well_behaved` 0.2.0 under another version.
fn renewed_as(project: &Project, version: &str) -> String {
    project.released_as("well_behaved_renewed", "well_behaved", "0.2.0", version)
}

/// A project with `well_behaved` 0.1.0 and a node of it; answers the node's table too.
fn with_node() -> (Project, String) {
    let project = Project::new();
    project.upload("well_behaved");
    let contract = datanode_tests::root().join("tests/hostile/contract.toml");
    let table = project.json(&["table", "register", contract.to_str().unwrap()]);
    let table = table[0]["value"]["contract"]["identifier"].as_str().unwrap().to_owned();
    project.run(&["node", "create", "well_behaved", "--table", &table]);
    (project, table)
}

#[test]
fn an_accepted_identity_is_not_asked_for_again() {
    let (project, table) = with_node();
    let second = component("well_behaved_renewed");
    project.run(&["component", "upload", second.to_str().unwrap(), "--accept-new-identity"]);
    // Both nodes are there: the old one, whose identity 0.2.0 has changed already, and the new one, which 0.3.0 keeps.
    project.run(&["node", "create", "well_behaved", "--table", &table]);
    project.run(&["component", "upload", &renewed_as(&project, "0.3.0")]);
    assert_eq!(project.json(&["component", "list"]).as_array().unwrap().len(), 3);
}

#[test]
fn a_disabled_component_takes_a_new_release() {
    let (project, _) = with_node();
    project.run(&["component", "disable", "well_behaved@0.1.0"]);
    // It would be what the node runs, so its identity is asked for as ever.
    let renewed = renewed_as(&project, "0.0.9");
    let (exit, said) = project.fails(&["component", "upload", &renewed]);
    assert!(exit == 3 && said.starts_with("error[component.new_identity]"), "{said}");
    project.run(&["component", "upload", &renewed, "--accept-new-identity"]);
    project.run(&["component", "disable", "well_behaved@0.0.9"]);
    // The same bytes again change nothing, and what the highest of them all has changed is not asked for again.
    project.upload("well_behaved");
    let second = component("well_behaved_renewed");
    project.run(&["component", "upload", second.to_str().unwrap(), "--accept-new-identity"]);
    project.run(&["component", "disable", "well_behaved@0.2.0"]);
    project.run(&["component", "upload", &renewed_as(&project, "0.3.0")]);
}

#[test]
fn a_component_may_only_log_while_it_describes_itself() {
    let project = Project::new();
    let (_, said) = project.fails(&["component", "upload", component("emits_in_config").to_str().unwrap()]);
    assert!(
        said.contains("error[sandbox.not_in_this_phase]: `config` may only log, but it called `frames.emit`"),
        "{said}"
    );
}
