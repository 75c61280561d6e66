//! A backfill is ended by `kill -9` at moments drawn from the whole of it, and aborts at each step of a commit. What is left
//! agrees with itself; resumed, it leaves what one leaves that nothing disturbed.

use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use datanode_store::fault::{self, Step};
use datanode_tests::{Project, at_once, on_both_databases, root, rounds};
use serde_json::Value;

use super::{Draw, held_nodes, windows};

const TABLE: &str = "daily_readings";
/// Half of its range has rows already, with other values; it is filled and overwritten by three windows at once.
const BEGIN: [&str; 14] = [
    "node",
    "backfill",
    TABLE,
    "--from",
    "2019-11-01",
    "--to",
    "2021-12-31",
    "--overwrite",
    "--step",
    "30",
    "--concurrency",
    "3",
    "--option",
    "plus=0.5",
];
/// Rounds at a time: most of one is waiting, for the disk, for the server, for a claim.
const AT_ONCE: usize = 2;
/// What `abort` sends.
const SIGABRT: i32 = 6;

fn project(empty: Project) -> Project {
    empty.upload(TABLE);
    let contract = root().join("tests/guests/daily_readings/contract.toml");
    empty.run(&["table", "register", contract.to_str().unwrap()]);
    empty.run(&["node", "create", TABLE, "--table", TABLE]);
    empty.run(&["node", "run", TABLE, "--until", "2020-12-31"]);
    empty
}

/// What an undisturbed backfill leaves.
#[derive(Debug, PartialEq)]
struct Left {
    rows: Value,
    /// First and last moment, and state of what the node has done.
    ledger: Vec<String>,
    /// Status, rows inserted and updated of each window of the backfill.
    windows: Vec<String>,
}

fn left(project: &Project) -> Left {
    let backfill = &project.json(&["node", "backfill", "list"])[0];
    assert_eq!(backfill["state"], "done", "{backfill:#}");
    let of_windows = "SELECT status || ': ' || rows_inserted || ', ' || rows_updated FROM _backfill_windows \
                      ORDER BY backfill_uid, position";
    Left {
        rows: project.json(&["table", "digest", TABLE]),
        ledger: windows(project),
        windows: project.texts(of_windows),
    }
}

/// Rows by four accounts that must agree: the table itself, its progress, the sum of its run records, and, for what the
/// backfill has inserted, the sum of its windows.
fn agree(project: &Project, after: &str) {
    project.settle();
    let rows = project.number(&format!("SELECT count(*) FROM {TABLE}"));
    let sum = |column: &str, table: &str| {
        project.number(&format!("SELECT CAST(coalesce(sum({column}), 0) AS bigint) FROM{table}"))
    };
    assert_eq!(sum("row_count", " _progress"), rows, "after {after}");
    assert_eq!(sum("rows_inserted", " _runs"), rows, "after {after}");
    let before =
        project.number("SELECT rows_inserted FROM _runs WHERE record NOT LIKE '%\"kind\":\"backfill\"%'");
    assert_eq!(sum("rows_inserted", " _backfill_windows"), rows - before, "after {after}");
}

/// As if the claims of killed processes were over.
fn expire(project: &Project) {
    project.expire_leases();
    project.execute("UPDATE _backfill_windows SET expires_at = 0 WHERE status = 'running'");
}

/// Resume what is there, or begin where nothing is; it ends as one that nothing disturbed.
fn completes(project: &Project, undisturbed: &Left, after: &str) {
    expire(project);
    let begun = project.json(&["node", "backfill", "list"]);
    match begun[0]["backfill_id"].as_str() {
        None => project.run(&BEGIN),
        Some(id) if begun[0]["state"] != "done" => project.run(&["node", "backfill", "resume", id]),
        Some(_) => String::new(),
    };
    assert_eq!(left(project), *undisturbed, "after {after}");
    agree(project, after);
    assert_eq!(held_nodes(project), 0, "after {after}");
    let verified = project.json(&["stats", "verify", TABLE]);
    assert_eq!(verified[0]["differences"].as_array().unwrap().len(), 0, "after {after}");
}

fn measure(origin: &Project) -> (Duration, Left) {
    let project = origin.copy();
    let begin = Instant::now();
    project.run(&BEGIN);
    let duration = begin.elapsed();
    agree(&project, "nothing");
    (duration, left(&project))
}

/// The same of so many at once as there will be: how long one of them takes on average.
fn measure_at_once(origin: &Project) -> (Duration, Left) {
    let measured = Mutex::new(Vec::new());
    at_once(AT_ONCE, &[(); AT_ONCE], |()| {
        let measure = measure(origin);
        measured.lock().unwrap().push(measure);
    });
    let measured = measured.into_inner().unwrap();
    let whole: Duration = measured.iter().map(|(duration, _)| *duration).sum();
    let mut left: Vec<Left> = measured.into_iter().map(|(_, left)| left).collect();
    let first = left.swap_remove(0);
    assert!(left.iter().all(|other| *other == first), "two that nothing disturbed: {first:#?}\n{left:#?}");
    (whole / u32::try_from(AT_ONCE).unwrap(), first)
}

fn a_backfill_that_is_killed_and_resumed_leaves_what_an_undisturbed_one_leaves(empty: Project) {
    let origin = project(empty);
    let (length, undisturbed) = measure_at_once(&origin);
    let (rounds, mut draw) = (rounds(20, 200), Draw(20_261_127));
    let parts: Vec<(u32, f64)> =
        (0..rounds).map(|part| (part, (f64::from(part) + draw.next()) / f64::from(rounds))).collect();
    let interrupted = AtomicU32::new(0);
    at_once(AT_ONCE, &parts, |&(part, of_all)| {
        let project = origin.copy();
        let begin = Instant::now();
        let mut child = project.command(&BEGIN).stdout(std::process::Stdio::null()).spawn().unwrap();
        thread::sleep(length.mul_f64(of_all).saturating_sub(begin.elapsed()));
        child.kill().unwrap();
        child.wait().unwrap();
        let after = format!("a kill in part {part}");
        agree(&project, &after);
        let finished =
            project.number("SELECT count(*) FROM _backfill_windows WHERE status IN ('done', 'empty')");
        let recorded =
            project.number("SELECT count(*) FROM _runs WHERE record LIKE '%\"kind\":\"backfill\"%'");
        assert_eq!(finished, recorded, "each window with its run, after {after}");
        let all = i64::try_from(undisturbed.windows.len()).unwrap();
        interrupted.fetch_add(u32::from(finished > 0 && finished < all), Ordering::Relaxed);
        completes(&project, &undisturbed, &after);
    });
    let interrupted = interrupted.into_inner();
    println!("{rounds} kills over a backfill of {} ms: {interrupted} in its middle", length.as_millis());
    assert!(interrupted > 0, "no kill fell between its first window and its last: this has shown nothing");
}

fn a_backfill_that_is_ended_at_any_step_is_resumed(empty: Project) {
    let origin = project(empty);
    let (_, undisturbed) = measure(&origin);
    // A month of days is one statement, and one message of a copy: nothing can happen in the middle of it.
    let steps = Step::ALL.into_iter().filter(|step| *step != Step::RowsBegun);
    let steps: Vec<Step> = steps.chain(Step::OF_BACKFILLS).collect();
    at_once(2, &steps, |step| {
        let step = *step;
        let project = origin.copy();
        let aborted = project.command(&BEGIN).env(fault::VARIABLE, step.as_str()).output().unwrap();
        let name = step.as_str();
        assert_eq!(aborted.status.signal(), Some(SIGABRT), "{name} was never reached");
        let finished =
            project.number("SELECT count(*) FROM _backfill_windows WHERE status IN ('done', 'empty')");
        // Windows before the first row may have been stored before there were rows whose storing could be interrupted.
        let of_rows = step == Step::HalfTheRowsStored;
        assert!(finished == i64::from(step == Step::Committed) || of_rows, "{name}: {finished} windows");
        completes(&project, &undisturbed, name);
    });
}

on_both_databases!(
    a_backfill_that_is_killed_and_resumed_leaves_what_an_undisturbed_one_leaves,
    a_backfill_that_is_ended_at_any_step_is_resumed,
);
