//! `kill -9` at moments drawn from the whole of a run.

use std::fmt;
use std::io::Read;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use datanode_tests::{Project, at_once, on_both_databases, rounds};
use serde_json::Value;

use super::{Draw, Job, Run, accounts, completes, is, is_stored, job, measure_at_once};

/// The run is cut into as many parts of equal length, and each part gets one kill, drawn uniformly within it.
fn kills() -> u32 {
    rounds(60, 500)
}
/// How many kills must fall between the first write and the commit, and how many after it. Should the machine have become
/// so slow or fast since the run was measured that fewer of the rounds do, rounds that aim there are added.
const INSIDE_COMMIT: usize = 5;
const AFTER_COMMIT: usize = 1;
const ROUNDS_ADDED_AT_MOST: usize = 50;
/// The length of a run is the median duration of so many: the latest that nothing ended. A machine that has other work
/// too is not equally fast throughout the test.
const MEASURED: usize = 3;
/// Rounds at a time: half of one is waiting, for the disk, for the server, for a moment.
const AT_ONCE: usize = 2;

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
    rows: i64,
    /// How long the next run took.
    next: Duration,
}

impl Kill {
    /// It fell between the first write and the commit.
    fn is_inside_commit(&self) -> bool {
        self.phase == Phase::Committing && self.wrote && self.rows == 0
    }

    /// It fell after the commit.
    fn is_after_commit(&self) -> bool {
        self.rows > 0
    }
}

/// The median of the latest.
fn length(durations: &[Duration]) -> Duration {
    let mut latest = durations[durations.len() - MEASURED..].to_vec();
    latest.sort();
    latest[MEASURED / 2]
}

/// Whatever the process has told and answered before it was killed is stored.
fn what_was_told_is_stored(project: &Project, events: &[String], answer: &str) {
    for line in events.iter().filter(|line| is(line, "finished")) {
        let mut record: Value = serde_json::from_str(line).unwrap();
        record.as_object_mut().unwrap().remove("event");
        is_stored(project, &record);
    }
    if let Ok(Value::Array(records)) = serde_json::from_str(answer) {
        for record in records {
            is_stored(project, &record);
        }
    }
}

/// Start a run, kill it when `wait` returns, and look at what is left; then run it again.
fn kill(job: &Job, all: i64, wait: impl FnOnce(&Run, &mut Vec<String>)) -> Kill {
    let project = job.project.copy();
    let mut run = Run::start(job, &project);
    let mut seen = Vec::new();
    wait(&run, &mut seen);
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    // What was told before the kill is still in the pipes.
    seen.extend(run.events.iter());
    let mut answer = String::new();
    run.child.stdout.take().unwrap().read_to_string(&mut answer).unwrap();

    let phase = Phase::reached(&seen);
    let [rows, progress, recorded] = accounts(job, &project);
    assert_eq!((rows, progress), (recorded, recorded), "killed while {phase}: {}", seen.join("\n"));
    let agrees = match phase {
        Phase::Starting | Phase::Updating => rows == 0,
        Phase::Committing => rows == 0 || rows == all,
        Phase::After => rows == all,
    };
    assert!(agrees, "killed while {phase}: {rows} of {all} rows are there\n{}", seen.join("\n"));
    what_was_told_is_stored(&project, &seen, &answer);

    // The next run completes what the killed one began, or finds nothing left to do, once the lease is over.
    project.expire_leases();
    let next = completes(job, &project, all, &format!("one that was killed while {phase}"));
    Kill { phase, wrote: seen.iter().any(|line| is(line, "rows_written")), rows, next }
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

/// Add rounds that are killed a little after an event, until so many kills have fallen where they should.
fn aim(
    job: &Job,
    (all, length): (i64, Duration),
    event: &str,
    (mut there, wanted): (usize, usize),
    is_there: fn(&Kill) -> bool,
    draw: &mut Draw,
) {
    let mut added = 0;
    while there < wanted && added < ROUNDS_ADDED_AT_MOST {
        let more = length.mul_f64(draw.next() * 0.1);
        let aimed = kill(job, all, |run, seen| {
            run.until(event, seen);
            thread::sleep(more);
        });
        there += usize::from(is_there(&aimed));
        added += 1;
    }
    println!("{there} kills fell after `{event}` as they should; {added} rounds that aimed there were added");
    assert!(there >= wanted, "only {there} kills fell after `{event}` as they should");
}

fn a_killed_run_leaves_all_or_nothing(empty: Project) {
    let (job, rounds) = (job(empty), kills());
    let (durations, all) = measure_at_once(&job, AT_ONCE, MEASURED);
    let mut draw = Draw(20_261_122);
    let parts: Vec<f64> =
        (0..rounds).map(|part| (f64::from(part) + draw.next()) / f64::from(rounds)).collect();

    let (durations, kills) = (Mutex::new(durations), Mutex::new(Vec::new()));
    at_once(AT_ONCE, &parts, |part| {
        let moment = length(&durations.lock().unwrap()).mul_f64(*part);
        let kill = kill(&job, all, |run, _| thread::sleep(moment.saturating_sub(run.begin.elapsed())));
        if kill.rows == 0 {
            durations.lock().unwrap().push(kill.next);
        }
        kills.lock().unwrap().push(kill);
    });
    let (durations, kills) = (durations.into_inner().unwrap(), kills.into_inner().unwrap());
    print_table(&kills, &durations);

    let count = |is_there: fn(&Kill) -> bool| kills.iter().filter(|kill| is_there(kill)).count();
    let inside = (count(Kill::is_inside_commit), INSIDE_COMMIT);
    aim(&job, (all, length(&durations)), "rows_written", inside, Kill::is_inside_commit, &mut draw);
    let after = (count(Kill::is_after_commit), AFTER_COMMIT);
    aim(&job, (all, length(&durations)), "finished", after, Kill::is_after_commit, &mut draw);
}

on_both_databases!(a_killed_run_leaves_all_or_nothing);
