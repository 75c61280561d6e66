//! The boundary: everything that a guest can ask of the host, as one method.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use datanode_core::Diagnostic;
use datanode_core::query::ReadQuery;

/// Severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// `debug`
    Debug,
    /// `info`
    Info,
    /// `warn`
    Warn,
    /// `error`
    Error,
}

impl LogLevel {
    /// The name used in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Part of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub offset: u64,
    /// Number of bytes; None: to the end.
    pub length: Option<u64>,
}

/// A request to a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// Declared name of the source.
    pub source: String,
    /// Method.
    pub method: String,
    /// Path below the source's root.
    pub path: String,
    /// Query parameters.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Option<Bytes>,
    /// Part of the answer wanted.
    pub range: Option<ByteRange>,
}

/// An answer of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchResponse {
    /// As in HTTP.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Number under which the body is read and closed.
    pub body: u32,
}

/// One host call: function and arguments.
#[derive(Debug)]
pub enum HostCall<'a> {
    /// `frames.open`. Answer: [`HostReply::Opened`] or [`HostReply::Refused`].
    Open {
        /// Dependency key, or `self`.
        key: &'a str,
        /// What to read.
        query: &'a ReadQuery,
    },
    /// A call whose arguments make no sense. Answer: [`HostReply::Refused`].
    Malformed {
        /// The function as the contract names it.
        function: &'static str,
        /// What is wrong.
        problem: &'a str,
    },
    /// `frame-reader.schema`. Answer: [`HostReply::Bytes`].
    Schema {
        /// Number of the reader.
        reader: u32,
    },
    /// `frame-reader.next`. Answer: [`HostReply::Bytes`] or [`HostReply::End`].
    Next {
        /// Number of the reader.
        reader: u32,
    },
    /// A frame reader is dropped. Answer: [`HostReply::Done`].
    CloseReader {
        /// Number of the reader.
        reader: u32,
    },
    /// `frames.emit`. The bytes lie in guest memory and are gone after the call. Answer: [`HostReply::Emitted`].
    Emit {
        /// One encapsulated IPC message.
        message: &'a [u8],
    },
    /// `log.write`. Answer: [`HostReply::Done`].
    Log {
        /// Severity.
        level: LogLevel,
        /// Text.
        message: &'a str,
        /// Fields.
        fields: &'a [(String, String)],
    },
    /// `sources.fetch`. Answer: [`HostReply::Fetched`] or [`HostReply::Refused`].
    Fetch(&'a FetchRequest),
    /// `body.read`. Answer: [`HostReply::Bytes`] or [`HostReply::End`].
    ReadBody {
        /// Number of the body.
        body: u32,
        /// At most so many bytes.
        max: u32,
    },
    /// A body is dropped. Answer: [`HostReply::Done`].
    CloseBody {
        /// Number of the body.
        body: u32,
    },
    /// `options.get`. Answer: [`HostReply::Option`].
    Option {
        /// Name of the option.
        name: &'a str,
    },
}

impl HostCall<'_> {
    /// The function as the contract names it.
    pub fn function(&self) -> &'static str {
        match self {
            Self::Open { .. } => "frames.open",
            Self::Malformed { function, .. } => function,
            Self::Schema { .. } => "frames.frame-reader.schema",
            Self::Next { .. } => "frames.frame-reader.next",
            Self::CloseReader { .. } => "frames.frame-reader.drop",
            Self::Emit { .. } => "frames.emit",
            Self::Log { .. } => "log.write",
            Self::Fetch(_) => "sources.fetch",
            Self::ReadBody { .. } => "sources.body.read",
            Self::CloseBody { .. } => "sources.body.drop",
            Self::Option { .. } => "options.get",
        }
    }
}

/// A refusal that the guest receives as a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable dotted code.
    pub code: String,
    /// What was refused and why.
    pub message: String,
}

/// The result of a host call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostReply {
    /// Nothing to say.
    Done,
    /// The message is taken.
    Emitted {
        /// Rows of the run so far, those of this message included.
        rows: u64,
    },
    /// A reader was opened under this number.
    Opened(u32),
    /// Bytes.
    Bytes(Bytes),
    /// No more bytes.
    End,
    /// A source answered.
    Fetched(FetchResponse),
    /// An option's value as JSON, if it is set.
    Option(Option<String>),
    /// The request is refused; the guest may go on.
    Refused(Refusal),
}

/// An error that ends the call of the guest: a broken rule, or a failure of the host.
pub struct HostCallError(pub Box<dyn Diagnostic + Send + Sync>);

impl<E: Diagnostic + Send + Sync + 'static> From<E> for HostCallError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Debug for HostCallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code(), self.0)
    }
}

/// Ends a guest from outside, when nobody wants its result any more. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// End the guest. It is noticed within a second, and cannot be taken back.
    pub fn interrupt(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was said.
    pub fn is_interrupted(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Answers host calls. The journal of recorded runs is a [`HostCalls`] around another one.
pub trait HostCalls: Send {
    /// Answer one call.
    fn call(&mut self, call: HostCall<'_>) -> Result<HostReply, HostCallError>;

    /// What ends the guest from outside. It ends as at its limit of time: who interrupts knows better why.
    fn interrupt(&self) -> Interrupt {
        Interrupt::default()
    }
}
