//! Work that goes on at the server: followed as it is told, and ended when it is asked to.

use std::collections::VecDeque;
use std::time::Duration;

use datanode_runtime::answers::BackfillDocument;
use datanode_runtime::{Observer, RunEvent, Stop};
use hyper::header::{ACCEPT, HeaderName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::{Answer, failure_of};
use super::client::{Call, Server};
use crate::backfill_progress::Shows;
use crate::failure::Failure;

/// The type of a stream of events.
const EVENT_STREAM: &str = "text/event-stream";
/// The number of the last event that was seen.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How often a stream that breaks is opened again without any event in between.
const ATTEMPTS: u32 = 8;
/// Before that.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest event that is taken.
const MOST_EVENT_BYTES: usize = 256 << 20;

/// Something that was begun.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Begun {
    pub(crate) execution_id: String,
}

/// Who hears of what happens.
#[derive(Clone, Copy, Default)]
pub(crate) struct Listeners<'l> {
    pub(crate) run: Option<&'l dyn Observer>,
    pub(crate) backfill: Option<&'l dyn Shows>,
}

/// What became of it.
pub(crate) struct Ended<T> {
    pub(crate) result: T,
    /// It was told to end before it had done all.
    pub(crate) is_cancelled: bool,
}

/// An execution as the server tells it.
#[derive(Deserialize)]
struct Execution {
    state: String,
    result: Option<Value>,
    error: Option<Value>,
}

impl Server {
    /// Follow an execution to its end, and have it ended when `stop` says so.
    pub(crate) async fn follow<T: DeserializeOwned>(
        &self,
        begun: &Begun,
        listeners: Listeners<'_>,
        stop: &Stop,
    ) -> anyhow::Result<Ended<T>> {
        let id = begun.execution_id.as_str();
        let (mut seen, mut broken, mut is_cancelling) = (None::<String>, 0, false);
        loop {
            let mut call = Call::get(self.at(&["executions", id, "events"])).with(ACCEPT, EVENT_STREAM);
            if let Some(seen) = &seen {
                call = call.with(LAST_EVENT_ID, seen);
            }
            let mut events = Events::new(self.send(call).await?);
            let problem = loop {
                let event = tokio::select! {
                    () = stop.stopped(), if !is_cancelling => {
                        is_cancelling = true;
                        let cancel = Call::post(self.at(&["executions", id, "cancel"]));
                        let _: Value = self.ask(cancel).await?;
                        continue;
                    }
                    event = events.next() => event,
                };
                match event {
                    Ok(Some(event)) => {
                        broken = 0;
                        seen = event.id.clone().or(seen);
                        if event.name == "end" {
                            return self.ended(serde_json::from_str(&event.data)?);
                        }
                        listeners.hear(&event);
                    }
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            // The stream has ended and the execution may not have: the server knows.
            broken += 1;
            if broken > ATTEMPTS
                && let Some(problem) = problem
            {
                return Err(problem);
            }
            tokio::time::sleep(PAUSE).await;
            let execution: Execution = self.get(&["executions", id]).await?;
            if !matches!(execution.state.as_str(), "waiting" | "running") {
                return self.ended(execution);
            }
        }
    }

    fn ended<T: DeserializeOwned>(&self, execution: Execution) -> anyhow::Result<Ended<T>> {
        let is_cancelled = execution.state == "cancelled";
        if let Some(error) = execution.error {
            return Err(failure_of(error).unwrap_or_else(|| self.odd("a failure without a code")).into());
        }
        match execution.result {
            Some(result) => {
                let result = serde_json::from_value(result).map_err(|error| self.odd(&error.to_string()))?;
                Ok(Ended { result, is_cancelled })
            }
            None => Err(Failure::machine("it was ended before it had begun")
                .with_code("run.interrupted")
                .with_next_step("begin it again")
                .into()),
        }
    }

    /// Events of something, for as long as they come.
    pub(crate) async fn events(&self, segments: &[&str]) -> anyhow::Result<Events> {
        let call = Call::get(self.at(segments)).with(ACCEPT, EVENT_STREAM);
        Ok(Events::new(self.send(call).await?))
    }
}

impl Listeners<'_> {
    fn hear(self, event: &Event) {
        // What a newer server tells, and this command does not know, is no matter.
        if event.name == "backfill" {
            if let (Some(shows), Ok(document)) =
                (self.backfill, serde_json::from_str::<BackfillDocument>(&event.data))
            {
                shows.stands(&document);
            }
        } else if let (Some(observer), Ok(event)) = (self.run, serde_json::from_str::<RunEvent>(&event.data))
        {
            observer.event(&event);
        }
    }
}

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: String,
}

/// A stream of events.
pub(crate) struct Events {
    answer: Answer,
    parser: Parser,
}

impl Events {
    fn new(answer: Answer) -> Self {
        Self { answer, parser: Parser::default() }
    }

    /// The next event; None when there will be no more. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            if let Some(event) = self.parser.ready.pop_front() {
                return Ok(Some(event));
            }
            let Some(piece) = self.answer.piece().await? else { return Ok(None) };
            if self.parser.bytes() + piece.len() > MOST_EVENT_BYTES {
                return Err(self.answer.odd("an event that does not end").into());
            }
            self.parser.take(&piece);
        }
    }
}

/// Lines into events, as the standard of server-sent events has it, but for what this server does not send: lines that
/// end with a carriage return alone.
#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    ready: VecDeque<Event>,
}

impl Parser {
    fn bytes(&self) -> usize {
        self.line.len() + self.event.data.len()
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.line(String::from_utf8_lossy(&line).trim_end_matches('\r'));
            } else {
                self.line.push(*byte);
            }
        }
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                self.ready.push_back(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data += value;
            }
            // A comment, which keeps the connection alive, or a field that means nothing here.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text =
            "id: 1\nevent: started\ndata: {\"a\":\ndata: 1}\n\n: alive\n\nevent: end\r\ndata:x\r\n\r\n";
        let whole = [
            Event { id: Some("1".to_owned()), name: "started".to_owned(), data: "{\"a\":\n1}".to_owned() },
            Event { id: None, name: "end".to_owned(), data: "x".to_owned() },
        ];
        for size in 1..text.len() {
            let mut parser = Parser::default();
            for piece in text.as_bytes().chunks(size) {
                parser.take(piece);
            }
            assert_eq!(Vec::from(parser.ready), whole, "pieces of {size} bytes");
        }
    }
}
