//! What a node has done, by whole runs on both databases: rows that come late, nodes that share a table, and runs that are
//! made again.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use datanode_tests::{Project, root};
use serde_json::Value;

const READINGS: &str = "daily_readings";
const OTHERS: &str = "other_readings";

/// A project with the component `daily_readings` and two tables of its shape.
fn with_tables(project: Project) -> Project {
    project.upload(READINGS);
    let contract = root().join("tests/guests/daily_readings/contract.toml");
    let text = std::fs::read_to_string(&contract).unwrap();
    let others = project.path().join("others.toml");
    std::fs::write(&others, text.replace(&format!("\"{READINGS}\""), &format!("\"{OTHERS}\""))).unwrap();
    project.run(&["table", "register", contract.to_str().unwrap(), others.to_str().unwrap()]);
    project
}

/// Its `update_hash`.
fn create(project: &Project, table: &str, config: &str) -> String {
    let planned = project.json(&["node", "create", READINGS, "--table", table, "--config", config]);
    planned[0]["node"]["update_hash"].as_str().unwrap().to_owned()
}

/// Run a node; its record.
fn run(project: &Project, node: &str, arguments: &[&str]) -> Value {
    let output = project.output(&[&["node", "run", node, "--json"], arguments].concat());
    let runs: Value = serde_json::from_slice(&output.stdout).unwrap();
    runs[0].clone()
}

fn inserted(project: &Project, node: &str, arguments: &[&str]) -> u64 {
    let record = run(project, node, arguments);
    assert!(matches!(record["status"].as_str(), Some("ok" | "empty" | "skipped")), "{record:#}");
    record["rows_inserted"].as_u64().unwrap()
}

fn rows(project: &Project, table: &str) -> u64 {
    let verified = project.json(&["stats", "verify", table]);
    assert_eq!(verified[0]["differences"].as_array().unwrap().len(), 0, "{verified:#}");
    project.json(&["table", "digest", table])["rows"].as_u64().unwrap()
}

fn digest(project: &Project, table: &str) -> Value {
    project.json(&["table", "digest", table])["digest"].clone()
}

/// Start, end and state of the windows of a node.
fn windows(project: &Project, node: &str) -> Vec<(String, String, String)> {
    let text =
        |value: &Value| value.as_str().map_or("…".to_owned(), |text| text.chars().take(10).collect());
    let windows = project.json(&["node", "windows", node]);
    let windows = windows.as_array().unwrap().iter();
    windows.map(|window| (text(&window["start"]), text(&window["end"]), text(&window["state"]))).collect()
}

macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(#[test]
            fn $name() {
                super::$name(&super::with_tables(super::Project::new()));
            })*
        }

        mod server {
            $(#[test]
            fn $name() {
                super::$name(&super::with_tables(super::Project::on_server()));
            })*
        }
    };
}

fn rows_that_come_late_are_stored_and_none_twice(project: &Project) {
    create(project, READINGS, "{}");
    let late = ["--option", "missing=[\"2020-01-02\", \"2020-01-15\"]"];
    assert_eq!(inserted(project, READINGS, &[&late[..], &["--until", "2020-01-20"]].concat()), 18);
    // Both days have arrived by now; without a lookback nobody looks there again.
    assert_eq!(inserted(project, READINGS, &["--until", "2020-01-21"]), 1);
    project.run(&["node", "set", READINGS, "lookback=7d"]);
    let record = run(project, READINGS, &["--until", "2020-01-22"]);
    assert_eq!((&record["rows_inserted"], &record["lookback"]), (&2.into(), &"7d".into()), "{record:#}");
    assert_eq!(record["statistics"]["max_time"], "2020-01-14T00:00:00.000000Z", "what it was told");
    assert_eq!(rows(project, READINGS), 21, "all but the day that lies further back");
    assert_eq!(inserted(project, READINGS, &["--until", "2020-01-22"]), 0);
    // As far back as there are rows: the same table as one that was filled when all had arrived.
    project.run(&["node", "set", READINGS, "lookback=1mo"]);
    assert_eq!(inserted(project, READINGS, &["--until", "2020-01-22"]), 1);
    create(project, OTHERS, "{}");
    inserted(project, OTHERS, &["--until", "2020-01-22"]);
    assert_eq!(digest(project, READINGS), digest(project, OTHERS));
    project.run(&["node", "set", READINGS, "lookback="]);
    assert_eq!(run(project, READINGS, &["--until", "2020-01-22"])["status"], "skipped");
}

fn late_rows_overwrite_what_is_there_where_the_node_says_so(project: &Project) {
    create(project, READINGS, "{}");
    let plus = |plus: &str| ["--option".to_owned(), format!("plus={plus}")];
    let run_with = |until: &str, value: &str| {
        let option = plus(value);
        run(project, READINGS, &["--until", until, &option[0], &option[1]])
    };
    assert_eq!(run_with("2020-01-20", "0")["rows_inserted"], 20);
    project.run(&["node", "set", READINGS, "lookback=3d"]);
    let kept = run_with("2020-01-21", "0.5");
    assert_eq!(
        (&kept["rows_inserted"], &kept["rows_updated"], &kept["rows_unchanged"]),
        (&1.into(), &0.into(), &3.into())
    );
    assert_eq!(kept["late_rows"], Value::Null);

    project.run(&["node", "set", READINGS, "late_rows=overwrite"]);
    assert!(project.run(&["node", "show", READINGS]).contains("lookback 3d, late rows overwrite"));
    let dry = ["--dry-run", "--until", "2020-01-22", "--option", "plus=0.5"];
    let would = project.json(&[&["node", "run", READINGS], &dry[..]].concat())["run"].clone();
    let overwritten = run_with("2020-01-22", "0.5");
    for record in [&would, &overwritten] {
        // The last one was written with this value.
        let counts = [&record["rows_inserted"], &record["rows_updated"], &record["rows_unchanged"]];
        assert_eq!(counts, [&Value::from(1), &2.into(), &1.into()], "{record:#}");
        assert_eq!(record["late_rows"], "overwrite");
    }
    let replayed = project.json(&["run", "replay", overwritten["run_id"].as_str().unwrap()]);
    assert_eq!(replayed[0]["verdict"], "identical");
    let stored = project.json(&["table", "read", READINGS, "--limit", "0"]);
    let fresh = stored.as_array().unwrap().iter().filter(|row| row["value"].as_f64().unwrap().fract() != 0.0);
    assert_eq!((rows(project, READINGS), fresh.count()), (22, 4));
    // Without a lookback no run looks back, and so none overwrites.
    project.run(&["node", "set", READINGS, "lookback="]);
    let plain = run_with("2020-01-23", "7");
    assert_eq!(
        (&plain["rows_inserted"], &plain["rows_updated"], &plain["late_rows"]),
        (&1.into(), &0.into(), &Value::Null)
    );
}

fn nodes_that_share_a_table_indexed_by_time_lose_no_row(project: &Project) {
    let even = create(project, READINGS, r#"{"every": 2}"#);
    let odd = create(project, READINGS, r#"{"every": 2, "remainder": 1}"#);
    assert_eq!(inserted(project, &even, &["--until", "2020-01-31"]), 16);
    // Its rows lie before and between those that are there.
    assert_eq!(inserted(project, &odd, &["--until", "2020-01-31"]), 15);
    assert_eq!(inserted(project, &odd, &["--until", "2020-02-10"]), 5);
    assert_eq!(inserted(project, &even, &["--until", "2020-02-10"]), 5);
    create(project, OTHERS, "{}");
    inserted(project, OTHERS, &["--until", "2020-02-10"]);
    assert_eq!(digest(project, READINGS), digest(project, OTHERS));
    assert_eq!(inserted(project, &even, &["--until", "2020-02-10", "--force"]), 0);

    // A deleted tail comes back from both.
    let delete = ["table", "delete-after", READINGS, "2020-01-20"];
    let dry = project.json(&[&delete[..], &["--dry-run"]].concat());
    let deleted = project.json(&[&delete[..], &["--yes"]].concat());
    assert_eq!((&deleted["rows"], &deleted["reopened"]), (&22.into(), &dry["reopened"]));
    let reopened = deleted["reopened"].as_array().unwrap();
    let mut nodes: Vec<&str> = reopened.iter().map(|node| node["update_hash"].as_str().unwrap()).collect();
    let mut both = [even.as_str(), odd.as_str()];
    nodes.sort_unstable();
    both.sort_unstable();
    assert_eq!(nodes, both);
    assert!(reopened.iter().all(|node| node["windows"][0]["start"] == "2020-01-20T00:00:00.000000Z"));
    assert_eq!(inserted(project, &odd, &["--until", "2020-02-10"]), 11);
    assert_eq!(inserted(project, &even, &["--until", "2020-02-10"]), 11);
    assert_eq!(digest(project, READINGS), digest(project, OTHERS));
    assert_eq!(rows(project, READINGS), 41);
}

fn a_failed_run_is_made_again_over_its_own_window(project: &Project) {
    create(project, READINGS, "{}");
    inserted(project, READINGS, &["--until", "2020-01-10"]);
    let failing = ["--until", "2020-01-15", "--option", "fails=true"];
    let failed = run(project, READINGS, &failing);
    let id = failed["run_id"].as_str().unwrap();
    assert_eq!(failed["status"], "failed");
    let state = |state: &str| ("2020-01-10".to_owned(), "2020-01-15".to_owned(), state.to_owned());
    let first = |state: &str| ("…".to_owned(), "2020-01-10".to_owned(), state.to_owned());
    assert_eq!(windows(project, READINGS), [first("done"), state("failed")]);
    // It has the options of the failed run, and so fails again.
    assert_eq!(project.fails(&["run", "retry", id]).0, 1);
    let listed = project.json(&["node", "windows", READINGS, "--state", "failed"]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["failures"]), (1, &2.into()));

    let again = project.json(&["run", "retry", id, "--option", "fails=false"])[0].clone();
    assert_eq!((&again["window"], &again["retry_of"]), (&failed["window"], &failed["run_id"]));
    assert_eq!((&again["status"], &again["rows_inserted"]), (&"ok".into(), &5.into()), "{again:#}");
    assert_eq!(windows(project, READINGS), [("…".to_owned(), "2020-01-15".to_owned(), "done".to_owned())]);
    // Later rows do not keep it from its window, nor does it write anything twice.
    inserted(project, READINGS, &["--until", "2020-01-20"]);
    let third = project.json(&["run", "retry", id, "--option", "fails=false"])[0].clone();
    assert_eq!((&third["rows_inserted"], &third["rows_unchanged"]), (&0.into(), &5.into()), "{third:#}");
    assert_eq!(third["window"], failed["window"]);
    assert_eq!(rows(project, READINGS), 20);
    let (exit, said) = project.fails(&["run", "retry", again["run_id"].as_str().unwrap()]);
    assert!(exit == 3 && said.starts_with("error[run.not_failed]"), "{said}");
}

/// A run that computes while something else happens; its record, and the exit code of its process.
fn meanwhile(
    project: &Project,
    node: &str,
    arguments: &[&str],
    happens: impl FnOnce(),
) -> (Value, Option<i32>) {
    // Long enough to be stopped in the middle of it.
    let slow = ["node", "run", node, "--json", "--progress", "json", "--option", "rounds=1500000000"];
    let mut child = project
        .command(&[&slow[..], arguments].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        events.any(|line| line.unwrap().contains("\"event\":\"updating\"")),
        "it ended before it computed"
    );
    let signal = |signal: &str| {
        let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(status.unwrap().success());
    };
    signal("-STOP");
    happens();
    signal("-CONT");
    // Read to its end, so that the process may go on to tell.
    let telling = std::thread::spawn(move || events.count());
    let output = child.wait_with_output().unwrap();
    telling.join().unwrap();
    let runs: Value = serde_json::from_slice(&output.stdout).unwrap();
    (runs[0].clone(), output.status.code())
}

fn a_run_that_was_overtaken_is_made_again_and_leaves_no_hole(project: &Project) {
    create(project, READINGS, "{}");
    inserted(project, READINGS, &["--until", "2020-01-10"]);
    let delete = || {
        project.run(&["table", "delete-after", READINGS, "2020-01-06", "--yes"]);
    };
    let (record, exit) = meanwhile(project, READINGS, &["--until", "2020-01-20"], delete);
    assert_eq!(
        (exit, &record["status"], &record["rows_inserted"]),
        (Some(0), &"ok".into(), &15.into()),
        "{record:#}"
    );
    let failed = project.json(&["run", "list", "--status", "failed"]);
    assert_eq!(failed.as_array().unwrap().len(), 1, "{failed:#}");
    assert_eq!(failed[0]["error"]["code"], "commit.table_moved");
    assert_eq!(record["retry_of"], failed[0]["run_id"]);
    // It was to store from the eleventh on; what the delete has opened before comes first.
    assert_eq!(failed[0]["window"]["start"], "2020-01-11T00:00:00.000000Z");
    let window = (&record["window"]["start"], &record["window"]["end"]);
    assert_eq!(window, (&"2020-01-06T00:00:00.000000Z".into(), &failed[0]["window"]["end"]));
    assert_eq!(rows(project, READINGS), 20);
    assert_eq!(run(project, READINGS, &["--until", "2020-01-20"])["status"], "skipped");
    assert_eq!(windows(project, READINGS), [("…".to_owned(), "2020-01-20".to_owned(), "done".to_owned())]);
    assert_eq!(rows(project, READINGS), 20);

    // So often as the node is set, and no more.
    project.run(&["node", "set", READINGS, "retries=0"]);
    let (record, exit) = meanwhile(project, READINGS, &["--until", "2020-01-30"], delete);
    assert_eq!((exit, &record["error"]["code"]), (Some(5), &"commit.table_moved".into()), "{record:#}");
    assert_eq!(inserted(project, READINGS, &["--until", "2020-01-30"]), 25);
    assert_eq!(rows(project, READINGS), 30);
}

/// Each value is one more than the one before, which the node reads from its own table: what is stored out of order is wrong.
fn what_is_made_again_is_computed_from_all_that_lies_before_it(project: &Project) {
    const COUNTS: [&str; 2] = ["--option", "counts=true"];
    let until = |day: &'static str| [&COUNTS[..], &["--until", day]].concat();
    create(project, READINGS, "{}");
    assert_eq!(inserted(project, READINGS, &until("2020-01-10")), 10);
    let (record, exit) = meanwhile(project, READINGS, &until("2020-01-20"), || {
        project.run(&["table", "delete-after", READINGS, "2020-01-06", "--yes"]);
    });
    assert_eq!((exit, &record["status"]), (Some(0), &"ok".into()), "{record:#}");
    assert!(record["retry_of"].is_string(), "it was not overtaken, so this test has shown nothing");
    // As a table that nothing has disturbed.
    create(project, OTHERS, "{}");
    assert_eq!(inserted(project, OTHERS, &until("2020-01-20")), 20);
    assert_eq!(digest(project, READINGS), digest(project, OTHERS));

    // By hand: a run has failed, and a tail is deleted that reaches further back.
    let failed = run(project, READINGS, &[&until("2020-01-25")[..], &["--option", "fails=true"]].concat());
    assert_eq!(
        (&failed["status"], &failed["window"]["start"]),
        (&"failed".into(), &"2020-01-21T00:00:00.000000Z".into())
    );
    project.run(&["table", "delete-after", READINGS, "2020-01-18", "--yes"]);
    let id = failed["run_id"].as_str().unwrap();
    let again = project.json(&["run", "retry", id, "--option", "fails=false"])[0].clone();
    assert_eq!((&again["status"], &again["rows_inserted"]), (&"ok".into(), &8.into()), "{again:#}");
    let window = (&again["window"]["start"], &again["window"]["end"]);
    assert_eq!(window, (&"2020-01-18T00:00:00.000000Z".into(), &failed["window"]["end"]));
    inserted(project, OTHERS, &until("2020-01-25"));
    assert_eq!(digest(project, READINGS), digest(project, OTHERS));
    assert_eq!(windows(project, READINGS), [("…".to_owned(), "2020-01-25".to_owned(), "done".to_owned())]);
}

/// Another node has stored rows of the same time meanwhile, and so taken nothing back that this one has done.
fn a_run_that_was_overtaken_has_its_own_window_where_nothing_before_it_is_open(project: &Project) {
    let even = create(project, READINGS, r#"{"every": 2}"#);
    let odd = create(project, READINGS, r#"{"every": 2, "remainder": 1}"#);
    for node in [&even, &odd] {
        inserted(project, node, &["--until", "2020-01-10"]);
    }
    let (record, exit) = meanwhile(project, &odd, &["--until", "2020-01-20"], || {
        assert_eq!(inserted(project, &even, &["--until", "2020-01-20"]), 5);
    });
    assert_eq!((exit, &record["rows_inserted"]), (Some(0), &5.into()), "{record:#}");
    let failed = project.json(&["run", "list", "--status", "failed"]);
    assert_eq!(failed[0]["error"]["code"], "commit.table_moved", "{failed:#}");
    assert_eq!((&record["retry_of"], &record["window"]), (&failed[0]["run_id"], &failed[0]["window"]));
    assert_eq!(rows(project, READINGS), 20);
}

/// The node finds nothing, since its source has nothing yet; meanwhile rows that it was told of are deleted.
fn a_run_without_rows_closes_no_window_that_was_opened_meanwhile(project: &Project) {
    let even = create(project, READINGS, r#"{"every": 2}"#);
    let odd = create(project, READINGS, r#"{"every": 2, "remainder": 1}"#);
    for node in [&even, &odd] {
        inserted(project, node, &["--until", "2020-01-10"]);
        project.run(&["node", "set", node, "retries=0"]);
    }
    let missing: Vec<String> = (11..=20).map(|day| format!("\"2020-01-{day}\"")).collect();
    let missing = format!("missing=[{}]", missing.join(","));
    let arguments = ["--until", "2020-01-20", "--option", &missing];
    let (record, _) = meanwhile(project, &even, &arguments, || {
        project.run(&["table", "delete-after", READINGS, "2020-01-06", "--yes"]);
    });
    assert_eq!(record["error"]["code"], "commit.table_moved", "{record:#}");
    assert_eq!(record["rows_emitted"], 0);
    for node in [&even, &odd] {
        inserted(project, node, &["--until", "2020-01-20"]);
    }
    assert_eq!(rows(project, READINGS), 20);
}

fn settings_are_shown_and_what_is_none_is_refused(project: &Project) {
    create(project, READINGS, "{}");
    assert_eq!(
        project.run(&["node", "windows", READINGS]),
        format!("the node has not been run yet; run it: datanode node run {READINGS}\n")
    );
    let set = project.json(&["node", "set", READINGS, "lookback=7d", "retries=3"]);
    assert_eq!(set["settings"], serde_json::json!({ "lookback": "7d", "retries": 3 }));
    assert!(project.run(&["node", "show", READINGS]).contains("lookback 7d, retries 3"));
    let hash = project.json(&["node", "show", READINGS])["node"]["update_hash"].clone();
    assert_eq!(set["update_hash"], hash, "settings are never hashed");
    for (setting, code) in [
        ("lookback", "node.setting_syntax"),
        ("colour=red", "node.setting_unknown"),
        ("lookback=soon", "node.setting_value"),
        ("late_rows=drop", "node.setting_value"),
    ] {
        let (exit, said) = project.fails(&["node", "set", READINGS, setting]);
        assert!(exit == 2 && said.starts_with(&format!("error[{code}]")), "{said}");
    }
}

on_both_databases!(
    rows_that_come_late_are_stored_and_none_twice,
    late_rows_overwrite_what_is_there_where_the_node_says_so,
    nodes_that_share_a_table_indexed_by_time_lose_no_row,
    a_failed_run_is_made_again_over_its_own_window,
    a_run_that_was_overtaken_is_made_again_and_leaves_no_hole,
    what_is_made_again_is_computed_from_all_that_lies_before_it,
    a_run_that_was_overtaken_has_its_own_window_where_nothing_before_it_is_open,
    a_run_without_rows_closes_no_window_that_was_opened_meanwhile,
    settings_are_shown_and_what_is_none_is_refused,
);
