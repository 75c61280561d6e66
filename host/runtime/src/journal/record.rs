//! Writing a journal while a guest runs: on a thread of its own, so that the guest waits for nothing but its place in a
//! short queue.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use datanode_core::digest::{Digest, Digester};
use datanode_core::journal::{
    Content, End, Ended, Entry, Header, JournalMode, JournalSummary, Line, MAX_CALL_BYTES, MAX_LINE_BYTES,
    Reply, line,
};
use datanode_sandbox::{HostCallError, HostReply};

use super::contents::{ContentError, Contents};
use super::describe::Described;
use super::most_line;

/// Answers that may wait to be written. Each keeps its bytes alive.
const QUEUE: usize = 8;
/// Bytes of a content that stands in the journal itself.
const INLINE_BYTES: usize = 16 << 10;
/// Bytes of all such contents together.
const INLINE_IN_ALL: usize = 1 << 20;
/// Bytes that a journal may have as it is stored. Beyond, none is kept: a guest that makes so many calls is flooding.
const MAX_DOCUMENT: usize = 64 << 20;
/// Journals are texts of like lines: more effort than this gains little.
const LEVEL: i32 = 3;

/// A journal that is complete.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) summary: JournalSummary,
    /// As it is stored: compressed.
    pub(crate) document: Vec<u8>,
    /// Digests of the contents that lie beside it.
    pub(crate) contents: BTreeSet<Digest>,
}

/// Takes down what a guest is given.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    sender: SyncSender<Noted>,
    thread: JoinHandle<Result<Option<Written>, ContentError>>,
}

enum Noted {
    Call(Described, Answer),
    End { error: Option<Ended>, output_digest: Option<Digest>, fuel: u64 },
}

/// An answer, of which bytes are not looked at yet.
enum Answer {
    Bytes(Bytes),
    Other(Reply),
}

impl JournalWriter {
    /// Begin a journal.
    pub(crate) fn begin(header: Header, mode: JournalMode, contents: Contents) -> Result<Self, ContentError> {
        let (sender, noted) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || Document::new(mode, contents).write(header, &noted))
            .map_err(ContentError::Thread)?;
        Ok(Self { sender, thread })
    }

    /// Take a call and its answer down. When the writer has failed, so will its end, which says why.
    pub(crate) fn note(&self, described: Described, reply: &Result<HostReply, HostCallError>) {
        let answer = match reply {
            Ok(HostReply::Bytes(bytes)) => Answer::Bytes(bytes.clone()),
            Ok(reply) => Answer::Other(self::reply(reply)),
            Err(error) => Answer::Other(Reply::Failed { code: error.0.code().to_owned() }),
        };
        let _ = self.sender.send(Noted::Call(described, answer));
    }

    /// Write the end, and wait until everything is written. None when it became too large to be kept. Blocks.
    pub(crate) fn finish(
        self,
        error: Option<Ended>,
        output_digest: Option<Digest>,
        fuel: u64,
    ) -> Result<Option<Written>, ContentError> {
        let _ = self.sender.send(Noted::End { error, output_digest, fuel });
        drop(self.sender);
        match self.thread.join() {
            Ok(written) => written,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn reply(reply: &HostReply) -> Reply {
    match reply {
        HostReply::Done => Reply::Done,
        HostReply::Emitted { rows } => Reply::Emitted(*rows),
        HostReply::Opened(reader) => Reply::Opened(*reader),
        // Never: bytes are kept apart.
        HostReply::Bytes(_) | HostReply::End => Reply::End,
        HostReply::Fetched(response) => {
            Reply::Fetched { status: response.status, headers: response.headers.clone(), body: response.body }
        }
        HostReply::Option(value) => Reply::Option(value.clone()),
        HostReply::Refused(why) => Reply::Refused { code: why.code.clone(), message: why.message.clone() },
    }
}

struct Document {
    mode: JournalMode,
    contents: Contents,
    kept: BTreeSet<Digest>,
    inline: usize,
    content_bytes: u64,
    digest: Digester,
}

impl Document {
    fn new(mode: JournalMode, contents: Contents) -> Self {
        let (kept, digest) = (BTreeSet::new(), Digester::default());
        Self { mode, contents, kept, inline: 0, content_bytes: 0, digest }
    }

    fn write(mut self, header: Header, noted: &Receiver<Noted>) -> Result<Option<Written>, ContentError> {
        let Ok(mut text) = zstd::Encoder::new(Vec::new(), LEVEL) else { return Ok(None) };
        // A checksum of its own: a damaged document is told from one that was written otherwise.
        if text.include_checksum(true).is_err() {
            return Ok(None);
        }
        let first = self.line(&mut text, &Line::Run(Box::new(header)), MAX_LINE_BYTES);
        let Some(first) = first else { return Ok(None) };
        let mut calls = 0;
        for noted in noted {
            let (line, is_end) = match noted {
                Noted::Call(described, answer) => {
                    calls += 1;
                    let Described { function, arguments, shown } = described;
                    let reply = match answer {
                        Answer::Bytes(bytes) => Reply::Bytes(self.content(&bytes)?),
                        Answer::Other(reply) => reply,
                    };
                    let function = function.to_owned();
                    (Line::Call(Entry { call: calls, function, arguments, shown, reply }), false)
                }
                Noted::End { error, output_digest, fuel } => {
                    (Line::End(End { calls, error, output_digest, fuel }), true)
                }
            };
            if self.line(&mut text, &line, MAX_CALL_BYTES).is_none() {
                return Ok(None);
            }
            if is_end {
                let Ok(document) = text.finish() else { return Ok(None) };
                if first > most_line(document.len()) {
                    return Ok(None);
                }
                let summary = JournalSummary {
                    mode: self.mode,
                    sha256: self.digest.finish(),
                    calls,
                    content_bytes: self.content_bytes,
                };
                return Ok(Some(Written { summary, document, contents: self.kept }));
            }
        }
        // Given up: nobody waits for it.
        Ok(None)
    }

    /// The bytes of the line. None when the document cannot be kept: it would not be read again, or is too large.
    fn line(
        &mut self,
        text: &mut zstd::Encoder<'static, Vec<u8>>,
        line: &Line,
        most: usize,
    ) -> Option<usize> {
        let line = self::line(line).ok()?;
        self.digest.update(line.as_bytes());
        text.write_all(line.as_bytes()).ok()?;
        (line.len() <= most && text.get_ref().len() <= MAX_DOCUMENT).then_some(line.len())
    }

    fn content(&mut self, bytes: &[u8]) -> Result<Content, ContentError> {
        let sha256 = Digest::of(bytes);
        self.content_bytes += bytes.len() as u64;
        let mut content = Content { sha256, bytes: bytes.len() as u64, inline: None };
        if self.mode == JournalMode::Digest || self.kept.contains(&sha256) {
            return Ok(content);
        }
        if bytes.len() <= INLINE_BYTES && self.inline + bytes.len() <= INLINE_IN_ALL {
            self.inline += bytes.len();
            content.inline = Some(STANDARD.encode(bytes));
        } else {
            self.contents.keep(&sha256, bytes)?;
            self.kept.insert(sha256);
        }
        Ok(content)
    }
}
