//! What all handlers share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use datanode_core::access::{Buckets, Principal};
use datanode_runtime::Host;

use crate::executions::Executions;
use crate::metrics::Metrics;
use crate::settings::ServerSettings;
use crate::streams::Streams;
use crate::uploads::Uploads;
use crate::{Problem, auth};

/// How long it may take until a first token closes a server that demanded none.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The state of a server. Cheap to clone: all clones are the same server.
#[derive(Clone)]
pub struct AppState {
    shared: Arc<Shared>,
}

struct Shared {
    /// For those who read.
    host: Host,
    /// For those who change and run something.
    whole: Host,
    settings: ServerSettings,
    metrics: Metrics,
    executions: Executions,
    uploads: Uploads,
    buckets: Mutex<Buckets>,
    /// Whether the store has tokens, and when that was looked at.
    tokens: Mutex<Option<(Instant, bool)>>,
    draining: AtomicBool,
    row_streams: Streams,
    event_streams: Streams,
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl AppState {
    /// The state of a server over a host.
    pub fn new(host: Host, settings: ServerSettings) -> Self {
        let metrics = Metrics::default();
        let streams =
            |what, all, of_one, seconds| Streams::new(what, all, of_one, Duration::from_secs(seconds));
        let shared = Shared {
            executions: Executions::new(&settings, metrics.clone()),
            uploads: Uploads::new(&settings),
            row_streams: streams("answers of rows", settings.row_streams, settings.row_streams_of_one, 1),
            event_streams: streams(
                "streams of events",
                settings.event_streams,
                settings.event_streams_of_one,
                5,
            ),
            host: host.for_readers(),
            whole: host,
            settings,
            metrics,
            buckets: Mutex::default(),
            tokens: Mutex::default(),
            draining: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The host, in nobody's name: for what reads. However many read by it, and however slowly, runs go on.
    pub fn host(&self) -> &Host {
        &self.shared.host
    }

    /// The host in somebody's name: what it changes is theirs in the audit log.
    pub fn host_for(&self, principal: &Principal) -> Host {
        self.shared.whole.acting(auth::actor(principal))
    }

    /// What bounds it.
    pub fn settings(&self) -> &ServerSettings {
        &self.shared.settings
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    pub(crate) fn executions(&self) -> &Executions {
        &self.shared.executions
    }

    pub(crate) fn uploads(&self) -> &Uploads {
        &self.shared.uploads
    }

    /// Answers of rows that may be written at once.
    pub(crate) fn row_streams(&self) -> &Streams {
        &self.shared.row_streams
    }

    /// Streams of events that may be open at once.
    pub(crate) fn event_streams(&self) -> &Streams {
        &self.shared.event_streams
    }

    /// Whether a token is demanded of everybody: it is set so, or there is one.
    pub(crate) async fn demands_token(&self) -> Result<bool, Problem> {
        if self.shared.settings.require_token {
            return Ok(true);
        }
        let known = || self.shared.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, there)) = *known()
            && when.elapsed() < LOOK_AGAIN
        {
            return Ok(there);
        }
        let there = self.shared.host.store().has_tokens(datanode_runtime::now()).await?;
        *known() = Some((Instant::now(), there));
        Ok(there)
    }

    /// Count a request of a token, which is refused when there were too many.
    pub(crate) fn take_request(&self, principal: &Principal) -> Result<(), Problem> {
        let Some(token) = &principal.token else { return Ok(()) };
        let per_minute = principal.per_minute.unwrap_or(self.shared.settings.requests_per_minute.get());
        let mut buckets = self.shared.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(token, per_minute, datanode_runtime::now()).map_err(|fast| {
            let wait = Duration::from_secs(fast.retry_after_seconds());
            let next = datanode_core::Diagnostic::next_step(&fast).unwrap_or_default();
            Problem::new(
                axum::http::StatusCode::TOO_MANY_REQUESTS,
                "access.too_many_requests",
                fast.to_string(),
            )
            .with_next(next)
            .retry_after(wait)
        })
    }

    /// From now on nothing new is begun.
    pub(crate) fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
    }

    /// Whether the server is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Acquire)
    }
}
