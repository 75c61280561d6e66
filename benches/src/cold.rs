//! From the start of the `datanode` command to the first host call of a guest.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use datanode_tests::{Project, program, root};

use crate::measure::{by_turns, percentile, time};
use crate::report::{Goal, Line, Unit};

const ROUNDS: usize = 30;

pub(crate) fn start() -> Vec<Line> {
    let project = Project::new();
    project.upload("many_rows");
    let contract = root().join("tests/guests/many_rows/contract.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    project.run(&["node", "create", "many_rows", "--table", "many_rows", "--config", r#"{"rows": 10}"#]);
    let mut whole = Vec::new();
    let pair = by_turns(
        ROUNDS,
        || {
            let (to_first_call, to_end) = run(&project);
            whole.push(to_end.as_secs_f64());
            to_first_call
        },
        version,
    );
    let floor_is = "`datanode --version`";
    let late = (percentile(&pair.ours, 90), percentile(&pair.floor, 90));
    let whole = (percentile(&whole, 50), pair.median().1);
    vec![
        Line::new("command, start to first host call, median", floor_is, Unit::Seconds, pair.median())
            .goal(Goal::SecondsAtMost(0.050), "a process opens the database, loads compiled code and makes the pool of the engine before it calls a guest; the floor is \
                 a process that does none of it."),
        Line::new("command, start to first host call, 9 of 10", floor_is, Unit::Seconds, late),
        Line::new("command, start to end, run of 10 rows, median", floor_is, Unit::Seconds, whole),
    ]
}

/// One run of ten rows: until its first host call was answered, and until the command has ended.
fn run(project: &Project) -> (Duration, Duration) {
    let mut command = project.command(&["node", "run", "many_rows", "--progress", "json"]);
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut events = BufReader::new(child.stderr.take().unwrap()).lines();
    // The first call of this guest hands the schema over; the event says that it was taken.
    let first = events.any(|line| line.unwrap().contains("\"rows_emitted\""));
    let to_first_call = begun.elapsed();
    assert!(first, "the run emitted nothing");
    // Until the end, so that the command never waits for a reader.
    events.for_each(drop);
    assert!(child.wait().unwrap().success());
    (to_first_call, begun.elapsed())
}

fn version() -> Duration {
    time(|| {
        let mut command = Command::new(program());
        let status = command.arg("--version").stdout(Stdio::null()).status();
        assert!(status.unwrap().success());
    })
}
