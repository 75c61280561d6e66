//! Identity through the command: `node hash` against the system's own tool, namespaces, labels.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use datanode_tests::{Project, root};
use serde_json::Value;

const RETURNS: &str = "fx_log_returns";
const VOLATILITY: &str = "fx_rolling_volatility";

fn sha256sum(bytes: &[u8]) -> String {
    let mut tool = Command::new("sha256sum");
    let mut tool =
        tool.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sha256sum, of coreutils");
    tool.stdin.take().unwrap().write_all(bytes).unwrap();
    let said = String::from_utf8(tool.wait_with_output().unwrap().stdout).unwrap();
    said.split_whitespace().next().unwrap().to_owned()
}

/// Ten nodes: the same before they are there and after, and what `--explain` prints has the digest that is said.
#[test]
fn the_document_of_ten_nodes_has_the_digest_that_sha256sum_finds() {
    let project = Project::with_fx_volatility();
    let mut hashes = BTreeSet::new();
    for (component, config, namespace) in [
        ("ecb_daily_fx_rates", "{}", ""),
        ("ecb_daily_fx_rates", r#"{"file": "other.zip"}"#, ""),
        ("ecb_daily_fx_rates", "{}", "mine"),
        (RETURNS, "{}", ""),
        (RETURNS, r#"{"max_gap_days": 5.0}"#, ""),
        (RETURNS, r#"{"max_gap_days": 5}"#, "mine"),
        (RETURNS, r#"{"offset_start": "2020-01-01"}"#, ""),
        (VOLATILITY, "{}", ""),
        (VOLATILITY, r#"{"n": 60}"#, ""),
        (VOLATILITY, r#"{"n": 60}"#, "theirs"),
    ] {
        let table = if component == "ecb_daily_fx_rates" { "fx_ecb_daily_rates" } else { component };
        let given = ["--table", table, "--config", config, "--hash-namespace", namespace];
        let thought_of = [&["node", "hash", "--component", component][..], &given].concat();
        let nodes = project.json(&["node", "list"]).as_array().unwrap().len();
        let before = project.json(&thought_of);
        let document = project.run(&[&thought_of[..], &["--explain"]].concat());
        assert_eq!(project.json(&["node", "list"]).as_array().unwrap().len(), nodes, "nothing is created");

        let created = project.json(&[&["node", "create", component][..], &given].concat());
        let hash =
            created.as_array().unwrap().last().unwrap()["node"]["update_hash"].as_str().unwrap().to_owned();
        let elsewhere = ["--hash-namespace", "elsewhere"];
        assert_eq!(
            project.json(&[&["node", "hash", &hash], &elsewhere[..]].concat())["update_hash"],
            project.json(
                &[&["node", "hash", "--component", component, "--config", config], &elsewhere[..]].concat()
            )["update_hash"],
            "what the node would be in another namespace"
        );
        let live = project.json(&["node", "hash", &hash]);
        assert_eq!(live, before, "before and after");
        let shown = project.json(&["node", "show", &hash]);
        assert_eq!(shown["metadata_digest"], live["metadata_digest"]);
        assert!(live["metadata_digest"].is_string());

        let explained = project.run(&["node", "hash", &hash, "--explain"]);
        assert_eq!((&explained, live["hashed_document"].as_str()), (&document, Some(document.as_str())));
        let digest = sha256sum(explained.as_bytes());
        assert_eq!(live["sha256"], digest.as_str());
        assert_eq!(hash, format!("{component}_{}", &digest[..32]));
        assert!(project.run(&["node", "hash", &hash]).contains(&digest));
        hashes.insert(hash);
    }
    assert_eq!(hashes.len(), 10);
}

#[test]
fn a_namespace_is_inherited_by_all_that_a_node_depends_on_and_ambient_when_not_given() {
    let project = Project::with_fx_volatility();
    let hashes = |project: &Project, namespace: &str| -> BTreeSet<String> {
        let create = ["node", "create", VOLATILITY, "--table", VOLATILITY, "--hash-namespace", namespace];
        let nodes = project.json(&create);
        nodes
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["node"]["update_hash"].as_str().unwrap().to_owned())
            .collect()
    };
    let (plain, mine) = (hashes(&project, ""), hashes(&project, "mine"));
    assert_eq!((plain.len(), mine.len()), (3, 3));
    assert!(plain.is_disjoint(&mine), "every node of the tree has another identity");
    assert_eq!(project.json(&["node", "list"]).as_array().unwrap().len(), 6);
    // A node that shares the dependencies finds them by their hash.
    let other = ["node", "create", VOLATILITY, "--table", VOLATILITY, "--hash-namespace", "mine"];
    project.run(&[&other[..], &["--config", r#"{"n": 60}"#]].concat());
    assert_eq!(project.json(&["node", "list"]).as_array().unwrap().len(), 7, "one node more, no dependency");

    let ambient = |more: &[&str]| {
        let mut command =
            project.command(&[&["node", "hash", "--component", VOLATILITY, "--json"], more].concat());
        let output = command.env("DATANODE_HASH_NAMESPACE", "mine").output().unwrap();
        let hash: Value = serde_json::from_slice(&output.stdout).unwrap();
        hash["update_hash"].as_str().unwrap().to_owned()
    };
    assert!(mine.contains(&ambient(&[])), "what is ambient counts");
    assert!(plain.contains(&ambient(&["--hash-namespace", ""])), "what is given counts more");
}

/// Labels, descriptions and cadence change the metadata digest, and nothing else: no hash, no digest of a run.
#[test]
fn labels_change_nothing_but_the_metadata_digest() {
    let project = Project::with_fx();
    project.run(&["node", "run", RETURNS, "--until", "1999-02-01"]);
    let relabelled = project.copy();
    let contract = std::fs::read_to_string(root().join("examples/fx/contracts/fx_log_returns.toml")).unwrap();
    let line = contract.lines().find(|line| line.starts_with("labels")).unwrap();
    let worded = contract.replace(line, "labels = [\"other\", \"labels\"]");
    std::fs::write(relabelled.path().join("relabelled.toml"), worded).unwrap();
    // A revision that is written and not applied, and what the rows are, before anything is worded anew.
    let digest = |project: &Project| project.json(&["table", "digest", RETURNS])["digest"].clone();
    assert!(digest(&project).is_string());
    let wider = contract.clone() + "\n[[columns]]\nname = \"note\"\ntype = \"string\"\nnullable = true\n";
    std::fs::write(relabelled.path().join("wider.toml"), wider).unwrap();
    relabelled.run(&["table", "revision", RETURNS, "-m", "a note", "--autogenerate", "wider.toml"]);

    relabelled.run(&["table", "register", "relabelled.toml"]);
    relabelled.run(&["table", "label", RETURNS, "--add", "one more"]);
    relabelled.run(&[
        "table",
        "describe",
        RETURNS,
        "--description",
        "In other words.",
        "--column-label",
        "log_return=R",
    ]);
    assert_eq!(digest(&project), digest(&relabelled));

    let nodes = |project: &Project| project.json(&["node", "list"]);
    assert_eq!(nodes(&project), nodes(&relabelled));
    let metadata = |project: &Project| project.json(&["node", "hash", RETURNS])["metadata_digest"].clone();
    assert_ne!(metadata(&project), metadata(&relabelled));
    let rates = |project: &Project| project.json(&["node", "hash", "fx_ecb_daily_rates"]);
    assert_eq!(rates(&project), rates(&relabelled), "another table's labels are no concern of this node");

    let runs = |project: &Project| -> Vec<Value> {
        let runs = project.json(&["node", "run", RETURNS, "--until", "1999-03-01"]);
        let kept = ["update_hash", "output_digest", "window", "rows_inserted", "config", "inputs"];
        let runs = runs.as_array().unwrap().iter();
        runs.map(|run| kept.iter().map(|field| run[*field].clone()).collect()).collect()
    };
    let (one, two) = (runs(&project), runs(&relabelled));
    assert!(one.iter().all(|run| run[1].is_string()), "there is a digest to compare: {one:?}");
    assert_eq!(one, two);
    assert_eq!(
        project.run(&["table", "read", RETURNS, "--limit", "0", "--format", "csv"]),
        relabelled.run(&["table", "read", RETURNS, "--limit", "0", "--format", "csv"])
    );
    assert_eq!(digest(&project), digest(&relabelled));
    // The revision begins at the contract as it was worded before, and applies all the same.
    relabelled.run(&["table", "upgrade", RETURNS]);
    let after = relabelled.json(&["table", "show", RETURNS])["contract"].clone();
    assert_eq!(after["columns"].as_array().unwrap().last().unwrap()["name"], "note");
    relabelled.run(&["table", "downgrade", RETURNS, "base"]);
    assert_eq!(digest(&project), digest(&relabelled));
}
