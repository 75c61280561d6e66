//! The host as a guest sees it: one trait, realised by the component's imports and by the stub of
//! [`testing`](crate::testing).

use crate::sources::{BodySource, Request};
use crate::{HostError, Query};

/// What a run may ask of the host.
pub trait Host {
    /// Open a dependency by key.
    fn open(&self, key: &str, query: Query) -> Result<Box<dyn Messages>, HostError>;

    /// Hand over one encapsulated Arrow IPC message.
    fn emit(&self, message: &[u8]);

    /// Ask a source: status, headers, body.
    fn fetch(&self, request: Request) -> Result<RawResponse, HostError>;

    /// A runtime option as JSON text.
    fn option(&self, name: &str) -> Option<String>;
}

/// The messages of one open read.
pub trait Messages {
    /// The schema message.
    fn schema(&mut self) -> Vec<u8>;

    /// The next record-batch message, none after the last.
    fn next(&mut self) -> Option<Vec<u8>>;
}

/// An answer of a source.
pub struct RawResponse {
    /// As in HTTP.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body, read piece by piece.
    pub body: Box<dyn BodySource>,
}
