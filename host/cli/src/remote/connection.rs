//! Connections to the server: TCP, and TLS where its address says https.

use std::time::Duration;

use datanode_runtime::tls::{Fault, NotEncrypted, Stream, Trust};
use tokio::net::TcpStream;
use url::{Host, Url};

/// How long all addresses of the server are tried together, TLS included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NoConnection {
    /// Nobody answers there.
    Unreachable(String),
    /// Somebody does, who cannot prove to be the server.
    Tls(Fault, String),
}

/// Connect to the host of a URL; encrypted, where it is said whom to trust.
pub(super) async fn connect(url: &Url, trust: Option<&Trust>) -> Result<Stream, NoConnection> {
    let patient = tokio::time::timeout(PATIENCE, connect_at_all(url, trust)).await;
    patient.unwrap_or_else(|_| {
        Err(NoConnection::Unreachable(format!("no connection within {} s", PATIENCE.as_secs())))
    })
}

async fn connect_at_all(url: &Url, trust: Option<&Trust>) -> Result<Stream, NoConnection> {
    let unreachable = |error: std::io::Error| NoConnection::Unreachable(error.to_string());
    let port = url.port_or_known_default().unwrap_or(443);
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => String::new(),
    };
    // Tries all addresses of the name, one after the other.
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(unreachable)?;
    // Small requests are not to wait for each other.
    drop(stream.set_nodelay(true));
    let Some(trust) = trust else { return Ok(Stream::Plain(stream)) };
    trust.encrypt(stream, url).await.map_err(|why| match why {
        NotEncrypted::Refused { fault, problem } => NoConnection::Tls(fault, problem),
        NotEncrypted::Broken(error) => unreachable(error),
    })
}
