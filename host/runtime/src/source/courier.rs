//! What the host itself hands over to a service that its operator has named, such as a collector of traces.
//!
//! No guest asks for it and none says where it goes, so no rule of a source is asked; certificates are judged as always.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::header::HeaderMap;
use hyper::{Method, Response};
use url::{Host, Url};

use super::client::{self, Authorities, Failed};
use super::resolve::{Resolver as _, SystemResolver};

/// Bytes of an answer that are read: nobody wants more of it than whether it has worked.
const MOST_ANSWER: usize = 64 << 10;

/// Hands bytes over: one request over one connection each.
#[derive(Default)]
pub struct Courier {
    authorities: Authorities,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier").finish_non_exhaustive()
    }
}

impl Courier {
    /// Post bytes to a URL, with these headers. The answer, whatever its status is. How long that may take is for the
    /// caller to say.
    ///
    /// # Errors
    ///
    /// Why there is no answer, without anything of the request.
    pub async fn post(&self, url: &Url, headers: HeaderMap, body: Bytes) -> Result<Response<Bytes>, String> {
        let addresses = match url.host() {
            Some(Host::Domain(name)) => {
                SystemResolver.resolve(name).await.map_err(|error| error.to_string())?
            }
            Some(Host::Ipv4(address)) => vec![address.into()],
            Some(Host::Ipv6(address)) => vec![address.into()],
            None => Vec::new(),
        };
        let asked = client::ask(url, &addresses, (&self.authorities, None), Method::POST, headers, body);
        let (response, _connection) = asked.await.map_err(told)?.into_parts();
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MOST_ANSWER).collect().await.map_err(|error| error.to_string())?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}

fn told(failed: Failed) -> String {
    match failed {
        Failed::Passing(problem) | Failed::Final(problem) => problem,
        Failed::Authorities(problem) => format!("certificate authorities: {problem}"),
        Failed::Head => "the head of the answer is too large".to_owned(),
    }
}
