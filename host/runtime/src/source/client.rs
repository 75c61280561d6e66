//! One HTTP/1.1 request over one connection, to an address that was judged before.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use url::Url;

use crate::tls::{NotEncrypted, Stream, Trust};

/// The most bytes of an answer's head.
pub(super) const MAX_HEAD_BYTES: usize = 64 << 10;
/// The most headers of an answer.
const MAX_HEADERS: usize = 128;
/// How long one address is tried.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// Another time there may be one.
    Passing(String),
    /// There is none.
    Final(String),
    /// The head is too large.
    Head,
    /// The certificate authorities cannot be read.
    Authorities(String),
}

/// An answer whose body is still to come. The connection goes with it.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    connection: Connection,
}

impl Answer {
    /// The answer, and what must live as long as its body is read.
    pub(super) fn into_parts(self) -> (Response<Incoming>, Connection) {
        (self.response, self.connection)
    }
}

/// The task that moves the bytes, which ends with the answer.
pub(super) struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What tells a file that was renewed from the one that was read: when it was written, and its bytes.
type Seen = Option<(SystemTime, u64)>;

/// Whom to trust: the authorities of the machine, read once, and those of each file of authorities, read again when it is
/// another one: a server lives longer than a certificate.
#[derive(Default)]
pub(super) struct Authorities(Mutex<HashMap<Option<PathBuf>, (Seen, Trust)>>);

impl Authorities {
    fn of(&self, file: Option<&Path>) -> Result<Trust, String> {
        let key = file.map(Path::to_owned);
        // Looked at before it is read: what is renewed in between is read once more the next time.
        let now = file.and_then(seen);
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, trust)) = known().get(&key)
            && *then == now
        {
            return Ok(trust.clone());
        }
        let trust = Trust::of(file)?;
        known().insert(key, (now, trust.clone()));
        Ok(trust)
    }
}

fn seen(file: &Path) -> Seen {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Ask a URL at one of these addresses.
pub(super) async fn ask(
    url: &Url,
    addresses: &[IpAddr],
    authorities: (&Authorities, Option<&Path>),
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, Failed> {
    let stream = connect(url, addresses, authorities).await?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
    let connection = Connection(tokio::spawn(async move { drop(connection.await) }));
    let request = request(url, method, headers, body)?;
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    Ok(Answer { response, connection })
}

fn request(
    url: &Url,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, Failed> {
    let wrong = || Failed::Final("the request cannot be written".to_owned());
    let host = url.host_str().ok_or_else(wrong)?;
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut request =
        Request::builder().method(method).uri(target).body(Full::new(body)).map_err(|_| wrong())?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(HOST, HeaderValue::from_str(&host).map_err(|_| wrong())?);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

/// What hyper says, without anything of the request.
pub(super) fn failed(error: &hyper::Error) -> Failed {
    // Hyper tells clients so by its text alone; a test holds it to that.
    if error.is_parse() && error.to_string().contains("too large") {
        return Failed::Head;
    }
    let mut problem = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !problem.contains(&said) {
            problem += &format!(": {said}");
        }
        cause = inner.source();
    }
    Failed::Passing(problem)
}

async fn connect(
    url: &Url,
    addresses: &[IpAddr],
    (authorities, file): (&Authorities, Option<&Path>),
) -> Result<Stream, Failed> {
    let port = url.port_or_known_default().unwrap_or(443);
    let mut problem = "no address".to_owned();
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        let connected = tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await;
        let stream = match connected {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                problem = format!("{address}: {error}");
                continue;
            }
            Err(_) => {
                problem = format!("{address}: no answer in {} s", CONNECT_PATIENCE.as_secs());
                continue;
            }
        };
        // Small requests are not to wait for each other.
        drop(stream.set_nodelay(true));
        if url.scheme() == "http" {
            return Ok(Stream::Plain(stream));
        }
        let trust = authorities.of(file).map_err(Failed::Authorities)?;
        return trust.encrypt(stream, url).await.map_err(|why| match why {
            NotEncrypted::Refused { problem, .. } => Failed::Final(format!("TLS: {problem}")),
            NotEncrypted::Broken(error) => Failed::Passing(format!("TLS: {error}")),
        });
    }
    Err(Failed::Passing(problem))
}
