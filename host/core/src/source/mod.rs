//! What operators let components ask of an HTTP source: rules without I/O.
//!
//! A source is a place (a base URL) and what may be asked of it; everything that is not written down is refused. A guest
//! gives a path, parameters and a few headers; the place, the secrets and the limits are the operator's.

mod address;
mod headers;
mod path;
mod template;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use url::{Host, Url};

use crate::diagnostic::{Diagnostic, ErrorClass};

pub use address::{Network, why_refused};
pub use headers::{GuestHeader, answer_header, guest_header};
pub use path::{MAX_PATH_BYTES, PathPattern, check_encoded_path, check_path};
pub use template::{Part, Template};

/// The most headers, or parameters, that one source may inject, and patterns or places that it may name.
const MOST_ENTRIES: usize = 64;

/// Why the rules of a source make no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RuleError {
    /// A URL. What it is said to be is not repeated: it may hold a password.
    #[error("the URL {problem}")]
    Url {
        /// What is wrong with it.
        problem: String,
    },
    /// A pattern of paths.
    #[error("path pattern `{pattern}`: {problem}")]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A header or parameter that the host adds. Its text is not repeated: it may hold a password.
    #[error("`{name}`: {problem}")]
    Template {
        /// Name of the header or parameter.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A header that guests may set or see.
    #[error("header `{name}` {problem}")]
    Header {
        /// As given.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A method.
    #[error("method `{0}`: known are GET, HEAD, POST, PUT, PATCH and DELETE")]
    Method(String),
    /// A network.
    #[error("network `{0}` is none: write an address and the length of its prefix, as in 10.1.0.0/16")]
    Network(String),
    /// A limit.
    #[error("`{setting}` = {value}: from {min} to {max} is allowed")]
    Limit {
        /// The option.
        setting: &'static str,
        /// As given.
        value: u64,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A file of certificate authorities.
    #[error("certificate authorities {file}: {problem}")]
    Authorities {
        /// The file.
        file: String,
        /// What the system says.
        problem: String,
    },
    /// Rules of HTTP for files.
    #[error("source `{name}` leads to files, which have no such rules")]
    Directory {
        /// The source.
        name: String,
    },
    /// More than one source can have.
    #[error("more than 64 entries of `{0}`")]
    TooMany(&'static str),
    /// The base URL leads to an address that is refused.
    #[error("{address} is {why}")]
    Address {
        /// The address.
        address: String,
        /// What kind of address it is.
        why: &'static str,
    },
    /// Secrets would travel where everybody can read them.
    #[error("secrets would be sent over plain http")]
    SecretInTheClear,
}

impl Diagnostic for RuleError {
    fn code(&self) -> &'static str {
        "source.rule"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Usage
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Address { address, .. } => {
                let bits = if address.contains(':') { 128 } else { 32 };
                Some(format!("if that is meant, allow it: --network {address}/{bits}"))
            }
            Self::Directory { name } => {
                Some(format!("see where it leads: datanode source list; or let it lead elsewhere: datanode source add {name} --url URL --replace"))
            }
            Self::SecretInTheClear => Some("give an https URL".to_owned()),
            Self::Template { .. } => Some(
                "write a secret as {secret:NAME}, or {basic:USER:NAME} for a login, and set it: datanode secret set NAME"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// A place below which something may be asked: scheme, host, port, and a path that ends in `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Read one. A path without a `/` at its end gets it.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let problem = |problem: &str| RuleError::Url { problem: problem.to_owned() };
        if !text.is_ascii() {
            return Err(problem("has characters beyond ASCII: write such a host in its form xn--…"));
        }
        // Parsing drops them in silence.
        if text.chars().any(|c| c.is_ascii_control() || c == ' ' || c == '\\') {
            return Err(problem("has spaces, backslashes or control characters"));
        }
        let mut url = Url::parse(text).map_err(|error| problem(&format!("is none: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(problem("is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(problem("holds a user or password: use --header 'Authorization={basic:USER:NAME}'"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(problem(
                "has a query or fragment: use --query NAME=VALUE for what every request has",
            ));
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self(url))
    }

    /// As a URL.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether a URL has the same scheme, host and port.
    pub fn is_origin_of(&self, url: &Url) -> bool {
        url.scheme() == self.0.scheme()
            && url.host() == self.0.host()
            && url.port_or_known_default() == self.0.port_or_known_default()
    }

    /// What of a URL's path lies below this place; None where it is another place.
    pub fn below<'a>(&self, url: &'a Url) -> Option<&'a str> {
        if !self.is_origin_of(url) || !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        url.path().strip_prefix(self.0.path())
    }

    /// Whether nobody but this machine can read what is sent there.
    fn is_private_channel(&self) -> bool {
        let is_loopback = match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            _ => false,
        };
        self.0.scheme() == "https" || is_loopback
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for BaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A header or parameter that the host adds to each request to the source itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Injected {
    /// Name.
    pub name: String,
    /// Value, with secrets by name.
    pub value: Template,
}

/// Numbers that bound what one source may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpLimits {
    /// Bytes of one body.
    pub max_bytes: u64,
    /// Milliseconds of one fetch, with everything that belongs to it: waiting, redirects, retries, the body.
    pub timeout_ms: u64,
    /// Redirects followed by one fetch.
    pub max_redirects: u32,
    /// How often a fetch that failed for a passing reason is tried again.
    pub retries: u32,
    /// Requests a minute, of all processes of one database; None: as many as come.
    pub per_minute: Option<u32>,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, timeout_ms: 30_000, max_redirects: 5, retries: 3, per_minute: None }
    }
}

impl HttpLimits {
    fn check(&self) -> Result<(), RuleError> {
        let settings: [(&'static str, u64, RangeInclusive<u64>); 5] = [
            ("max-bytes", self.max_bytes, 1..=16 << 30),
            ("timeout-ms", self.timeout_ms, 1..=86_400_000),
            ("max-redirects", self.max_redirects.into(), 0..=20),
            ("retries", self.retries.into(), 0..=10),
            ("per-minute", self.per_minute.unwrap_or(1).into(), 1..=1_000_000),
        ];
        match settings.into_iter().find(|(_, value, range)| !range.contains(value)) {
            None => Ok(()),
            Some((setting, value, range)) => {
                Err(RuleError::Limit { setting, value, min: *range.start(), max: *range.end() })
            }
        }
    }
}

/// An HTTP source: where it leads, and what may be asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpRules {
    /// Paths of guests are below it.
    pub base_url: BaseUrl,
    /// Methods that guests may use.
    pub methods: Vec<String>,
    /// Paths that guests may ask for, relative to the base URL.
    pub paths: Vec<PathPattern>,
    /// Headers that the host adds. They never leave the place of the base URL.
    pub headers: Vec<Injected>,
    /// Parameters that the host adds. They never leave the place of the base URL.
    pub query: Vec<Injected>,
    /// Headers that guests may set, beside those that every source takes.
    pub request_headers: Vec<String>,
    /// Headers of answers that guests see, beside those that every source shows.
    pub response_headers: Vec<String>,
    /// Other places that redirects may lead to.
    pub redirect_to: Vec<BaseUrl>,
    /// Networks that are reached although they are private, local or otherwise special.
    pub networks: Vec<Network>,
    /// Certificate authorities that are trusted in the place of the machine's: a PEM file.
    pub ca_file: Option<PathBuf>,
    /// Numbers.
    pub limits: HttpLimits,
}

/// Whose place a URL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The source's own: secrets go there.
    Own,
    /// One that redirects may lead to: no secrets go there.
    Other,
}

impl HttpRules {
    /// The rules of a source that may be asked for everything below a place, by GET and HEAD.
    pub fn new(base_url: BaseUrl) -> Self {
        Self {
            base_url,
            methods: ["GET", "HEAD"].map(str::to_owned).to_vec(),
            paths: vec![PathPattern::everything()],
            headers: Vec::new(),
            query: Vec::new(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            redirect_to: Vec::new(),
            networks: Vec::new(),
            ca_file: None,
            limits: HttpLimits::default(),
        }
    }

    /// Refuse rules that make no sense, or would give a secret away.
    pub fn check(&self) -> Result<(), RuleError> {
        let lists = [
            ("method", self.methods.len()),
            ("allow-path", self.paths.len()),
            ("header", self.headers.len()),
            ("query", self.query.len()),
            ("request-header", self.request_headers.len()),
            ("response-header", self.response_headers.len()),
            ("redirect-to", self.redirect_to.len()),
            ("network", self.networks.len()),
        ];
        if let Some((name, _)) = lists.into_iter().find(|(_, length)| *length > MOST_ENTRIES) {
            return Err(RuleError::TooMany(name));
        }
        self.limits.check()?;
        for method in &self.methods {
            if !["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
                return Err(RuleError::Method(method.clone()));
            }
        }
        for injected in &self.headers {
            headers::check_injected(&injected.name)?;
            injected.value.check(&injected.name)?;
            if headers::is_credential(&injected.name) && injected.value.secrets().next().is_none() {
                let problem = "is a credential: it is kept as a secret, not in the rules of a source";
                return Err(RuleError::Template { name: injected.name.clone(), problem });
            }
        }
        for injected in &self.query {
            if injected.name.is_empty() || injected.name.len() > 256 {
                let problem = "the name of a parameter has 1 to 256 bytes";
                return Err(RuleError::Template { name: injected.name.chars().take(80).collect(), problem });
            }
            injected.value.check(&injected.name)?;
        }
        for name in &self.request_headers {
            headers::check_for_guests(name)?;
        }
        for name in &self.response_headers {
            headers::check_for_answers(name)?;
        }
        if self.secrets().next().is_some() && !self.base_url.is_private_channel() {
            return Err(RuleError::SecretInTheClear);
        }
        let address = match self.base_url.url().host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            _ => None,
        };
        if let Some(address) = address
            && let Some(why) = why_refused(address, &self.networks)
        {
            return Err(RuleError::Address { address: address.to_string(), why });
        }
        Ok(())
    }

    /// Names of the secrets that are injected, with repetitions.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().chain(&self.query).flat_map(|injected| injected.value.secrets())
    }

    /// Whether a path may be asked for.
    pub fn allows_path(&self, path: &str) -> bool {
        self.paths.iter().any(|pattern| pattern.matches(path))
    }

    /// Whose place the target of a redirect is; None where nothing may be asked. Its path is judged like that of a guest.
    pub fn place_of(&self, url: &Url) -> Option<Place> {
        let own = self.base_url.below(url);
        if own.is_some_and(|path| check_encoded_path(path).is_ok() && self.allows_path(path)) {
            return Some(Place::Own);
        }
        let leads_to =
            |place: &BaseUrl| place.below(url).is_some_and(|path| check_encoded_path(path).is_ok());
        self.redirect_to.iter().any(leads_to).then_some(Place::Other)
    }
}

#[cfg(test)]
mod tests;
