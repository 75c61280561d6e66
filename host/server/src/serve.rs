//! The server from its first connection to its last.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use datanode_core::{Diagnostic, ErrorClass};
use datanode_runtime::Host;
use datanode_store::StoreError;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::connection::Patient;
use crate::settings::{ServerSettings, seconds, size};
use crate::{AppState, router};

/// Bytes of the head of a request.
const HEAD_BYTES: usize = 64 << 10;
/// Between two looks for updates whose producer is gone.
const HOUSEKEEPING: Duration = Duration::from_mins(1);
/// Before the next connection is accepted, when the machine has none to give.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a server does not begin.
#[derive(Debug, Error)]
pub enum ServerError {
    /// Everybody who reaches the machine could do anything.
    #[error(
        "{address} can be reached by other machines, and this database has no token yet: whoever comes first could do anything"
    )]
    Open {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("the server cannot listen on {address}: {source}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Where traces are to go.
    #[error("traces cannot be sent: {problem}")]
    Traces {
        /// Why not, without what was given.
        problem: String,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Diagnostic for ServerError {
    fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "server.open",
            Self::Listen { .. } => "server.listen",
            Self::Traces { .. } => "server.traces",
            Self::Store(error) => error.code(),
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Open { .. } => ErrorClass::Refused,
            Self::Listen { .. } => ErrorClass::Infrastructure,
            Self::Traces { .. } => ErrorClass::Usage,
            Self::Store(error) => error.class(),
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Open { .. } => Some(
                "create a user with a role and a token: datanode user create NAME, datanode role grant admin --user NAME, \
                 datanode token create --user NAME; or listen on 127.0.0.1"
                    .to_owned(),
            ),
            Self::Listen { .. } => Some("name another address or port: --listen 127.0.0.1:0 takes any that is free".to_owned()),
            Self::Traces { .. } => Some(
                "name a collector that takes OTLP over HTTP: --otlp-endpoint http://127.0.0.1:4318".to_owned(),
            ),
            Self::Store(error) => error.next_step(),
        }
    }
}

/// A server that has its address and answers nobody yet.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    state: AppState,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Listening {
    /// Take an address. One that other machines can reach is refused while the store has no token.
    pub async fn on(address: SocketAddr, host: Host, settings: ServerSettings) -> Result<Self, ServerError> {
        let open = !address.ip().is_loopback() && !host.store().has_tokens(datanode_runtime::now()).await?;
        if open {
            return Err(ServerError::Open { address });
        }
        // Where others can come from, everybody needs a token, also when the last one has ended.
        let require_token = settings.require_token || !address.ip().is_loopback();
        let settings = ServerSettings { require_token, ..settings };
        let listen = |source| ServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address, state: AppState::new(host, settings) })
    }

    /// Where it listens; the port is the one that was given.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answer until `end` is ready, then end what is under way, and all connections. Answers how many executions could not
    /// be ended in time: their leases expire by themselves.
    pub async fn serve(self, end: impl Future<Output = ()>) -> usize {
        let Self { listener, state, .. } = self;
        let settings = state.settings().clone();
        let service = TowerToHyperService::new(router(state.clone()));
        let places = Arc::new(Semaphore::new(size(settings.connections)));
        let graceful = GracefulShutdown::new();
        let house = tokio::spawn(keep_house(state.clone()));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(seconds(settings.head_seconds))
            .max_buf_size(HEAD_BYTES)
            .half_close(false);
        tokio::pin!(end);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut end => break,
                accepted = accept(&listener, &places) => accepted,
            };
            let (stream, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(error = %error, "a connection cannot be accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            // Answers are written whole or in large pieces: waiting for more would only delay them.
            let _ = stream.set_nodelay(true);
            let stream = TokioIo::new(Patient::new(stream, seconds(settings.write_idle_seconds)));
            let connection = graceful.watch(http.serve_connection(stream, service.clone()));
            let open = state.metrics().connection();
            tokio::spawn(async move {
                // A caller who goes in the middle is no error of anybody's.
                if let Err(error) = connection.await {
                    tracing::debug!(error = %error, "a connection has ended early");
                }
                drop((open, place));
            });
        }
        drop(listener);
        house.abort();
        end_all(&state, graceful).await
    }
}

/// What becomes of producers that have died, and of old journals, is nobody's request.
async fn keep_house(state: AppState) {
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        match state.host().abandon_productions().await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(updates = ended, "updates were ended whose producer is gone"),
            Err(error) => tracing::warn!(error = %error, "updates whose producer is gone cannot be ended"),
        }
        match state.host().prune_due_journals().await {
            Ok(Some(pruned)) => {
                tracing::info!(journals = pruned.journals, bytes = pruned.bytes, "old journals were removed");
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %error, "old journals cannot be removed"),
        }
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// End what is under way: executions first, for requests wait for them.
async fn end_all(state: &AppState, graceful: GracefulShutdown) -> usize {
    state.drain();
    let patience = seconds(state.settings().shutdown_seconds);
    tracing::info!("ending: nothing new is begun");
    let begun = std::time::Instant::now();
    let left = state.executions().end_all(patience).await;
    if left > 0 {
        tracing::warn!(
            executions = left,
            "not all executions could be ended in time; their leases will expire"
        );
    }
    let patience = patience.saturating_sub(begun.elapsed()).max(Duration::from_secs(1));
    if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
        tracing::warn!("not all connections could be ended in time");
    }
    tracing::info!("ended");
    left
}

/// Serve a host on an address until `end` is ready; see [`Listening`].
pub async fn serve(
    address: SocketAddr,
    host: Host,
    settings: ServerSettings,
    end: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    Listening::on(address, host, settings).await?.serve(end).await;
    Ok(())
}
