//! TLS to other machines: whom to trust, and connections that are encrypted, or are not.
//!
//! HTTP sources and the command that asks a server connect by this. Which address is connected to, and how often it is
//! tried, is theirs.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use datanode_core::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

/// Whom to believe that they are who they say they are. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Those for whom the authorities of this file (PEM) vouch, or those of the machine.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, or that there are no authorities.
    pub fn of(file: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        if let Some(file) = file {
            let in_file = |problem: &dyn std::fmt::Display| format!("{}: {problem}", file.display());
            let certificates = CertificateDer::pem_file_iter(file).map_err(|error| in_file(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| in_file(&error))?;
                roots.add(certificate).map_err(|error| in_file(&error))?;
            }
            if roots.is_empty() {
                return Err(in_file(&"it holds no certificate (PEM)"));
            }
        } else {
            // Some of a machine's certificates may be odd; one that counts is missed when it is needed.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("this machine has none".to_owned());
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Encrypt a connection to the host of a URL, once it has proved to be that host.
    ///
    /// # Errors
    ///
    /// [`NotEncrypted`].
    pub async fn encrypt(&self, stream: TcpStream, url: &Url) -> Result<Stream, NotEncrypted> {
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).ok(),
            Some(Host::Ipv4(address)) => Some(ServerName::from(IpAddr::from(address))),
            Some(Host::Ipv6(address)) => Some(ServerName::from(IpAddr::from(address))),
            None => None,
        };
        let Some(name) = name else {
            return Err(NotEncrypted::Refused {
                fault: Fault::Name,
                problem: "no certificate can name this host".to_owned(),
            });
        };
        match TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(NotEncrypted::of(error)),
        }
    }
}

/// Why a connection was not encrypted.
#[derive(Debug)]
pub enum NotEncrypted {
    /// The other side is not who it is to be, or talks otherwise. That does not get better by asking again.
    Refused {
        /// What is wrong with it.
        fault: Fault,
        /// The same in words.
        problem: String,
    },
    /// The two could not talk: another time they may.
    Broken(io::Error),
}

/// What is wrong with the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody who is trusted has signed its certificate.
    Authority,
    /// Its certificate is for another name.
    Name,
    /// Its certificate does not hold now.
    Time,
    /// It does not speak TLS.
    NoTls,
    /// Something else.
    Other,
}

impl NotEncrypted {
    fn of(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => {
                let (fault, problem) = told(error);
                Self::Refused { fault, problem }
            }
            None => Self::Broken(error),
        }
    }
}

/// What is wrong, in words that name the certificate where it is that.
fn told(error: &Error) -> (Fault, String) {
    let certificate = match error {
        Error::InvalidCertificate(certificate) => certificate,
        Error::InvalidMessage(_) => return (Fault::NoTls, format!("it does not speak TLS ({error})")),
        _ => return (Fault::Other, error.to_string()),
    };
    match certificate {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            (Fault::Authority, "nobody who is trusted here has signed its certificate".to_owned())
        }
        CertificateError::NotValidForName => (Fault::Name, "its certificate is for another name".to_owned()),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = presented.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", ");
            let names = if names.is_empty() { "no name".to_owned() } else { names };
            (Fault::Name, format!("its certificate is for {names}, and not for {}", expected.to_str()))
        }
        CertificateError::Expired => (Fault::Time, "its certificate has ended".to_owned()),
        CertificateError::ExpiredContext { not_after, .. } => {
            (Fault::Time, format!("its certificate has ended{}", moment(*not_after)))
        }
        CertificateError::NotValidYet => (Fault::Time, "its certificate does not hold yet".to_owned()),
        CertificateError::NotValidYetContext { not_before, .. } => {
            (Fault::Time, format!("its certificate does not hold yet; it begins{}", moment(*not_before)))
        }
        other => (Fault::Other, format!("its certificate is not good: {other}")),
    }
}

/// `DnsName("localhost")`, as the verifier writes the names of a certificate, as people do.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

/// When, where that can be told.
fn moment(time: UnixTime) -> String {
    let micros = i64::try_from(time.as_secs()).ok().and_then(|seconds| seconds.checked_mul(1_000_000));
    let moment = micros.and_then(|micros| Timestamp::from_micros(micros).ok());
    moment.map_or(String::new(), |moment| format!(" on {}", moment.short()))
}

/// A connection, encrypted or not.
#[derive(Debug)]
pub enum Stream {
    /// As it goes over the wire.
    Plain(TcpStream),
    /// Over TLS.
    Tls(Box<TlsStream<TcpStream>>),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_in_words() {
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let ended =
            CertificateError::ExpiredContext { time: at(1_700_000_000), not_after: at(1_577_836_800) };
        let other_name = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("data.example").unwrap(),
            presented: vec!["DnsName(\"localhost\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()],
        };
        for (error, fault, words) in [
            (ended, Fault::Time, "its certificate has ended on 2020-01-01"),
            (other_name, Fault::Name, "its certificate is for localhost, 10.0.0.1, and not for data.example"),
            (
                CertificateError::UnknownIssuer,
                Fault::Authority,
                "nobody who is trusted here has signed its certificate",
            ),
            (CertificateError::Revoked, Fault::Other, "its certificate is not good: Revoked"),
        ] {
            assert_eq!(told(&Error::InvalidCertificate(error)), (fault, words.to_owned()));
        }
    }

    #[test]
    fn a_file_without_certificates_is_told_as_such() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        std::fs::write(&file, "no certificate at all").unwrap();
        let problem = Trust::of(Some(&file)).unwrap_err();
        assert!(problem.contains("ca.pem") && problem.contains("no certificate (PEM)"), "{problem}");
        assert!(Trust::of(Some(&directory.path().join("missing.pem"))).is_err());
    }
}
