//! A guest's request as it is sent: judged by the rules of its source, with the secrets of the operator.

use bytes::Bytes;
use datanode_core::diagnostic::shell_word;
use datanode_core::source::{GuestHeader, HttpRules, Injected, Part, check_path, guest_header};
use datanode_sandbox::{ByteRange, FetchRequest};
use hyper::Method;
use hyper::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, RANGE, USER_AGENT};
use url::Url;

use super::error::{NoAnswer, SourceError};
use super::shorten;
use crate::secret::Resolved;

/// The longest URL, in bytes.
const MAX_URL_BYTES: usize = 8_192;
/// The most headers, and the most parameters, of a guest.
const MAX_FIELDS: usize = 64;
/// The longest value of a header of a guest, in bytes.
const MAX_HEADER_BYTES: usize = 4_096;

/// A request that may be sent.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) method: Method,
    pub(super) url: Url,
    /// What goes to every place: the guest's own headers, and the host's without secrets.
    pub(super) headers: HeaderMap,
    /// What goes to the source itself and nowhere else.
    pub(super) own: HeaderMap,
    /// The same, of parameters.
    pub(super) own_query: Vec<(String, String)>,
    pub(super) body: Bytes,
    /// The part of the answer that the guest wants, where the host cuts it out: a server that echoes a secret would hand
    /// it out in parts that nobody could tell from other bytes.
    pub(super) cut: Option<ByteRange>,
}

impl Prepared {
    /// Whether asking twice does no more than asking once.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

fn refused(code: &'static str, message: String) -> NoAnswer {
    NoAnswer::Refused(code, message)
}

/// Judge a request and make what is sent of it. Messages hold what the guest gave, never what the operator did.
pub(super) fn prepare(
    name: &str,
    rules: &HttpRules,
    secrets: &Resolved,
    request: &FetchRequest,
) -> Result<Prepared, NoAnswer> {
    let method = method(name, rules, request)?;
    let path = shorten(&request.path);
    check_path(&request.path)
        .map_err(|problem| refused("source.path", format!("source `{name}`: path `{path}`: {problem}")))?;
    if !rules.allows_path(&request.path) {
        return Err(refused(
            "source.path",
            format!(
                "source `{name}` may not be asked for `{path}`; allow it: datanode source allow {name} --allow-path {}",
                shell_word(&path)
            ),
        ));
    }
    let mut url = rules.base_url.url().clone();
    let whole = format!("{}{}", url.path(), request.path);
    url.set_path(&whole);
    if rules.base_url.below(&url) != Some(request.path.as_str()) {
        return Err(refused("source.path", format!("source `{name}`: path `{path}` leads elsewhere")));
    }
    query(name, rules, request, &mut url)?;
    let mut headers = headers(name, rules, request)?;
    let cut = match (request.range, rules.secrets().next()) {
        (Some(range), None) => {
            headers.insert(RANGE, range_header(range));
            None
        }
        (range, _) => range,
    };
    let (own, own_query) = injected(name, rules, secrets)?;
    add_query(&mut url, &own_query);
    if url.as_str().len() > MAX_URL_BYTES {
        let problem = format!("source `{name}`: the URL would have more than {MAX_URL_BYTES} bytes");
        return Err(refused("source.query", problem));
    }
    let body = request.body.clone().unwrap_or_default();
    Ok(Prepared { method, url, headers, own, own_query, body, cut })
}

fn method(name: &str, rules: &HttpRules, request: &FetchRequest) -> Result<Method, NoAnswer> {
    let asked = shorten(&request.method);
    if !rules.methods.contains(&request.method) {
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(&request.method.as_str());
        let how = if known {
            format!("; allow it: datanode source allow {name} --method {asked}")
        } else {
            String::new()
        };
        return Err(refused("source.method", format!("source `{name}` may not be asked by `{asked}`{how}")));
    }
    if request.body.is_some() && matches!(request.method.as_str(), "GET" | "HEAD") {
        return Err(refused("source.method", format!("source `{name}`: `{asked}` has no body")));
    }
    Method::from_bytes(request.method.as_bytes())
        .map_err(|_| refused("source.method", format!("source `{name}`: `{asked}` is no method")))
}

fn query(name: &str, rules: &HttpRules, request: &FetchRequest, url: &mut Url) -> Result<(), NoAnswer> {
    if request.query.len() > MAX_FIELDS {
        return Err(refused("source.query", format!("source `{name}`: more than {MAX_FIELDS} parameters")));
    }
    let is_injected = |key: &str| rules.query.iter().any(|own| own.name.eq_ignore_ascii_case(key));
    if let Some((key, _)) = request.query.iter().find(|(key, _)| is_injected(key)) {
        return Err(refused(
            "source.query",
            format!("source `{name}`: parameter `{}` is the host's", shorten(key)),
        ));
    }
    add_query(url, &request.query);
    Ok(())
}

/// Add parameters, unless there are none: `?` alone would be another URL.
pub(super) fn add_query(url: &mut Url, fields: &[(String, String)]) {
    if !fields.is_empty() {
        url.query_pairs_mut().extend_pairs(fields);
    }
}

fn headers(name: &str, rules: &HttpRules, request: &FetchRequest) -> Result<HeaderMap, NoAnswer> {
    let refuse = |header: &str, why: &str| {
        Err(refused("source.header", format!("source `{name}`: header `{}` {why}", shorten(header))))
    };
    let mut headers = HeaderMap::new();
    if request.headers.len() > MAX_FIELDS {
        return Err(refused("source.header", format!("source `{name}`: more than {MAX_FIELDS} headers")));
    }
    for (key, value) in &request.headers {
        let Ok(header) = HeaderName::from_bytes(key.as_bytes()) else {
            return refuse(key, "has no name that a header can have");
        };
        // In lower case from here on.
        let is_injected = rules.headers.iter().any(|own| own.name.eq_ignore_ascii_case(header.as_str()));
        match guest_header(header.as_str(), &rules.request_headers) {
            GuestHeader::Never => return refuse(key, "is never a component's"),
            _ if is_injected => return refuse(key, "is the host's"),
            GuestHeader::Allowed => {}
            GuestHeader::NotAllowed => {
                return refuse(
                    key,
                    &format!(
                        "is not allowed; allow it: datanode source allow {name} --request-header {}",
                        shell_word(header.as_str())
                    ),
                );
            }
        }
        let visible = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if !visible || value.len() > MAX_HEADER_BYTES {
            return refuse(key, &format!("has no visible ASCII text of at most {MAX_HEADER_BYTES} bytes"));
        }
        let Ok(value) = HeaderValue::from_str(value) else {
            return refuse(key, "has no value that can be sent");
        };
        headers.append(header, value);
    }
    if request.range.is_some_and(|range| range.length == Some(0)) {
        return refuse("range", "of nothing cannot be asked for");
    }
    // Nothing is decoded here, so nothing that grows when it is decoded is asked for.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("datanode/", env!("CARGO_PKG_VERSION"))));
    Ok(headers)
}

fn range_header(ByteRange { offset, length }: ByteRange) -> HeaderValue {
    let last = length.map_or_else(String::new, |length| offset.saturating_add(length.max(1) - 1).to_string());
    // Digits are what a header may have.
    HeaderValue::from_str(&format!("bytes={offset}-{last}")).unwrap_or(HeaderValue::from_static("bytes=0-"))
}

type Own = (HeaderMap, Vec<(String, String)>);

fn injected(name: &str, rules: &HttpRules, secrets: &Resolved) -> Result<Own, NoAnswer> {
    let mut headers = HeaderMap::new();
    for injected in &rules.headers {
        let value = filled(name, injected, secrets)?;
        if let (Ok(header), Ok(mut value)) =
            (HeaderName::from_bytes(injected.name.as_bytes()), HeaderValue::from_str(&value))
        {
            // Nothing shows it.
            value.set_sensitive(true);
            headers.append(header, value);
        }
    }
    let query =
        rules.query.iter().map(|injected| Ok((injected.name.clone(), filled(name, injected, secrets)?)));
    Ok((headers, query.collect::<Result<_, NoAnswer>>()?))
}

/// The value of a template.
fn filled(name: &str, injected: &Injected, secrets: &Resolved) -> Result<String, NoAnswer> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use crate::secret::{SecretError, SecretValue};

    let value_of = |secret: &str| -> Result<&SecretValue, NoAnswer> {
        let missing = || SecretError::NotFound { name: secret.to_owned() };
        let value =
            secrets.get(secret).ok_or_else(missing).and_then(|value| value.as_ref().map_err(Clone::clone));
        value.map_err(|problem| SourceError::Secret { name: name.to_owned(), problem }.into())
    };
    let mut text = String::new();
    for part in injected.value.parts() {
        match part {
            Part::Text(part) => text += part,
            Part::Secret(secret) => text += value_of(secret)?.reveal(),
            Part::Basic { user, secret } => {
                text += "Basic ";
                text += &STANDARD.encode(format!("{user}:{}", value_of(secret)?.reveal()));
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use datanode_core::source::BaseUrl;

    use super::*;

    fn asked(path: &str) -> FetchRequest {
        FetchRequest {
            source: "api".to_owned(),
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            range: None,
        }
    }

    /// The code of the refusal, or how long the URL is that would be sent.
    fn outcome(request: &FetchRequest) -> Result<usize, &'static str> {
        let rules = HttpRules::new(BaseUrl::parse("https://a.example/").unwrap());
        match prepare("api", &rules, &Resolved::default(), request) {
            Ok(prepared) => Ok(prepared.url.as_str().len()),
            Err(NoAnswer::Refused(code, _)) => Err(code),
            Err(NoAnswer::Ended(error)) => panic!("{error}"),
        }
    }

    fn fields(number: usize, value: &str) -> Vec<(String, String)> {
        vec![("accept".to_owned(), value.to_owned()); number]
    }

    /// Each up to its limit, and one more.
    #[test]
    fn what_a_guest_asks_for_is_bounded() {
        let path = |bytes: usize| outcome(&asked(&"a".repeat(bytes)));
        assert!(path(2_048).is_ok());
        assert_eq!(path(2_049), Err("source.path"));

        let query = |number| outcome(&FetchRequest { query: fields(number, "1"), ..asked("a") });
        assert!(query(64).is_ok());
        assert_eq!(query(65), Err("source.query"));

        let headers = |number| outcome(&FetchRequest { headers: fields(number, "text/csv"), ..asked("a") });
        assert!(headers(64).is_ok());
        assert_eq!(headers(65), Err("source.header"));

        let value = |bytes| outcome(&FetchRequest { headers: fields(1, &"a".repeat(bytes)), ..asked("a") });
        assert!(value(4_096).is_ok());
        assert_eq!(value(4_097), Err("source.header"));

        let url = |bytes: usize| {
            let rest = "https://a.example/a?accept=".len();
            outcome(&FetchRequest { query: fields(1, &"a".repeat(bytes - rest)), ..asked("a") })
        };
        assert_eq!((url(8_192), url(8_193)), (Ok(8_192), Err("source.query")));
    }
}
