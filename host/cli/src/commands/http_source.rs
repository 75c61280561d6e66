//! Rules of HTTP sources as options of commands.

use std::path::PathBuf;

use clap::Args;
use datanode_core::source::{BaseUrl, HttpRules, Injected, Network, PathPattern, RuleError, Template};

use crate::failure::{Failure, OrFail};
use crate::usage;

/// What may be asked of an HTTP source.
#[derive(Debug, Args)]
pub(crate) struct HttpOptions {
    /// Method that components may use, several times [default: GET and HEAD]
    #[arg(long = "method", value_name = "METHOD", help_heading = "Options of HTTP sources")]
    methods: Vec<String>,
    /// Path that components may ask for, relative to the URL, several times: `*` is anything within a segment, `**` any
    /// number of segments [default: **]
    #[arg(long = "allow-path", value_name = "PATTERN", help_heading = "Options of HTTP sources")]
    paths: Vec<String>,
    /// Header that the host adds, with secrets as {secret:NAME}, or {basic:USER:NAME} for a login; several times
    #[arg(long = "header", value_name = "NAME=VALUE", help_heading = "Options of HTTP sources")]
    headers: Vec<String>,
    /// Parameter that the host adds, in the same way
    #[arg(long = "query", value_name = "NAME=VALUE", help_heading = "Options of HTTP sources")]
    query: Vec<String>,
    /// Header that components may set, beside accept, content-type and conditions; several times
    #[arg(long = "request-header", value_name = "NAME", help_heading = "Options of HTTP sources")]
    request_headers: Vec<String>,
    /// Header of answers that components see, beside content-type, etag, date, link and their like; several times
    #[arg(long = "response-header", value_name = "NAME", help_heading = "Options of HTTP sources")]
    response_headers: Vec<String>,
    /// Other place that redirects may lead to, never with a secret; several times
    #[arg(long = "redirect-to", value_name = "URL", help_heading = "Options of HTTP sources")]
    redirect_to: Vec<String>,
    /// Network to reach although it is private, local or special, as in 10.1.0.0/16; several times
    #[arg(long = "network", value_name = "NETWORK", help_heading = "Options of HTTP sources")]
    networks: Vec<String>,
    /// Certificate authorities to trust in the place of the machine's (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Options of HTTP sources")]
    ca_file: Option<PathBuf>,
    /// Bytes of one body [default: 67108864]
    #[arg(long, value_name = "BYTES", help_heading = "Options of HTTP sources")]
    max_bytes: Option<u64>,
    /// Milliseconds of one fetch, redirects, retries and body included [default: 30000]
    #[arg(long, value_name = "MILLISECONDS", help_heading = "Options of HTTP sources")]
    timeout_ms: Option<u64>,
    /// Redirects that one fetch follows [default: 5]
    #[arg(long, value_name = "NUMBER", help_heading = "Options of HTTP sources")]
    max_redirects: Option<u32>,
    /// How often a fetch is tried again that failed for a passing reason [default: 3]
    #[arg(long, value_name = "NUMBER", help_heading = "Options of HTTP sources")]
    retries: Option<u32>,
    /// Requests a minute, of all processes of the database [default: as many as come]
    #[arg(long, value_name = "REQUESTS", help_heading = "Options of HTTP sources")]
    per_minute: Option<u32>,
}

impl HttpOptions {
    /// Whether none is given.
    pub(crate) fn is_empty(&self) -> bool {
        let lists = [
            &self.methods,
            &self.paths,
            &self.headers,
            &self.query,
            &self.request_headers,
            &self.response_headers,
            &self.redirect_to,
            &self.networks,
        ];
        lists.iter().all(|list| list.is_empty())
            && self.ca_file.is_none()
            && (self.max_bytes, self.timeout_ms) == (None, None)
            && (self.max_redirects, self.retries, self.per_minute) == (None, None, None)
    }

    /// The rules of a new source.
    pub(crate) fn rules(&self, url: &str) -> anyhow::Result<HttpRules> {
        let mut rules = HttpRules::new(BaseUrl::parse(url).or_fail()?);
        let change = self.change()?;
        if !self.methods.is_empty() {
            rules.methods.clear();
        }
        if !self.paths.is_empty() {
            rules.paths.clear();
        }
        change(&mut rules);
        Ok(rules)
    }

    /// What these options change: lists get longer, a header or parameter of the same name and numbers take the place of
    /// what was there.
    pub(crate) fn change(&self) -> anyhow::Result<impl Fn(&mut HttpRules) + Send + Sync + use<>> {
        let headers =
            self.headers.iter().map(|text| injected("header", text)).collect::<Result<Vec<_>, _>>()?;
        let query = self.query.iter().map(|text| injected("query", text)).collect::<Result<Vec<_>, _>>()?;
        let paths = parsed(&self.paths, PathPattern::parse)?;
        let redirect_to = parsed(&self.redirect_to, BaseUrl::parse)?;
        let networks = parsed(&self.networks, str::parse::<Network>)?;
        let methods: Vec<String> = self.methods.iter().map(|method| method.to_ascii_uppercase()).collect();
        let (request_headers, response_headers) =
            (self.request_headers.clone(), self.response_headers.clone());
        let ca_file = self.ca_file.as_ref().map(|file| {
            file.canonicalize().map_err(|error| {
                Failure::of(&RuleError::Authorities {
                    file: file.display().to_string(),
                    problem: error.to_string(),
                })
            })
        });
        let ca_file = ca_file.transpose()?;
        let (max_bytes, timeout_ms) = (self.max_bytes, self.timeout_ms);
        let (max_redirects, retries, per_minute) = (self.max_redirects, self.retries, self.per_minute);
        Ok(move |rules: &mut HttpRules| {
            join(&mut rules.methods, &methods);
            join(&mut rules.paths, &paths);
            join(&mut rules.request_headers, &request_headers);
            join(&mut rules.response_headers, &response_headers);
            join(&mut rules.redirect_to, &redirect_to);
            join(&mut rules.networks, &networks);
            for (known, given) in [(&mut rules.headers, &headers), (&mut rules.query, &query)] {
                known.retain(|known| !given.iter().any(|given| given.name.eq_ignore_ascii_case(&known.name)));
                known.extend_from_slice(given);
            }
            rules.ca_file = ca_file.clone().or(rules.ca_file.take());
            let limits = &mut rules.limits;
            limits.max_bytes = max_bytes.unwrap_or(limits.max_bytes);
            limits.timeout_ms = timeout_ms.unwrap_or(limits.timeout_ms);
            limits.max_redirects = max_redirects.unwrap_or(limits.max_redirects);
            limits.retries = retries.unwrap_or(limits.retries);
            limits.per_minute = per_minute.or(limits.per_minute);
        })
    }
}

fn join<T: Clone + PartialEq>(known: &mut Vec<T>, given: &[T]) {
    for one in given {
        if !known.contains(one) {
            known.push(one.clone());
        }
    }
}

fn parsed<T>(texts: &[String], parse: impl Fn(&str) -> Result<T, RuleError>) -> anyhow::Result<Vec<T>> {
    texts.iter().map(|text| parse(text).or_fail()).collect()
}

/// NAME=VALUE. The value is not repeated in an error: somebody may have written a secret there.
fn injected(option: &str, text: &str) -> anyhow::Result<Injected> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        usage(format!("--{option} is written NAME=VALUE, with a secret as {{secret:NAME}}"))
    })?;
    Ok(Injected { name: name.to_owned(), value: Template::parse(name, value).or_fail()? })
}
