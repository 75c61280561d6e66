//! What stands between a command and its server: a proxy that counts what is sent, cuts connections, stops for a while,
//! leads to another server, or ends TLS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use datanode_tests::{Server, root};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// What becomes of a connection over which so much has come from the command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum After {
    /// So many bytes, and then it is cut.
    Cut(usize),
    /// So many bytes, and then nothing goes on.
    Stop(usize),
}

/// A proxy on a port of its own, gone when dropped.
pub(crate) struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

struct Shared {
    to: Mutex<SocketAddr>,
    /// Nobody is let through.
    is_closed: Mutex<bool>,
    /// For the next connections that send more than this.
    limits: Mutex<Vec<After>>,
    /// What was sent over each connection.
    sent: Mutex<Vec<Vec<u8>>>,
    /// Changes when all connections are cut.
    cuts: watch::Sender<()>,
}

impl Gate {
    /// Before a server.
    pub(crate) fn before(server: &Server) -> Self {
        Self::begun(server, None)
    }

    /// The same, which proves by a certificate of tests/tls that it is the server.
    pub(crate) fn with_tls(server: &Server, certificate: &str) -> Self {
        let file = |name: &str| root().join("tests/tls").join(name);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(file(certificate)).unwrap()],
                PrivateKeyDer::from_pem_file(file("server.key")).unwrap(),
            )
            .unwrap();
        Self::begun(server, Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn begun(server: &Server, tls: Option<TlsAcceptor>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to: Mutex::new(server.address()),
            is_closed: Mutex::default(),
            limits: Mutex::default(),
            sent: Mutex::default(),
            cuts: watch::Sender::new(()),
        });
        let serving = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if *serving.is_closed.lock().unwrap() {
                    continue;
                }
                stream.set_nodelay(true).unwrap();
                let (shared, tls) = (Arc::clone(&serving), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => shared.pass(stream).await,
                        // Whoever does not trust it goes.
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => shared.pass(stream).await,
                            Err(_) => Ok(()),
                        },
                    }
                });
            }
        });
        Self { address, shared, _runtime: runtime }
    }

    /// Where the command finds the server, in the clear.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port, for addresses of another kind.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Cut all connections that are open now.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_replace(());
    }

    /// Let nobody through for now, or let everybody through again.
    pub(crate) fn close(&self, is_closed: bool) {
        *self.shared.is_closed.lock().unwrap() = is_closed;
        if is_closed {
            self.cut();
        }
    }

    /// Lead to another server from now on.
    pub(crate) fn lead_to(&self, server: &Server) {
        *self.shared.to.lock().unwrap() = server.address();
        self.cut();
    }

    /// What becomes of the next connections over which much is sent, the first of them first.
    pub(crate) fn limit(&self, limits: &[After]) {
        let mut limits = limits.to_vec();
        limits.reverse();
        *self.shared.limits.lock().unwrap() = limits;
    }

    /// Bytes that were sent over all connections.
    pub(crate) fn bytes(&self) -> usize {
        self.shared.sent.lock().unwrap().iter().map(Vec::len).sum()
    }

    /// The values of a header in all that was sent, in order.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let start = format!("\r\n{name}: ");
        let sent = self.shared.sent.lock().unwrap();
        let texts = sent.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let values = texts.flat_map(|text| {
            let values = text.split(start.as_str()).skip(1);
            values.map(|rest| rest.lines().next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        });
        values.collect()
    }
}

impl Shared {
    /// Hand everything on, until either side ends or the connection is cut.
    async fn pass(&self, client: impl AsyncRead + AsyncWrite + Send) -> std::io::Result<()> {
        let mut cuts = self.cuts.subscribe();
        let to = *self.to.lock().unwrap();
        let server = TcpStream::connect(to).await?;
        server.set_nodelay(true)?;
        let (from_client, mut to_client) = split(client);
        let (mut from_server, to_server) = server.into_split();
        tokio::select! {
            up = self.up(from_client, to_server) => up,
            down = tokio::io::copy(&mut from_server, &mut to_client) => down.map(drop),
            _ = cuts.changed() => Ok(()),
        }
    }

    async fn up(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> std::io::Result<()> {
        let number = {
            let mut sent = self.sent.lock().unwrap();
            sent.push(Vec::new());
            sent.len() - 1
        };
        let (mut piece, mut passed, mut limit) = (vec![0; 16 << 10], 0, None);
        loop {
            let mut read = from.read(&mut piece).await?;
            if read == 0 {
                return Ok(());
            }
            limit = limit.or_else(|| self.limit_beyond(passed + read));
            if let Some(After::Cut(most) | After::Stop(most)) = limit {
                read = read.min(most.saturating_sub(passed));
            }
            passed += read;
            self.sent.lock().unwrap()[number].extend_from_slice(&piece[..read]);
            to.write_all(&piece[..read]).await?;
            to.flush().await?;
            match limit {
                Some(After::Cut(most)) if passed >= most => return Ok(()),
                Some(After::Stop(most)) if passed >= most => std::future::pending().await,
                _ => {}
            }
        }
    }

    /// The next limit, where so many bytes are beyond a mere question.
    fn limit_beyond(&self, passed: usize) -> Option<After> {
        const QUESTION: usize = 4 << 10;
        if passed > QUESTION { self.limits.lock().unwrap().pop() } else { None }
    }
}
