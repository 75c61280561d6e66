//! What is packed in an upload: JSON, compressed by gzip, in base64, in a field of JSON.

use std::borrow::Cow;
use std::io::Read;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use flate2::bufread::GzDecoder;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Problem;
use crate::guard::body_problem;

/// Bytes of a request with rows. The client halves what is refused for its size.
pub(crate) const MAX_BODY_BYTES: usize = 64 << 20;
/// Bytes of the rows in it, as JSON.
pub(crate) const MAX_ROWS_BYTES: usize = 64 << 20;
/// Bytes of the statistics of an update, as JSON.
pub(crate) const MAX_STATISTICS_BYTES: usize = 4 << 20;
/// Uploads that are unpacked and judged at once, which takes memory: others wait.
const AT_ONCE: usize = 4;

static UNPACKING: Semaphore = Semaphore::const_new(AT_ONCE);

/// Why an upload cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PayloadError {
    /// Not what an upload is.
    #[error("the upload cannot be read: {0}")]
    Unreadable(String),
    /// More than is taken.
    #[error("the upload has more than the {most} bytes that are taken at once")]
    TooLarge {
        /// Bytes that are taken.
        most: usize,
    },
}

impl Diagnostic for PayloadError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "producer.payload",
            Self::TooLarge { .. } => "producer.too_large",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Usage
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable(_) => "send {\"data\": …}: JSON, compressed by gzip, in base64".to_owned(),
            Self::TooLarge { .. } => "send the rows in smaller pieces".to_owned(),
        })
    }
}

/// What is read of the body; the rest of it says nothing that the rows do not say.
#[derive(Deserialize)]
struct Packed<'b> {
    #[serde(borrow)]
    data: Cow<'b, str>,
    #[serde(default)]
    overwrite: Option<bool>,
}

/// The bytes of a body, as many as are taken.
pub(super) async fn body(body: Body) -> Result<Bytes, Problem> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(PayloadError::TooLarge { most: MAX_BODY_BYTES }.into())
        }
        Err(error) => Err(body_problem(error.as_ref())),
    }
}

/// The turn of an upload; as long as it is held, others wait.
pub(super) async fn turn() -> Result<SemaphorePermit<'static>, Problem> {
    UNPACKING.acquire().await.map_err(|_| Problem::bug("uploads are not taken any more"))
}

/// The JSON text that is packed in a body, of so many bytes at most. It takes time and memory: for threads that may block.
pub(super) fn unpack(body: &[u8], most: usize) -> Result<String, PayloadError> {
    let unreadable = |error: &dyn std::fmt::Display| PayloadError::Unreadable(error.to_string());
    let packed: Packed<'_> = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    if packed.overwrite == Some(false) {
        return Err(unreadable(&"`overwrite` is false, and rows that are there always take the new values"));
    }
    let compressed = STANDARD.decode(packed.data.as_bytes()).map_err(|error| unreadable(&error))?;
    drop(packed);
    let mut decoder = GzDecoder::new(compressed.as_slice());
    let mut text = Vec::new();
    // One byte more tells whether there is more; nothing beyond is ever unpacked.
    decoder.by_ref().take(most as u64 + 1).read_to_end(&mut text).map_err(|error| unreadable(&error))?;
    if text.len() > most {
        return Err(PayloadError::TooLarge { most });
    }
    if !decoder.into_inner().is_empty() {
        return Err(unreadable(&"something follows the compressed rows"));
    }
    String::from_utf8(text).map_err(|error| unreadable(&error))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn body(compressed: &[u8]) -> Vec<u8> {
        json!({"data": STANDARD.encode(compressed), "chunk_index": 0}).to_string().into_bytes()
    }

    #[test]
    fn a_text_is_unpacked() {
        assert_eq!(unpack(&body(&gzip(b"[{\"a\": 1}]")), MAX_ROWS_BYTES).unwrap(), "[{\"a\": 1}]");
    }

    #[test]
    fn what_is_no_upload_is_refused() {
        let good = gzip(b"[]");
        let cut = &good[..good.len() - 3];
        let followed = [good.as_slice(), b"more"].concat();
        let bodies = [
            b"[]".to_vec(),
            b"{}".to_vec(),
            b"{\"data\": 7}".to_vec(),
            b"{\"data\": \"***\"}".to_vec(),
            body(b"not gzip"),
            body(cut),
            body(&followed),
            body(&gzip(&[0xff, 0xfe])),
            json!({"data": STANDARD.encode(&good), "overwrite": false}).to_string().into_bytes(),
        ];
        for body in bodies {
            assert!(
                matches!(unpack(&body, MAX_ROWS_BYTES), Err(PayloadError::Unreadable(_))),
                "{}",
                String::from_utf8_lossy(&body)
            );
        }
    }

    /// It is unpacked as far as the bound, whatever it would become.
    #[test]
    fn a_bomb_is_refused_for_its_size() {
        for (most, bytes) in
            [(MAX_ROWS_BYTES, MAX_ROWS_BYTES + 1), (MAX_STATISTICS_BYTES, MAX_STATISTICS_BYTES + 1)]
        {
            let bomb = gzip(&vec![b'0'; bytes]);
            assert!(bomb.len() < 1 << 20);
            assert_eq!(unpack(&body(&bomb), most), Err(PayloadError::TooLarge { most }));
        }
    }
}
