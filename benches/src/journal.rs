//! What the journal of a run costs, beside the same run without one.

use std::time::Duration;

use datanode_core::journal::JournalMode;
use datanode_core::run::RunStatus;
use datanode_runtime::{Contents, Host, JournalSettings, NodeRequest, RunOptions};

use crate::measure::{by_turns, time};
use crate::report::{Goal, Line, Unit};
use crate::rows;
use crate::runs::Place;

const ROWS: i64 = 1_000_000;
const ROUNDS: usize = 7;
const GOAL: Goal = Goal::RatioAtMost(1.05);
const WHY: &str = "the journal hashes what a guest was given and emitted once more, on a thread of its own, and the first time that \
     a content is given compresses it and waits until the disk has it.";

/// Runs of a host, with a journal or without.
struct Runs<'p> {
    place: &'p Place,
    node: String,
    options: RunOptions,
}

impl Runs<'_> {
    fn run(&self, journal: Option<(JournalMode, &Contents)>) -> Duration {
        let settings = match journal {
            Some((mode, contents)) => {
                JournalSettings { contents: contents.clone(), mode: Some(mode), keep: None }
            }
            None => JournalSettings::default(),
        };
        let host: Host = self.place.host.clone().with_journals(settings);
        time(|| {
            let tree = self.place.runtime.block_on(host.run_node(&self.node, "", &self.options)).unwrap();
            let record = tree.runs.last().unwrap();
            assert!(matches!(record.status, RunStatus::Ok | RunStatus::Empty), "{:?}", record.error);
            assert_eq!(record.journal.is_some(), journal.is_some());
        })
    }

    /// By turns with the same without a journal. `anew` is a directory of contents for each round.
    fn line(&self, what: &str, mode: JournalMode, anew: bool) -> Line {
        let directory = tempfile::tempdir_in(self.place.directory.path()).unwrap();
        let mut round = 0;
        let ours = || {
            round += usize::from(anew);
            let contents = Contents::new(directory.path().join(round.to_string()));
            self.run(Some((mode, &contents)))
        };
        let pair = by_turns(ROUNDS, ours, || self.run(None));
        let what = format!("{what}, `journal = \"{}\"`", mode.as_str());
        Line::new(what, "the same run without a journal", Unit::Seconds, pair.median()).goal(GOAL, WHY)
    }
}

pub(crate) fn overhead() -> Vec<Line> {
    let place = Place::new();
    let storing =
        Runs { place: &place, node: place.node("stored", ROWS, rows::BATCH), options: RunOptions::default() };
    // One for the reader.
    storing.run(None);
    let reading = Runs {
        place: &place,
        node: reader(&place),
        options: RunOptions { force: true, ..RunOptions::default() },
    };
    let mut lines = vec![
        reading.line("run that reads 1 M rows, given for the first time", JournalMode::Full, true),
        reading.line("run that reads 1 M rows, given before", JournalMode::Full, false),
        reading.line("run that reads 1 M rows", JournalMode::Digest, false),
    ];
    for mode in [JournalMode::Full, JournalMode::Digest] {
        lines.push(storing.line("run that stores 1 M rows", mode, false));
    }
    lines
}

/// A node that reads the whole table.
fn reader(place: &Place) -> String {
    let file = datanode_tests::root().join("tests/guests/reads_rows/contract.toml");
    let contract =
        datanode_core::contract::Contract::from_toml(&std::fs::read_to_string(file).unwrap()).unwrap();
    let request = NodeRequest {
        component: "reads_rows".to_owned(),
        pinned_digest: None,
        config: r#"{"table": "stored"}"#.to_owned(),
        table: contract.identifier.clone(),
        hash_namespace: String::new(),
    };
    place.upload("reads_rows");
    place.runtime.block_on(async {
        place.host.register_table(&contract).await.unwrap();
        place.host.plan(request).await.unwrap().last().unwrap().node.uid.clone()
    })
}
