//! Every step of the commit protocol, one after the other: the process aborts there.

use std::os::unix::process::ExitStatusExt;

use datanode_store::fault::{self, Step};
use datanode_tests::{Project, at_once, on_both_databases};

use super::{Job, accounts, completes, held_nodes, job, measure, with_leases};

/// What `abort` sends.
const SIGABRT: i32 = 6;

/// The run is ended at a step; what it leaves is whole, says who held the node, and the next run completes it.
fn abort_at(step: Step, job: &Job, all: i64) {
    let project = job.project.copy();
    let aborted = project.command(job.arguments).env(fault::VARIABLE, step.as_str()).output().unwrap();
    let name = step.as_str();
    assert_eq!(aborted.status.signal(), Some(SIGABRT), "{name} was never reached");
    assert!(aborted.stdout.is_empty(), "{name}: it had answered already");

    let is_committed = step == Step::Committed;
    let stored = if is_committed { all } else { 0 };
    assert_eq!(accounts(job, &project), [stored; 3], "aborted at {name}");
    let recorded = project.number("SELECT count(*) FROM _runs");
    assert_eq!(recorded, i64::from(is_committed), "{name}");
    if is_committed {
        assert_eq!(held_nodes(&project), 0, "{name}: the lease is given up with the commit");
    } else {
        let lease = &project.json(&["run", "leases"])[0];
        assert_eq!(lease["epoch"], 1, "{name}");
        let (exit, said) = project.fails(job.arguments);
        assert_eq!(exit, 5, "{name}: {said}");
        assert!(said.contains("lease.held") && said.contains(lease["holder"].as_str().unwrap()), "{said}");
        assert_eq!(accounts(job, &project), [0; 3]);
    }

    project.expire_leases();
    completes(job, &project, all, &format!("one that was aborted at {name}"));
    // And once more: there is nothing left to do.
    completes(job, &project, all, &format!("two, of which the first was aborted at {name}"));
}

fn a_run_that_is_ended_at_any_step_of_the_commit_leaves_all_or_nothing(empty: Project) {
    let job = job(empty);
    // So that no lease ends before it is looked at, however busy the machine is.
    with_leases(&job, 3_600);
    let (_, all) = measure(&job);
    at_once(2, &Step::ALL, |step| abort_at(*step, &job, all));
}

on_both_databases!(a_run_that_is_ended_at_any_step_of_the_commit_leaves_all_or_nothing);
