//! Two processes run one node. The first is stopped for longer than its lease holds, and continued when the second has
//! taken the node over: exactly one of them commits.

use std::process::{Child, Command, Stdio};
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

use datanode_tests::{Project, rounds};
use serde_json::Value;

use super::{ALONE, Draw, Job, Run, accounts, is, job, measure, start};

/// How long the second process is given, while the first is stopped. Where that one holds the lock to write it would
/// wait for ever.
const STOPPED: Duration = Duration::from_secs(5);

/// How a round ended for the process that was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It committed.
    Committed,
    /// The other had committed, and there was nothing left to do.
    NothingToDo,
    /// It had claimed the node and computed, and its commit was refused.
    Fenced,
    /// The other held the node when it asked.
    Held,
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().expect("kill starts").success());
}

/// Exit code and records of a process.
fn ended(child: Child) -> (Option<i32>, Value) {
    let output = child.wait_with_output().unwrap();
    let records = serde_json::from_slice(&output.stdout);
    (output.status.code(), records.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

fn ending((exit, runs): &(Option<i32>, Value)) -> Ending {
    let run = &runs[0];
    match (exit, run["status"].as_str().unwrap(), run["error"]["code"].as_str()) {
        (Some(0), "ok", None) => Ending::Committed,
        (Some(0), "skipped" | "empty", None) => Ending::NothingToDo,
        (Some(5), "failed", Some("lease.lost")) => Ending::Fenced,
        (Some(5), "failed", Some("lease.held")) => Ending::Held,
        _ => panic!("exit {exit:?}: {run:#}"),
    }
}

/// Stop the first process when `wait` returns, let the second one run, and continue the first.
fn race(job: &Job, project: &Project, wait: impl FnOnce(&Run)) -> Ending {
    let stopped = start(job, project, Stdio::piped());
    wait(&stopped);
    signal(&stopped.child, "-STOP");
    let arguments = [job.arguments, &["--wait", "120", "--json"]].concat();
    let mut other =
        project.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while other.try_wait().unwrap().is_none() && begin.elapsed() < STOPPED {
        thread::sleep(Duration::from_millis(10));
    }
    signal(&stopped.child, "-CONT");
    let first = ending(&ended(stopped.child));
    let second = ending(&ended(other));
    assert!(
        matches!(
            (first, second),
            (Ending::Committed, Ending::NothingToDo)
                | (Ending::NothingToDo | Ending::Fenced | Ending::Held, Ending::Committed)
        ),
        "the one that was stopped: {first:?}; the other: {second:?}"
    );
    first
}

#[test]
fn of_two_processes_that_run_one_node_exactly_one_commits() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let job = job();
    std::fs::write(job.project.path().join("datanode.toml"), "[runs]\nlease_seconds = 1\n").unwrap();
    let (length, all) = measure(&job);
    let mut draw = Draw(20_261_123);
    let mut endings = Vec::new();
    for round in 0..rounds(10, 200) {
        let project = job.project.copy();
        let ending = race(&job, &project, |run| {
            if round % 2 == 0 {
                // The moment at which it holds the lease and has stored nothing.
                while run.events.recv().is_ok_and(|line| !is(&line, "updating")) {}
            } else {
                thread::sleep(length.mul_f64(draw.next()));
            }
        });
        assert_eq!(accounts(&job, &project), [all; 3], "round {round}, {ending:?}");
        let committed = project.json(&["run", "list", "--status", "ok", "--limit", "0"]);
        assert_eq!(committed.as_array().unwrap().len(), 1, "round {round}, {ending:?}");
        assert_eq!(project.json(&["run", "leases"]), Value::Array(Vec::new()), "round {round}, {ending:?}");
        endings.push(ending);
    }
    let count = |ending| endings.iter().filter(|found| **found == ending).count();
    println!("the process that was stopped, in {} rounds:", endings.len());
    for ending in [Ending::Committed, Ending::NothingToDo, Ending::Fenced, Ending::Held] {
        println!("{:<16}{:>4}", format!("{ending:?}"), count(ending));
    }
    assert!(count(Ending::Fenced) > 0, "no process lost its lease while it computed: this has shown nothing");
}
