//! What a replay has seen, put together as the record of its run has it: from the calls that the guest made and the answers
//! that it was given.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use bytes::Bytes;
use datanode_core::Timestamp;
use datanode_core::contract::TIME_INDEX;
use datanode_core::digest::{Digest, Digester};
use datanode_core::frame::{Decoded, FrameDecoder};
use datanode_core::journal::Reply;
use datanode_core::run::LogLine;
use datanode_sandbox::{HostCall, Limits};

use crate::run::Logs;
use crate::source::shorten;

/// A frame that was opened.
#[derive(Debug, Clone)]
pub(crate) struct SeenFrame {
    /// The call that opened it, counted from 1.
    pub(crate) call: u64,
    /// Dependency key, or `self`.
    pub(crate) key: String,
    /// Bytes that were handed out.
    pub(crate) bytes: u64,
    /// Of those.
    pub(crate) digest: Digest,
    /// Rows, and the times of the first and the last. None: the guest never asked for the schema, without which nobody
    /// can tell.
    pub(crate) rows: Option<(u64, Option<(Timestamp, Timestamp)>)>,
}

/// An answer of a source.
#[derive(Debug, Clone)]
pub(crate) struct SeenFetch {
    /// The call that asked for it, counted from 1.
    pub(crate) call: u64,
    pub(crate) source: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    /// Bytes of the body that were read.
    pub(crate) bytes: u64,
    /// Of those.
    pub(crate) digest: Digest,
}

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Totals {
    /// In the order in which they were opened.
    pub(crate) frames: Vec<SeenFrame>,
    /// In the order of the requests.
    pub(crate) fetches: Vec<SeenFetch>,
    pub(crate) rows_emitted: u64,
    pub(crate) bytes_emitted: u64,
    /// None: nothing was emitted.
    pub(crate) output_digest: Option<Digest>,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) logs_dropped: u64,
    /// Bytes that the guest was given, by all calls together.
    pub(crate) content_bytes: u64,
}

/// Takes down calls and answers.
#[derive(Debug)]
pub(super) struct Tally {
    frames: Vec<Frame>,
    fetches: Vec<Fetch>,
    output: Digester,
    decoder: FrameDecoder,
    rows_emitted: u64,
    bytes_emitted: u64,
    logs: Logs,
    content_bytes: u64,
}

#[derive(Debug)]
struct Frame {
    call: u64,
    key: String,
    bytes: u64,
    digest: Digester,
    decoder: FrameDecoder,
    rows: u64,
    times: Option<(Timestamp, Timestamp)>,
    /// Whether all that was handed out could be read.
    is_read: bool,
}

#[derive(Debug)]
struct Fetch {
    seen: SeenFetch,
    digest: Digester,
}

impl Tally {
    /// Nothing yet, of a run under these limits.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            frames: Vec::new(),
            fetches: Vec::new(),
            output: Digester::default(),
            decoder: FrameDecoder::new(""),
            rows_emitted: 0,
            bytes_emitted: 0,
            logs: Logs::new(limits),
            content_bytes: 0,
        }
    }

    /// A call, before it is compared: what differs has a digest of its own. Counted as a run counts it.
    pub(super) fn asked(&mut self, call: &HostCall<'_>) {
        match call {
            HostCall::Emit { message } => {
                self.output.update(message);
                self.bytes_emitted += message.len() as u64;
                if let Ok(Decoded::Batch(batch)) = self.decoder.decode(message) {
                    self.rows_emitted += batch.num_rows() as u64;
                }
            }
            HostCall::Log { level, message, fields } => _ = self.logs.write(*level, message, fields),
            _ => {}
        }
    }

    /// What the answer must be, where that follows from what came before; None where the answer that was recorded may be.
    /// `option` is the text of the runtime option that is asked for.
    pub(super) fn contradicts(
        &self,
        call: &HostCall<'_>,
        reply: &Reply,
        option: Option<&str>,
    ) -> Option<String> {
        // A rule that was broken ends the guest, whatever it asked for.
        if matches!(reply, Reply::Failed { .. }) {
            return None;
        }
        let next = |opened: usize| u32::try_from(opened).unwrap_or(u32::MAX);
        match (call, reply) {
            (
                HostCall::Open { .. } | HostCall::Fetch(_) | HostCall::Malformed { .. },
                Reply::Refused { .. },
            )
            | (HostCall::Next { .. } | HostCall::ReadBody { .. }, Reply::Bytes(_) | Reply::End)
            | (HostCall::Schema { .. }, Reply::Bytes(_))
            | (
                HostCall::CloseReader { .. } | HostCall::CloseBody { .. } | HostCall::Log { .. },
                Reply::Done,
            ) => None,
            (HostCall::Open { .. }, Reply::Opened(reader)) => {
                let must = next(self.frames.len());
                (*reader != must).then(|| format!("reader {must} is the next one"))
            }
            (HostCall::Fetch(_), Reply::Fetched { body, .. }) => {
                let must = next(self.fetches.len());
                (*body != must).then(|| format!("body {must} is the next one"))
            }
            (HostCall::Emit { .. }, Reply::Emitted(rows)) => {
                let must = self.rows_emitted;
                (*rows != must).then(|| format!("{must} rows were emitted until then"))
            }
            (HostCall::Option { .. }, Reply::Option(value)) => (value.as_deref() != option).then(|| {
                option.map_or("the runtime options have none of the name".to_owned(), |option| {
                    format!("{option}, by the runtime options")
                })
            }),
            _ => Some("an answer that such a call can have".to_owned()),
        }
    }

    /// An answer that is given. `bytes` are those of a content.
    pub(super) fn answered(
        &mut self,
        number: u64,
        call: &HostCall<'_>,
        reply: &Reply,
        bytes: Option<&Bytes>,
    ) {
        match (call, reply) {
            (HostCall::Open { key, .. }, Reply::Opened(_)) => self.frames.push(Frame {
                call: number,
                key: (*key).to_owned(),
                bytes: 0,
                // What is opened and never read has the digest of nothing.
                digest: Digester::default(),
                decoder: FrameDecoder::new(key),
                rows: 0,
                times: None,
                is_read: true,
            }),
            (HostCall::Fetch(request), Reply::Fetched { status, .. }) => self.fetches.push(Fetch {
                seen: SeenFetch {
                    call: number,
                    source: request.source.clone(),
                    method: request.method.clone(),
                    path: shorten(&request.path),
                    status: *status,
                    bytes: 0,
                    digest: Digest::of(b""),
                },
                digest: Digester::default(),
            }),
            _ => {}
        }
        let Some(bytes) = bytes else { return };
        self.content_bytes += bytes.len() as u64;
        match call {
            HostCall::Schema { reader } => {
                if let Some(frame) = self.frames.get_mut(*reader as usize) {
                    frame.schema(bytes);
                }
            }
            HostCall::Next { reader } => {
                if let Some(frame) = self.frames.get_mut(*reader as usize) {
                    frame.message(bytes);
                }
            }
            HostCall::ReadBody { body, .. } => {
                if let Some(fetch) = self.fetches.get_mut(*body as usize) {
                    fetch.seen.bytes += bytes.len() as u64;
                    fetch.digest.update(bytes);
                }
            }
            _ => {}
        }
    }

    /// Everything so far.
    pub(super) fn totals(&self) -> Totals {
        let frame = |frame: &Frame| SeenFrame {
            call: frame.call,
            key: frame.key.clone(),
            bytes: frame.bytes,
            digest: frame.digest.clone().finish(),
            rows: frame.is_read.then_some((frame.rows, frame.times)),
        };
        let fetch = |fetch: &Fetch| SeenFetch { digest: fetch.digest.clone().finish(), ..fetch.seen.clone() };
        Totals {
            frames: self.frames.iter().map(frame).collect(),
            fetches: self.fetches.iter().map(fetch).collect(),
            rows_emitted: self.rows_emitted,
            bytes_emitted: self.bytes_emitted,
            output_digest: (self.bytes_emitted > 0).then(|| self.output.clone().finish()),
            logs: self.logs.lines.clone(),
            logs_dropped: self.logs.dropped,
            content_bytes: self.content_bytes,
        }
    }
}

impl Frame {
    /// A guest may ask for it as often as it likes.
    fn schema(&mut self, message: &[u8]) {
        if self.decoder.schema().is_none() {
            self.is_read &= self.decoder.decode(message).is_ok();
        }
    }

    fn message(&mut self, message: &[u8]) {
        self.bytes += message.len() as u64;
        self.digest.update(message);
        let Ok(Decoded::Batch(batch)) = self.decoder.decode(message) else {
            self.is_read = false;
            return;
        };
        self.rows += batch.num_rows() as u64;
        if let Some((first, last)) = times(&batch) {
            let (min, max) = self.times.unwrap_or((first, last));
            self.times = Some((min.min(first), max.max(last)));
        }
    }
}

/// Rows come sorted by time.
fn times(batch: &RecordBatch) -> Option<(Timestamp, Timestamp)> {
    let times = batch.column_by_name(TIME_INDEX)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let time = |micros: &i64| Timestamp::from_micros(*micros).ok();
    Some((time(times.values().first()?)?, time(times.values().last()?)?))
}
