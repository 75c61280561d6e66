//! What a run leaves when it is ended anywhere: rows, progress and run record agree and are those of the whole run or of
//! none, whatever was answered is what is stored, and the next run completes, with the rows and the ledger of a run that
//! nothing disturbed. On both databases:
//!
//! * `kills`: `kill -9` at sixty points of a run, uniformly drawn.
//! * `faults`: the process aborts at each step of the commit.
//! * `race`: two processes run one node, and one of them is stopped for longer than its lease holds.
//! * `cuts`: the connection to a server is lost, at sixty messages of a commit and between the `COMMIT` and its answer.
//! * `backfills`: a backfill is killed at twenty points, and aborts at each step of a commit; resumed, it ends as one that
//!   nothing disturbed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use datanode_tests::{Project, at_once};
use serde_json::Value;

#[cfg(unix)]
#[path = "crash/backfills.rs"]
mod backfills;
#[cfg(unix)]
#[path = "crash/cuts.rs"]
mod cuts;
#[cfg(unix)]
#[path = "crash/faults.rs"]
mod faults;
#[path = "crash/kills.rs"]
mod kills;
#[cfg(unix)]
#[path = "crash/race.rs"]
mod race;

/// What is ended.
struct Job {
    /// Everything up to the first run.
    project: Project,
    table: &'static str,
    arguments: &'static [&'static str],
    /// What a run leaves that nothing disturbed.
    undisturbed: OnceLock<Left>,
}

/// What a run leaves, but for the times at which it was made.
#[derive(Debug, Clone, PartialEq)]
struct Left {
    /// The digest of all rows: as many others would not be the same.
    rows: Value,
    /// What the node has done.
    windows: Vec<String>,
}

impl Left {
    fn of(job: &Job, project: &Project) -> Self {
        Self { rows: digest(job, project), windows: windows(project) }
    }
}

/// All of the rates: more than one copy to a server takes, so that there is a moment at which it has some of the rows.
fn job(empty: Project) -> Job {
    Job {
        project: empty.and_fx(),
        table: "fx_ecb_daily_rates",
        arguments: &["node", "run", "fx_ecb_daily_rates"],
        undisturbed: OnceLock::new(),
    }
}

/// Let leases of its runs hold for so long.
fn with_leases(job: &Job, seconds: u32) {
    let settings = format!("[runs]\nlease_seconds = {seconds}\n");
    std::fs::write(job.project.path().join("datanode.toml"), settings).unwrap();
}

/// A run that tells its events line by line, and answers with its records.
struct Run {
    begin: Instant,
    child: Child,
    events: Receiver<String>,
}

/// How a run that was not killed ended.
struct Ended {
    exit: Option<i32>,
    /// The one record that it answered with.
    record: Value,
}

impl Run {
    fn start(job: &Job, project: &Project) -> Self {
        Self::of(project.command(&[job.arguments, &["--progress", "json", "--json"]].concat()))
    }

    fn of(mut command: Command) -> Self {
        let begin = Instant::now();
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("datanode starts");
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (send, events) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Self { begin, child, events }
    }

    /// Wait for an event; whatever else comes before it is `seen` as well.
    fn until(&self, event: &str, seen: &mut Vec<String>) {
        while let Ok(line) = self.events.recv_timeout(Duration::from_mins(1)) {
            let is_it = is(&line, event);
            seen.push(line);
            if is_it {
                return;
            }
        }
    }

    /// Wait for its end, and see that what it answers is what is stored.
    fn ended(self, project: &Project) -> Ended {
        let output = self.child.wait_with_output().unwrap();
        let told = || self.events.iter().collect::<Vec<_>>().join("\n");
        let records: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("it answered nothing: {}", told()));
        let [record] = records.as_array().unwrap().as_slice() else { panic!("{records:#}") };
        is_stored(project, record);
        Ended { exit: output.status.code(), record: record.clone() }
    }
}

fn is(line: &str, event: &str) -> bool {
    line.contains(&format!("\"event\":\"{event}\""))
}

/// A record that somebody was told of is the one that is stored.
fn is_stored(project: &Project, told: &Value) {
    let run_id = told["run_id"].as_str().unwrap();
    let stored = project.texts(&format!("SELECT record FROM _runs WHERE run_id = '{run_id}'"));
    let stored: Vec<Value> = stored.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(stored.as_slice(), std::slice::from_ref(told), "what was answered is not what is stored");
}

/// Numbers between 0 and 1, the same in every run of the test.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        // Knuth's MMIX generator.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 33).unwrap()) / f64::from(1_u32 << 31)
    }
}

/// Rows by three accounts that must agree: the table itself, its progress, and the sum of its run records. They are asked
/// of the database alone, once a server has noticed that the process is gone.
fn accounts(job: &Job, project: &Project) -> [i64; 3] {
    project.settle();
    [
        project.number(&format!("SELECT count(*) FROM {}", job.table)),
        project.number("SELECT CAST(coalesce(sum(row_count), 0) AS bigint) FROM _progress"),
        project.number("SELECT CAST(coalesce(sum(rows_inserted), 0) AS bigint) FROM _runs"),
    ]
}

/// The digest of the rows of its table.
fn digest(job: &Job, project: &Project) -> Value {
    project.json(&["table", "digest", job.table])["digest"].clone()
}

/// What a run leaves that nothing disturbed, which others are compared with. It was measured before.
fn undisturbed(job: &Job) -> &Left {
    job.undisturbed.get().expect("a run that nothing disturbed")
}

/// Nothing disturbed the run of this project: what it has left is what others are to leave.
fn was_undisturbed(job: &Job, project: &Project) {
    let left = Left::of(job, project);
    assert!(left.rows.is_string(), "{left:?}");
    let first = job.undisturbed.get_or_init(|| left.clone());
    assert_eq!(left, *first, "two that nothing disturbed");
}

/// What the nodes of a project have done: first and last moment, and state of their windows.
fn windows(project: &Project) -> Vec<String> {
    project
        .texts("SELECT first || ' to ' || last || ' ' || state FROM _node_windows ORDER BY node_uid, first")
}

/// So many runs have stored rows.
fn stored_runs(project: &Project) -> i64 {
    project.number("SELECT count(*) FROM _runs WHERE status = 'ok'")
}

/// So many nodes are held, whether their leases have expired or not.
fn held_nodes(project: &Project) -> i64 {
    project.number("SELECT count(*) FROM _leases WHERE run_id IS NOT NULL")
}

/// The run that comes after: the table is whole, by one run, with the values of a run that nothing disturbed, and nobody
/// holds the node. How long it took.
fn completes(job: &Job, project: &Project, all: i64, after: &str) -> Duration {
    let run = Run::start(job, project);
    let begin = run.begin;
    let ended = run.ended(project);
    let duration = begin.elapsed();
    assert_eq!(ended.exit, Some(0), "the run after {after}: {:#}", ended.record);
    assert_eq!(accounts(job, project), [all; 3], "the run after {after}");
    assert_eq!((stored_runs(project), held_nodes(project)), (1, 0), "the run after {after}");
    assert_eq!(Left::of(job, project), *undisturbed(job), "the run after {after}");
    duration
}

/// The whole run, undisturbed: how long it takes from start to exit, and its rows.
fn measure(job: &Job) -> (Duration, i64) {
    let project = job.project.copy();
    let mut run = Run::start(job, &project);
    assert!(run.child.wait().unwrap().success());
    let duration = run.begin.elapsed();
    let [rows, progress, recorded] = accounts(job, &project);
    assert_eq!((rows, progress), (recorded, recorded));
    assert!(rows > 0, "a run that stores nothing shows nothing");
    was_undisturbed(job, &project);
    (duration, rows)
}

/// The same several times, as many at a time as the rounds will be: how long each took.
fn measure_at_once(job: &Job, most: usize, times: usize) -> (Vec<Duration>, i64) {
    let measured = Mutex::new(Vec::new());
    at_once(most, &vec![(); times], |()| {
        let measure = measure(job);
        measured.lock().unwrap().push(measure);
    });
    let (durations, rows): (Vec<Duration>, Vec<i64>) = measured.into_inner().unwrap().into_iter().unzip();
    assert!(rows.iter().all(|other| *other == rows[0]), "{rows:?}");
    (durations, rows[0])
}
