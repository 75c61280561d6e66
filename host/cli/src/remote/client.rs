//! Requests to the server, and what became of them.

use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use datanode_core::ErrorClass;
use datanode_core::diagnostic::shell_word;
use datanode_runtime::tls::{Fault, Trust};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use super::address::ServerUrl;
use super::answer::{self, Answer, ODD};
use super::connection::{self, NoConnection};
use super::token::Token;
use crate::failure::Failure;

/// How long an ordinary answer may take to begin.
const PATIENCE: Duration = Duration::from_mins(1);
/// The same of what reads or writes whole tables, compiles, or executes.
const LONG_PATIENCE: Duration = Duration::from_hours(2);
/// How often a request is sent that may be sent again.
const ATTEMPTS: u32 = 3;
/// Before the second attempt; each later one waits twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest that the server may ask to wait before another attempt.
const MOST_PAUSE: Duration = Duration::from_secs(10);
/// How long a connection may take to be free again, once its last answer was read.
const SETTLING: Duration = Duration::from_millis(20);
/// Things that a page of a list holds.
const PAGE: &str = "500";

/// The code of a server whom nobody reaches.
pub(super) const UNREACHABLE: &str = "remote.unreachable";

/// By which a request that is sent twice is carried out once.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A body on its way to the server.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A server that is asked in the place of the host in this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server(Arc<Inner>);

struct Inner {
    url: ServerUrl,
    token: Option<Token>,
    /// Whom to believe that they are the server; None: it is asked in the clear.
    trust: Option<Trust>,
    /// The connection of the last request, once its answer has been read.
    idle: Mutex<Option<SendRequest<Body>>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.0.url).finish()
    }
}

/// A request as it is sent, as often as it takes.
pub(crate) struct Call {
    method: Method,
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    patience: Duration,
    /// Whether it means the same when it arrives twice.
    repeats: bool,
}

impl Call {
    fn new(method: Method, url: Url) -> Self {
        let repeats = matches!(method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE);
        Self { method, url, headers: Vec::new(), body: Bytes::new(), patience: PATIENCE, repeats }
    }

    /// Ask for something.
    pub(crate) fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// Put something in a place.
    pub(crate) fn put(url: Url) -> Self {
        Self::new(Method::PUT, url)
    }

    /// Ask whether something is there.
    pub(crate) fn head(url: Url) -> Self {
        Self::new(Method::HEAD, url)
    }

    /// Remove something.
    pub(crate) fn delete(url: Url) -> Self {
        Self::new(Method::DELETE, url)
    }

    /// Change something.
    pub(crate) fn patch(url: Url) -> Self {
        Self::new(Method::PATCH, url)
    }

    /// Have something done. It is sent under a key of its own, so that it may be sent twice and is done once.
    pub(crate) fn post(url: Url) -> Self {
        let mut call = Self::new(Method::POST, url);
        call.repeats = true;
        let key = uuid::Uuid::new_v4().to_string();
        call.with(IDEMPOTENCY_KEY, &key)
    }

    /// What is sent with it, as JSON.
    pub(crate) fn json(mut self, body: &impl Serialize) -> anyhow::Result<Self> {
        self.body = serde_json::to_vec(body)?.into();
        Ok(self.with(CONTENT_TYPE, "application/json"))
    }

    /// What is sent with it, of another kind.
    pub(crate) fn bytes(mut self, content_type: &str, body: Bytes) -> Self {
        self.body = body;
        self.with(CONTENT_TYPE, content_type)
    }

    /// With another header. One that cannot be sent is left out.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// With a parameter.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// With a parameter, where there is a value.
    pub(crate) fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// It may take long until the answer begins.
    pub(crate) fn long(self) -> Self {
        Self { patience: LONG_PATIENCE, ..self }
    }

    /// It is sent once, whatever becomes of it.
    pub(crate) fn once(self) -> Self {
        Self { repeats: false, ..self }
    }
}

/// What a server of this host calls itself.
const NAME: &str = "datanode";
/// The release of this command.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a server is.
#[derive(Deserialize)]
struct Version {
    name: String,
    version: String,
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

/// Why a request got no answer.
enum Unanswered {
    /// It never left.
    NotSent(Failure),
    /// It may have arrived.
    Lost(Failure),
    /// Who answers talks otherwise, and would again.
    Odd(Failure),
}

impl Unanswered {
    fn failure(self) -> Failure {
        match self {
            Self::NotSent(failure) | Self::Lost(failure) | Self::Odd(failure) => failure,
        }
    }
}

impl Server {
    /// A server, and how it is asked.
    pub(crate) fn new(url: ServerUrl, token: Option<Token>, ca: Option<&Path>) -> anyhow::Result<Self> {
        let trust = if url.at(&[]).scheme() == "https" {
            Some(Trust::of(ca).map_err(|problem| {
                Failure::usage(format!("certificate authorities: {problem}"))
                    .with_next_step("name a file of certificates (PEM): --server-ca FILE")
            })?)
        } else {
            None
        };
        Ok(Self(Arc::new(Inner { url, token, trust, idle: Mutex::default() })))
    }

    /// As a person reads it.
    pub(crate) fn name(&self) -> &str {
        self.0.url.text()
    }

    /// A place of its API.
    pub(crate) fn at(&self, segments: &[&str]) -> Url {
        self.0.url.at(segments)
    }

    /// What stands at a place.
    pub(crate) async fn get<T: DeserializeOwned>(&self, segments: &[&str]) -> anyhow::Result<T> {
        self.ask(Call::get(self.at(segments))).await
    }

    /// Have something done.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.ask(Call::post(self.at(segments)).json(body)?).await
    }

    /// The document that a call answers.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, call: Call) -> anyhow::Result<T> {
        match self.send(call).await?.json().await {
            Ok(document) => Ok(document),
            Err(error) => Err(match error.downcast::<Failure>() {
                Ok(failure) if failure.code == ODD => self.compared(failure).await.into(),
                Ok(failure) => failure.into(),
                Err(error) => error,
            }),
        }
    }

    /// A failure that another release would explain, with what there is to say of that: who answers is asked what it is.
    async fn compared(&self, failure: Failure) -> Failure {
        let version = match self.send_once(&Call::get(self.at(&["version"]))).await {
            Ok(answer) if answer.is_ok() => answer.json::<Version>().await.ok(),
            _ => None,
        };
        match version.filter(|version| version.name == NAME) {
            Some(Version { version, .. }) if version != VERSION => {
                let message = format!(
                    "{}; the server is of release {version}, and this command of {VERSION}",
                    failure.message
                );
                Failure { message, ..failure }
                    .with_next_step("use a command and a server of one release: datanode --version")
            }
            None if failure.code == ODD => failure.with_next_step(answer::SEE_ADDRESS),
            _ => failure,
        }
    }

    /// All things of a list, page by page.
    pub(crate) async fn items<T: DeserializeOwned>(&self, call: Call) -> anyhow::Result<Vec<T>> {
        self.first_items(call, usize::MAX).await
    }

    /// The first things of a list.
    pub(crate) async fn first_items<T: DeserializeOwned>(
        &self,
        call: Call,
        most: usize,
    ) -> anyhow::Result<Vec<T>> {
        let url = call.url;
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        while items.len() < most {
            let wanted = most - items.len();
            let limit = if wanted < 500 { wanted.to_string() } else { PAGE.to_owned() };
            let page = Call::get(url.clone()).query("limit", &limit).maybe("cursor", cursor.as_deref());
            let page: Page<T> = self.ask(page).await?;
            let is_empty = page.items.is_empty();
            items.extend(page.items);
            match page.next_cursor {
                Some(next) if !is_empty => cursor = Some(next),
                _ => break,
            }
        }
        items.truncate(most);
        Ok(items)
    }

    /// Send a call, again where that is safe, until there is an answer that is no error.
    pub(crate) async fn send(&self, call: Call) -> anyhow::Result<Answer> {
        let (mut pause, began) = (PAUSE, Instant::now());
        for attempt in 1.. {
            let is_last = attempt >= ATTEMPTS;
            let wait = match self.send_once(&call).await {
                Ok(answer) if answer.is_ok() => return Ok(answer),
                Ok(answer) => {
                    let again = matches!(
                        answer.status(),
                        StatusCode::TOO_MANY_REQUESTS
                            | StatusCode::BAD_GATEWAY
                            | StatusCode::SERVICE_UNAVAILABLE
                            | StatusCode::GATEWAY_TIMEOUT
                    );
                    let asked = answer.retry_after();
                    if let (StatusCode::CONFLICT, Some(asked), true) = (answer.status(), asked, call.repeats)
                        && began.elapsed() < call.patience
                    {
                        // An attempt whose answer was lost is still being answered: that is waited for, as it would have been.
                        tokio::time::sleep(asked.min(MOST_PAUSE)).await;
                        continue;
                    }
                    if !again || is_last || !call.repeats || asked.is_some_and(|asked| asked > MOST_PAUSE) {
                        let failure = answer.failure().await;
                        // A route or a field that is not known there.
                        let is_strange = ["server.not_found", "server.method", "server.request"];
                        let is_strange = is_strange.contains(&failure.code.as_str());
                        let failure = if is_strange { self.compared(failure).await } else { failure };
                        return Err(failure.into());
                    }
                    asked.unwrap_or(pause)
                }
                Err(Unanswered::Odd(failure)) => return Err(failure.into()),
                Err(Unanswered::NotSent(failure)) if is_last => return Err(failure.into()),
                Err(Unanswered::Lost(failure)) if is_last || !call.repeats => return Err(failure.into()),
                Err(_) => pause,
            };
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        Err(self.unreachable("it was not asked").into())
    }

    /// Ask whether something is there, whatever the answer.
    pub(super) async fn head(&self, call: Call) -> anyhow::Result<Answer> {
        self.send_once(&call).await.map_err(|unanswered| unanswered.failure().into())
    }

    /// Send a body that comes piece by piece; once, for it is gone then.
    pub(crate) async fn stream(&self, call: Call, body: Body) -> anyhow::Result<Answer> {
        let answer = self.transmit(&call, body).await.map_err(Unanswered::failure)?;
        if answer.is_ok() { Ok(answer) } else { Err(answer.failure().await.into()) }
    }

    async fn send_once(&self, call: &Call) -> Result<Answer, Unanswered> {
        let body = Full::new(call.body.clone()).map_err(|never| match never {}).boxed_unsync();
        self.transmit(call, body).await
    }

    async fn transmit(&self, call: &Call, body: Body) -> Result<Answer, Unanswered> {
        let mut request = self.request(call, body).map_err(Unanswered::NotSent)?;
        let mut is_fresh = false;
        loop {
            let mut sender = match self.idle().await {
                Some(sender) if !is_fresh => sender,
                _ => {
                    is_fresh = true;
                    self.connect().await?
                }
            };
            let sent = tokio::time::timeout(call.patience, sender.try_send_request(request)).await;
            match sent {
                Err(_) => {
                    let seconds = call.patience.as_secs();
                    return Err(Unanswered::Lost(self.lost(format!("no answer within {seconds} s"))));
                }
                Ok(Ok(response)) => {
                    *self.0.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
                    return Ok(Answer::new(response, self.name().to_owned()));
                }
                Ok(Err(mut error)) => match error.take_message() {
                    // The server had closed a connection that was kept; nothing has left.
                    Some(unsent) if !is_fresh => {
                        is_fresh = true;
                        request = unsent;
                    }
                    Some(_) => return Err(Unanswered::NotSent(self.lost(told(error.error())))),
                    None if error.error().is_parse() => {
                        return Err(Unanswered::Odd(self.no_http(&told(error.error()))));
                    }
                    None => return Err(Unanswered::Lost(self.lost(told(error.error())))),
                },
            }
        }
    }

    /// A connection whose last answer has been read.
    async fn idle(&self) -> Option<SendRequest<Body>> {
        let mut sender = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        // The task that moves the bytes has still to notice that the last answer was read; one that is being read is no hurry.
        let ready = tokio::time::timeout(SETTLING, sender.ready()).await;
        matches!(ready, Ok(Ok(()))).then_some(sender)
    }

    async fn connect(&self) -> Result<SendRequest<Body>, Unanswered> {
        let not_sent = |problem: &str| Unanswered::NotSent(self.unreachable(problem));
        let stream = match connection::connect(&self.at(&[]), self.0.trust.as_ref()).await {
            Ok(stream) => stream,
            Err(NoConnection::Unreachable(problem)) => return Err(not_sent(&problem)),
            // A certificate does not get better by asking again.
            Err(NoConnection::Tls(fault, problem)) => {
                return Err(Unanswered::Odd(self.untrusted(fault, &problem)));
            }
        };
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| not_sent(&told(&error)))?;
        // It ends when both the sender and the answer are dropped.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    fn request(&self, call: &Call, body: Body) -> Result<Request<Body>, Failure> {
        let cannot =
            |problem: &dyn Display| Failure::usage(format!("the request cannot be written: {problem}"));
        let url = &call.url;
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let target =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let mut request =
            Request::builder().method(&call.method).uri(target).body(body).map_err(|error| cannot(&error))?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(&host).map_err(|error| cannot(&error))?);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("datanode/", env!("CARGO_PKG_VERSION"))));
        if let Some(token) = &self.0.token {
            let mut value = HeaderValue::from_str(&token.header()).map_err(|error| cannot(&error))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        for (name, value) in &call.headers {
            headers.insert(name, value.clone());
        }
        Ok(request)
    }

    /// An answer that is not what this command knows.
    pub(crate) fn odd(&self, problem: &str) -> Failure {
        answer::odd(self.name(), problem)
    }

    /// Who answers cannot prove to be the server.
    fn untrusted(&self, fault: Fault, problem: &str) -> Failure {
        let next = match fault {
            Fault::Authority => {
                "if it is the server that you mean, name the authority that has signed its certificate: --server-ca FILE"
            }
            Fault::Name => "ask the server by the name that its certificate has: --url https://NAME",
            Fault::Time => {
                "see that the clock of this machine is right, and have the server's certificate renewed"
            }
            Fault::NoTls => {
                "see that host and port are right; a server that is asked without TLS has an address with http://"
            }
            Fault::Other => "see that the address is right, and have the server's certificate mended",
        };
        Failure::refused(format!("the server {} cannot be trusted: {problem}", self.name()))
            .with_code("remote.tls")
            .with_next_step(next)
    }

    /// Who answers does not speak HTTP.
    fn no_http(&self, problem: &str) -> Failure {
        let message = format!("what answers at {} speaks no HTTP: {problem}", self.name());
        let failure = Failure::machine(message).with_code(ODD).with_next_step(
            "see that host and port are right; a server that is asked by TLS has an address with https://",
        );
        Failure { class: ErrorClass::Failed, ..failure }
    }

    fn unreachable(&self, problem: &str) -> Failure {
        Failure::machine(format!("the server {} cannot be reached: {problem}", self.name()))
            .with_code(UNREACHABLE)
            .with_next_step(format!(
                "see that it runs and that the address is right: curl {}/healthz",
                shell_word(self.name())
            ))
    }

    pub(super) fn lost(&self, problem: impl Display) -> Failure {
        Failure::machine(format!("the server {} gave no answer: {problem}", self.name()))
            .with_code("remote.lost")
            .with_next_step(
                "look what has become of it before you try again: the request may have been carried out",
            )
    }
}

/// What hyper says, with its causes.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let mut problem = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !problem.contains(&said) {
            problem += &format!(": {said}");
        }
        cause = inner.source();
    }
    problem
}
