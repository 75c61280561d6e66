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

/// What a finding of a point says.
fn finding<'c>(checked: &'c Value, point: &str) -> &'c Value {
    let findings = checked["findings"].as_array().unwrap();
    let worst =
        findings.iter().filter(|one| one["point"] == point).max_by_key(|one| one["verdict"] == "fail");
    worst.unwrap_or_else(|| panic!("no finding of {point} in {checked:#}"))
}

#[test]
fn each_fault_of_a_component_fails_its_point() {
    let project = Project::new();
    project.upload("careless");
    let contract = datanode_tests::root().join("tests/hostile/contract.toml");
    let contract = contract.to_str().unwrap();
    let check = |fault: &str| {
        let config = format!("{{\"fault\": \"{fault}\"}}");
        judged(&project, &["careless", "--table", contract, "--config", &config, "--until", "2020-01-09"])
    };
    let (exit, checked) = check("none");
    assert_eq!(exit, 0, "{checked:#}");
    assert!(verdicts(&checked).values().all(|verdict| verdict != "fail"), "{checked:#}");
    for (fault, point, seen) in [
        ("by_window", "incremental", "two steps (until 2020-01-05, then the rest) give other rows than one"),
        ("failing", "incremental", "a second run over the same inputs fails: [node.error]"),
        ("secret", "logs", "a line of level info holds a field named `password`"),
        ("nameless", "identities", "1 of 1 identities (id) hold an empty text"),
    ] {
        let (exit, checked) = check(fault);
        let failed: Vec<String> = verdicts(&checked)
            .into_iter()
            .filter(|(_, verdict)| verdict == "fail")
            .map(|(point, _)| point)
            .collect();
        assert_eq!((exit, failed), (1, vec![point.to_owned()]), "{fault}: {checked:#}");
        let said = finding(&checked, point)["seen"].as_str().unwrap();
        assert!(said.starts_with(seen), "{fault}: {said}");
        assert!(!checked.to_string().contains("hunter2"), "a secret is not repeated");
    }
}

#[test]
fn a_component_that_does_not_fit_its_table_fails_before_it_is_run() {
    let project = Project::with_fx();
    let (exit, checked) = judged(&project, &["fx_log_returns", "--table", "fx_ecb_daily_rates"]);
    let points = verdicts(&checked);
    assert_eq!((exit, points["schema"].as_str(), points["test_run"].as_str()), (1, "fail", "skip"));
    assert_eq!(finding(&checked, "schema")["seen"], "the table has no column `log_return`");
}

#[test]
fn a_component_that_imports_what_is_impure_is_judged_and_not_uploaded() {
    let project = Project::new();
    let wat = "(component (import \"wasi:clocks/monotonic-clock@0.2.12\" (instance))
                 (instance $node) (export \"datanode:node/node@0.1.0\" (instance $node)))";
    fs::write(project.path().join("impure.wasm"), wat::parse_str(wat).unwrap()).unwrap();
    let (exit, checked) = judged(&project, &["impure.wasm"]);
    let points = verdicts(&checked);
    assert_eq!((exit, points.len(), points["deterministic"].as_str()), (1, 10, "fail"), "{checked:#}");
    assert!(
        points.iter().all(|(point, verdict)| point == "deterministic" || verdict == "skip"),
        "{checked:#}"
    );
    let found = finding(&checked, "deterministic");
    let seen = found["seen"].as_str().unwrap();
    assert!(
        seen.starts_with("[sandbox.imports_refused]") && seen.contains("wasi:clocks/monotonic-clock"),
        "{seen}"
    );
    assert!(found["mend"].as_str().unwrap().contains("clock"), "{found}");
    assert_eq!((&checked["component"], &checked["version"]), (&"impure.wasm".into(), &"?".into()));
    // What is no component at all gives nothing to judge.
    fs::write(project.path().join("no.wasm"), "no component").unwrap();
    let (exit, said) = project.fails(&["check", "no.wasm"]);
    assert!(exit == 3 && said.starts_with("error[sandbox.not_a_component]"), "{said}");
}
