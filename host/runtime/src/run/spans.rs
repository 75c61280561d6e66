//! What a trace shows of a run: the run itself, with its steps (`plan`, `claim`, `load`, `update`, `commit`) where these are
//! made. Where nobody listens, a span costs a comparison.
//!
//! Fields are names, ids and counts of the record. No config, no option, no value of a row and no message is among them:
//! whoever may see traces need not be somebody who may see these.

use datanode_core::run::RunRecord;
use tracing::field::Empty;
use tracing::{Span, info_span};

/// A run that begins.
pub(super) fn run(record: &RunRecord) -> Span {
    info_span!(
        "run",
        datanode.run_id = record.run_id.as_str(),
        datanode.node_uid = record.node_uid.as_str(),
        datanode.table = record.table.as_str(),
        datanode.component = record.component.as_str(),
        datanode.component_version = %record.component_version,
        datanode.kind = record.kind.as_str(),
        datanode.status = Empty,
        datanode.rows_inserted = Empty,
        datanode.rows_updated = Empty,
        error.type = Empty,
        otel.status_code = Empty,
    )
}

/// How it ended; None: not even that could be stored.
pub(super) fn ended(span: &Span, record: Option<&RunRecord>) {
    let Some(record) = record else {
        span.record("otel.status_code", "ERROR");
        return;
    };
    // Numbers of a trace have a sign.
    let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
    span.record("datanode.status", record.status.as_str());
    span.record("datanode.rows_inserted", count(record.rows_inserted));
    span.record("datanode.rows_updated", count(record.rows_updated));
    if let Some(error) = &record.error {
        failed(span, &error.code);
    }
}

/// It has failed, by this code.
pub(super) fn failed(span: &Span, code: &str) {
    span.record("error.type", code);
    span.record("otel.status_code", "ERROR");
}
