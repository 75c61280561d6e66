//! An answer of the server: a document, a stream of bytes, or a problem.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use datanode_core::ErrorClass;
use datanode_core::diagnostic::shell_word;
use datanode_core::guest_failure::GuestFailure;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::address::{API, ServerUrl};
use super::client::told;
use crate::failure::Failure;

/// The largest document that is read.
const MOST_DOCUMENT_BYTES: usize = 256 << 20;
/// The largest problem that is read.
const MOST_PROBLEM_BYTES: usize = 1 << 20;
/// How long the next piece of an answer may take.
const SILENCE: Duration = Duration::from_mins(2);

/// What to do where a server demands a token. It says so for all programs, and this one has its own ways to give one.
const GIVE_TOKEN: &str = "give yours: --token-file FILE, or DATANODE_TOKEN; who administers the server makes one: datanode token create";

/// The code of what a datanode server of this release does not answer.
pub(super) const ODD: &str = "remote.answer";
/// What to do where something else answers.
pub(super) const SEE_ADDRESS: &str =
    "see that the address is that of a datanode server, with the path under which a proxy has put it";

/// An answer whose body is still to come.
pub(crate) struct Answer {
    response: Response<Incoming>,
    server: String,
}

/// A problem as the server tells it (RFC 9457), or as an execution keeps it.
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(alias = "message")]
    detail: Option<String>,
    code: Option<String>,
    class: Option<String>,
    #[serde(alias = "next_step")]
    next: Option<String>,
    guest: Option<Box<GuestFailure>>,
}

impl Problem {
    fn failure(self, otherwise: ErrorClass) -> Option<Failure> {
        let Self { title, detail, code, class, next, guest } = self;
        let next =
            if code.as_deref() == Some("access.no_token") { Some(GIVE_TOKEN.to_owned()) } else { next };
        let class = class.as_deref().and_then(class_of).unwrap_or(otherwise);
        Some(Failure { code: code?, class, message: detail.unwrap_or(title), next_step: next, guest })
    }
}

/// The failure in a document of the server.
pub(crate) fn failure_of(document: serde_json::Value) -> Option<Failure> {
    serde_json::from_value::<Problem>(document).ok()?.failure(ErrorClass::Failed)
}

impl Answer {
    pub(super) fn new(response: Response<Incoming>, server: String) -> Self {
        Self { response, server }
    }

    /// Whether it is what was asked for.
    pub(crate) fn is_ok(&self) -> bool {
        self.response.status().is_success()
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// A header, as text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// How long the server asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.header(&RETRY_AFTER)?.parse().ok().map(Duration::from_secs)
    }

    /// The next piece of the body; None at its end.
    pub(crate) async fn piece(&mut self) -> anyhow::Result<Option<Bytes>> {
        loop {
            let frame = tokio::time::timeout(SILENCE, self.response.body_mut().frame()).await;
            match frame {
                Err(_) => return Err(self.cut(&format!("nothing came for {} s", SILENCE.as_secs())).into()),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(self.cut(&told(&error)).into()),
                Ok(Some(Ok(frame))) => {
                    // What is no data are trailers.
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, which may have so many bytes.
    async fn whole(&mut self, most: usize) -> anyhow::Result<Bytes> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            if whole.len() + piece.len() > most {
                return Err(self.odd(&format!("a document of more than {most} bytes")).into());
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// The document that it is.
    pub(crate) async fn json<T: DeserializeOwned>(mut self) -> anyhow::Result<T> {
        if self.header(&CONTENT_TYPE).is_some() {
            self.expect("json")?;
        }
        let whole = self.whole(MOST_DOCUMENT_BYTES).await?;
        serde_json::from_slice(&whole).map_err(|error| self.odd(&error.to_string()).into())
    }

    /// Refuse what is of another kind: a page for people, say, of something that stands before the server.
    pub(super) fn expect(&self, kind: &str) -> anyhow::Result<()> {
        let told = self.header(&CONTENT_TYPE).unwrap_or("none");
        if told.contains(kind) {
            return Ok(());
        }
        Err(self.odd(&format!("a document of type {told}")).into())
    }

    /// The failure that it tells.
    pub(super) async fn failure(mut self) -> Failure {
        let status = self.status();
        let is_problem = self.header(&CONTENT_TYPE).is_some_and(|kind| kind.contains("json"));
        let body = self.whole(MOST_PROBLEM_BYTES).await.unwrap_or_default();
        let told = if is_problem { serde_json::from_slice::<Problem>(&body).ok() } else { None };
        told.and_then(|problem| problem.failure(class_of_status(status)))
            .unwrap_or_else(|| self.by_status(status))
    }

    /// An error that does not come from a datanode server, but from something before it.
    fn by_status(&self, status: StatusCode) -> Failure {
        let reason = status.canonical_reason().unwrap_or("unknown");
        let answered = format!("the server {} answered {} ({reason})", self.server, status.as_u16());
        let (message, next) = match (status.as_u16(), self.header(&LOCATION)) {
            (300..400, Some(to)) => {
                (format!("{answered}: it leads to {to}, where this command does not follow"), leads(to))
            }
            (502..=504, _) => (
                answered,
                "what stands before the server does not reach it: see that it runs, and try again".to_owned(),
            ),
            _ => (answered, format!("{SEE_ADDRESS}, and that what stands before it lets this through")),
        };
        let failure = Failure::machine(message).with_code(ODD).with_next_step(next);
        Failure { class: class_of_status(status), ..failure }
    }

    /// An answer that is not what this command knows.
    pub(super) fn odd(&self, problem: &str) -> Failure {
        odd(&self.server, problem)
    }

    /// An answer that ends too early.
    fn cut(&self, problem: &str) -> Failure {
        Failure::machine(format!("the answer of the server {} ended too early: {problem}", self.server))
            .with_code("remote.lost")
            .with_next_step("try again")
    }
}

/// Whether another attempt may get further: the way there has failed, or the server cannot do it now.
pub(super) fn passes(failure: &Failure) -> bool {
    failure.class == ErrorClass::Infrastructure && failure.code != "server.failed"
}

/// What to do where an answer leads elsewhere.
fn leads(to: &str) -> String {
    let end = format!("/{}", API.join("/"));
    let place = to.find(&end).map(|at| &to[..at]).filter(|place| place.parse::<ServerUrl>().is_ok());
    match place {
        Some(place) => format!("if that is the server that you mean, name it: --url {}", shell_word(place)),
        None => SEE_ADDRESS.to_owned(),
    }
}

/// An answer that this command does not understand.
pub(super) fn odd(server: &str, problem: &str) -> Failure {
    let message = format!("the server {server} answered what this command does not know: {problem}");
    let failure = Failure::machine(message).with_code(ODD).with_next_step(
        "see that command and server are of one release: datanode --version, and /api/v1/version of the server",
    );
    Failure { class: ErrorClass::Failed, ..failure }
}

fn class_of(name: &str) -> Option<ErrorClass> {
    let all = [
        ErrorClass::Failed,
        ErrorClass::Usage,
        ErrorClass::Refused,
        ErrorClass::Blocked,
        ErrorClass::Infrastructure,
    ];
    all.into_iter().find(|class| class.as_str() == name)
}

fn class_of_status(status: StatusCode) -> ErrorClass {
    match status.as_u16() {
        401 | 403 => ErrorClass::Refused,
        429 | 500.. => ErrorClass::Infrastructure,
        400..=499 => ErrorClass::Usage,
        _ => ErrorClass::Failed,
    }
}
