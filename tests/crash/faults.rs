//! Every step of the commit protocol, one after the other: the process aborts there.

use std::os::unix::process::ExitStatusExt;
use std::sync::PoisonError;

use datanode_store::fault::{self, Step};
use serde_json::Value;

use super::{ALONE, Job, accounts, job, measure};

/// What `abort` sends.
const SIGABRT: i32 = 6;

/// The run is ended at a step; what it leaves is whole, says who held the node, and the next run completes it.
fn abort_at(step: Step, job: &Job, all: u64) {
    let project = job.project.copy();
    let aborted = project.command(job.arguments).env(fault::VARIABLE, step.as_str()).output().unwrap();
    let name = step.as_str();
    assert_eq!(aborted.status.signal(), Some(SIGABRT), "{name} was never reached");
    assert!(aborted.stdout.is_empty(), "{name}: it had answered already");

    let is_committed = step == Step::Committed;
    let stored = if is_committed { all } else { 0 };
    assert_eq!(accounts(job, &project), [stored; 3], "aborted at {name}");
    let runs = project.json(&["run", "list", "--limit", "0"]);
    assert_eq!(runs.as_array().unwrap().len(), usize::from(is_committed), "{name}: {runs:#}");
    let leases = project.json(&["run", "leases"]);
    if is_committed {
        assert_eq!(leases, Value::Array(Vec::new()), "{name}: the lease is given up with the commit");
    } else {
        let lease = &leases[0];
        assert_eq!(lease["epoch"], 1, "{name}");
        let (exit, said) = project.fails(job.arguments);
        assert_eq!(exit, 5, "{name}: {said}");
        assert!(said.contains("lease.held") && said.contains(lease["holder"].as_str().unwrap()), "{said}");
        assert_eq!(accounts(job, &project), [0; 3]);
    }

    project.expire_leases();
    project.run(job.arguments);
    assert_eq!(accounts(job, &project), [all; 3], "the run after one aborted at {name}");
    let runs = project.json(&["run", "list", "--status", "ok", "--limit", "0"]);
    assert_eq!(runs.as_array().unwrap().len(), 1, "{name}: rows come from one run");
    assert_eq!(project.json(&["run", "leases"]), Value::Array(Vec::new()), "{name}");
    // And once more: there is nothing left to do.
    project.run(job.arguments);
    assert_eq!(accounts(job, &project), [all; 3]);
}

#[test]
fn a_run_that_is_ended_at_any_step_of_the_commit_leaves_all_or_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let job = job();
    // So that no lease ends before it is looked at, however busy the machine is.
    std::fs::write(job.project.path().join("datanode.toml"), "[runs]\nlease_seconds = 3600\n").unwrap();
    let (_, all) = measure(&job);
    for step in Step::ALL {
        abort_at(step, &job, all);
    }
}
