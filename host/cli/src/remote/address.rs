//! Where a server is, as it is said on the command line.

use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

/// The API of a server, below its address.
pub(super) const API: [&str; 2] = ["api", "v1"];

/// Address of a server: scheme, host, port, and the path under which a proxy may have put it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl(Url);

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Not the text itself, which may hold a password.
        let url = Url::parse(text).map_err(|error| format!("no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("a server is asked by http:// or https://".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("no name and no password belong into it: who asks is told by a token".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("the address of a server has neither `?` nor `#`".to_owned());
        }
        Ok(Self(url))
    }
}

impl ServerUrl {
    /// Whether what is sent can be read on the way.
    pub(crate) fn is_readable_on_the_way(&self) -> bool {
        self.0.scheme() == "http" && !self.is_of_this_machine()
    }

    fn is_of_this_machine(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => {
                name == "localhost" || name.strip_suffix('.').unwrap_or(name).ends_with(".localhost")
            }
            Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
            None => false,
        }
    }

    /// A place of the API. Each segment may hold anything: a slash in it is no separator.
    pub(crate) fn at(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        // It has a host, so that it has segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(API).extend(segments);
        }
        url
    }

    /// As a person reads it.
    pub(crate) fn text(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_the_api_keep_the_path_of_a_proxy_and_no_reference_leads_elsewhere() {
        let url: ServerUrl = "https://data.example/datanode/".parse().unwrap();
        assert_eq!(
            url.at(&["tables", "a/../b?c"]).as_str(),
            "https://data.example/datanode/api/v1/tables/a%2F..%2Fb%3Fc"
        );
        // What a URL would take for `here` and `above` stays within its segment.
        assert_eq!(url.at(&["tables", ".."]).path(), "/datanode/api/v1/tables");
        assert_eq!(url.text(), "https://data.example/datanode");
    }

    #[test]
    fn a_token_goes_in_the_clear_to_this_machine_alone() {
        let readable = |text: &str| text.parse::<ServerUrl>().unwrap().is_readable_on_the_way();
        for safe in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:1", "https://example.com"] {
            assert!(!readable(safe), "{safe}");
        }
        for open in ["http://10.0.0.1", "http://example.com", "http://127.0.0.1.example.com"] {
            assert!(readable(open), "{open}");
        }
    }

    #[test]
    fn other_addresses_are_refused_without_being_repeated() {
        for text in ["ftp://x", "http://me:secret@x", "x", "http://x/?a=secret", "http://x/#secret"] {
            let problem = text.parse::<ServerUrl>().unwrap_err();
            assert!(!problem.contains("secret"), "{problem}");
        }
    }
}
