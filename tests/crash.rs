//! `kill -9` at points drawn over a run: afterwards rows, progress and run record agree, and the next run completes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use datanode_tests::Project;

const TABLE: &str = "fx_ecb_daily_rates";
const ROWS: u64 = 176_280;
const ROUNDS: u64 = 20;
/// Of the rounds, how many must fall between the first write and the commit.
const INSIDE_COMMIT: usize = 5;

/// A run that tells its events line by line.
struct Run {
    child: Child,
    events: Receiver<(Instant, String)>,
}

fn start(project: &Project) -> Run {
    let arguments = ["node", "run", TABLE, "--until", "2020-12-31", "--progress", "json", "--json"];
    let mut child = project
        .command(&arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("datanode starts");
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (send, events) = channel();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if send.send((Instant::now(), line)).is_err() {
                break;
            }
        }
    });
    Run { child, events }
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

/// Rows by three accounts that must agree: the table itself, its progress, and the sum of its run records.
fn accounts(project: &Project) -> (u64, u64, u64) {
    let rows =
        project.run(&["table", "read", TABLE, "--limit", "0", "--format", "csv"]).lines().count() as u64 - 1;
    let table = project.json(&["table", "show", TABLE]);
    let progress =
        table["progress"].as_array().unwrap().iter().map(|held| held["rows"].as_u64().unwrap()).sum();
    let runs = project.json(&["run", "list", "--table", TABLE, "--limit", "0"]);
    let recorded = runs.as_array().unwrap().iter().map(|run| run["rows_inserted"].as_u64().unwrap()).sum();
    (rows, progress, recorded)
}

#[test]
fn a_killed_run_leaves_all_or_nothing() {
    let template = Project::with_fx();

    // One run to the end, to learn how long it and its commit take.
    let whole = template.copy();
    let begin = Instant::now();
    let mut run = start(&whole);
    assert!(run.child.wait().unwrap().success());
    let events: Vec<(Instant, String)> = run.events.iter().collect();
    let at = |event: &str| events.iter().find(|(_, line)| is(line, event)).map(|(time, _)| *time).unwrap();
    let run_time = at("finished") - begin;
    let write_time = at("finished") - at("rows_written");
    assert_eq!(accounts(&whole), (ROWS, ROWS, ROWS));

    let mut draw = Draw(20_261_122);
    let (mut inside_commit, mut nothing, mut all) = (0, 0, 0);
    for round in 0..ROUNDS {
        let project = template.copy();
        let begin = Instant::now();
        let mut run = start(&project);
        let mut seen: Vec<String> = Vec::new();
        if round % 2 == 0 {
            // Anywhere in the run.
            thread::sleep(run_time.mul_f64(draw.next()).saturating_sub(begin.elapsed()));
        } else {
            // Somewhere in the commit: after the first write.
            while let Ok((_, line)) = run.events.recv_timeout(Duration::from_mins(1)) {
                let first_write = is(&line, "rows_written");
                seen.push(line);
                if first_write {
                    break;
                }
            }
            thread::sleep(write_time.mul_f64(draw.next() * 0.8));
        }
        run.child.kill().unwrap();
        run.child.wait().unwrap();
        seen.extend(run.events.iter().map(|(_, line)| line));

        let (rows, progress, recorded) = accounts(&project);
        assert_eq!((rows, progress), (recorded, recorded), "round {round}: {}", seen.join("\n"));
        assert!(rows == 0 || rows == ROWS, "round {round}: {rows} rows");
        let wrote = seen.iter().any(|line| is(line, "rows_written"));
        match rows {
            0 if wrote => inside_commit += 1,
            0 => nothing += 1,
            _ => all += 1,
        }

        // The next run completes what the killed one began, or finds nothing left to do.
        project.run(&["node", "run", TABLE, "--until", "2020-12-31"]);
        assert_eq!(accounts(&project), (ROWS, ROWS, ROWS), "round {round}");
    }
    let kills = inside_commit + nothing + all;
    println!(
        "{kills} kills: {nothing} before the first write, {inside_commit} inside the commit, {all} after it"
    );
    assert!(
        inside_commit >= INSIDE_COMMIT,
        "only {inside_commit} kills fell between the first write and the commit"
    );
}
