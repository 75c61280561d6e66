//! One HTTP/1.1 request over one connection, to an address that was judged before.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

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

/// The settings of TLS: those of the machine, and one for each file of authorities.
#[derive(Default)]
pub(super) struct Authorities(Mutex<HashMap<Option<PathBuf>, Arc<ClientConfig>>>);

impl Authorities {
    fn of(&self, file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
        let key = file.map(Path::to_owned);
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = known().get(&key) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(config(file)?);
        known().insert(key, Arc::clone(&config));
        Ok(config)
    }
}

fn config(file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        let place = file.display();
        let certificates =
            CertificateDer::pem_file_iter(file).map_err(|error| format!("{place}: {error}"))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| format!("{place}: {error}"))?;
            roots.add(certificate).map_err(|error| format!("{place}: {error}"))?;
        }
    } else {
        // Some of a machine's certificates may be odd; one that counts is missed when it is needed.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        return Err("there are none".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A connection, encrypted or not.
enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
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
        let config = authorities.of(file).map_err(Failed::Authorities)?;
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).ok(),
            Some(Host::Ipv4(address)) => Some(ServerName::from(IpAddr::from(address))),
            Some(Host::Ipv6(address)) => Some(ServerName::from(IpAddr::from(address))),
            None => None,
        };
        let Some(name) = name else {
            return Err(Failed::Final("a host that no certificate can name".to_owned()));
        };
        return match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            // A certificate does not get better by asking again.
            Err(error) if is_of_tls(&error) => Err(Failed::Final(format!("TLS: {error}"))),
            Err(error) => Err(Failed::Passing(format!("TLS: {error}"))),
        };
    }
    Err(Failed::Passing(problem))
}

/// Whether the two ends could not agree, rather than not talk.
fn is_of_tls(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
