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
use url::Url;

use super::answer::passes;
use super::client::{Body, Call, Server, UNREACHABLE};
use crate::failure::Failure;
use crate::place::ComponentFile;
use crate::usage;

/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;
/// Files from this size on are asked for first: some of it may be there.
const WORTH_ASKING: u64 = 1 << 20;
/// Bytes by which an upload gets further.
const FURTHER: u64 = 256 << 10;
/// How often one is taken up that does not. Between them there is more than the time for which a server
/// waits for a connection that is gone.
const ATTEMPTS: u32 = 8;
/// The same while the server was never reached: it may not be there at all.
const FEW_ATTEMPTS: u32 = 3;
/// Before the second of them; each later one waits twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// But no longer than this.
const MOST_PAUSE: Duration = Duration::from_secs(8);

/// What the server calls a file that was sent to it.
const BODY: &str = "the body";
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");

/// A component on its way, in as many pieces as it takes.
struct Sending<'u> {
    server: &'u Server,
    upload: &'u ComponentFile<'u>,
    digest: Digest,
    length: u64,
    /// Bytes that have come, as the server said last; None: it has not begun.
    there: Option<u64>,
}

impl Sending<'_> {
    /// Send what has not come yet. The server is asked how much that is, where something may have come.
    async fn attempt(&mut self, asks: bool) -> anyhow::Result<Uploaded> {
        if asks {
            self.there = self.offset().await?;
        }
        let (file, length, from) = (self.upload.file, self.length, self.there.unwrap_or(0));
        let call = if self.there.is_some() { Call::patch(self.url()) } else { Call::put(self.url()) };
        let call = said(call, self.upload).with(LENGTH, &length.to_string()).with(OFFSET, &from.to_string());
        let body = FileBody::of(file, from, length)
            .map_err(|error| usage(format!("{}: {error}", file.display())))?;
        let answer = self.server.stream(call.long(), body).await?;
        if answer.status() == StatusCode::ACCEPTED {
            return Err(self.server.lost("the file has not come whole").into());
        }
        answer.json().await
    }

    /// How much has come; None when it has not begun.
    async fn offset(&self) -> anyhow::Result<Option<u64>> {
        let answer = self.server.head(Call::head(self.url())).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            // To begin anew would throw away what has come: the server still waits for the connection that broke.
            StatusCode::CONFLICT => Err(self.server.lost("it is still taking what came before").into()),
            status if status.is_success() => {
                let offset = answer.header(&OFFSET).and_then(|offset| offset.parse().ok());
                Ok(Some(offset.ok_or_else(|| answer.odd("an upload without an offset"))?))
            }
            status if status.is_server_error() => Err(answer.failure().await.into()),
            // Whatever is wrong, the upload itself is told more of it: the answer to this question has no body.
            _ => Ok(None),
        }
    }

    fn url(&self) -> Url {
        self.server.at(&["components", "uploads", &self.digest.to_string()])
    }
}

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
        let mut sending = Sending { server: self, upload, digest, length, there: None };
        let (mut attempts, mut most, mut asks) = (0, 0, length >= WORTH_ASKING);
        let mut is_reached = false;
        loop {
            let failure = match sending.attempt(asks).await {
                Ok(uploaded) => return Ok(uploaded),
                // What was said of the component stands; the way there may be mended.
                Err(error) => match error.downcast::<Failure>() {
                    Ok(failure) if is_of_the_way(&failure) => failure,
                    Ok(failure) => return Err(failure.into()),
                    Err(error) => return Err(error),
                },
            };
            let there = sending.there.unwrap_or(0);
            if there >= most + FURTHER {
                // As long as it gets further, it is gone on with.
                (attempts, most) = (0, there);
            }
            attempts += 1;
            is_reached |= failure.code != UNREACHABLE;
            if !is_reached && attempts >= FEW_ATTEMPTS {
                return Err(failure.into());
            }
            if attempts >= ATTEMPTS {
                let step = "give the command again: what has come is not sent twice";
                return Err(failure.with_next_step(step).into());
            }
            tokio::time::sleep(MOST_PAUSE.min(PAUSE * (1 << (attempts - 1)))).await;
            asks = true;
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
    let stands = ["server.upload_offset", "server.upload_busy", "server.body_too_slow"];
    passes(failure) || stands.contains(&failure.code.as_str())
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
