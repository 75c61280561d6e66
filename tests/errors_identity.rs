//! What users read when an identity is refused, and that the next step named there mends it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use datanode_tests::{Project, root};

const RETURNS: &str = "fx_log_returns";

/// The command of the next step that an error names.
fn next_command(said: &str) -> Vec<String> {
    let (_, step) = said.split_once("next: ").expect("a next step");
    let (_, command) = step.split_once("datanode ").expect("a command");
    command.lines().next().unwrap().split_whitespace().map(str::to_owned).collect()
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

#[test]
fn each_refusal_of_a_config_names_the_place_and_what_the_field_means() {
    let project = Project::with_fx();
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
        if said.contains("next: see its fields") {
            let shown = project.run(&words(&next_command(&said)));
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
        if said.contains("next: ") {
            project.run(&words(&next_command(&said)));
        }
    }
    insta::assert_snapshot!(transcript);
}

#[test]
fn registering_the_table_that_is_named_mends_the_reference() {
    let project = Project::with_fx();
    let hash = ["node", "hash", "--component", RETURNS, "--config", r#"{"rates_table": "my_rates"}"#];
    let (exit, said) = project.fails(&hash);
    assert!(exit == 3 && said.contains("table `my_rates` at /rates_table"), "{said}");
    let contract =
        std::fs::read_to_string(root().join("examples/fx/contracts/fx_ecb_daily_rates.toml")).unwrap();
    let contract = contract.replace("\"fx_ecb_daily_rates\"", "\"my_rates\"");
    std::fs::write(project.path().join("my_rates.toml"), contract).unwrap();
    project.run(&words(&next_command(&said)));
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
        // Hashes hold uids, which are drawn by lot.
        while let Some(at) = said.find("depends_in_circles_") {
            said.replace_range(at..at + "depends_in_circles_".len() + 32, "UPDATE_HASH");
        }
        transcript += &format!("{config}\n{said}\n");
        assert!(project.run(&words(&next_command(&said))).contains("other"));
        assert_eq!(project.json(&["node", "list"]).as_array().unwrap().len(), 0, "nothing is left behind");
    }
    insta::assert_snapshot!(transcript);
}
