//! Whole runs in one process, and the commit of many rows alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datanode_core::contract::Contract;
use datanode_core::run::{RunRecord, RunStatus};
use datanode_runtime::{Host, NodeRequest, RunOptions, Upload};
use datanode_sandbox::{CodeCache, Limits, Sandbox};
use datanode_store::{ClaimLease, CommitRun, SqliteStore, WriteMode};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::calls::built;
use crate::measure::{by_turns, time};
use crate::report::{Goal, Line, Unit};
use crate::rows::{self, Plain, SERIES};

const MANY: i64 = 1_000_000;
/// Rows per statement, as the store has it.
const PER_STATEMENT: i64 = 16;
const SMALL: &str = "CREATE TABLE small (id INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT";

/// A host over a database of its own.
pub(crate) struct Place {
    pub(crate) runtime: Runtime,
    pub(crate) host: Host,
    pub(crate) directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let cache = CodeCache::open(&directory.path().join("compiled")).unwrap();
        let sandbox = Sandbox::new(Limits::default()).unwrap().with_cache(cache);
        let store = runtime.block_on(SqliteStore::open(&database(&directory))).unwrap();
        let host = Host::new(Arc::new(store), sandbox);
        let place = Self { runtime, host, directory };
        place.upload("many_rows");
        place
    }

    /// Upload a component by its name.
    pub(crate) fn upload(&self, name: &str) {
        let upload = Upload { label: name.to_owned(), bytes: built(name), ..Upload::default() };
        self.runtime.block_on(self.host.upload(upload)).unwrap();
    }

    /// A table and a node that writes so many rows into it at each run, so many in a batch; the node's uid.
    pub(crate) fn node(&self, table: &str, rows: i64, rows_per_batch: i64) -> String {
        let contract = contract(table);
        // The component makes a name per series and per row of a batch before it begins: no more than there are rows.
        let series = rows.clamp(1, SERIES);
        self.runtime.block_on(self.host.register_table(&contract)).unwrap();
        let request = NodeRequest {
            component: "many_rows".to_owned(),
            pinned_digest: None,
            config: format!(
                r#"{{"rows": {rows}, "rows_per_batch": {rows_per_batch}, "coordinates": {series}}}"#
            ),
            table: table.to_owned(),
            hash_namespace: String::new(),
        };
        let planned = self.runtime.block_on(self.host.plan(request)).unwrap();
        planned.last().unwrap().node.uid.clone()
    }

    fn run(&self, node: &str, expected: RunStatus) -> RunRecord {
        let tree = self.runtime.block_on(self.host.run_node(node, "", &RunOptions::default())).unwrap();
        let record = tree.runs.into_iter().next_back().unwrap();
        assert_eq!(record.status, expected, "{:?}", record.error);
        record
    }

    /// A plain database beside it, with a table of the same schema.
    fn plain(&self, table: &str, file: &str) -> Plain {
        let connection = Connection::open(database(&self.directory)).unwrap();
        let query = "SELECT sql FROM sqlite_schema WHERE name = ?1";
        let schema: String = connection.query_row(query, [table], |row| row.get(0)).unwrap();
        let schema = schema.replacen(&format!("\"{table}\""), "t", 1);
        Plain::new(&self.directory.path().join(file), &format!("{schema}; {SMALL}"))
    }
}

fn database(directory: &TempDir) -> PathBuf {
    directory.path().join("host.sqlite")
}

fn contract(identifier: &str) -> Contract {
    let file: &Path = &datanode_tests::root().join("tests/guests/many_rows/contract.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let named = text.replacen("identifier = \"many_rows\"", &format!("identifier = \"{identifier}\""), 1);
    Contract::from_toml(&named).unwrap()
}

pub(crate) fn none() -> Vec<Line> {
    let place = Place::new();
    let node = place.node("none", 0, 1);
    let plain = place.plain("none", "plain.sqlite");
    let pair = by_turns(201, || time(|| drop(place.run(&node, RunStatus::Empty))), || plain.commit_small());
    let floor_is = "one fsynced commit of one small row";
    let line = |which, pair| {
        Line::new(format!("run that emits nothing, recorded, {which}"), floor_is, Unit::Seconds, pair)
    };
    let why = "a run waits for the disk once, for its commit. What it does beside that is done by five other threads, \
         one after the other, and each takes two switches: planning, the claim, the snapshot, the call and the guest in \
         it. Then it writes more than one small row: the record, and the lease that is given up.";
    vec![line("fastest", pair.fastest()).goal(Goal::RatioAtMost(2.0), why), line("median", pair.median())]
}

pub(crate) fn ten() -> Line {
    let place = Place::new();
    let node = place.node("ten", 10, 10);
    let mut plain = place.plain("ten", "plain.sqlite");
    let pair =
        by_turns(101, || time(|| drop(place.run(&node, RunStatus::Ok))), || plain.insert(10, PER_STATEMENT));
    Line::new("run of 10 rows", "raw prepared inserts, one commit", Unit::Seconds, pair.median())
}

pub(crate) fn many() -> Line {
    let place = Place::new();
    let node = place.node("many", MANY, rows::BATCH);
    let mut plain = [place.plain("many", "several.sqlite"), place.plain("many", "single.sqlite")];
    let pair = by_turns(5, || time(|| drop(place.run(&node, RunStatus::Ok))), || fastest_plain(&mut plain));
    let (ours, floor) = pair.median();
    let rate = (MANY as f64 / ours, MANY as f64 / floor);
    Line::new("run of 1 M rows", "raw prepared inserts, one commit", Unit::RowsPerSecond, rate)
}

pub(crate) fn ingest() -> Line {
    let place = Place::new();
    let node = place.node("ingest", 0, 1);
    let template = place.run(&node, RunStatus::Empty);
    let mut plain = [place.plain("ingest", "several.sqlite"), place.plain("ingest", "single.sqlite")];
    let (mut first, mut number) = (0, 0);
    let ours = || {
        let table = place.runtime.block_on(place.host.store().table("ingest")).unwrap();
        let batches = rows::batches(&table.contract, first, MANY);
        let added = rows::added(first, MANY);
        first = rows::after(first, MANY);
        number += 1;
        let record =
            RunRecord { run_id: format!("ingest-{number}"), status: RunStatus::Ok, ..template.clone() };
        let claim = ClaimLease {
            node_uid: node.clone(),
            holder: "a bench".to_owned(),
            run_id: record.run_id.clone(),
            duration: Duration::from_mins(1),
        };
        let commit = CommitRun {
            lease: place.runtime.block_on(place.host.store().claim_lease(&claim)).unwrap(),
            table,
            record,
            journal: None,
            mode: WriteMode::Append,
            rows: Box::new(batches.into_iter().map(Ok)),
            added,
            on_rows: Box::new(|_| {}),
        };
        time(|| drop(place.runtime.block_on(place.host.store().commit_run(commit)).unwrap()))
    };
    let pair = by_turns(7, ours, || fastest_plain(&mut plain));
    let (ours, floor) = pair.median();
    let rate = (MANY as f64 / ours, MANY as f64 / floor);
    Line::new(
        "SQLite ingest, commit of 1 M rows",
        "raw prepared inserts, one commit",
        Unit::RowsPerSecond,
        rate,
    )
    .goal(Goal::RatioAtLeast(0.9), "each value goes from an Arrow array to SQLite through one call per cell, as the floor's does, and text with its \
         length looked up in a second array.")
}

/// Sixteen rows per statement in one database, one in the other: the faster counts.
fn fastest_plain([several, single]: &mut [Plain; 2]) -> Duration {
    several.insert(MANY, PER_STATEMENT).min(single.insert(MANY, 1))
}
