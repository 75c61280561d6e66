//! Browsers, where no token is demanded.
//!
//! A server on loopback that asks nobody for a token trusts whoever is on this machine, and so must not trust a page of
//! somebody else that is open in a browser here. Such a page reaches the server in two ways: by a name of its own that
//! resolves to this machine (the `Host` then is that name), and across origins (the `Origin` then is its own).

use std::net::IpAddr;

use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, StatusCode};

use crate::Problem;

/// What a browser says of where a request comes from.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuse what a page of another site has sent.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |what: &str| {
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "server.foreign_origin",
            format!("{what}: without a token this server answers programs of its own machine alone"),
        )
        .with_next("use the address 127.0.0.1 or localhost, or a token: datanode token create"))
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| is_this_machine(authority(host))) {
        return refused("the header Host names another machine");
    }
    if let Some(origin) = headers.get(ORIGIN) {
        // Of the same origin: this very server, which serves no pages yet.
        let same = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://")) == host;
        if !same {
            return refused("the header Origin names another site");
        }
    }
    match headers.get(FETCH_SITE).map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => refused("a browser says that another site has sent it"),
    }
}

/// Without the port.
fn authority(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or("", |(address, _)| address);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn is_this_machine(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(pairs: &[(HeaderName, &'static str)]) -> Option<u16> {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        check(&headers.collect()).err().map(|problem| problem.status.as_u16())
    }

    #[test]
    fn programs_of_this_machine_are_answered_and_pages_of_others_are_not() {
        assert_eq!(status(&[(HOST, "127.0.0.1:8750")]), None);
        assert_eq!(status(&[(HOST, "localhost:8750")]), None);
        assert_eq!(status(&[(HOST, "[::1]:8750")]), None);
        assert_eq!(status(&[(HOST, "127.0.0.1:8750"), (ORIGIN, "http://127.0.0.1:8750")]), None);
        for (host, further) in [
            ("evil.example:8750", None),
            ("127.0.0.1.evil.example", None),
            ("127.0.0.1:8750", Some((ORIGIN, "http://evil.example"))),
            ("127.0.0.1:8750", Some((ORIGIN, "null"))),
            ("127.0.0.1:8750", Some((ORIGIN, "https://127.0.0.1:8750"))),
            ("127.0.0.1:8750", Some((FETCH_SITE, "cross-site"))),
            ("127.0.0.1:8750", Some((FETCH_SITE, "same-site"))),
        ] {
            let headers: Vec<_> = [(HOST, host)].into_iter().chain(further).collect();
            assert_eq!(status(&headers), Some(403), "{headers:?}");
        }
        assert_eq!(status(&[]), Some(403));
    }
}
