//! What a run leaves when it is ended anywhere: rows, progress and run record agree and are those of the whole run or of
//! none, and the next run completes.
//!
//! * `faults`: the process aborts at each step of the commit.
//! * `race`: two processes run one node, and one of them is stopped for longer than its lease holds.
//! * here: `kill -9` at sixty points of a run, uniformly drawn.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use datanode_tests::{Project, rounds};
use rusqlite::Connection;

#[cfg(unix)]
#[path = "crash/faults.rs"]
mod faults;
#[cfg(unix)]
#[path = "crash/race.rs"]
mod race;

/// Tests of this file measure how long a run takes: they take turns.
static ALONE: Mutex<()> = Mutex::new(());

/// The run is cut into as many parts of equal length, and each part gets one kill, drawn uniformly within it.
fn kills() -> u32 {
    rounds(60, 500)
}
/// How many kills must fall between the first write and the commit. Should the machine have become so slow or fast
/// since the run was measured that fewer of the rounds do, rounds that aim there are added.
const INSIDE_COMMIT: usize = 5;
const ROUNDS_ADDED_AT_MOST: usize = 50;
/// The length of a run is the median duration of so many: the latest that nothing ended. A machine that has other work
/// too is not equally fast throughout the test.
const MEASURED: usize = 3;

/// What is killed.
struct Job {
    /// Everything up to the first run.
    project: Project,
    table: &'static str,
    arguments: &'static [&'static str],
}

fn job() -> Job {
    Job {
        project: Project::with_fx(),
        table: "fx_ecb_daily_rates",
        arguments: &["node", "run", "fx_ecb_daily_rates", "--until", "2020-12-31"],
    }
}

/// How far a run came, by the events that it told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before the component was called.
    Starting,
    /// The component was at work.
    Updating,
    /// From the beginning of the commit to the answer.
    Committing,
    /// The run was over and had said so.
    After,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Starting, Self::Updating, Self::Committing, Self::After];

    fn reached(events: &[String]) -> Self {
        let told = |event: &str| events.iter().any(|line| is(line, event));
        match () {
            () if told("finished") => Self::After,
            () if told("committing") => Self::Committing,
            () if told("updating") => Self::Updating,
            () => Self::Starting,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Updating => "updating",
            Self::Committing => "committing",
            Self::After => "after",
        })
    }
}

/// What one kill found and left.
struct Kill {
    phase: Phase,
    /// Whether rows were written in the transaction.
    wrote: bool,
    /// Rows that were there afterwards.
    rows: u64,
    /// How long the next run took.
    next: Duration,
}

impl Kill {
    /// It fell between the first write and the commit.
    fn is_inside_commit(&self) -> bool {
        self.phase == Phase::Committing && self.wrote && self.rows == 0
    }
}

/// A run that tells its events line by line.
struct Run {
    begin: Instant,
    child: Child,
    events: Receiver<String>,
}

fn start(job: &Job, project: &Project, answer: Stdio) -> Run {
    let arguments = [job.arguments, &["--progress", "json", "--json"]].concat();
    let begin = Instant::now();
    let mut child =
        project.command(&arguments).stdout(answer).stderr(Stdio::piped()).spawn().expect("datanode starts");
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (send, events) = channel();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    Run { begin, child, events }
}

fn is(line: &str, event: &str) -> bool {
    line.contains(&format!("\"event\":\"{event}\""))
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

/// Rows by three accounts that must agree: the table itself, its progress, and the sum of its run records. The table is
/// counted by SQLite alone, after the command has opened the database and recovered it.
fn accounts(job: &Job, project: &Project) -> [u64; 3] {
    let table = project.json(&["table", "show", job.table]);
    let progress =
        table["progress"].as_array().unwrap().iter().map(|held| held["rows"].as_u64().unwrap()).sum();
    let runs = project.json(&["run", "list", "--table", job.table, "--limit", "0"]);
    let recorded = runs.as_array().unwrap().iter().map(|run| run["rows_inserted"].as_u64().unwrap()).sum();
    let database = Connection::open(project.database()).unwrap();
    let count = format!("SELECT count(*) FROM {}", job.table);
    let rows: i64 = database.query_row(&count, [], |row| row.get(0)).unwrap();
    [u64::try_from(rows).unwrap(), progress, recorded]
}

/// The whole run, undisturbed: how long it takes from start to exit, and its rows.
fn measure(job: &Job) -> (Duration, u64) {
    let project = job.project.copy();
    let mut run = start(job, &project, Stdio::null());
    assert!(run.child.wait().unwrap().success());
    let duration = run.begin.elapsed();
    let [rows, progress, recorded] = accounts(job, &project);
    assert_eq!((rows, progress), (recorded, recorded));
    assert!(rows > 0, "a run that stores nothing shows nothing");
    (duration, rows)
}

/// The median of the latest.
fn length(durations: &[Duration]) -> Duration {
    let mut latest = durations[durations.len() - MEASURED..].to_vec();
    latest.sort();
    latest[MEASURED / 2]
}

/// Start a run, kill it when `wait` returns, and look at what is left; then run it again.
fn kill(job: &Job, all: u64, wait: impl FnOnce(&Run, &mut Vec<String>)) -> Kill {
    let project = job.project.copy();
    let mut run = start(job, &project, Stdio::null());
    let mut seen = Vec::new();
    wait(&run, &mut seen);
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    // What was told before the kill is still in the pipe.
    seen.extend(run.events.iter());

    let phase = Phase::reached(&seen);
    let [rows, progress, recorded] = accounts(job, &project);
    assert_eq!((rows, progress), (recorded, recorded), "killed while {phase}: {}", seen.join("\n"));
    let agrees = match phase {
        Phase::Starting | Phase::Updating => rows == 0,
        Phase::Committing => rows == 0 || rows == all,
        Phase::After => rows == all,
    };
    assert!(agrees, "killed while {phase}: {rows} of {all} rows are there\n{}", seen.join("\n"));

    // The next run completes what the killed one began, or finds nothing left to do, once the lease is over.
    project.expire_leases();
    let begin = Instant::now();
    project.run(job.arguments);
    let next = begin.elapsed();
    assert_eq!(accounts(job, &project), [all; 3], "the run after one killed while {phase}");
    Kill { phase, wrote: seen.iter().any(|line| is(line, "rows_written")), rows, next }
}

/// Wait for the first write of the commit, and a little more.
fn until_inside_commit(run: &Run, seen: &mut Vec<String>, more: Duration) {
    while let Ok(line) = run.events.recv_timeout(Duration::from_mins(1)) {
        let is_first_write = is(&line, "rows_written");
        seen.push(line);
        if is_first_write {
            break;
        }
    }
    thread::sleep(more);
}

fn print_table(kills: &[Kill], durations: &[Duration]) {
    let mut sorted = durations.to_vec();
    sorted.sort();
    let median = sorted[sorted.len() / 2].as_millis();
    println!("{} kills over a run of {median} ms, one in each part of equal length:", kills.len());
    println!("{:<12}{:>8}{:>18}{:>14}", "phase", "kills", "nothing stored", "all stored");
    let line = |name: &dyn fmt::Display, kills: Vec<&Kill>| {
        let nothing = kills.iter().filter(|kill| kill.rows == 0).count();
        println!("{name:<12}{:>8}{nothing:>18}{:>14}", kills.len(), kills.len() - nothing);
    };
    for phase in Phase::ALL {
        line(&phase, kills.iter().filter(|kill| kill.phase == phase).collect());
    }
    line(&"in all", kills.iter().collect());
}

#[test]
fn a_killed_run_leaves_all_or_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (job, rounds) = (job(), kills());
    let (mut durations, rows): (Vec<Duration>, Vec<u64>) = (0..MEASURED).map(|_| measure(&job)).unzip();
    let all = rows[0];
    assert_eq!(rows, [all; MEASURED]);
    let mut draw = Draw(20_261_122);

    let mut kills = Vec::new();
    for part in 0..rounds {
        let moment = length(&durations).mul_f64((f64::from(part) + draw.next()) / f64::from(rounds));
        let kill = kill(&job, all, |run, _| thread::sleep(moment.saturating_sub(run.begin.elapsed())));
        if kill.rows == 0 {
            durations.push(kill.next);
        }
        kills.push(kill);
    }
    print_table(&kills, &durations);

    let mut inside = kills.iter().filter(|kill| kill.is_inside_commit()).count();
    let mut added = 0;
    while inside < INSIDE_COMMIT && added < ROUNDS_ADDED_AT_MOST {
        let more = length(&durations).mul_f64(draw.next() * 0.1);
        let aimed = kill(&job, all, |run, seen| until_inside_commit(run, seen, more));
        inside += usize::from(aimed.is_inside_commit());
        added += 1;
    }
    println!(
        "{inside} fell between the first write and the commit; {added} rounds that aimed there were added"
    );
    assert!(inside >= INSIDE_COMMIT, "only {inside} kills fell between the first write and the commit");
}
