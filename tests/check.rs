//! `datanode check`: every point of the checklist, judged on real components, without a trace in the store.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;

use datanode_tests::{Project, component};
use serde_json::Value;

/// The verdicts of a check, the worst of each point.
fn verdicts(checked: &Value) -> BTreeMap<String, String> {
    let rank =
        |verdict: &str| ["pass", "skip", "warn", "fail"].iter().position(|one| *one == verdict).unwrap();
    let mut worst: BTreeMap<String, String> = BTreeMap::new();
    for finding in checked["findings"].as_array().unwrap() {
        let text = |key: &str| finding[key].as_str().unwrap().to_owned();
        let entry = worst.entry(text("point")).or_insert_with(|| text("verdict"));
        if rank(&text("verdict")) > rank(entry) {
            *entry = text("verdict");
        }
        assert_eq!(finding["mend"].is_null(), finding["verdict"] == "pass", "{finding}");
    }
    worst
}

fn judged(project: &Project, arguments: &[&str]) -> (i32, Value) {
    let output = project.output(&[&["check"], arguments, &["--json"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let document = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), document)
}

/// Everything that the catalogue holds, to see that nothing changed.
fn catalogue(project: &Project) -> Vec<Value> {
    [&["component", "list"][..], &["table", "list"], &["node", "list"], &["run", "list"]]
        .map(|arguments| project.json(arguments))
        .to_vec()
}

#[test]
fn a_sound_node_passes_every_point_and_the_store_stays_as_it_was() {
    let project = Project::with_fx_volatility();
    let before = catalogue(&project);
    let (exit, checked) = judged(&project, &["fx_log_returns", "--until", "2001-03-01"]);
    let verdicts = verdicts(&checked);
    assert_eq!(verdicts.len(), 10, "{checked:#}");
    assert!(verdicts.values().all(|verdict| verdict == "pass"), "{checked:#}");
    assert_eq!((exit, checked["verdict"].as_str()), (0, Some("pass")));
    assert_eq!(
        (checked["component"].as_str(), checked["table"].as_str()),
        (Some("fx_log_returns"), Some("fx_log_returns"))
    );
    assert_eq!(catalogue(&project), before);
    let left: Vec<_> = fs::read_dir(project.path().join(".datanode/spill")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");

    // It looks back twenty returns over the seam of two steps.
    let (exit, checked) = judged(&project, &["fx_rolling_volatility", "--until", "2001-03-01", "--strict"]);
    assert_eq!(exit, 0, "{checked:#}");
}

#[test]
fn what_others_could_not_build_on_is_named_with_how_to_mend_it() {
    let project = Project::with_fx();
    let contract = project.path().join("data.toml");
    // No descriptions, no cadence, and a name that says nothing.
    let columns = ["open", "high", "low", "close"]
        .map(|name| format!("{{ name = \"{name}\", type = \"float64\", nullable = true }}"))
        .join(",\n");
    let text = format!(
        "identifier = \"data\"\nindex = [\"time_index\", \"series\"]\ncolumns = [\n\
         {{ name = \"time_index\", type = \"timestamp_tz\" }},\n{{ name = \"series\", type = \"string\" }},\n{columns}\n]\n"
    );
    fs::write(&contract, text).unwrap();
    let guest = component("many_rows");
    let config = "{\"rows\": 100, \"coordinates\": 10}";
    let arguments =
        [guest.to_str().unwrap(), "--table", "data.toml", "--config", config, "--until", "2020-01-01"];
    let (exit, _) = judged(&project, &arguments);
    assert_eq!(exit, 1);
    let said = project.output(&[&["check"], &arguments[..]].concat());
    insta::assert_snapshot!(String::from_utf8(said.stdout).unwrap());
    assert!(
        !project.json(&["component", "list"]).to_string().contains("many_rows"),
        "it was uploaded to the copy alone"
    );
}

#[test]
fn warnings_fail_a_strict_check_only() {
    let project = Project::with_fx();
    let contract = project.path().join("returns.toml");
    let registered = datanode_tests::root().join("examples/fx/contracts/fx_log_returns.toml");
    let text = fs::read_to_string(registered).unwrap().replace("\"fx_log_returns\"", "\"fx_log_returns_v2\"");
    fs::write(&contract, text).unwrap();
    let check = ["fx_log_returns", "--table", "returns.toml", "--until", "1999-06-01"];
    let (exit, checked) = judged(&project, &check);
    assert_eq!((exit, verdicts(&checked)["identifier"].as_str()), (0, "warn"), "{checked:#}");
    let (exit, _) = judged(&project, &[&check[..], &["--strict"]].concat());
    assert_eq!(exit, 1);
}

#[test]
fn a_component_that_fails_or_is_named_alone_is_judged_as_far_as_it_goes() {
    let project = Project::with_fx();
    let (exit, checked) = judged(&project, &["fx_log_returns", "--config", "{}"]);
    assert_eq!(exit, 0);
    let points = verdicts(&checked);
    assert_eq!((points["config"].as_str(), points["test_run"].as_str()), ("pass", "skip"), "{checked:#}");

    let trap = component("divides_by_zero");
    let contract = datanode_tests::root().join("tests/hostile/contract.toml");
    let (exit, checked) = judged(&project, &[trap.to_str().unwrap(), "--table", contract.to_str().unwrap()]);
    let points = verdicts(&checked);
    assert_eq!((exit, points["test_run"].as_str(), points["incremental"].as_str()), (1, "fail", "skip"));
    let run = checked["findings"].as_array().unwrap().iter().find(|one| one["point"] == "test_run").unwrap();
    assert!(run["seen"].as_str().unwrap().starts_with("[sandbox.trap"), "{run}");

    let (exit, said) = project.fails(&["check", "nothing_of_that_name"]);
    assert_eq!(exit, 2);
    assert!(said.contains("next:"), "{said}");
}
