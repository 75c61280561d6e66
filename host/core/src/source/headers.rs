//! Which headers pass between guests and sources.

use super::RuleError;

/// What guests may set of every source.
const OF_GUESTS: [&str; 7] = [
    "accept",
    "accept-language",
    "content-type",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
];

/// What guests see of every answer.
const OF_ANSWERS: [&str; 11] = [
    "cache-control",
    "content-disposition",
    "content-language",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "link",
    "retry-after",
];

/// What decides where a request goes, who asks, how the message is cut, or which method is meant.
const NEVER_OF_GUESTS: [&str; 32] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
    "true-client-ip",
];

/// The same, by beginnings.
const NEVER_OF_GUESTS_BEGINS: [&str; 4] = ["proxy-", "sec-", "x-forwarded-", "cf-"];

/// What an answer says of credentials and of the connection.
const NEVER_OF_ANSWERS: [&str; 13] = [
    "authentication-info",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "proxy-authenticate",
    "proxy-authentication-info",
    "set-cookie",
    "set-cookie2",
    "trailer",
    "transfer-encoding",
    "www-authenticate",
];

/// What the host itself writes, or what would break the message.
const NEVER_INJECTED: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a guest may set a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestHeader {
    /// It may.
    Allowed,
    /// It may not, but the operator could allow it.
    NotAllowed,
    /// It never may.
    Never,
}

/// Judge a header of a guest's request, by its name in lower case and what the source takes beside.
pub fn guest_header(name: &str, beside: &[String]) -> GuestHeader {
    if is_never_of_guests(name) {
        GuestHeader::Never
    } else if OF_GUESTS.contains(&name) || beside.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        GuestHeader::Allowed
    } else {
        GuestHeader::NotAllowed
    }
}

/// Whether guests see a header of an answer, by its name in lower case and what the source shows beside.
pub fn answer_header(name: &str, beside: &[String]) -> bool {
    !NEVER_OF_ANSWERS.contains(&name)
        && (OF_ANSWERS.contains(&name) || beside.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

fn is_never_of_guests(name: &str) -> bool {
    NEVER_OF_GUESTS.contains(&name) || NEVER_OF_GUESTS_BEGINS.iter().any(|begin| name.starts_with(begin))
}

/// Whether the value of a header opens doors.
pub(super) fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let ends = ["authorization", "cookie", "key", "token", "secret", "password"];
    ends.iter().any(|end| name == *end || name.ends_with(&format!("-{end}")))
}

fn check_name(name: &str) -> Result<String, RuleError> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(is_token) {
        let problem = "is no name of a header";
        return Err(RuleError::Header { name: name.chars().take(80).collect(), problem });
    }
    Ok(name.to_ascii_lowercase())
}

pub(super) fn check_injected(name: &str) -> Result<(), RuleError> {
    if NEVER_INJECTED.contains(&check_name(name)?.as_str()) {
        return Err(RuleError::Header { name: name.to_owned(), problem: "is written by the host itself" });
    }
    Ok(())
}

pub(super) fn check_for_guests(name: &str) -> Result<(), RuleError> {
    if is_never_of_guests(&check_name(name)?) {
        return Err(RuleError::Header { name: name.to_owned(), problem: "is never set by a component" });
    }
    Ok(())
}

pub(super) fn check_for_answers(name: &str) -> Result<(), RuleError> {
    if NEVER_OF_ANSWERS.contains(&check_name(name)?.as_str()) {
        return Err(RuleError::Header { name: name.to_owned(), problem: "is never shown to a component" });
    }
    Ok(())
}
