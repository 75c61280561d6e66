//! HTTP sources: one fetch, with everything that belongs to it. The guest sees its end and nothing before.
//!
//! Names are resolved once for each host of a fetch, and what was judged is what is connected to, by every redirect and
//! retry. Redirects are judged like requests. Secrets go to the source itself and nowhere else, and are taken out of what
//! comes back before anybody sees it.

use std::collections::HashMap;
use std::io::Take;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datanode_core::source::{HttpRules, Place, why_refused};
use datanode_sandbox::FetchRequest;
use datanode_store::Store;
use tempfile::SpooledTempFile;
use tokio::runtime::Handle;
use url::{Host, Url};

use super::client::{self, Answer, Authorities, Failed, MAX_HEAD_BYTES};
use super::error::{NoAnswer, SourceError};
use super::pace::pause;
use super::request::{Prepared, prepare};
use super::resolve::{Resolver, SystemResolver};
use super::scrub::Scrubber;
use super::shorten;
use crate::secret::Resolved;

/// The longest value of a header that a guest is shown, in bytes.
pub(super) const MAX_HEADER_BYTES: usize = 8_192;

/// What all runs of a host share.
pub(crate) struct Outside {
    resolver: Arc<dyn Resolver>,
    authorities: Authorities,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").field("resolver", &self.resolver).finish_non_exhaustive()
    }
}

impl Default for Outside {
    fn default() -> Self {
        Self::resolving_by(Arc::new(SystemResolver))
    }
}

impl Outside {
    pub(crate) fn resolving_by(resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, authorities: Authorities::default() }
    }
}

/// The way to HTTP sources, of one run.
#[derive(Debug)]
pub(crate) struct HttpDoor {
    pub(crate) outside: Arc<Outside>,
    /// Knows when a source may be asked next.
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runtime: Handle,
    pub(crate) secrets: Resolved,
    /// Where long bodies wait.
    pub(crate) spool: PathBuf,
    /// How long the sandbox lets a host call take, in milliseconds.
    pub(crate) host_call_ms: u64,
}

/// A whole answer, clean of secrets.
pub(super) struct Fetched {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Take<SpooledTempFile>,
}

/// How one attempt ended.
pub(super) enum Attempt {
    Answered(Fetched),
    /// The server asks to be asked later: its answer, if there is no other.
    Busy(Fetched, Option<Duration>),
    /// The way there, or back, is broken for now.
    Broken(String),
}

impl HttpDoor {
    /// Secrets of this run, to be taken out of what a guest or a person reads.
    pub(super) fn scrubber(&self) -> Scrubber {
        Scrubber::of(self.secrets.values().filter_map(|value| value.as_ref().ok()))
    }

    /// Ask a source. Blocks until the answer is whole, or there is none.
    pub(super) fn fetch(
        &self,
        name: &str,
        rules: &HttpRules,
        request: &FetchRequest,
    ) -> Result<Fetched, NoAnswer> {
        let prepared = prepare(name, rules, &self.secrets, request)?;
        // Before the sandbox gives the call up, which could not say what was asked.
        let most = self.host_call_ms - self.host_call_ms / 8;
        let limit_ms = rules.limits.timeout_ms.min(most).max(1);
        let limit = Duration::from_millis(limit_ms);
        let scrubber = self.scrubber();
        let fetch = Fetch {
            outside: &self.outside,
            store: &*self.store,
            spool: &self.spool,
            name,
            rules,
            path: shorten(&request.path),
            scrubber: &scrubber,
            deadline: Instant::now() + limit,
            limit_ms,
            pins: HashMap::new(),
        };
        // A timer is made within the runtime.
        let whole =
            self.runtime.block_on(async { tokio::time::timeout(limit, fetch.whole(&prepared)).await });
        whole.unwrap_or_else(|_| {
            let own = limit_ms == rules.limits.timeout_ms;
            Err(SourceError::Timeout { name: name.to_owned(), path: shorten(&request.path), limit_ms, own }
                .into())
        })
    }
}

/// One fetch, from the first request to the last answer.
pub(super) struct Fetch<'a> {
    outside: &'a Outside,
    store: &'a dyn Store,
    pub(super) spool: &'a Path,
    pub(super) name: &'a str,
    pub(super) rules: &'a HttpRules,
    /// As the guest gave it, for people.
    pub(super) path: String,
    pub(super) scrubber: &'a Scrubber,
    deadline: Instant,
    limit_ms: u64,
    /// What each host was resolved to.
    pins: HashMap<String, Vec<IpAddr>>,
}

impl Fetch<'_> {
    async fn whole(mut self, prepared: &Prepared) -> Result<Fetched, NoAnswer> {
        let retries = if prepared.is_repeatable() { self.rules.limits.retries } else { 0 };
        let mut attempts = 1;
        loop {
            let attempt = self.attempt(prepared).await?;
            let asked = match &attempt {
                Attempt::Answered(_) | Attempt::Broken(_) => None,
                Attempt::Busy(_, asked) => *asked,
            };
            let pause = pause(attempts, asked);
            let is_last = attempts > retries || pause >= self.left();
            match attempt {
                Attempt::Answered(fetched) => return Ok(fetched),
                // What the server says is an answer, whatever its number.
                Attempt::Busy(fetched, _) if is_last => return Ok(fetched),
                Attempt::Broken(problem) if is_last => {
                    let (name, path) = (self.name.to_owned(), self.path.clone());
                    let problem = self.scrubber.text(&problem);
                    return Err(SourceError::Unreachable { name, path, attempts, problem }.into());
                }
                Attempt::Busy(..) | Attempt::Broken(_) => tokio::time::sleep(pause).await,
            }
            attempts += 1;
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    pub(super) fn refused<T>(&self, code: &'static str, message: &str) -> Result<T, NoAnswer> {
        let message = self.scrubber.text(&format!("source `{}`: {message}", self.name));
        Err(NoAnswer::Refused(code, message))
    }

    /// Ask once, and follow where it leads.
    async fn attempt(&mut self, prepared: &Prepared) -> Result<Attempt, NoAnswer> {
        let (mut url, mut place) = (prepared.url.clone(), Place::Own);
        for _ in 0..=self.rules.limits.max_redirects {
            self.wait_for_turn().await?;
            let answer = match self.send(prepared, &url, place).await? {
                Ok(answer) => answer,
                Err(problem) => return Ok(Attempt::Broken(problem)),
            };
            match self.target(prepared, &url, answer.response.status(), answer.response.headers())? {
                None => return self.read(prepared, answer).await,
                Some(target) => (url, place) = target,
            }
        }
        let most = self.rules.limits.max_redirects;
        let allow = format!("allow more: datanode source allow {} --max-redirects NUMBER", self.name);
        self.refused(
            "source.redirect",
            &format!("`{}` is redirected more than {most} times; {allow}", self.path),
        )
    }

    async fn wait_for_turn(&self) -> Result<(), NoAnswer> {
        let Some(per_minute) = self.rules.limits.per_minute else { return Ok(()) };
        let step = Duration::from_mins(1) / per_minute.max(1);
        let turn = self.store.take_source_turn(self.name, step, self.left()).await;
        let turn = turn.map_err(|problem| SourceError::Turn {
            name: self.name.to_owned(),
            problem: Box::new(problem),
        })?;
        let Some(wait) = turn else {
            let (name, limit_ms) = (self.name.to_owned(), self.limit_ms);
            return Err(SourceError::Rate { name, per_minute, limit_ms }.into());
        };
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// The addresses of a host: the same all through a fetch, and all of them allowed.
    async fn addresses(&mut self, url: &Url) -> Result<Result<Vec<IpAddr>, String>, NoAnswer> {
        let host = url.host_str().unwrap_or_default().to_owned();
        if let Some(known) = self.pins.get(&host) {
            return Ok(Ok(known.clone()));
        }
        let found = match url.host() {
            Some(Host::Ipv4(address)) => vec![address.into()],
            Some(Host::Ipv6(address)) => vec![address.into()],
            Some(Host::Domain(name)) => match self.outside.resolver.resolve(name).await {
                Ok(found) if found.is_empty() => return Ok(Err(format!("`{name}` has no address"))),
                Ok(found) => found,
                Err(error) => return Ok(Err(format!("`{name}` has no address: {error}"))),
            },
            None => return Ok(Err("no host".to_owned())),
        };
        // One among them that is not allowed is no accident of a name that is meant for everybody.
        for address in &found {
            if let Some(why) = why_refused(*address, &self.rules.networks) {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                let allow =
                    format!("allow it: datanode source allow {} --network {address}/{bits}", self.name);
                return self
                    .refused("source.address", &format!("`{host}` leads to {address}, {why}; {allow}"));
            }
        }
        self.pins.insert(host, found.clone());
        Ok(Ok(found))
    }

    /// Send a request to a URL that was judged. A passing failure is told as a text.
    async fn send(
        &mut self,
        prepared: &Prepared,
        url: &Url,
        place: Place,
    ) -> Result<Result<Answer, String>, NoAnswer> {
        let addresses = match self.addresses(url).await? {
            Ok(addresses) => addresses,
            Err(problem) => return Ok(Err(problem)),
        };
        let mut headers = prepared.headers.clone();
        if place == Place::Own {
            headers.extend(prepared.own.clone());
        }
        let authorities = (&self.outside.authorities, self.rules.ca_file.as_deref());
        let (method, body) = (prepared.method.clone(), prepared.body.clone());
        match client::ask(url, &addresses, authorities, method, headers, body).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(failed) => self.broken(failed).map(Err),
        }
    }

    /// A failure that passes, as a text; others end the run.
    pub(super) fn broken(&self, failed: Failed) -> Result<String, NoAnswer> {
        let (name, path) = (self.name.to_owned(), self.path.clone());
        Err(match failed {
            Failed::Passing(problem) => return Ok(problem),
            Failed::Head => SourceError::Headers { name, path, limit: MAX_HEAD_BYTES },
            Failed::Authorities(problem) => SourceError::Authorities { name, problem },
            Failed::Final(problem) => {
                let problem = self.scrubber.text(&problem);
                SourceError::Unreachable { name, path, attempts: 1, problem }
            }
        }
        .into())
    }
}
