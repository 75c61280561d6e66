//! Files on their way to a server: read piece by piece, and taken up again where a connection broke.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use datanode_core::component::ComponentClass;
use datanode_core::digest::{Digest, Digester};
use datanode_runtime::{FileFormat, LoadError, SignatureError, Uploaded};
use datanode_store::Loaded;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName};

use super::client::{Body, Call, Server};
use crate::failure::Failure;
use crate::place::ComponentFile;
use crate::usage;

/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;
/// Files from this size on are asked for first: some of it may be there.
const WORTH_ASKING: u64 = 1 << 20;
/// How often an upload that breaks is taken up again.
const ATTEMPTS: u32 = 5;
/// Before that.
const PAUSE: Duration = Duration::from_millis(500);

/// What the server calls a file that was sent to it.
const BODY: &str = "the body";
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");

/// A part of a file as a body. It is read where it is sent: a command has nothing else to do meanwhile.
struct FileBody {
    file: File,
    left: u64,
}

impl FileBody {
    /// What a file has from an offset on, so many bytes.
    fn of(path: &Path, from: u64, length: u64) -> io::Result<Body> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Self { file, left: length.saturating_sub(from) }.boxed_unsync())
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let wanted = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        let mut piece = vec![0; wanted];
        Poll::Ready(Some(match self.file.read(&mut piece) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter")),
            Ok(read) => {
                piece.truncate(read);
                self.left -= read as u64;
                Ok(Frame::data(piece.into()))
            }
            Err(error) => Err(error),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Server {
    /// Have a component checked, and kept when it is admitted. What has come before a connection broke is not sent again,
    /// neither by this command nor by the next one.
    pub(crate) async fn upload(&self, upload: &ComponentFile<'_>) -> anyhow::Result<Uploaded> {
        let file = upload.file;
        let unreadable = |error: io::Error| usage(format!("{}: {error}", file.display()));
        let (digest, length) = digest_of(file).map_err(unreadable)?;
        if let Some(expected) = upload.expected.filter(|expected| *expected != digest) {
            let (expected, found) = (expected.to_string(), digest.to_string());
            return Err(Failure::of(&SignatureError::OtherBytes { expected, found }).into());
        }
        let mut offset = if length >= WORTH_ASKING { self.offset(&digest).await? } else { None };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let from = offset.unwrap_or(0);
            let url = self.at(&["components", "uploads", &digest.to_string()]);
            let call = if offset.is_some() { Call::patch(url) } else { Call::put(url) };
            let call = said(call, upload).with(LENGTH, &length.to_string()).with(OFFSET, &from.to_string());
            let body = FileBody::of(file, from, length).map_err(unreadable)?;
            let failure = match self.stream(call.long(), body).await {
                Ok(answer) if answer.status() == StatusCode::ACCEPTED => None,
                Ok(answer) => return answer.json().await,
                Err(error) => match error.downcast::<Failure>() {
                    // What was said of the component stands; the way there may be mended.
                    Ok(failure) if is_of_the_way(&failure) => Some(failure),
                    Ok(failure) => return Err(failure.into()),
                    Err(error) => return Err(error),
                },
            };
            if let (Some(failure), true) = (failure, attempt >= ATTEMPTS) {
                return Err(failure.into());
            }
            tokio::time::sleep(PAUSE).await;
            offset = self.offset(&digest).await?;
        }
    }

    /// How much of an upload has come; None when it has not begun.
    async fn offset(&self, digest: &Digest) -> anyhow::Result<Option<u64>> {
        let url = self.at(&["components", "uploads", &digest.to_string()]);
        let answer = self.head(Call::head(url)).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let offset = answer.header(&OFFSET).and_then(|offset| offset.parse().ok());
        match offset {
            Some(offset) if answer.is_ok() => Ok(Some(offset)),
            // Whatever is wrong, the upload itself is told more of it: the answer to this question has no body.
            _ => Ok(None),
        }
    }

    /// Store the rows of a file in a reference table.
    pub(crate) async fn load(
        &self,
        table: &str,
        file: &Path,
        format: Option<FileFormat>,
        replace: bool,
    ) -> anyhow::Result<Loaded> {
        let unreadable = |error: io::Error| {
            Failure::of(&LoadError::File { file: file.display().to_string(), problem: error.to_string() })
        };
        let length = std::fs::metadata(file).map_err(unreadable)?.len();
        let name = file.display().to_string();
        let format = match format.or_else(|| FileFormat::of(file)) {
            Some(FileFormat::Csv) => "csv",
            Some(FileFormat::Parquet) => "parquet",
            Some(FileFormat::Arrow) => "arrow",
            None => return Err(Failure::of(&LoadError::Format { file: name }).into()),
        };
        let call = Call::post(self.at(&["tables", table, "load"]))
            .query("format", format)
            .query("replace", if replace { "true" } else { "false" })
            .with(CONTENT_TYPE, "application/octet-stream");
        let body = FileBody::of(file, 0, length).map_err(unreadable)?;
        let loaded =
            self.stream(call.long(), body).await.map_err(|error| match error.downcast::<Failure>() {
                // The server does not know what the file is called here.
                Ok(failure) => {
                    Failure { message: failure.message.replacen(BODY, &name, 1), ..failure }.into()
                }
                Err(error) => error,
            })?;
        loaded.json().await
    }
}

/// What is said of a component beside its bytes.
fn said(call: Call, upload: &ComponentFile<'_>) -> Call {
    let mut call =
        call.with(CONTENT_TYPE, "application/wasm").query("label", &upload.file.display().to_string());
    if upload.accept_new_identity {
        call = call.query("accept_new_identity", "true");
    }
    if upload.admits == ComponentClass::Stubbed {
        call = call.query("allow_stubbed_wasi", "true");
    }
    if let Some(signature) = &upload.signature {
        call = call.query("signature", &STANDARD.encode(signature));
    }
    call
}

/// Whether another attempt may get further.
fn is_of_the_way(failure: &Failure) -> bool {
    [
        "remote.lost",
        "remote.unreachable",
        "server.upload_offset",
        "server.upload_busy",
        "server.upload_storage",
    ]
    .contains(&failure.code.as_str())
}

/// The digest of a file, and how long it is.
fn digest_of(path: &Path) -> io::Result<(Digest, u64)> {
    let (mut file, mut digester, mut length) = (File::open(path)?, Digester::default(), 0);
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((digester.finish(), length)),
            read => {
                digester.update(&piece[..read]);
                length += read as u64;
            }
        }
    }
}
