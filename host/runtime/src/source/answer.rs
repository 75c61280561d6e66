//! Answers of HTTP sources: read to their end under the limit, cleaned of secrets, kept until the guest reads them.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use datanode_core::source::answer_header;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, RETRY_AFTER};

use super::client::{self, Answer};
use super::error::{NoAnswer, SourceError};
use super::http::{Attempt, Fetch, Fetched, MAX_HEADER_BYTES};
use super::request::Prepared;
use super::scrub::Stream;
use super::shorten;

/// Bytes of a body that are kept in memory; beyond, it waits in a file without a name.
const SPOOL_AFTER: usize = 1 << 20;

impl Fetch<'_> {
    /// Read an answer to its end, clean it, and keep it.
    pub(super) async fn read(&self, prepared: &Prepared, answer: Answer) -> Result<Attempt, NoAnswer> {
        let (response, _connection) = answer.into_parts();
        let (parts, mut body) = response.into_parts();
        let (name, path, limit) = (self.name.to_owned(), self.path.clone(), self.rules.limits.max_bytes);
        if let Some(encoding) = parts.headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity")
        {
            let encoding = self.scrubber.text(&shorten(&String::from_utf8_lossy(encoding.as_bytes())));
            return Err(SourceError::Encoding { name, path, encoding }.into());
        }
        let declared =
            parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let has_body = prepared.method != Method::HEAD;
        if has_body && declared.is_some_and(|length| length > limit) {
            return Err(SourceError::Bytes { name, path, limit }.into());
        }
        let unkept = |problem: std::io::Error| SourceError::Spool {
            name: self.name.to_owned(),
            problem: problem.to_string(),
        };
        std::fs::create_dir_all(self.spool).map_err(unkept)?;
        let mut kept = tempfile::spooled_tempfile_in(SPOOL_AFTER, self.spool);
        let mut clean = Stream::new(self.scrubber);
        let (mut received, mut length) = (0, 0);
        while let Some(frame) = body.frame().await {
            let data = match frame {
                Ok(frame) => frame.into_data().unwrap_or_default(),
                Err(error) => return self.broken(client::failed(&error)).map(Attempt::Broken),
            };
            received += data.len() as u64;
            if received > limit {
                return Err(SourceError::Bytes { name, path, limit }.into());
            }
            let piece = clean.push(&data);
            length += piece.len() as u64;
            kept.write_all(&piece).map_err(unkept)?;
        }
        let rest = clean.end();
        length += rest.len() as u64;
        kept.write_all(&rest).map_err(unkept)?;
        let (mut status, mut part, mut range) = (parts.status.as_u16(), 0..length, None);
        if let (Some(cut), 200, true) = (prepared.cut, status, has_body) {
            let end = cut.length.map_or(length, |wanted| cut.offset.saturating_add(wanted).min(length));
            part = cut.offset.min(length)..end.max(cut.offset.min(length));
            status = 206;
            range = (!part.is_empty()).then(|| format!("bytes {}-{}/{length}", part.start, part.end - 1));
        }
        kept.seek(SeekFrom::Start(part.start)).map_err(unkept)?;

        let bytes = part.end - part.start;
        let shown_length = if has_body { Some(bytes) } else { declared };
        let headers = self.headers(&parts.headers, shown_length, range);
        let fetched = Fetched { status, headers, body: kept.take(bytes) };
        Ok(match parts.status.as_u16() {
            429 | 502 | 503 | 504 => Attempt::Busy(fetched, asked_pause(&parts.headers)),
            _ => Attempt::Answered(fetched),
        })
    }

    /// What the guest is shown of an answer's headers, sorted.
    fn headers(
        &self,
        headers: &HeaderMap,
        length: Option<u64>,
        range: Option<String>,
    ) -> Vec<(String, String)> {
        let shown = headers.iter().filter_map(|(name, value)| {
            let value =
                std::str::from_utf8(value.as_bytes()).ok().filter(|value| value.len() <= MAX_HEADER_BYTES)?;
            let is_shown = answer_header(name.as_str(), &self.rules.response_headers);
            is_shown.then(|| (name.as_str().to_owned(), self.scrubber.text(value)))
        });
        let length = length.map(|length| ("content-length".to_owned(), length.to_string()));
        let range = range.map(|range| ("content-range".to_owned(), range));
        let mut shown: Vec<_> = shown.chain(length).chain(range).collect();
        shown.sort();
        shown
    }
}

/// How long the server asks to be left alone.
fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
