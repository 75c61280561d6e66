//! Backfills by whole runs on both databases: what they store, what is kept of them, and what goes on beside them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::float_cmp)] // whole numbers and halves, which come back as they are

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use datanode_tests::{Project, on_both_databases, root};
use serde_json::{Value, json};

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

/// A project with the component `daily_series` and its table.
fn with_series(project: Project) -> Project {
    project.upload("daily_series");
    let contract = root().join("tests/guests/daily_series/contract.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    project
}

/// Its `update_hash`.
fn create(project: &Project, table: &str, config: &str) -> String {
    let planned = project.json(&["node", "create", READINGS, "--table", table, "--config", config]);
    planned[0]["node"]["update_hash"].as_str().unwrap().to_owned()
}

fn run_until(project: &Project, node: &str, until: &str) -> Value {
    let run = project.json(&["node", "run", node, "--until", until])[0].clone();
    assert!(matches!(run["status"].as_str(), Some("ok" | "empty" | "skipped")), "{run:#}");
    run
}

/// A backfill that ends as it says; how it stands then.
fn backfill(project: &Project, node: &str, range: [&str; 2], arguments: &[&str]) -> Value {
    let [from, to] = range;
    project.json(&[&["node", "backfill", node, "--from", from, "--to", to], arguments].concat())
}

/// The same where a window fails.
fn failing(project: &Project, node: &str, range: [&str; 2], arguments: &[&str]) -> Value {
    let [from, to] = range;
    let begin = ["node", "backfill", node, "--from", from, "--to", to, "--json"];
    let output = project.output(&[&begin[..], arguments].concat());
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn id(backfill: &Value) -> &str {
    backfill["backfill_id"].as_str().unwrap()
}

fn shown(project: &Project, backfill: &Value) -> Value {
    project.json(&["node", "backfill", "show", id(backfill)])
}

fn statuses(project: &Project, backfill: &Value) -> Vec<String> {
    let windows = shown(project, backfill)["windows"].clone();
    windows.as_array().unwrap().iter().map(|window| window["status"].as_str().unwrap().to_owned()).collect()
}

/// Day and value of all rows.
fn rows(project: &Project, table: &str) -> Vec<(String, f64)> {
    let verified = project.json(&["stats", "verify", table]);
    assert_eq!(verified[0]["differences"].as_array().unwrap().len(), 0, "{verified:#}");
    let rows = project.json(&["table", "read", table, "--limit", "0"]);
    let row =
        |row: &Value| (row["time_index"].as_str().unwrap()[..10].to_owned(), row["value"].as_f64().unwrap());
    rows.as_array().unwrap().iter().map(row).collect()
}

fn digest(project: &Project, table: &str) -> Value {
    project.json(&["table", "digest", table])["digest"].clone()
}

/// Start, end, state and kind of the windows of a node.
fn windows(project: &Project, node: &str) -> Vec<String> {
    let text = |value: &Value| {
        value.as_str().map_or("…".to_owned(), |text| text.chars().take(10).collect::<String>())
    };
    let windows = project.json(&["node", "windows", node]);
    let line = |window: &Value| ["start", "end", "state", "kind"].map(|field| text(&window[field])).join(" ");
    windows.as_array().unwrap().iter().map(line).collect()
}

/// 2020-01-01, as days since 1970-01-01.
const FIRST_DAY: f64 = 18_262.0;

fn a_backfill_overwrites_or_leaves_what_is_there(project: Project) {
    let project = with_tables(project);
    create(&project, READINGS, "{}");
    run_until(&project, READINGS, "2020-01-31");
    let range = ["2020-01-05", "2020-01-20"];
    let plus = ["--overwrite", "--step", "5d", "--option", "plus=1000"];
    let done = backfill(&project, READINGS, range, &plus);
    assert_eq!((&done["state"], &done["windows"]["done"]), (&"done".into(), &4.into()), "{done:#}");
    assert_eq!(done["rows"], json!({"inserted": 0, "updated": 16, "unchanged": 0}));
    let stored = rows(&project, READINGS);
    assert_eq!(stored.len(), 31);
    assert_eq!(
        (stored[3].1, stored[4].1, stored[20].1),
        (FIRST_DAY + 3.0, FIRST_DAY + 1004.0, FIRST_DAY + 20.0)
    );
    assert_eq!(stored[19].1, FIRST_DAY + 1019.0);

    // What is there stays, and nothing moves back.
    let plus = ["--append-only", "--step", "3", "--option", "plus=5"];
    let again = backfill(&project, READINGS, range, &plus);
    assert_eq!(again["rows"], json!({"inserted": 0, "updated": 0, "unchanged": 16}));
    assert_eq!((&again["step"], &again["windows"]["done"]), (&"3d".into(), &6.into()));
    assert_eq!(rows(&project, READINGS), stored);
    let next = run_until(&project, READINGS, "2020-02-01");
    assert_eq!(
        (&next["rows_inserted"], &next["window"]["start"]),
        (&1.into(), &"2020-02-01T00:00:00.000000Z".into())
    );

    // Records and ledger say what it was, and each run can be executed again.
    let runs = project.json(&["run", "list", "--limit", "0"]);
    let backfills: Vec<&Value> =
        runs.as_array().unwrap().iter().filter(|run| run["kind"] == "backfill").collect();
    assert_eq!(backfills.len(), 10);
    let place =
        |run: &Value| run["backfill"]["backfill_id"] == done["backfill_id"] && run["backfill"]["window"] == 4;
    let fourth: Vec<&&Value> = backfills.iter().filter(|run| place(run)).collect();
    assert_eq!((fourth.len(), &fourth[0]["rows_updated"]), (1, &1.into()));
    assert_eq!(
        fourth[0]["window"],
        json!({"start": "2020-01-20T00:00:00.000000Z", "end": "2020-01-20T00:00:00.000000Z"})
    );
    assert_eq!(fourth[0]["statistics"]["max_time"], "2020-01-31T00:00:00.000000Z", "it is told the truth");
    let shown = project.run(&["run", "show", fourth[0]["run_id"].as_str().unwrap()]);
    assert!(shown.contains(&format!("{}, window 4", id(&done))), "{shown}");
    let replayed = project.json(&["run", "replay", "--all"]);
    let verdicts: Vec<&Value> = replayed.as_array().unwrap().iter().map(|run| &run["verdict"]).collect();
    assert_eq!(verdicts, vec!["identical"; 12]);
}

/// Windows in all states.
fn total(backfill: &Value) -> u64 {
    backfill["windows"].as_object().unwrap().values().map(|windows| windows.as_u64().unwrap()).sum()
}

fn an_empty_table_is_filled_window_by_window(project: Project) {
    let project = with_tables(project);
    create(&project, READINGS, "{}");
    create(&project, OTHERS, "{}");
    let arguments = ["--append-only", "--step", "10d", "--concurrency", "4"];
    let done = backfill(&project, READINGS, ["2019-12-01", "2020-06-30"], &arguments);
    assert_eq!((&done["state"], total(&done)), (&"done".into(), 22), "{done:#}");
    assert_eq!(
        (&done["windows"]["empty"], &done["rows"]["inserted"]),
        (&3.into(), &182.into()),
        "there is nothing in 2019"
    );
    run_until(&project, OTHERS, "2020-06-30");
    assert_eq!(digest(&project, READINGS), digest(&project, OTHERS));
    assert_eq!(
        windows(&project, READINGS),
        ["2019-12-01 2019-12-30 empty backfill", "2019-12-31 2020-06-30 done backfill"]
    );
    // Runs go on behind it, from what it has left open before.
    let next = run_until(&project, READINGS, "2020-07-02");
    assert_eq!((&next["rows_inserted"], &next["window"]["start"]), (&2.into(), &Value::Null));
    assert_eq!(project.run(&["node", "backfill", "list", "--node", OTHERS]).lines().count(), 1);
}

fn a_backfill_that_fails_or_is_paused_is_resumed_where_it_stands(project: Project) {
    let project = with_tables(project);
    create(&project, READINGS, "{}");
    let range = ["2020-01-01", "2020-01-20"];
    let fails = "fails_on=[\"2020-01-12\"]";
    let failed = failing(&project, READINGS, range, &["--append-only", "--step", "5d", "--option", fails]);
    assert_eq!((&failed["state"], &failed["rows"]["inserted"]), (&"failed".into(), &10.into()), "{failed:#}");
    assert_eq!(statuses(&project, &failed), ["done", "done", "failed", "pending"]);
    let window = shown(&project, &failed)["windows"][2].clone();
    assert_eq!(
        (&window["error"]["code"], &window["attempts"]),
        (&"node.error".into(), &1.into()),
        "{window:#}"
    );
    let record = project.json(&["run", "show", window["run_id"].as_str().unwrap()]);
    assert_eq!((&record["status"], &record["kind"]), (&"failed".into(), &"backfill".into()));
    // The node knows of it as well.
    assert_eq!(
        windows(&project, READINGS),
        [
            "2020-01-01 2020-01-10 done backfill",
            "2020-01-10 2020-01-10 empty backfill",
            "2020-01-11 2020-01-15 failed backfill"
        ]
    );
    let (exit, said) = project.fails(&["run", "retry", window["run_id"].as_str().unwrap()]);
    assert!(exit == 3 && said.starts_with("error[run.of_a_backfill]"), "{said}");
    assert!(said.contains(&format!("datanode node backfill resume {}", id(&failed))), "{said}");
    let (exit, said) = project.fails(&["node", "backfill", "resume", id(&failed)]);
    assert!(
        exit == 1 && said.contains("window 3, 2020-01-11 to") && said.contains("node backfill resume"),
        "{said}"
    );

    let control = |verb: &str| project.json(&["node", "backfill", verb, id(&failed)])["state"].clone();
    assert_eq!(control("pause"), "paused");
    assert_eq!(control("pause"), "paused");
    let mended = ["node", "backfill", "resume", id(&failed), "--option", "fails_on=[]"];
    let done = project.json(&mended);
    assert_eq!((&done["state"], &done["rows"]["inserted"]), (&"done".into(), &20.into()), "{done:#}");
    assert_eq!(rows(&project, READINGS).len(), 20);
    assert!(windows(&project, READINGS).iter().all(|window| !window.contains("failed")));
    let (exit, said) = project.fails(&mended);
    assert!(exit == 3 && said.starts_with("error[backfill.over]"), "{said}");
    project.mended_by(&said);

    // The others first, where it is asked for.
    let arguments = ["--overwrite", "--step", "5d", "--keep-going", "--concurrency", "2", "--option", fails];
    let failed = failing(&project, READINGS, range, &arguments);
    assert_eq!(statuses(&project, &failed), ["done", "done", "failed", "done"]);
    assert_eq!(project.json(&["node", "backfill", "cancel", id(&failed)])["state"], "cancelled");
    let (exit, said) = project.fails(&["node", "backfill", "resume", id(&failed)]);
    assert!(exit == 3 && said.starts_with("error[backfill.over]"), "{said}");
    let listed = project.json(&["node", "backfill", "list"]);
    let states: Vec<&Value> = listed.as_array().unwrap().iter().map(|backfill| &backfill["state"]).collect();
    assert_eq!(states, ["cancelled", "done"]);
}

fn a_node_that_reads_its_own_table_is_run_in_order(project: Project) {
    let project = with_tables(project);
    create(&project, READINGS, "{}");
    create(&project, OTHERS, "{}");
    let range = ["2020-01-01", "2020-01-31"];
    let counts = ["--option", "counts=true", "--overwrite"];
    let many = [&counts[..], &["--step", "3d", "--concurrency", "4"]].concat();
    let done = backfill(&project, READINGS, range, &many);
    assert_eq!((&done["state"], &done["is_ordered"]), (&"done".into(), &true.into()), "{done:#}");
    let values: Vec<f64> = rows(&project, READINGS).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, (1..=31).map(f64::from).collect::<Vec<_>>());
    let one = backfill(&project, OTHERS, range, &counts);
    assert_eq!((total(&one), &one["is_ordered"]), (1, &false.into()));
    assert_eq!(digest(&project, READINGS), digest(&project, OTHERS));
    // What was computed too early is told.
    let early = project.json(&["run", "list", "--status", "failed", "--limit", "0"]);
    assert!(early.as_array().unwrap().iter().all(|run| run["error"]["code"] == "backfill.window_ahead"));
}

/// A window is computed from what earlier ones have stored, and the backfill does not go back to those.
fn a_tail_that_is_deleted_behind_a_window_that_reads_it_stops_the_backfill(project: Project) {
    let project = with_tables(project);
    create(&project, READINGS, "{}");
    let counts = ["--append-only", "--step", "10d", "--option", "counts=true"];
    let fails = [&counts[..], &["--option", "fails_on=[\"2020-01-15\"]"]].concat();
    let begun = failing(&project, READINGS, ["2020-01-01", "2020-01-20"], &fails);
    assert_eq!(statuses(&project, &begun), ["done", "failed"]);
    project.run(&["table", "delete-after", READINGS, "2020-01-06", "--yes"]);
    let resume = ["node", "backfill", "resume", id(&begun), "--option", "fails_on=[]"];
    let (exit, said) = project.fails(&resume);
    assert_eq!(exit, 3, "{said}");
    let second = shown(&project, &begun)["windows"][1].clone();
    assert_eq!(
        (&second["status"], &second["error"]["code"]),
        (&"failed".into(), &"backfill.range_opened".into())
    );
    assert_eq!(rows(&project, READINGS).len(), 5, "nothing was computed from less than there should be");
    let record = project.json(&["run", "show", second["run_id"].as_str().unwrap()]);
    let next = record["error"]["next_step"].as_str().unwrap();
    assert!(next.contains("datanode node run") && next.contains(&format!("resume {}", id(&begun))), "{next}");

    let until = ["--until", "2020-01-20", "--option", "counts=true"];
    project.run(&[&["node", "run", READINGS], &until[..]].concat());
    assert_eq!(project.json(&resume)["state"], "done");
    let values: Vec<f64> = rows(&project, READINGS).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, (1..=20).map(f64::from).collect::<Vec<_>>());
}

/// A process that works on something, and tells its events.
struct Working {
    child: Child,
    events: Receiver<String>,
}

impl Working {
    fn start(project: &Project, arguments: &[&str]) -> Self {
        let mut child = project
            .command(&[arguments, &["--json", "--progress", "json"]].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (send, events) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, events }
    }

    fn until(&self, event: &str) {
        let event = format!("\"event\":\"{event}\"");
        while let Ok(line) = self.events.recv_timeout(Duration::from_mins(2)) {
            if line.contains(&event) {
                return;
            }
        }
        panic!("there was no {event}");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    fn ended(self) -> Value {
        let output = self.child.wait_with_output().unwrap();
        let told = self.events.iter().collect::<Vec<_>>().join("\n");
        assert!(output.status.success(), "{told}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Runs of today of its own node, and of another one that writes the table, while it goes on: none of them fails, or waits
/// for its end.
fn runs_of_today_go_on_beside_it(project: Project) {
    let project = with_tables(project);
    let even = create(&project, READINGS, r#"{"every": 2}"#);
    let odd = create(&project, READINGS, r#"{"every": 2, "remainder": 1}"#);
    for node in [&even, &odd] {
        run_until(&project, node, "2020-03-31");
    }
    let slow = [
        "--overwrite",
        "--step",
        "2d",
        "--concurrency",
        "2",
        "--option",
        "rounds=60000000",
        "--option",
        "plus=0.5",
    ];
    let begin = ["node", "backfill", even.as_str(), "--from", "2020-01-01", "--to", "2020-03-31"];
    let working = Working::start(&project, &[&begin[..], &slow].concat());
    working.until("committing");
    let mut before_its_end = 0;
    for day in 1..=6 {
        let until = format!("2020-04-{:02}", day * 2);
        assert_eq!(run_until(&project, &even, &until)["rows_inserted"], 1);
        assert_eq!(run_until(&project, &odd, &until)["rows_inserted"], 1);
        let listed = project.json(&["node", "backfill", "list"]);
        before_its_end += i32::from(listed[0]["state"] == "running");
    }
    let done = working.ended();
    let failed = project.json(&["run", "list", "--node", &even, "--status", "failed", "--limit", "0"]);
    assert!(
        failed.as_array().unwrap().iter().all(|run| run["kind"] == "backfill"),
        "no run of today was overtaken by it"
    );
    assert!(before_its_end >= 2, "they waited for its end: this has shown nothing");
    assert_eq!((&done["state"], &done["rows"]["updated"]), (&"done".into(), &46.into()), "{done:#}");
    let stored = rows(&project, READINGS);
    assert_eq!(stored.len(), 103);
    let fresh = |row: &(String, f64)| row.1.fract() != 0.0;
    assert_eq!(stored.iter().filter(|row| fresh(row)).count(), 46);
}

fn a_tail_that_is_deleted_under_it_leaves_no_hole(project: Project) {
    let project = with_tables(project);
    create(&project, READINGS, "{}");
    run_until(&project, READINGS, "2020-01-31");
    let begin = ["node", "backfill", READINGS, "--from", "2020-01-05", "--to", "2020-01-31", "--overwrite"];
    let slow = ["--step", "9d", "--concurrency", "3", "--option", "rounds=1500000000"];
    let working = Working::start(&project, &[&begin[..], &slow].concat());
    for _ in 0..3 {
        working.until("updating");
    }
    working.signal("-STOP");
    project.run(&["table", "delete-after", READINGS, "2020-01-03", "--yes"]);
    working.signal("-CONT");
    let done = working.ended();
    assert_eq!((&done["state"], &done["rows"]["inserted"]), (&"done".into(), &27.into()), "{done:#}");
    let refused = project.json(&["run", "list", "--status", "failed", "--limit", "0"]);
    let codes: Vec<&Value> = refused.as_array().unwrap().iter().map(|run| &run["error"]["code"]).collect();
    assert_eq!(codes, vec!["commit.table_moved"; 3], "all three had read what is gone");
    // What the delete has opened before it is there for the next run.
    assert_eq!(rows(&project, READINGS).len(), 29);
    assert_eq!(run_until(&project, READINGS, "2020-02-01")["rows_inserted"], 3);
    create(&project, OTHERS, "{}");
    run_until(&project, OTHERS, "2020-02-01");
    assert_eq!(digest(&project, READINGS), digest(&project, OTHERS));
}

fn two_processes_share_one_backfill_and_a_pause_ends_both(project: Project) {
    let project = with_tables(project);
    create(&project, READINGS, "{}");
    let begin = ["node", "backfill", READINGS, "--from", "2020-01-01", "--to", "2020-04-30", "--append-only"];
    let slow = ["--step", "2d", "--option", "rounds=60000000"];
    let first = Working::start(&project, &[&begin[..], &slow].concat());
    first.until("updating");
    let begun = project.json(&["node", "backfill", "list"])[0].clone();
    let second = Working::start(&project, &["node", "backfill", "resume", id(&begun)]);
    second.until("finished");
    assert_eq!(project.json(&["node", "backfill", "pause", id(&begun)])["state"], "paused");
    for process in [first, second] {
        assert_eq!(process.ended()["state"], "paused");
    }
    let paused = shown(&project, &begun)["backfill"].clone();
    assert_eq!(paused["windows"]["running"], 0);
    assert!(
        paused["windows"]["pending"].as_u64().unwrap() > 0,
        "it was over already: this has shown nothing"
    );
    let resume = ["node", "backfill", "resume", id(&begun), "--option", "rounds=0"];
    assert_eq!(project.json(&resume)["rows"]["inserted"], 121);
    assert_eq!(rows(&project, READINGS).len(), 121);
    let windows = shown(&project, &begun)["windows"].clone();
    assert!(windows.as_array().unwrap().iter().all(|window| window["attempts"] == 1), "{windows:#}");
}

/// By Ctrl-C: it gives its windows back, and whoever goes on need not wait for its claims to expire.
fn a_backfill_that_is_told_to_end_gives_its_windows_back(project: Project) {
    let project = with_tables(project).set("[runs]\nlease_seconds = 600\n");
    create(&project, READINGS, "{}");
    let begin = ["node", "backfill", READINGS, "--from", "2020-01-01", "--to", "2020-04-30", "--append-only"];
    let slow = ["--step", "2d", "--concurrency", "3", "--option", "rounds=60000000"];
    let first = Working::start(&project, &[&begin[..], &slow].concat());
    first.until("finished");
    first.signal("-INT");
    let output = first.child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let ended: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&ended["state"], &ended["windows"]["running"]),
        (&"interrupted".into(), &0.into()),
        "{ended:#}"
    );
    assert_eq!(ended["windows"]["failed"], 0, "{ended:#}");
    assert!(ended["windows"]["pending"].as_u64().unwrap() > 0, "it was over already: this has shown nothing");
    assert_eq!(project.number("SELECT count(*) FROM _leases WHERE run_id IS NOT NULL"), 0);
    let cut = project.json(&["run", "list", "--status", "failed", "--limit", "0"]);
    let cut = cut.as_array().unwrap();
    assert!(!cut.is_empty() && cut.len() <= 3, "{cut:#?}");
    assert!(cut.iter().all(|run| run["error"]["code"] == "run.interrupted"), "{cut:#?}");
    // Nothing has failed: of what was given back nothing is noted.
    assert!(windows(&project, READINGS).iter().all(|window| !window.contains("failed")));
    let resume = ["node", "backfill", "resume", id(&ended), "--option", "rounds=0"];
    assert_eq!(project.json(&resume)["state"], "done");
    assert_eq!(rows(&project, READINGS).len(), 121);
}

/// A table with identity dimensions asks each coordinate where it ends.
fn coordinates_keep_their_progress(project: Project) {
    let project = with_series(project);
    let create = ["node", "create", "daily_series", "--table", "daily_series", "--config"];
    project.run(&[&create[..], &[r#"{"series": ["A", "B"], "offset_start": "2020-01-01"}"#]].concat());
    run_until(&project, "daily_series", "2020-01-10");
    let ahead =
        ["node", "backfill", "daily_series", "--from", "2020-01-12", "--to", "2020-01-20", "--append-only"];
    let (exit, said) = project.fails(&ahead);
    assert!(
        exit == 3 && said.starts_with("error[backfill.range]") && said.contains("--from 2020-01-10"),
        "{said}"
    );
    let before =
        ["node", "backfill", "daily_series", "--from", "2019-12-31", "--to", "2020-01-20", "--append-only"];
    assert!(project.fails(&before).1.contains("offset_start"));
    let range = ["2020-01-08", "2020-01-12"];
    let plain = backfill(&project, "daily_series", range, &["--append-only", "--step", "2"]);
    assert_eq!(plain["rows"], json!({"inserted": 4, "updated": 0, "unchanged": 6}));
    let doubled = ["--overwrite", "--step", "1d", "--concurrency", "3", "--option", "factor=2"];
    assert_eq!(
        backfill(&project, "daily_series", ["2020-01-02", "2020-01-04"], &doubled)["rows"]["updated"],
        6
    );
    let statistics = project.json(&["stats", "show", "daily_series"]);
    assert_eq!(statistics["max_time"], "2020-01-12T00:00:00.000000Z", "{statistics:#}");
    assert_eq!(run_until(&project, "daily_series", "2020-01-13")["rows_inserted"], 2);
}

on_both_databases!(
    a_backfill_overwrites_or_leaves_what_is_there,
    an_empty_table_is_filled_window_by_window,
    a_backfill_that_fails_or_is_paused_is_resumed_where_it_stands,
    a_node_that_reads_its_own_table_is_run_in_order,
    a_tail_that_is_deleted_behind_a_window_that_reads_it_stops_the_backfill,
    runs_of_today_go_on_beside_it,
    a_tail_that_is_deleted_under_it_leaves_no_hole,
    two_processes_share_one_backfill_and_a_pause_ends_both,
    a_backfill_that_is_told_to_end_gives_its_windows_back,
    coordinates_keep_their_progress,
);

/// What people read, but for ids, which differ from run to run.
#[test]
fn what_is_said_of_a_backfill() {
    let project = with_tables(Project::new());
    let hash = create(&project, READINGS, "{}");
    let mut said = String::new();
    let mut known = Vec::new();
    let mut say = |arguments: &[&str]| {
        let output = project.output(arguments);
        let mut text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        if known.is_empty() {
            let runs = project.json(&["run", "list", "--limit", "0"]);
            let backfills = project.json(&["node", "backfill", "list"]);
            let ids = |found: &Value, field: &str| {
                let ids = found.as_array().unwrap().iter();
                ids.map(|found| found[field].as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            known = [ids(&runs, "run_id"), ids(&backfills, "backfill_id")].concat();
        }
        for id in &known {
            text = text.replace(id, "ID");
        }
        let arguments = arguments.join(" ");
        let exit = output.status.code().unwrap();
        said += &format!("$ datanode {arguments}\n{text}exit {exit}\n\n").replace(&hash, "HASH");
    };
    say(&["node", "backfill", READINGS, "--from", "2020-02-01", "--to", "2020-01-01", "--overwrite"]);
    say(&[
        "node",
        "backfill",
        READINGS,
        "--from",
        "2020-02-01",
        "--to",
        "2020-03-01",
        "--overwrite",
        "--step",
        "soon",
    ]);
    say(&["node", "backfill", "show", "nobody"]);
    let fails = "fails_on=[\"2020-01-12\"]";
    let range = ["--from", "2020-01-01", "--to", "2020-01-20"];
    say(&[&["node", "backfill", READINGS], &range[..], &["--step", "5", "--append-only", "--option", fails]]
        .concat());
    let begun = project.json(&["node", "backfill", "list"])[0].clone();
    let id = id(&begun);
    say(&["node", "backfill", "list"]);
    say(&["node", "backfill", "show", id]);
    say(&["node", "backfill", "show", id, "--status", "running"]);
    say(&["node", "backfill", "pause", id]);
    say(&["node", "backfill", "cancel", id]);
    say(&["node", "backfill", "resume", id]);
    insta::assert_snapshot!(said.replace(id, "ID"));
}
