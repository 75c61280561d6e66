//! What users read when an identity is refused, and that the next step named there mends it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use datanode_tests::{Project, component, proposals, root};

const RETURNS: &str = "fx_log_returns";
const WELL_BEHAVED: &str = "well_behaved";

/// Run the one command that an error proposes, in the project itself.
fn follow(project: &Project, said: &str) -> String {
    let commands = proposals(said);
    assert_eq!(commands.len(), 1, "{said}");
    project.run(&commands[0].iter().map(String::as_str).collect::<Vec<_>>())
}

/// A contract of the example under another identifier, as a file of the project.
fn renamed_rates(project: &Project, identifier: &str) {
    let contract =
        std::fs::read_to_string(root().join("examples/fx/contracts/fx_ecb_daily_rates.toml")).unwrap();
    let contract = contract.replace("\"fx_ecb_daily_rates\"", &format!("\"{identifier}\""));
    std::fs::write(project.path().join(format!("{identifier}.toml")), contract).unwrap();
}

/// What differs from run to run has a name of its own: hashes of nodes (which hold uids, drawn by lot), digests of
/// components (which depend on the compiler) and paths.
fn settled(project: &Project, said: &str) -> String {
    let mut text = said.replace(project.path().to_str().unwrap(), "PROJECT");
    for digits in [64, 32, 12] {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        let name = if digits == 32 { "HASH" } else { "DIGEST" };
        let mut at = 0;
        while let Some(run) = text.as_bytes().get(at..).filter(|rest| !rest.is_empty()) {
            let length = run.iter().take_while(|byte| is_digit(byte)).count();
            if length == digits {
                text.replace_range(at..at + length, name);
            }
            at += if length == digits { name.len() } else { length.max(1) };
        }
    }
    text
}

#[test]
fn each_refusal_of_a_config_names_the_place_and_what_the_field_means() {
    let project = Project::with_fx();
    renamed_rates(&project, "nowhere");
    let mut transcript = String::new();
    for (config, namespace) in [
        (r#"{"max_gap": 5}"#, ""),
        (r#"{"colour": 5}"#, ""),
        (r#"{"max_gap_days": "five"}"#, ""),
        (r#"{"max_gap_days": -1}"#, ""),
        (r#"{"offset_start": "soon"}"#, ""),
        ("[]", ""),
        ("{", ""),
        (r#"{"rates_table": "nowhere"}"#, ""),
        ("{}", "Not a name"),
    ] {
        let arguments =
            ["node", "hash", "--component", RETURNS, "--config", config, "--hash-namespace", namespace];
        let (exit, said) = project.fails(&arguments);
        transcript += &format!("{config} {namespace}\n{said}exit {exit}\n\n");
        assert_eq!(project.mended_by(&said), usize::from(!said.contains("[name.invalid]")), "{said}");
        if said.contains("next: see its fields") {
            let shown = follow(&project, &said);
            assert!(shown.contains("max_gap_days"), "the fields are listed: {shown}");
        }
    }
    for arguments in [
        &["node", "hash", "--component", "fx_log_return"][..],
        &["node", "hash", "--component", RETURNS, "--table", "returns"],
        &["node", "hash", "nothing"],
    ] {
        let (exit, said) = project.fails(arguments);
        transcript += &format!("$ datanode {}\n{said}exit {exit}\n\n", arguments.join(" "));
        assert_eq!(project.mended_by(&said), 1, "{said}");
    }
    insta::assert_snapshot!(transcript);
}

#[test]
fn registering_the_table_that_is_named_mends_the_reference() {
    let project = Project::with_fx();
    let hash = ["node", "hash", "--component", RETURNS, "--config", r#"{"rates_table": "my_rates"}"#];
    let (exit, said) = project.fails(&hash);
    assert!(exit == 3 && said.contains("table `my_rates` at /rates_table"), "{said}");
    renamed_rates(&project, "my_rates");
    follow(&project, &said);
    project.run(&hash);
}

#[test]
fn a_circle_of_dependencies_is_refused_and_shown() {
    let project = Project::new();
    project.upload("depends_in_circles");
    let contract = std::fs::read_to_string(root().join("tests/hostile/contract.toml")).unwrap();
    for table in ["one", "other"] {
        let file = format!("{table}.toml");
        std::fs::write(project.path().join(&file), contract.replace("hostile_output", table)).unwrap();
        project.run(&["table", "register", &file]);
    }
    let mut transcript = String::new();
    for config in [r#"{"own": "one", "other": "other"}"#, r#"{"own": "one", "other": "one"}"#] {
        let arguments = ["node", "create", "depends_in_circles", "--table", "one", "--config", config];
        let (exit, mut said) = project.fails(&arguments);
        assert_eq!(exit, 3);
        assert!(follow(&project, &said).contains("other"));
        // Hashes hold uids, which are drawn by lot.
        while let Some(at) = said.find("depends_in_circles_") {
            said.replace_range(at..at + "depends_in_circles_".len() + 32, "UPDATE_HASH");
        }
        transcript += &format!("{config}\n{said}\n");
        assert_eq!(project.json(&["node", "list"]).as_array().unwrap().len(), 0, "nothing is left behind");
    }
    insta::assert_snapshot!(transcript);
}

/// A release that gives a node another identity, from its upload to the node that goes on.
#[test]
fn each_refusal_of_a_release_leads_on() {
    let project = Project::new();
    project.upload(WELL_BEHAVED);
    let contract = root().join("tests/hostile/contract.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    project.run(&["node", "create", WELL_BEHAVED, "--table", "hostile_output"]);
    let mut transcript = String::new();
    let mut refused = |arguments: &[&str]| {
        let (exit, said) = project.fails(arguments);
        let typed = settled(&project, &arguments.join(" "));
        transcript += &format!("$ datanode {typed}\n{}exit {exit}\n\n", settled(&project, &said));
        said
    };

    // Other bytes under a version that is there: the same file with an empty custom section at its end.
    let copied = |built: &str, name: &str, more: &[u8]| {
        let bytes = std::fs::read(component(built)).unwrap();
        std::fs::write(project.path().join(name), [&bytes[..], more].concat()).unwrap();
    };
    copied(WELL_BEHAVED, "other.wasm", &[0, 2, 1, b'x']);
    refused(&["component", "upload", "other.wasm"]);

    copied("well_behaved_renewed", "renewed.wasm", &[]);
    let said = refused(&["component", "upload", "renewed.wasm"]);
    follow(&project, &said);
    let run = ["node", "run", "hostile_output", "--until", "2026-02-01"];
    let said = refused(&run);
    follow(&project, &said);
    assert_eq!(
        project.json(&["node", "list"]).as_array().unwrap().len(),
        2,
        "the old identity and the new one"
    );

    // Two nodes write the table now: which one is meant has to be said.
    let said = refused(&run);
    assert_eq!(project.mended_by(&said), 1, "{said}");
    let candidates = said.lines().next().unwrap().split(": ").last().unwrap().to_owned();
    let hashes = project.json(&["node", "list"]);
    let now = hashes.as_array().unwrap().iter().map(|node| node["update_hash"].as_str().unwrap());
    let new = now
        .filter(|hash| candidates.contains(hash))
        .find(|hash| project.output(&["node", "run", hash, "--until", "2026-02-01"]).status.success());
    assert!(new.is_some(), "one of them runs: {candidates}");

    // Bytes of another component.
    project.upload("error_value");
    let other = project.json(&["component", "show", "error_value"])["digest"].as_str().unwrap().to_owned();
    let pinned = ["node", "create", WELL_BEHAVED, "--table", "hostile_output", "--pin", &other];
    let said = refused(&pinned);
    assert_eq!(project.mended_by(&said), 1);
    let digest = project.json(&["component", "show", WELL_BEHAVED])["digest"].as_str().unwrap().to_owned();
    project.run(&[&pinned[..6], &[digest.as_str()]].concat());
    insta::assert_snapshot!(transcript);
}

/// A trial needs room for a copy of the store.
#[test]
fn a_check_without_a_place_for_its_copy_says_so() {
    let project = Project::with_fx();
    let place = project.path().join(".datanode/spill");
    let _ = std::fs::remove_dir_all(&place);
    std::fs::write(&place, "a file where the directory should be").unwrap();
    let (exit, said) = project.fails(&["check", RETURNS, "--until", "1999-02-01"]);
    assert_eq!(exit, 5, "{said}");
    insta::assert_snapshot!(settled(&project, &said));
    std::fs::remove_file(&place).unwrap();
    project.run(&["check", RETURNS, "--until", "1999-02-01"]);
}

/// Sections of the reference whose errors are those of identity and contracts.
const SECTIONS: [&str; 5] = [
    "## Names and contracts",
    "## Rows from files",
    "## Revisions of tables",
    "## Configs",
    "## Nodes and dependencies",
];

/// Errors of other sections that belong here all the same.
const BESIDES: [&str; 10] = [
    "component.new_identity",
    "component.version_taken",
    "component.config_schema",
    "sandbox.nondeterministic",
    "store.ambiguous",
    "run.blocked",
    "check.scratch",
    "options.syntax",
    "statistics.coordinate",
    "table.drifted",
];

/// Shown by a test in another form: `tests/quality.rs` has the message of the run's record.
const ELSEWHERE: [&str; 1] = ["quality.failed"];

/// Each of these errors is shown in full by some test: in a snapshot beside it, or in one within it.
#[test]
fn every_error_of_the_reference_is_shown_by_a_test() {
    let reference = std::fs::read_to_string(root().join("docs/reference/errors.md")).unwrap();
    let mut codes: Vec<&str> = BESIDES.to_vec();
    for heading in SECTIONS {
        let section = reference.split(&format!("{heading}\n")).nth(1).expect(heading);
        let section = section.split("\n## ").next().unwrap();
        for entry in section.lines().filter(|line| line.starts_with("* `")) {
            let head = entry.split(" (").next().unwrap();
            codes.extend(head.split('`').skip(1).step_by(2));
        }
    }
    assert!(codes.len() > 60, "{codes:?}");
    codes.retain(|code| !ELSEWHERE.contains(code));
    let mut shown = String::new();
    for directory in ["tests", "host"] {
        collect(&root().join(directory), &mut shown);
    }
    let missing: Vec<&&str> =
        codes.iter().filter(|code| !shown.contains(&format!("error[{code}]: "))).collect();
    assert!(missing.is_empty(), "no snapshot shows {missing:?}");
}

/// All snapshots under a directory, and the sources, in which some stand.
fn collect(directory: &Path, text: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_text = path.extension().is_some_and(|extension| extension == "snap" || extension == "rs");
        if path.is_dir() {
            collect(&path, text);
        } else if is_text {
            *text += &std::fs::read_to_string(&path).unwrap();
        }
    }
}
