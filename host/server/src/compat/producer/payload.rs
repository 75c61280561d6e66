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
/// Bytes of the statistics of an update, as JSON: they name a coordinate once for each column, and are never whole anywhere.
pub(crate) const MAX_STATISTICS_BYTES: u64 = 1 << 30;
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

fn unreadable(error: &dyn std::fmt::Display) -> PayloadError {
    PayloadError::Unreadable(error.to_string())
}

/// What is compressed in a body.
fn compressed(body: &[u8]) -> Result<Vec<u8>, PayloadError> {
    let packed: Packed<'_> = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    if packed.overwrite == Some(false) {
        return Err(unreadable(&"`overwrite` is false, and rows that are there always take the new values"));
    }
    STANDARD.decode(packed.data.as_bytes()).map_err(|error| unreadable(&error))
}

/// Read the text that is packed in a body while it is unpacked, as far as so many bytes: what `read` makes of it. It takes
/// time: for threads that may block.
pub(super) fn read_packed<T>(
    body: &[u8],
    most: u64,
    read: impl FnOnce(&mut dyn Read) -> Result<T, String>,
) -> Result<Result<T, String>, PayloadError> {
    let compressed = compressed(body)?;
    let mut decoder = GzDecoder::new(compressed.as_slice());
    let mut text = decoder.by_ref().take(most + 1);
    let made = read(&mut text);
    if text.limit() == 0 {
        return Err(PayloadError::TooLarge { most: usize::try_from(most).unwrap_or(usize::MAX) });
    }
    if made.is_ok() && !decoder.into_inner().is_empty() {
        return Err(unreadable(&"something follows the compressed statistics"));
    }
    Ok(made)
}

/// The JSON text that is packed in a body, of so many bytes at most. It takes time and memory: for threads that may block.
pub(super) fn unpack(body: &[u8], most: usize) -> Result<String, PayloadError> {
    let compressed = compressed(body)?;
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
        let bomb = gzip(&vec![b'0'; MAX_ROWS_BYTES + 1]);
        assert!(bomb.len() < 1 << 20);
        assert_eq!(
            unpack(&body(&bomb), MAX_ROWS_BYTES),
            Err(PayloadError::TooLarge { most: MAX_ROWS_BYTES })
        );
    }

    /// What is read while it is unpacked ends at the bound, too, however much of it is wanted.
    #[test]
    fn a_text_is_read_while_it_is_unpacked_and_no_further_than_its_bound() {
        let whole = |text: &mut dyn Read| {
            let mut read = String::new();
            text.read_to_string(&mut read).map(|_| read).map_err(|error| error.to_string())
        };
        let good = gzip(b"[{\"a\": 1}]");
        let packed = body(&good);
        assert_eq!(read_packed(&packed, 10, whole), Ok(Ok("[{\"a\": 1}]".to_owned())));
        assert_eq!(read_packed(&packed, 9, whole), Err(PayloadError::TooLarge { most: 9 }));
        assert!(read_packed(b"{}", 10, whole).is_err());
        assert!(read_packed(&body(&good[..good.len() - 3]), 10, whole).unwrap().is_err());
        let followed = body(&[good.as_slice(), b"more"].concat());
        assert!(matches!(read_packed(&followed, 10, whole), Err(PayloadError::Unreadable(_))));
    }
}
