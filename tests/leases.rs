//! One run at a time per node, across processes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use datanode_tests::{Project, on_both_databases, root};
use serde_json::Value;

/// A node that computes for ever, so that it holds its node for as long as a test likes.
const ENDLESS: &str = "endless_loop";

fn project(empty: Project, runs: &str) -> Project {
    let project = empty.set(&format!("[limits]\nfuel = 9_000_000_000_000_000\n\n[runs]\n{runs}\n"));
    let text = std::fs::read_to_string(root().join("tests/hostile/contract.toml")).unwrap();
    let contract = project.path().join("contract.toml");
    std::fs::write(&contract, text.replace("\"hostile_output\"", "\"out\"")).unwrap();
    project.run(&["table", "register", contract.to_str().unwrap()]);
    project.upload(ENDLESS);
    project.run(&["node", "create", ENDLESS, "--table", "out"]);
    project
}

/// A run of another process, gone when dropped.
struct Other {
    child: Child,
    /// Open, so that the process may go on to tell.
    _events: Lines<BufReader<ChildStderr>>,
}

impl Other {
    /// Begun, and computing.
    fn start(project: &Project) -> Self {
        let mut child = project
            .command(&["node", "run", "out", "--progress", "json", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("datanode starts");
        let mut events = BufReader::new(child.stderr.take().unwrap()).lines();
        let updating = events.any(|line| line.unwrap().contains("\"event\":\"updating\""));
        assert!(updating, "it ended before it computed");
        Self { child, _events: events }
    }

    /// Exit code and record, once it has ended by itself.
    fn ended(mut self) -> (Option<i32>, Value) {
        let record = serde_json::from_reader(self.child.stdout.take().unwrap()).unwrap();
        (self.child.wait().unwrap().code(), record)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn process_of(lease: &Value) -> u32 {
    lease["holder"].as_str().unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

fn a_node_that_is_held_answers_who_holds_it_and_until_when(empty: Project) {
    let project = project(empty, "lease_seconds = 600");
    assert_eq!(project.run(&["run", "leases"]), "no run holds a node now\n");
    let other = Other::start(&project);
    let leases = project.json(&["run", "leases"]);
    let lease = &leases[0];
    assert_eq!((process_of(lease), lease["epoch"].as_i64()), (other.child.id(), Some(1)));
    assert_eq!(lease["table"], "out");
    let shown = project.run(&["run", "leases"]);
    assert!(shown.contains(lease["holder"].as_str().unwrap()) && shown.contains("HOLDS UNTIL"), "{shown}");

    let (exit, said) = project.fails(&["node", "run", "out"]);
    assert_eq!(exit, 5, "{said}");
    assert!(said.starts_with("error[lease.held]: out: node `"), "{said}");
    for part in ["holder", "run_id", "expires_at"] {
        assert!(said.contains(lease[part].as_str().unwrap()), "{part}: {said}");
    }
    assert!(said.contains("\nnext: "), "{said}");

    // Waiting is worth it when the time of a dead holder is over.
    drop(other);
    assert_eq!(project.json(&["run", "leases"]).as_array().unwrap().len(), 1, "nobody has given it up");
    let begin = Instant::now();
    let (exit, said) = project.fails(&["node", "run", "out", "--wait", "1"]);
    assert!(exit == 5 && said.starts_with("error[lease.held]"), "{said}");
    assert!(begin.elapsed() >= Duration::from_secs(1));
    project.expire_leases();
    assert_eq!(project.run(&["run", "leases"]), "no run holds a node now\n");
    let next = Other::start(&project);
    let again = project.json(&["run", "leases"]);
    assert_eq!((process_of(&again[0]), again[0]["epoch"].as_i64()), (next.child.id(), Some(2)));
}

fn a_held_dependency_blocks_what_reads_it_and_a_dry_run_asks_for_no_lease(empty: Project) {
    let project = empty.and_fx();
    let rates = project.json(&["node", "show", "fx_ecb_daily_rates"])["node"]["uid"].clone();
    project.execute(&format!(
        "INSERT INTO _leases (node_uid, epoch, holder, run_id, expires_at) \
         VALUES ('{}', 3, 'elsewhere, process 7', 'r', 4102444800000000)",
        rates.as_str().unwrap()
    ));
    let output = project.output(&["node", "run", "fx_log_returns", "--json"]);
    let runs: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&runs[0]["error"]["code"], &runs[1]["status"]), (&"lease.held".into(), &"blocked".into()));
    assert_eq!(output.status.code(), Some(5), "trying again may be all that it takes");
    let dry = project.json(&["node", "run", "fx_ecb_daily_rates", "--dry-run", "--until", "1999-02-01"]);
    assert_eq!(dry["run"]["status"], "ok");
    assert_eq!(project.json(&["run", "leases"])[0]["epoch"], 3);
}

fn a_lease_holds_as_long_as_its_process_lives(empty: Project) {
    let project = project(empty, "lease_seconds = 1");
    let other = Other::start(&project);
    let first = project.json(&["run", "leases"]);
    std::thread::sleep(Duration::from_millis(2_500));
    let later = project.json(&["run", "leases"]);
    assert_eq!((&later[0]["epoch"], &later[0]["run_id"]), (&first[0]["epoch"], &first[0]["run_id"]));
    assert!(later[0]["expires_at"].as_str() > first[0]["expires_at"].as_str());
    // And not much longer.
    drop(other);
    std::thread::sleep(Duration::from_millis(1_500));
    let next = Other::start(&project);
    assert_eq!(process_of(&project.json(&["run", "leases"])[0]), next.child.id());
}

fn a_guest_is_stopped_when_its_run_has_lost_its_lease(empty: Project) {
    let project = project(empty, "lease_seconds = 1");
    let other = Other::start(&project);
    // As another run does that finds the lease expired.
    project.execute("UPDATE _leases SET epoch = epoch + 1, run_id = 'another'");
    let (exit, runs) = other.ended();
    assert_eq!(exit, Some(5), "{runs:#}");
    assert_eq!(runs[0]["error"]["code"], "lease.lost", "{runs:#}");
    assert_eq!(runs[0]["status"], "failed");
    let others = project.number("SELECT count(*) FROM _leases WHERE run_id = 'another'");
    assert_eq!(others, 1, "who has lost a lease does not give away that of another");
}

/// By Ctrl-C, or by a machine that shuts down.
fn a_run_that_is_told_to_end_gives_its_node_up(empty: Project) {
    let project = project(empty, "lease_seconds = 600");
    for (number, signal) in [(1, "-INT"), (2, "-TERM")] {
        let other = Other::start(&project);
        let begin = Instant::now();
        let id = other.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let (exit, runs) = other.ended();
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
        assert_eq!(exit, Some(5), "{runs:#}");
        assert_eq!(runs[0]["error"]["code"], "run.interrupted", "{runs:#}");
        assert_eq!(project.json(&["run", "show", runs[0]["run_id"].as_str().unwrap()]), runs[0]);
        assert_eq!(project.run(&["run", "leases"]), "no run holds a node now\n");
        // What it had begun is open, as after any failure.
        let windows = project.json(&["node", "windows", "out"]);
        assert_eq!((&windows[0]["state"], &windows[0]["failures"]), (&"failed".into(), &number.into()));
    }
    // What was not begun yet is not begun any more.
    let held = Other::start(&project);
    let waits = project.command(&["node", "run", "out", "--wait", "600", "--json"]);
    let waits = { waits }.stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(Command::new("kill").args(["-INT", &waits.id().to_string()]).status().unwrap().success());
    let output = waits.wait_with_output().unwrap();
    let runs: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &runs[0]["error"]["code"]), (Some(5), &"run.interrupted".into()));
    let leases = project.json(&["run", "leases"]);
    assert_eq!(process_of(&leases[0]), held.child.id(), "it has taken nothing from whoever holds the node");
}

#[test]
fn a_lease_that_would_hold_for_no_time_is_refused() {
    let project = Project::with_settings("[runs]\nlease_seconds = 0\n");
    let (exit, said) = project.fails(&["run", "leases"]);
    assert!(exit == 2 && said.contains("lease_seconds"), "{said}");
}

on_both_databases!(
    a_node_that_is_held_answers_who_holds_it_and_until_when,
    a_held_dependency_blocks_what_reads_it_and_a_dry_run_asks_for_no_lease,
    a_lease_holds_as_long_as_its_process_lives,
    a_guest_is_stopped_when_its_run_has_lost_its_lease,
    a_run_that_is_told_to_end_gives_its_node_up,
);
