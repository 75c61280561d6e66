//! The record of an update: that of a run whose component nobody here has.

use std::collections::BTreeMap;

use datanode_core::component::ComponentClass;
use datanode_core::digest::Digest;
use datanode_core::frame::OutputSummary;
use datanode_core::producer::{PRODUCER, PRODUCER_RUN, Provenance};
use datanode_core::progress::Progress;
use datanode_core::run::{Coverage, Durations, InputRecord, RunRecord, RunStatus, StatisticsSummary};
use datanode_core::window::Window;
use datanode_store::{Producer, ProducerUpdate, Table};
use semver::Version;
use serde_json::json;

use crate::clock;

/// An update that has just begun; it stays like this, with an error, when nothing ever comes.
pub(super) fn begun(producer: &Producer, scheduler_uid: &str, sent_by: &str) -> RunRecord {
    let (node, now) = (&producer.node, clock::now());
    RunRecord {
        run_id: clock::run_id(),
        node_uid: node.uid.clone(),
        update_hash: node.update_hash.clone(),
        table_uid: node.table_uid.clone(),
        table: node.table.clone(),
        kind: PRODUCER_RUN.to_owned(),
        status: RunStatus::Failed,
        started_at: now,
        finished_at: now,
        window: Window { start: None, end: now },
        retry_of: None,
        lookback: None,
        late_rows: None,
        producer: Some(Provenance {
            sent_by: sent_by.to_owned(),
            project_uid: producer.project_uid.clone(),
            scheduler_uid: scheduler_uid.to_owned(),
            uploads: 0,
        }),
        backfill: None,
        component: PRODUCER.to_owned(),
        component_version: Version::new(0, 0, 0),
        // Of nothing: no bytes of it were ever here.
        component_digest: Digest::of(b""),
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
        limits: json!({}),
        host: BTreeMap::from([("datanode".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
        error: None,
        warnings: Vec::new(),
        violations: Vec::new(),
        logs: Vec::new(),
        logs_dropped: 0,
        journal: None,
    }
}

/// An update whose rows are all there. What it read is known by the edges of its node alone: which tables, not which rows.
pub(super) fn received(
    update: &ProducerUpdate,
    producer: &Producer,
    table: &Table,
    held: &Progress,
    summary: &OutputSummary,
) -> RunRecord {
    let now = clock::now();
    let read = producer.node.dependencies.iter().map(|edge| InputRecord {
        key: edge.key.clone(),
        table_uid: edge.table_uid.clone(),
        table: edge.declared.table().to_owned(),
        rows: 0,
        bytes: 0,
        digest: Digest::of(b""),
        min_time: None,
        max_time: None,
    });
    RunRecord {
        table: table.contract.identifier.clone(),
        status: if summary.added.rows() > 0 { RunStatus::Ok } else { RunStatus::Empty },
        finished_at: now,
        // Nobody has told a producer where to end: its rows may lie in the future.
        window: Window { start: None, end: summary.added.max_time().map_or(now, |latest| latest.max(now)) },
        statistics: StatisticsSummary {
            coordinates: held.len() as u64,
            rows: held.rows(),
            min_time: held.min_time(),
            max_time: held.max_time(),
        },
        inputs: read.collect(),
        rows_emitted: summary.emitted,
        rows_dropped: summary.dropped,
        coverage: Coverage::of(summary.coordinates, held, &summary.added),
        ..update.record.clone()
    }
}
