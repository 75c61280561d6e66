//! Connections to the server: TCP, and TLS where its address says https.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// How long all addresses of the server are tried together, TLS included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NoConnection {
    /// Nobody answers there.
    Unreachable(String),
    /// Somebody does, who cannot prove to be the server.
    Tls(String),
}

/// A connection, encrypted or not.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// Whom to trust: the authorities of this file, or those of the machine.
pub(super) fn authorities(file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        let in_file = |problem: String| format!("{}: {problem}", file.display());
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| in_file(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| in_file(error.to_string()))?;
            roots.add(certificate).map_err(|error| in_file(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(in_file("it holds no certificate (PEM)".to_owned()));
        }
    } else {
        // Some of a machine's certificates may be odd; one that counts is missed when it is needed.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Connect to the host of a URL.
pub(super) async fn connect(url: &Url, tls: Option<&Arc<ClientConfig>>) -> Result<Stream, NoConnection> {
    let patient = tokio::time::timeout(PATIENCE, connect_at_all(url, tls)).await;
    patient.unwrap_or_else(|_| {
        Err(NoConnection::Unreachable(format!("no connection within {} s", PATIENCE.as_secs())))
    })
}

async fn connect_at_all(url: &Url, tls: Option<&Arc<ClientConfig>>) -> Result<Stream, NoConnection> {
    let unreachable = |error: io::Error| NoConnection::Unreachable(error.to_string());
    let port = url.port_or_known_default().unwrap_or(443);
    let (host, name) = match url.host() {
        Some(Host::Domain(name)) => (name.to_owned(), ServerName::try_from(name.to_owned()).ok()),
        Some(Host::Ipv4(address)) => (address.to_string(), Some(ServerName::from(IpAddr::from(address)))),
        Some(Host::Ipv6(address)) => (address.to_string(), Some(ServerName::from(IpAddr::from(address)))),
        None => (String::new(), None),
    };
    // Tries all addresses of the name, one after the other.
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(unreachable)?;
    // Small requests are not to wait for each other.
    drop(stream.set_nodelay(true));
    let Some(config) = tls else { return Ok(Stream::Plain(stream)) };
    let name = name.ok_or_else(|| NoConnection::Tls("no certificate can name this host".to_owned()))?;
    match TlsConnector::from(Arc::clone(config)).connect(name, stream).await {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        // A certificate does not get better by asking again.
        Err(error) if error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some() => {
            Err(NoConnection::Tls(error.to_string()))
        }
        Err(error) => Err(unreachable(error)),
    }
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
