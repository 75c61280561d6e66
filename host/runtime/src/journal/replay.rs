//! Answering a guest from a journal, and comparing what it asks with what it asked then.

use std::io::BufRead;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::digest::Digest;
use datanode_core::journal::{Content, End, Entry, JournalError, JournalReader, Reply};
use datanode_sandbox::{
    FetchResponse, HostCall, HostCallError, HostCalls, HostReply, Interrupt, Limits, Refusal,
};
use thiserror::Error;

use super::contents::{Contents, NotFound};
use super::describe::{Described, SHOWN, described};
use super::seen::{Tally, Totals};

/// Why a replay ended before its guest did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// The guest asked for something else, or was given something else.
    Differs {
        /// Counted from 1.
        call: u64,
        /// The function that was asked for now, or then.
        function: String,
        /// Of an emitted message: which one, counted from 1.
        message: Option<u64>,
        /// Then.
        recorded: String,
        /// Now.
        replayed: String,
    },
    /// A content is not kept.
    Missing {
        /// Counted from 1.
        call: u64,
        /// The function.
        function: String,
        /// Its digest.
        content: Digest,
    },
    /// The journal itself.
    Damaged(String),
}

/// What became of a replay.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) calls: u64,
    pub(crate) stopped: Option<Stopped>,
    /// How the guest ended then, where the journal was read to its end.
    pub(crate) end: Option<End>,
    /// Digest of the journal's text, where it was read to its end.
    pub(crate) journal: Option<Digest>,
    /// What was asked and answered, as a record has it.
    pub(crate) totals: Totals,
}

/// Ends the guest: why is known to the replay.
#[derive(Debug, Error)]
#[error("the replay ends here")]
struct EndsHere;

impl Diagnostic for EndsHere {
    fn code(&self) -> &'static str {
        "replay.ended"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Failed
    }
}

/// The host side of a replay. A handle: the sandbox holds one, the replay another.
pub(crate) struct Replayer<R> {
    state: Arc<Mutex<State<R>>>,
    interrupt: Interrupt,
}

impl<R> Clone for Replayer<R> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), interrupt: self.interrupt.clone() }
    }
}

struct State<R> {
    journal: JournalReader<R>,
    contents: Contents,
    calls: u64,
    emitted: u64,
    stopped: Option<Stopped>,
    tally: Tally,
    /// The code of the error that ended the guest then, where a host call did.
    failed: Option<String>,
}

impl<R: BufRead> Replayer<R> {
    /// Answer from this journal, and from these contents, under the limits that the run had.
    pub(crate) fn new(journal: JournalReader<R>, contents: Contents, limits: &Limits) -> Self {
        let tally = Tally::new(limits);
        let state = State { journal, contents, calls: 0, emitted: 0, stopped: None, tally, failed: None };
        Self { state: Arc::new(Mutex::new(state)), interrupt: Interrupt::default() }
    }

    /// The same, whose guest is ended from outside by this.
    pub(crate) fn until(self, interrupt: Interrupt) -> Self {
        Self { interrupt, ..self }
    }

    /// The code of the error that a host call ended the guest with, then and now.
    pub(crate) fn failed(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed.clone()
    }

    /// What was seen, once the guest has ended; what it did not ask for any more is a difference.
    pub(crate) fn finish(self) -> Seen {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if state.stopped.is_none() {
            state.stopped = match state.journal.next_entry() {
                Ok(None) => None,
                Ok(Some(entry)) => Some(Stopped::Differs {
                    call: entry.call,
                    recorded: shown(&entry.function, &entry.shown),
                    function: entry.function,
                    message: None,
                    replayed: "the guest ended".to_owned(),
                }),
                Err(error) => Some(Stopped::Damaged(error.to_string())),
            };
        }
        let end = state.journal.end().cloned();
        Seen {
            calls: state.calls,
            stopped: state.stopped.take(),
            journal: end.is_some().then(|| state.journal.digest()),
            end,
            totals: state.tally.totals(),
        }
    }
}

impl<R: BufRead + Send> HostCalls for Replayer<R> {
    fn call(&mut self, call: HostCall<'_>) -> Result<HostReply, HostCallError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.call(&call).map_err(|stopped| {
            if let Some(stopped) = stopped {
                state.stopped = Some(*stopped);
            }
            EndsHere.into()
        })
    }

    fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }
}

/// Why a call is not answered. None: the guest is ended as it was then.
type Unanswered = Option<Box<Stopped>>;

impl<R: BufRead> State<R> {
    fn call(&mut self, call: &HostCall<'_>) -> Result<HostReply, Unanswered> {
        self.calls += 1;
        let now = described(call);
        let then = self
            .journal
            .next_entry()
            .map_err(|error: JournalError| Some(Box::new(Stopped::Damaged(error.to_string()))))?;
        let Some(then) = then else {
            return Err(Some(Box::new(differs(
                self.calls,
                now.function,
                "the guest ended",
                &shown(now.function, &now.shown),
            ))));
        };
        if let HostCall::Emit { .. } = call {
            self.emitted += 1;
        }
        self.tally.asked(call);
        compare(&then, &now).map_err(|stopped| match (*stopped, call) {
            (Stopped::Differs { call, function, recorded, replayed, .. }, HostCall::Emit { .. }) => {
                let message = Some(self.emitted);
                Some(Box::new(Stopped::Differs { call, function, message, recorded, replayed }))
            }
            (stopped, _) => Some(Box::new(stopped)),
        })?;
        let Entry { call: number, function, reply, .. } = then;
        let option = match call {
            HostCall::Option { name } => self.journal.option(name),
            _ => None,
        };
        if let Some(must) = self.tally.contradicts(call, &reply, option) {
            return Err(Some(Box::new(differs(number, &function, &answer(&reply), &must))));
        }
        let bytes = match &reply {
            Reply::Bytes(content) => Some(self.content(number, &function, content)?),
            _ => None,
        };
        self.tally.answered(number, call, &reply, bytes.as_ref());
        Ok(match reply {
            Reply::Done => HostReply::Done,
            Reply::Emitted(rows) => HostReply::Emitted { rows },
            Reply::Opened(reader) => HostReply::Opened(reader),
            Reply::End => HostReply::End,
            Reply::Fetched { status, headers, body } => {
                HostReply::Fetched(FetchResponse { status, headers, body })
            }
            Reply::Option(value) => HostReply::Option(value),
            Reply::Refused { code, message } => HostReply::Refused(Refusal { code, message }),
            Reply::Failed { code } => {
                self.failed = Some(code);
                return Err(None);
            }
            Reply::Bytes(_) => HostReply::Bytes(bytes.unwrap_or_default()),
        })
    }

    fn content(&self, call: u64, function: &str, content: &Content) -> Result<Bytes, Unanswered> {
        let found = match &content.inline {
            Some(text) => match STANDARD.decode(text) {
                Ok(bytes) if Digest::of(&bytes) == content.sha256 => Ok(bytes),
                Ok(bytes) => Err(NotFound::Damaged(format!("has the digest {}", Digest::of(&bytes)))),
                Err(error) => Err(NotFound::Damaged(format!("cannot be read: {error}"))),
            },
            None => self.contents.find(&content.sha256),
        };
        let found = match found {
            Ok(bytes) if bytes.len() as u64 != content.bytes => {
                Err(NotFound::Damaged(format!("has {} bytes", bytes.len())))
            }
            found => found,
        };
        match found {
            Ok(bytes) => Ok(bytes.into()),
            Err(NotFound::Missing) => Err(Some(Box::new(Stopped::Missing {
                call,
                function: function.to_owned(),
                content: content.sha256,
            }))),
            Err(NotFound::Damaged(why)) => {
                let recorded = format!("{} bytes with the digest {}", content.bytes, content.sha256);
                Err(Some(Box::new(differs(
                    call,
                    function,
                    &recorded,
                    &format!("what is kept of them {why}"),
                ))))
            }
        }
    }
}

/// An answer that was recorded, as people are shown it. The longest are texts of options.
fn answer(reply: &Reply) -> String {
    let text = serde_json::to_string(reply).unwrap_or_default();
    format!("the answer {}", text.chars().take(SHOWN).collect::<String>())
}

fn compare(then: &Entry, now: &Described) -> Result<(), Box<Stopped>> {
    if then.function == now.function && then.arguments == now.arguments {
        return Ok(());
    }
    let with_digest = |function: &str, text: &str, digest: &Digest| {
        format!("{} (arguments {})", shown(function, text), digest.short())
    };
    Err(Box::new(differs(
        then.call,
        now.function,
        &with_digest(&then.function, &then.shown, &then.arguments),
        &with_digest(now.function, &now.shown, &now.arguments),
    )))
}

fn differs(call: u64, function: &str, recorded: &str, replayed: &str) -> Stopped {
    Stopped::Differs {
        call,
        function: function.to_owned(),
        message: None,
        recorded: recorded.to_owned(),
        replayed: replayed.to_owned(),
    }
}

fn shown(function: &str, arguments: &str) -> String {
    format!("{function} {arguments}")
}
