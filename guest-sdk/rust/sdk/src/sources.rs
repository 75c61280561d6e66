//! Sources: reading from the outside world, as far as the component declares and the operator grants it.

use std::fmt;
use std::io::{self, Read};

use crate::NodeError;
use crate::host::RawResponse;

/// The most that one read of a body asks for.
const PIECE: u32 = 4 << 20;

/// A question to a source.
///
/// ```
/// use datanode_sdk::sources::Request;
/// let request = Request::get("ecb", "daily.csv").query("currency", "USD").header("accept", "text/csv");
/// assert_eq!(request.method, "GET");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The declared name of the source.
    pub source: String,
    /// `GET` for files.
    pub method: String,
    /// Relative to the source's root; never absolute, no `..`.
    pub path: String,
    /// Query parameters.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body to send.
    pub body: Option<Vec<u8>>,
    /// Part of the answer's body: offset and length in bytes.
    pub range: Option<(u64, Option<u64>)>,
}

impl Request {
    /// Get a file or document.
    pub fn get(source: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            method: "GET".to_owned(),
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            range: None,
        }
    }

    /// Post a body.
    pub fn post(source: impl Into<String>, path: impl Into<String>, body: Vec<u8>) -> Self {
        Self { method: "POST".to_owned(), body: Some(body), ..Self::get(source, path) }
    }

    /// Add a query parameter.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.query.push((name.into(), value.to_string()));
        self
    }

    /// Add a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Ask for a part of the body only.
    #[must_use]
    pub fn range(mut self, offset: u64, length: Option<u64>) -> Self {
        self.range = Some((offset, length));
        self
    }
}

/// Where the pieces of a body come from.
pub trait BodySource {
    /// At most `max` bytes, none at the end.
    fn read(&mut self, max: u32) -> Option<Vec<u8>>;
}

/// An answer. Its body implements [`Read`], so parsers take it as it is.
pub struct Response {
    /// As in HTTP: 200 for a file that was found, 404 for one that was not.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    body: Body,
    asked: String,
}

impl Response {
    pub(crate) fn new(asked: String, raw: RawResponse) -> Self {
        Self {
            status: raw.status,
            headers: raw.headers,
            body: Body { source: raw.body, piece: Vec::new(), read: 0 },
            asked,
        }
    }

    /// This response if its status is 2xx, else an error of kind `source.status`.
    #[track_caller]
    pub fn ok(self) -> Result<Self, NodeError> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        Err(NodeError::new("source.status", format!("{} answered {}", self.asked, self.status))
            .field("status", self.status))
    }

    /// A header's value; names are compared without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body, to be read piece by piece.
    pub fn body(&mut self) -> &mut Body {
        &mut self.body
    }

    /// The whole body.
    #[track_caller]
    pub fn bytes(mut self) -> Result<Vec<u8>, NodeError> {
        let mut bytes = Vec::new();
        self.body.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The whole body as text, which must be UTF-8.
    #[track_caller]
    pub fn text(mut self) -> Result<String, NodeError> {
        let mut text = String::new();
        self.body.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// A response body.
pub struct Body {
    source: Box<dyn BodySource>,
    piece: Vec<u8>,
    read: usize,
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        while self.read == self.piece.len() {
            match self.source.read(PIECE) {
                None => return Ok(0),
                Some(piece) => (self.piece, self.read) = (piece, 0),
            }
        }
        let count = into.len().min(self.piece.len() - self.read);
        into[..count].copy_from_slice(&self.piece[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}
