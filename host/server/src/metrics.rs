//! Numbers for whoever watches the server. Their names are a promise: docs/reference/metrics.md lists them.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use axum::http::Method;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The name of each metric as it is served, its kind, its labels, and what it counts.
pub const NAMES: [(&str, &str, &str, &str); 13] = [
    ("datanode_http_requests_total", "counter", "method, route, status", "Requests that were answered."),
    ("datanode_http_request_seconds", "histogram", "method, route", "Seconds until an answer began."),
    ("datanode_http_requests_under_way", "gauge", "", "Requests whose answer has not begun."),
    ("datanode_http_connections", "gauge", "", "Open connections."),
    (
        "datanode_http_refused_total",
        "counter",
        "code",
        "Requests that were refused before a handler was called.",
    ),
    ("datanode_rows_sent_total", "counter", "format", "Rows that were written into answers."),
    ("datanode_row_streams", "gauge", "", "Answers of rows that are being written."),
    (
        "datanode_row_streams_ended_total",
        "counter",
        "outcome",
        "Answers of rows that are over: complete, gone (the reader), failed.",
    ),
    ("datanode_executions_running", "gauge", "", "Runs, backfills and replays that are worked on."),
    ("datanode_executions_waiting", "gauge", "", "Runs, backfills and replays that wait for their turn."),
    ("datanode_executions_total", "counter", "kind, state", "Executions that are over."),
    ("datanode_runs_total", "counter", "status", "Runs of nodes that this server has made."),
    (
        "datanode_uploads_total",
        "counter",
        "outcome",
        "Components that were handed over: created, known, refused.",
    ),
];

/// Upper ends of the buckets of durations, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0];

type Labels<const N: usize> = [(&'static str, String); N];

/// All of them.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    requests: Family<Labels<3>, Counter>,
    took: Family<Labels<2>, Histogram>,
    under_way: Gauge<i64, AtomicI64>,
    connections: Gauge<i64, AtomicI64>,
    refused: Family<Labels<1>, Counter>,
    rows: Family<Labels<1>, Counter>,
    row_streams: Gauge<i64, AtomicI64>,
    row_streams_ended: Family<Labels<1>, Counter>,
    running: Gauge<i64, AtomicI64>,
    waiting: Gauge<i64, AtomicI64>,
    executions: Family<Labels<2>, Counter>,
    runs: Family<Labels<1>, Counter>,
    uploads: Family<Labels<1>, Counter>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            requests: Family::default(),
            took: Family::new_with_constructor(histogram),
            under_way: Gauge::default(),
            connections: Gauge::default(),
            refused: Family::default(),
            rows: Family::default(),
            row_streams: Gauge::default(),
            row_streams_ended: Family::default(),
            running: Gauge::default(),
            waiting: Gauge::default(),
            executions: Family::default(),
            runs: Family::default(),
            uploads: Family::default(),
        };
        let mut registry = Registry::default();
        let mut names = NAMES.iter();
        // In the order of the table above; a counter's ending is added by the encoder.
        macro_rules! register {
            ($($field:ident),*) => {
                $(if let Some((name, _, _, what)) = names.next() {
                    let name = name.strip_suffix("_total").unwrap_or(name);
                    registry.register(name, what.trim_end_matches('.'), metrics.$field.clone());
                })*
            };
        }
        register!(
            requests,
            took,
            under_way,
            connections,
            refused,
            rows,
            row_streams,
            row_streams_ended,
            running,
            waiting,
            executions,
            runs,
            uploads
        );
        metrics.registry = Arc::new(registry);
        metrics
    }
}

/// A number that goes down again when this is dropped.
#[derive(Debug)]
pub(crate) struct Up(Gauge<i64, AtomicI64>);

impl Up {
    fn of(gauge: &Gauge<i64, AtomicI64>) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// A request has come.
    pub(crate) fn begin(&self) -> Up {
        Up::of(&self.under_way)
    }

    /// Its answer has begun. `route` is the pattern, never the path: there are as many numbers as routes.
    pub(crate) fn answered(&self, method: &Method, route: &str, status: u16, took: Duration) {
        let method = known(method).to_owned();
        let route = if route.is_empty() { "none" } else { route };
        let labels =
            [("method", method.clone()), ("route", route.to_owned()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
        self.took
            .get_or_create(&[("method", method), ("route", route.to_owned())])
            .observe(took.as_secs_f64());
    }

    /// A connection is open.
    pub(crate) fn connection(&self) -> Up {
        Up::of(&self.connections)
    }

    /// A request was refused before a handler was called.
    pub(crate) fn refused(&self, code: &str) {
        self.refused.get_or_create(&[("code", code.to_owned())]).inc();
    }

    /// Rows are being written into an answer.
    pub(crate) fn row_stream(&self) -> Up {
        Up::of(&self.row_streams)
    }

    /// Rows were written.
    pub(crate) fn rows(&self, format: &'static str, rows: u64) {
        self.rows.get_or_create(&[("format", format.to_owned())]).inc_by(rows);
    }

    /// An answer of rows is over.
    pub(crate) fn row_stream_ended(&self, outcome: &'static str) {
        self.row_streams_ended.get_or_create(&[("outcome", outcome.to_owned())]).inc();
    }

    /// An execution waits for its turn.
    pub(crate) fn execution_waits(&self) -> Up {
        Up::of(&self.waiting)
    }

    /// An execution is worked on.
    pub(crate) fn execution_runs(&self) -> Up {
        Up::of(&self.running)
    }

    /// An execution is over.
    pub(crate) fn execution_ended(&self, kind: &'static str, state: &'static str) {
        self.executions.get_or_create(&[("kind", kind.to_owned()), ("state", state.to_owned())]).inc();
    }

    /// A run is over.
    pub(crate) fn run(&self, status: &str) {
        self.runs.get_or_create(&[("status", status.to_owned())]).inc();
    }

    /// A component was handed over.
    pub(crate) fn upload(&self, outcome: &'static str) {
        self.uploads.get_or_create(&[("outcome", outcome.to_owned())]).inc();
    }

    /// All of them as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // A text takes everything.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }
}

/// A method that there is; strangers may send any word.
pub(crate) fn known(method: &Method) -> &'static str {
    let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    all.into_iter().find(|name| *name == method.as_str()).unwrap_or("OTHER")
}
