//! Two processes run one node. The first is stopped, mostly for longer than its lease holds, and continued when the second
//! has taken the node over or waits for it: exactly one of them commits.

use std::process::{Child, Command};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use datanode_store::fault::{self, Step};
use datanode_tests::{Project, at_once, on_both_databases, rounds};

use super::{
    Draw, Ended, Job, Run, accounts, digest, held_nodes, job, measure, stored_runs, undisturbed, with_leases,
};

/// How long the second process is given, while the first is stopped. Where that one holds the lock to write it would
/// wait for ever.
const STOPPED: Duration = Duration::from_secs(3);
/// Where it is known to wait: longer than a lease of the first one holds.
const STOPPED_INSIDE: Duration = Duration::from_millis(1_200);
/// Where it is known to end by itself.
const STOPPED_OUTSIDE: Duration = Duration::from_mins(2);

/// How a round ended for a process.
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

/// Wait until a process has stopped itself.
fn stopped(child: &Child) {
    let give_up = Instant::now() + Duration::from_mins(1);
    let id = child.id().to_string();
    loop {
        let state = Command::new("ps").args(["-o", "state=", "-p", &id]).output().expect("ps starts").stdout;
        match state.first() {
            Some(b'T') => return,
            Some(b'Z') | None => panic!("it ended before it came to its step"),
            Some(_) => assert!(Instant::now() < give_up, "it never came to its step"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn ending(Ended { exit, record }: &Ended) -> Ending {
    match (exit, record["status"].as_str().unwrap(), record["error"]["code"].as_str()) {
        (Some(0), "ok", None) => Ending::Committed,
        (Some(0), "skipped" | "empty", None) => Ending::NothingToDo,
        (Some(5), "failed", Some("lease.lost")) => Ending::Fenced,
        (Some(5), "failed", Some("lease.held")) => Ending::Held,
        _ => panic!("exit {exit:?}: {record:#}"),
    }
}

/// Let the second process run while the first is stopped, but no longer than this, and continue the first. How both
/// ended.
fn race(job: &Job, project: &Project, first: Run, patience: Duration) -> (Ending, Ending) {
    let arguments = [job.arguments, &["--wait", "120", "--progress", "json", "--json"]].concat();
    let mut second = Run::of(project.command(&arguments));
    while second.child.try_wait().unwrap().is_none() && second.begin.elapsed() < patience {
        thread::sleep(Duration::from_millis(10));
    }
    signal(&first.child, "-CONT");
    // Each answered with what is stored of it.
    (ending(&first.ended(project)), ending(&second.ended(project)))
}

fn one_has_committed(job: &Job, project: &Project, all: i64, round: &str) {
    assert_eq!(accounts(job, project), [all; 3], "{round}");
    assert_eq!((stored_runs(project), held_nodes(project)), (1, 0), "{round}");
    // Which of the two it was: it has stored what one alone stores.
    assert_eq!(digest(job, project), undisturbed(job).rows, "{round}");
}

fn of_two_processes_that_run_one_node_exactly_one_commits(empty: Project) {
    let job = job(empty);
    with_leases(&job, 1);
    let (length, all) = measure(&job);
    let mut draw = Draw(20_261_123);
    // Half of them at the moment at which the first holds the lease and has stored nothing.
    let drawn: Vec<(u32, f64)> = (0..rounds(10, 200)).map(|round| (round, draw.next())).collect();
    let endings = Mutex::new(Vec::new());
    // Most of a round is waiting for a lease to expire.
    at_once(3, &drawn, |&(round, moment)| {
        let project = job.project.copy();
        let first = Run::start(&job, &project);
        if round % 2 == 0 {
            first.until("updating", &mut Vec::new());
        } else {
            thread::sleep(length.mul_f64(moment));
        }
        signal(&first.child, "-STOP");
        let both = race(&job, &project, first, STOPPED);
        assert!(
            matches!(
                both,
                (Ending::Committed, Ending::NothingToDo)
                    | (Ending::NothingToDo | Ending::Fenced | Ending::Held, Ending::Committed)
            ),
            "the one that was stopped and the other, in round {round}: {both:?}"
        );
        one_has_committed(&job, &project, all, &format!("round {round}, {both:?}"));
        endings.lock().unwrap().push(both.0);
    });
    let endings = endings.into_inner().unwrap();
    let count = |ending| endings.iter().filter(|found| **found == ending).count();
    println!("the process that was stopped, in {} rounds:", endings.len());
    for ending in [Ending::Committed, Ending::NothingToDo, Ending::Fenced, Ending::Held] {
        println!("{:<16}{:>4}", format!("{ending:?}"), count(ending));
    }
    assert!(count(Ending::Fenced) > 0, "no process lost its lease while it computed: this has shown nothing");
}

/// The first process stops itself at a step: who has a lease alone loses the node, who is inside of its transaction keeps
/// it.
fn whoever_is_stopped_inside_of_its_commit_keeps_the_node(empty: Project) {
    let job = job(empty);
    with_leases(&job, 1);
    let (_, all) = measure(&job);
    at_once(4, &Step::ALL, |step| {
        let step = *step;
        let project = job.project.copy();
        let arguments = [job.arguments, &["--progress", "json", "--json"]].concat();
        let mut command = project.command(&arguments);
        command.env(fault::VARIABLE, format!("{}{}", step.as_str(), fault::STOP));
        let first = Run::of(command);
        stopped(&first.child);
        let (patience, expected) = match step {
            Step::LeaseClaimed => (STOPPED_OUTSIDE, (Ending::Fenced, Ending::Committed)),
            Step::Committed => (STOPPED_OUTSIDE, (Ending::Committed, Ending::NothingToDo)),
            _ => (STOPPED_INSIDE, (Ending::Committed, Ending::NothingToDo)),
        };
        let both = race(&job, &project, first, patience);
        assert_eq!(both, expected, "the one that was stopped at {} and the other", step.as_str());
        one_has_committed(&job, &project, all, step.as_str());
    });
}

on_both_databases!(
    of_two_processes_that_run_one_node_exactly_one_commits,
    whoever_is_stopped_inside_of_its_commit_keeps_the_node,
);
