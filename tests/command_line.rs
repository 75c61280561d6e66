//! The likeliest mistakes of a user, and what they read.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use datanode_tests::Project;

#[test]
fn mistakes_are_answered_with_the_next_step() {
    let project = Project::with_fx();
    project.run(&["node", "run", "fx_ecb_daily_rates", "--until", "1999-01-10"]);
    let mut transcript = String::new();
    for arguments in [
        &["node", "run", "fx_rates"][..],
        &["node", "create", "fx_log_return", "--table", "fx_log_returns"],
        &["node", "create", "fx_log_returns", "--table", "returns"],
        &["node", "create", "fx_log_returns", "--table", "fx_log_returns", "--config", "{\"max_gap\": 5}"],
        &[
            "node",
            "create",
            "fx_log_returns",
            "--table",
            "fx_log_returns",
            "--config",
            "{\"rates_table\": \"nowhere\"}",
        ],
        &["node", "create", "fx_log_returns", "--table", "fx_ecb_daily_rates"],
        &["table", "read", "fx_ecb_daily_rates", "--where", "country=US"],
        &["table", "read", "fx_ecb_daily_rates", "--columns", "price"],
        &["table", "register", "missing.toml"],
        &["component", "show", "fx_log_returns@9"],
        &["source", "add", "ecb", "--path", "."],
        &["source", "grant", "nowhere", "fx_log_returns"],
        &["run", "show", "ffff"],
    ] {
        let (exit, said) = project.fails(arguments);
        let said = said.replace(project.path().to_str().unwrap(), "PROJECT");
        let said = said.replace(datanode_tests::root().to_str().unwrap(), "REPOSITORY");
        transcript += &format!("$ datanode {}\n{said}exit {exit}\n\n", arguments.join(" "));
    }
    insta::assert_snapshot!(transcript);
}

#[test]
fn errors_are_json_when_asked_for() {
    let project = Project::new();
    let (exit, said) = project.fails(&["table", "show", "nothing", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(exit, 2);
    assert_eq!(error["error"]["code"], "store.table_not_found");
    assert_eq!(error["error"]["class"], "usage");
}

#[test]
fn setting_up_again_changes_nothing() {
    let project = Project::with_fx();
    let contract = datanode_tests::root().join("examples/fx/contracts/fx_log_returns.toml");
    let again = project.json(&["table", "register", contract.to_str().unwrap()]);
    assert_eq!(again[0]["created"], false);
    let again = project.json(&["node", "create", "fx_log_returns", "--table", "fx_log_returns"]);
    assert_eq!(again.as_array().unwrap().len(), 2);
    assert!(again.as_array().unwrap().iter().all(|node| node["created"] == false));
    // Written in another way, the config is the same and so is the identity.
    let spelled = "{ \"max_gap_days\" : 10.0, \"rates_table\": \"fx_ecb_daily_rates\" }";
    let same =
        project.json(&["node", "create", "fx_log_returns", "--table", "fx_log_returns", "--config", spelled]);
    assert_eq!(same[1]["node"]["update_hash"], again[1]["node"]["update_hash"]);
    // In a namespace it is another node, and so are its dependencies.
    let isolated = project.json(&[
        "node",
        "create",
        "fx_log_returns",
        "--table",
        "fx_log_returns",
        "--hash-namespace",
        "mine",
    ]);
    for node in 0..2 {
        assert_eq!(isolated[node]["created"], true);
        assert_ne!(isolated[node]["node"]["update_hash"], again[node]["node"]["update_hash"]);
    }
}
