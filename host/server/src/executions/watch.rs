//! Executions as they go on: server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::{Execution, Told};
use crate::auth::Caller;
use crate::streams::Stream;
use crate::{AppState, Problem};

/// What a client sends that has lost its connection: the number of the last event that it has seen.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The event behind which there is none.
pub(crate) const END: &str = "end";
/// How often something is sent when nothing happens, so that both sides learn of a lost connection.
const ALIVE: Duration = Duration::from_secs(15);

/// Where a watcher stands.
struct Watcher {
    execution: Arc<Execution>,
    seen: u64,
    ready: std::vec::IntoIter<Arc<Told>>,
    changes: tokio::sync::watch::Receiver<u64>,
    log_of: Option<LogOf>,
    _place: Stream,
}

/// Only log lines of one run are told.
struct LogOf {
    run_id: String,
    /// The line that was seen last: its number in the run.
    seen: u64,
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
        let Some(LogOf { run_id, seen }) = &self.log_of else { return true };
        match told.line {
            _ if told.name == END => true,
            Some(line) if line > *seen => {
                let data = serde_json::from_str::<serde_json::Value>(&told.data).unwrap_or_default();
                data["run_id"].as_str() == Some(run_id)
            }
            _ => false,
        }
    }

    /// By what it is known to whoever comes back: lines of a log by their number in the run, as they are in its record.
    fn id_of(&self, told: &Told) -> Option<u64> {
        if self.log_of.is_some() { told.line } else { Some(told.number) }
    }

    /// What is told: whoever follows one run does not learn what has become of those of other tables.
    fn data_of(&self, told: &Told) -> String {
        let Some(log_of) = self.log_of.as_ref().filter(|_| told.name == END) else {
            return told.data.clone();
        };
        if self.execution.about.is_of_one_table() {
            return told.data.clone();
        }
        let mut document = serde_json::from_str::<serde_json::Value>(&told.data).unwrap_or_default();
        if let Some(fields) = document.as_object_mut() {
            fields.retain(|name, _| name != "result" && name != "error");
            fields.insert("runs".to_owned(), serde_json::json!([log_of.run_id]));
        }
        document.to_string()
    }
}

/// All events of an execution: those that are kept, then those that come.
pub(crate) fn follow(
    state: &AppState,
    caller: &Caller,
    execution: Arc<Execution>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    stream_of(state.event_streams().take(caller)?, execution, headers, None)
}

/// The log lines of one run.
pub(crate) fn follow_log(
    state: &AppState,
    caller: &Caller,
    execution: Arc<Execution>,
    headers: &HeaderMap,
    run_id: &str,
) -> Result<Response, Problem> {
    stream_of(state.event_streams().take(caller)?, execution, headers, Some(run_id.to_owned()))
}

/// The number of the last event that a client has seen; 0: it has seen none.
pub(crate) fn last_seen(headers: &HeaderMap) -> Result<u64, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(0) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| Problem::usage("the header Last-Event-ID is the number of an event"))
}

fn stream_of(
    place: Stream,
    execution: Arc<Execution>,
    headers: &HeaderMap,
    log_of: Option<String>,
) -> Result<Response, Problem> {
    let last = last_seen(headers)?;
    // All events are looked through for lines.
    let (seen, log_of) = match log_of {
        Some(run_id) => (0, Some(LogOf { run_id, seen: last })),
        None => (last, None),
    };
    let changes = execution.changes();
    let watcher = Watcher { execution, seen, ready: Vec::new().into_iter(), changes, log_of, _place: place };
    let events = stream::unfold(watcher, |mut watcher| async move {
        let told = watcher.next().await?;
        let data = watcher.data_of(&told);
        let event = Event::default().event(told.name).data(data);
        let event = match watcher.id_of(&told) {
            Some(id) => event.id(id.to_string()),
            None => event,
        };
        Some((Ok::<_, Infallible>(event), watcher))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}
