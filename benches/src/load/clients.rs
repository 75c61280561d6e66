//! Clients that run nodes: each begins a run of its own node, follows its events until it has ended, and begins the next.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::{Figures, ROWS_OF_RUN};

/// As many clients as there are nodes, for so long.
pub(super) fn measure(address: SocketAddr, token: &str, nodes: &[String], duration: Duration) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // One run of each that does not count: the first of all prepares the component.
        let warm = |node: &String| {
            let client = Client::new(address, token, node);
            tokio::spawn(async move {
                let mut client = client.await;
                client.run().await.unwrap();
                client
            })
        };
        let warming: Vec<_> = nodes.iter().map(warm).collect();
        let mut clients = Vec::new();
        for client in warming {
            clients.push(client.await.unwrap());
        }
        let begun = Instant::now();
        let tasks: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                tokio::spawn(async move {
                    let (mut times, mut errors) = (Vec::new(), BTreeMap::<String, u64>::new());
                    while begun.elapsed() < duration {
                        let began = Instant::now();
                        match client.run().await {
                            Ok(()) => times.push(began.elapsed().as_secs_f64()),
                            Err(error) => *errors.entry(error).or_default() += 1,
                        }
                    }
                    (times, errors)
                })
            })
            .collect();
        let (mut times, mut errors) = (Vec::new(), BTreeMap::new());
        for task in tasks {
            let (its_times, its_errors) = task.await.unwrap();
            times.extend(its_times);
            for (error, count) in its_errors {
                *errors.entry(error).or_default() += count;
            }
        }
        Figures::of(&times, begun.elapsed().as_secs_f64(), errors)
    })
}

async fn connected(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// One of them, with one connection.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
    token: String,
    node: String,
}

impl Client {
    fn new(address: SocketAddr, token: &str, node: &str) -> impl Future<Output = Self> + Send + use<> {
        let (token, node) = (token.to_owned(), node.to_owned());
        async move { Self { sender: connected(address).await, address, token, node } }
    }

    /// From the request that begins a run until its end is told: its rows are stored then. What went wrong, in short.
    async fn run(&mut self) -> Result<(), String> {
        let begun = self.ask(Method::POST, &format!("/api/v1/nodes/{}/runs", self.node), "{}").await?;
        let begun: Value = serde_json::from_slice(&begun).map_err(|error| error.to_string())?;
        let id = begun["execution_id"].as_str().ok_or("no execution")?;
        let events = self.ask(Method::GET, &format!("/api/v1/executions/{id}/events"), "").await?;
        let events = std::str::from_utf8(&events).map_err(|error| error.to_string())?;
        let end = events.lines().rev().find_map(|line| line.strip_prefix("data:")).ok_or("no event")?;
        let end: Value = serde_json::from_str(end).map_err(|error| error.to_string())?;
        let record = &end["result"][0];
        if record["status"] == "ok" && record["rows_inserted"] == ROWS_OF_RUN {
            return Ok(());
        }
        let code = [&end["error"]["code"], &record["error"]["code"], &record["status"]];
        Err(code.into_iter().find_map(Value::as_str).unwrap_or("no record").to_owned())
    }

    /// The body of a success.
    async fn ask(&mut self, method: Method, path: &str, body: &str) -> Result<Bytes, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("authorization", format!("Bearer {}", self.token));
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let request =
            request.body(Full::new(Bytes::from(body.to_owned()))).map_err(|error| error.to_string())?;
        // A server ends connections on which nothing comes for a while, which is no error.
        if self.sender.ready().await.is_err() {
            self.sender = connected(self.address).await;
        }
        let answer = self.sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        Err(format!("{status} {}", problem["code"].as_str().unwrap_or_default()))
    }
}
