//! Work that goes on at the server: followed as it is told, and ended when it is asked to.

use std::collections::VecDeque;
use std::time::Duration;

use datanode_core::run::{LogLine, RunRecord};
use datanode_runtime::answers::BackfillDocument;
use datanode_runtime::{Observer, RunEvent, Stop};
use hyper::header::{ACCEPT, HeaderName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::answer::{Answer, failure_of, passes};
use super::client::{Call, Server};
use crate::backfill_progress::Shows;
use crate::failure::Failure;
use crate::print;

/// The type of a stream of events.
const EVENT_STREAM: &str = "text/event-stream";
/// The number of the last event that was seen.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How often a stream is opened that brings nothing, one time after the other.
const ATTEMPTS: u32 = 10;
/// Before the second of them; each later one waits twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// But no longer than this.
const MOST_PAUSE: Duration = Duration::from_secs(5);
/// The longest event that is taken.
const MOST_EVENT_BYTES: usize = 256 << 20;
/// How the last event of a stream is called.
const END: &str = "end";

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

impl Execution {
    fn is_over(&self) -> bool {
        !matches!(self.state.as_str(), "waiting" | "running")
    }
}

/// What is heard of an execution.
enum Heard {
    Event(Event),
    /// It is over.
    End(Execution),
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
        let mut stream =
            EventStream { is_known: true, ..EventStream::of(self.at(&["executions", id, "events"])) };
        let mut is_cancelling = false;
        loop {
            let heard = tokio::select! {
                () = stop.stopped(), if !is_cancelling => {
                    is_cancelling = true;
                    self.cancel(id).await?;
                    continue;
                }
                heard = self.hear(id, &mut stream) => heard?,
            };
            match heard {
                Heard::Event(event) => listeners.hear(&event),
                Heard::End(execution) => return self.ended(execution),
            }
        }
    }

    /// What comes next of an execution. Nothing is lost when the future is dropped.
    async fn hear(&self, id: &str, stream: &mut EventStream) -> anyhow::Result<Heard> {
        loop {
            let event = stream.next(self).await.map_err(|error| self.without_end(error))?;
            match event {
                Some(event) if event.name == END => {
                    return Ok(Heard::End(serde_json::from_str(&event.data)?));
                }
                Some(event) => return Ok(Heard::Event(event)),
                None => {}
            }
            // The stream has ended and the execution may not have: the server knows.
            match self.get::<Execution>(&["executions", id]).await {
                Ok(execution) if execution.is_over() => return Ok(Heard::End(execution)),
                Ok(_) => stream.goes_on(),
                Err(error) => stream.note(error).map_err(|error| self.without_end(error))?,
            }
        }
    }

    /// Have an execution ended.
    async fn cancel(&self, id: &str) -> anyhow::Result<()> {
        let url = self.at(&["executions", id, "cancel"]);
        let step = format!("have it ended by POST {url}, or see what becomes of it: datanode run list");
        let asked: anyhow::Result<Value> = self.ask(Call::post(url)).await;
        asked.map(drop).map_err(|error| match self.without_end(error).downcast::<Failure>() {
            Ok(failure) if failure.code == RESTARTED => failure.into(),
            Ok(failure) => {
                let message = format!("the work may go on, for it could not be ended: {}", failure.message);
                Failure { message, ..failure }.with_next_step(step).into()
            }
            Err(error) => error,
        })
    }

    /// Why the end of an execution is not known.
    fn without_end(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast::<Failure>() {
            Ok(failure) if failure.code == "server.execution_not_found" => self.restarted().into(),
            Ok(failure) if passes(&failure) => failure
                .with_next_step(
                    "the work may go on: see that the server can be reached, and what has become of it: datanode run list",
                )
                .into(),
            Ok(failure) => failure.into(),
            Err(error) => error,
        }
    }

    /// The server knows nothing any more of work that it has begun.
    fn restarted(&self) -> Failure {
        Failure::machine(format!(
            "the server {} knows nothing more of this work: it was started anew, or another one answers in its place",
            self.name()
        ))
        .with_code(RESTARTED)
        .with_next_step("see what has become of it: datanode run list, or datanode node backfill list; then begin it again")
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

    /// The log of a run, line by line as they come; `told` hears of each once. Answers how many lines are not kept.
    pub(crate) async fn follow_log(
        &self,
        run: &str,
        mut told: impl FnMut(&LogLine) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        let mut stream = EventStream::of(self.at(&["runs", run, "logs"]));
        let mut last = 0;
        loop {
            let event = match stream.next(self).await {
                Ok(Some(event)) => event,
                Ok(None) => continue,
                Err(error) => return Err(self.without_log(error, stream.is_known)),
            };
            if event.name == END {
                break;
            }
            let Ok(RunEvent::Logged { line, .. }) = serde_json::from_str(&event.data) else { continue };
            // Lines count from 1.
            let number = event.id.as_deref().and_then(|id| id.parse().ok()).unwrap_or(last + 1);
            if number <= last {
                continue;
            }
            if number > last + 1 {
                let lost = number - last - 1;
                print::warning(&format!(
                    "{lost} lines came and went before they could be told: datanode run logs {run}, once the run has ended"
                ));
            }
            last = number;
            told(&line)?;
        }
        // What leaves no record, such as a dry run, has left out nothing.
        let record = self.get::<RunRecord>(&["runs", run]).await;
        Ok(record.map_or(0, |record| record.logs_dropped))
    }

    /// Why a log is not told to its end.
    fn without_log(&self, error: anyhow::Error, was_known: bool) -> anyhow::Error {
        match error.downcast::<Failure>() {
            Ok(failure) if was_known && failure.code == "store.run_not_found" => self.restarted().into(),
            Ok(failure) => failure.into(),
            Err(error) => error,
        }
    }
}

/// The code of what a server has forgotten.
const RESTARTED: &str = "remote.restarted";

/// A stream of events that is opened again where it breaks, behind the last event that was seen.
struct EventStream {
    url: Url,
    open: Option<Events>,
    seen: Option<String>,
    /// Whether the server has known what it tells of. Where it never has, it is not asked again and again.
    is_known: bool,
    /// How often it was opened, or tried to be, since anything came.
    broken: u32,
}

impl EventStream {
    fn of(url: Url) -> Self {
        Self { url, open: None, seen: None, is_known: false, broken: 0 }
    }

    /// The next event; None when the stream was open and has ended or broken: the next call opens it again. Nothing is lost
    /// when the future is dropped.
    async fn next(&mut self, server: &Server) -> anyhow::Result<Option<Event>> {
        while self.open.is_none() {
            self.open(server).await?;
        }
        let Some(events) = &mut self.open else { return Ok(None) };
        let outcome = events.next().await;
        if events.is_alive {
            self.broken = 0;
        }
        let problem = match outcome {
            Ok(Some(event)) => {
                self.seen = event.id.clone().or(self.seen.take());
                return Ok(Some(event));
            }
            Ok(None) => server.lost("the events have ended before the work").into(),
            Err(error) => error,
        };
        self.open = None;
        self.note(problem).map(|()| None)
    }

    /// Try to open it.
    async fn open(&mut self, server: &Server) -> anyhow::Result<()> {
        if self.broken > 0 {
            let pause = PAUSE.saturating_mul(1 << (self.broken - 1).min(16));
            tokio::time::sleep(pause.min(MOST_PAUSE)).await;
        }
        let mut call = Call::get(self.url.clone()).with(ACCEPT, EVENT_STREAM);
        if let Some(seen) = &self.seen {
            call = call.with(LAST_EVENT_ID, seen);
        }
        match server.send(call).await {
            Ok(answer) => {
                answer.expect(EVENT_STREAM)?;
                self.is_known = true;
                self.open = Some(Events::new(answer));
                Ok(())
            }
            Err(error) => self.note(error),
        }
    }

    /// The server is there, and has more to tell.
    fn goes_on(&mut self) {
        self.broken = self.broken.min(ATTEMPTS / 2);
    }

    /// Take note of a failure; it is one for the caller when it does not pass, or has not for long.
    fn note(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        self.broken += 1;
        match error.downcast_ref::<Failure>() {
            Some(failure) if passes(failure) && self.is_known && self.broken < ATTEMPTS => Ok(()),
            _ => Err(error),
        }
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
struct Event {
    id: Option<String>,
    name: String,
    data: String,
}

/// Events as one answer brings them.
struct Events {
    answer: Answer,
    parser: Parser,
    /// Whether anything has come, if only a sign that the server is there.
    is_alive: bool,
}

impl Events {
    fn new(answer: Answer) -> Self {
        Self { answer, parser: Parser::default(), is_alive: false }
    }

    /// The next event; None when there will be no more. Nothing is lost when the future is dropped.
    async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            if let Some(event) = self.parser.ready.pop_front() {
                return Ok(Some(event));
            }
            let Some(piece) = self.answer.piece().await? else { return Ok(None) };
            self.is_alive = true;
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
