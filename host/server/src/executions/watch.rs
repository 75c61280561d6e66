//! Executions as they go on: server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::{Execution, Told};
use crate::{AppState, Problem};

/// What a client sends that has lost its connection: the number of the last event that it has seen.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How often something is sent when nothing happens, so that both sides learn of a lost connection.
const ALIVE: Duration = Duration::from_secs(15);

/// Where a watcher stands.
struct Watcher {
    execution: Arc<Execution>,
    seen: u64,
    ready: std::vec::IntoIter<Arc<Told>>,
    changes: tokio::sync::watch::Receiver<u64>,
    /// Only log lines of this run.
    log_of: Option<String>,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// The next event; None: there will be no more.
    async fn next(&mut self) -> Option<Arc<Told>> {
        loop {
            while let Some(told) = self.ready.next() {
                self.seen = told.number;
                if self.is_wanted(&told) {
                    return Some(told);
                }
            }
            self.changes.mark_unchanged();
            let (events, more) = self.execution.events_after(self.seen);
            if events.is_empty() {
                if !more || self.changes.changed().await.is_err() {
                    return None;
                }
                continue;
            }
            self.ready = events.into_iter();
        }
    }

    fn is_wanted(&self, told: &Told) -> bool {
        let Some(run_id) = &self.log_of else { return true };
        match told.name {
            "end" => true,
            "logged" => {
                let data = serde_json::from_str::<serde_json::Value>(&told.data).unwrap_or_default();
                data["run_id"].as_str() == Some(run_id)
            }
            _ => false,
        }
    }
}

impl Watcher {
    /// What is told: whoever follows one run does not learn what has become of those of other tables.
    fn data_of(&self, told: &Told) -> String {
        let is_of_all = self.log_of.is_none() || self.execution.about.others.is_empty();
        if is_of_all || told.name != "end" {
            return told.data.clone();
        }
        let mut document = serde_json::from_str::<serde_json::Value>(&told.data).unwrap_or_default();
        if let Some(fields) = document.as_object_mut() {
            fields.remove("result");
        }
        document.to_string()
    }
}

/// All events of an execution: those that are kept, then those that come.
pub(crate) fn follow(
    state: &AppState,
    execution: Arc<Execution>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    stream_of(state, execution, headers, None)
}

/// The log lines of one run.
pub(crate) fn follow_log(
    state: &AppState,
    execution: Arc<Execution>,
    headers: &HeaderMap,
    run_id: &str,
) -> Result<Response, Problem> {
    stream_of(state, execution, headers, Some(run_id.to_owned()))
}

fn stream_of(
    state: &AppState,
    execution: Arc<Execution>,
    headers: &HeaderMap,
    log_of: Option<String>,
) -> Result<Response, Problem> {
    let place = Arc::clone(state.event_streams()).try_acquire_owned().map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "server.busy", "too many streams of events are open")
            .retry_after(Duration::from_secs(5))
    })?;
    let seen = match headers.get(LAST_EVENT_ID) {
        None => 0,
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| Problem::usage("the header Last-Event-ID is the number of an event"))?,
    };
    let changes = execution.changes();
    let watcher = Watcher { execution, seen, ready: Vec::new().into_iter(), changes, log_of, _place: place };
    let events = stream::unfold(watcher, |mut watcher| async move {
        let told = watcher.next().await?;
        let data = watcher.data_of(&told);
        let event = Event::default().id(told.number.to_string()).event(told.name).data(data);
        Some((Ok::<_, Infallible>(event), watcher))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}
