//! The store, asked as a run, a read and a delete ask it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use datanode_core::Timestamp;
use datanode_core::component::ComponentClass;
use datanode_core::digest::Digest;
use datanode_core::query::{Bound, ReadQuery, TimeRange};
use datanode_core::run::{Coverage, Durations, RunRecord, RunStatus, StatisticsSummary};
use datanode_core::window::Window;
use datanode_store::{
    ClaimLease, CommitRun, DeleteAfter, DeleteScope, NewNode, Node, Rows, Store, Table, WriteMode,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::Work;
use super::shape::{added, batches, contract, moment};
use crate::measure::time;

/// Rows of a page, as `datanode table read` asks for them.
const PAGE: usize = 16_384;

/// A store with one table and the node that writes it.
pub(super) struct Ours {
    pub(super) runtime: Runtime,
    store: Arc<dyn Store>,
    node: Node,
    runs: Cell<u32>,
}

impl Ours {
    pub(super) fn new(runtime: Runtime, store: Arc<dyn Store>) -> Self {
        let now = moment(0);
        let contract = contract();
        let table = runtime.block_on(store.register_table(&contract, now)).unwrap().value;
        let node = NewNode {
            update_hash: "bench_0123456789abcdef".to_owned(),
            component: "bench".to_owned(),
            pinned_digest: None,
            config: json!({}),
            hashed_document: "{}".to_owned(),
            hash_namespace: String::new(),
            table_uid: table.uid,
            dependencies: Vec::new(),
            created_at: now,
        };
        let node = runtime.block_on(store.ensure_node(node)).unwrap().value;
        Self { runtime, store, node, runs: Cell::new(0) }
    }

    /// Rows of a window, whatever is done with them.
    pub(super) fn work(&self, work: Work, first: i64, rows: i64) -> Duration {
        match work {
            Work::Append => self.append(first, rows),
            Work::Resend => self.resend(first, rows),
            Work::Read => self.read(first, rows),
            Work::Delete => self.delete(first, rows),
        }
    }

    fn table(&self) -> Table {
        self.runtime.block_on(self.store.table(&self.node.table_uid)).unwrap()
    }

    /// Commit rows that lie ready, as a run that computed them does.
    pub(super) fn append(&self, first: i64, rows: i64) -> Duration {
        let (took, record) = self.write(WriteMode::Append, first, rows);
        assert_eq!(record.rows_inserted, rows.unsigned_abs());
        took
    }

    /// The same once more: all of them are there.
    fn resend(&self, first: i64, rows: i64) -> Duration {
        let (took, record) = self.write(WriteMode::Overwrite, first, rows);
        assert_eq!(record.rows_unchanged, rows.unsigned_abs());
        took
    }

    fn write(&self, mode: WriteMode, first: i64, rows: i64) -> (Duration, RunRecord) {
        let table = self.table();
        let ready: Vec<RecordBatch> = batches(&table.contract, first, rows).collect();
        let commit = self.commit(table, Box::new(ready.into_iter().map(Ok)), first, rows);
        let commit = CommitRun { mode, ..commit };
        let begun = Instant::now();
        let outcome = self.runtime.block_on(self.store.commit_run(commit)).unwrap();
        (begun.elapsed(), outcome.record)
    }

    /// The same, of rows that are made when they are asked for.
    pub(super) fn stream(&self, mode: WriteMode, first: i64, rows: i64) {
        let table = self.table();
        let made = Box::new(batches(&table.contract, first, rows).map(Ok));
        let commit = CommitRun { mode, ..self.commit(table, made, first, rows) };
        self.runtime.block_on(self.store.commit_run(commit)).unwrap();
    }

    fn commit(&self, table: Table, rows: Rows, first: i64, count: i64) -> CommitRun {
        self.runs.set(self.runs.get() + 1);
        // Of several processes, one after the other, each has its own.
        let run_id = format!("bench-{}-{}", std::process::id(), self.runs.get());
        let claim = ClaimLease {
            node_uid: self.node.uid.clone(),
            holder: "a bench".to_owned(),
            run_id: run_id.clone(),
            duration: Duration::from_mins(10),
        };
        CommitRun {
            lease: self.runtime.block_on(self.store.claim_lease(&claim)).unwrap(),
            table,
            record: record(&self.node, run_id, moment(first + count)),
            mode: WriteMode::Append,
            journal: None,
            rows,
            added: added(first, count),
            on_rows: Box::new(|_| {}),
        }
    }

    fn read(&self, first: i64, rows: i64) -> Duration {
        let table = self.table();
        let start = Bound { time: moment(first), inclusive: true };
        let query = ReadQuery { range: TimeRange { start: Some(start), end: None }, ..ReadQuery::default() };
        let mut found = 0;
        let took = time(|| {
            found = self.runtime.block_on(async {
                let snapshot = self.store.snapshot().await.unwrap();
                let read = snapshot.read(&table, &query);
                let (mut after, mut found) = (None, 0);
                while let Some(page) = read.page(after.as_ref(), PAGE).await.unwrap() {
                    found += page.batch.num_rows() as u64;
                    after = Some(page.last);
                }
                snapshot.end().await;
                found
            });
        });
        assert_eq!(found, rows.unsigned_abs());
        took
    }

    fn delete(&self, first: i64, rows: i64) -> Duration {
        let delete = DeleteAfter {
            table_uid: self.node.table_uid.clone(),
            after: moment(first),
            scope: DeleteScope::All,
        };
        let mut gone = 0;
        let took = time(|| gone = self.runtime.block_on(self.store.delete_after(&delete)).unwrap().rows);
        assert_eq!(gone, rows.unsigned_abs());
        took
    }
}

fn record(node: &Node, run_id: String, now: Timestamp) -> RunRecord {
    RunRecord {
        run_id,
        node_uid: node.uid.clone(),
        update_hash: node.update_hash.clone(),
        table_uid: node.table_uid.clone(),
        table: node.table.clone(),
        kind: "update".to_owned(),
        status: RunStatus::Ok,
        started_at: now,
        finished_at: now,
        window: Window { start: None, end: now },
        retry_of: None,
        lookback: node.settings.lookback,
        late_rows: None,
        producer: None,
        backfill: None,
        component: node.component.clone(),
        component_version: "1.0.0".parse().unwrap(),
        component_digest: Digest::of(b"bench"),
        component_class: ComponentClass::Pure,
        config: node.config.clone(),
        hash_namespace: String::new(),
        options: BTreeMap::new(),
        statistics: StatisticsSummary::default(),
        inputs: Vec::new(),
        fetches: Vec::new(),
        rows_emitted: 0,
        rows_dropped: 0,
        rows_inserted: 0,
        rows_updated: 0,
        rows_unchanged: 0,
        coverage: Coverage::default(),
        bytes_emitted: 0,
        output_digest: None,
        fuel: 0,
        peak_memory: 0,
        durations: Durations::default(),
        limits: Value::Null,
        host: BTreeMap::new(),
        error: None,
        warnings: Vec::new(),
        violations: Vec::new(),
        logs: Vec::new(),
        logs_dropped: 0,
        journal: None,
    }
}
