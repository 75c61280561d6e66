//! Host calls as their canonical arguments: what is compared when a run is executed again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datanode_core::digest::Digest;
use datanode_sandbox::{FetchRequest, HostCall};
use serde_json::{Value, json};

/// Characters of arguments that people are shown.
pub(super) const SHOWN: usize = 400;

/// The arguments of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    /// The function as the contract names it.
    pub(crate) function: &'static str,
    /// Digest of the canonical arguments.
    pub(crate) arguments: Digest,
    /// Their beginning.
    pub(crate) shown: String,
}

/// Two calls have the same digest only when they ask for the same.
pub(crate) fn described(call: &HostCall<'_>) -> Described {
    let function = call.function();
    if let HostCall::Emit { message } = call {
        // Megabytes, which nobody reads: the message is its own canonical form.
        let shown = format!("{} bytes", message.len());
        return Described { function, arguments: Digest::of(message), shown };
    }
    let text = arguments(call).to_string();
    Described { function, arguments: Digest::of(text.as_bytes()), shown: text.chars().take(SHOWN).collect() }
}

fn arguments(call: &HostCall<'_>) -> Value {
    match call {
        HostCall::Open { key, query } => json!({"key": key, "query": query}),
        HostCall::Malformed { problem, .. } => json!({"problem": problem}),
        HostCall::Schema { reader } | HostCall::Next { reader } | HostCall::CloseReader { reader } => {
            json!({"reader": reader})
        }
        HostCall::Emit { message } => json!({"bytes": message.len()}),
        HostCall::Log { level, message, fields } => {
            json!({"level": level.as_str(), "message": message, "fields": fields})
        }
        HostCall::Fetch(request) => fetch(request),
        HostCall::ReadBody { body, max } => json!({"body": body, "max": max}),
        HostCall::CloseBody { body } => json!({"body": body}),
        HostCall::Option { name } => json!({"name": name}),
    }
}

fn fetch(request: &FetchRequest) -> Value {
    let FetchRequest { source, method, path, query, headers, body, range } = request;
    let range = range.map(|range| json!({"offset": range.offset, "length": range.length}));
    let body = body.as_ref().map(|body| STANDARD.encode(body));
    json!({
        "source": source, "method": method, "path": path, "query": query, "headers": headers, "body": body,
        "range": range,
    })
}

#[cfg(test)]
mod tests {
    use datanode_core::coordinate::CoordinateValue;
    use datanode_core::query::{Bound, ReadQuery, TimeRange};
    use datanode_sandbox::{ByteRange, LogLevel};

    use super::*;

    /// Each differs from the first of its function in one argument.
    #[test]
    fn whatever_differs_has_another_digest() {
        let time = "2020-01-01".parse().unwrap();
        let plain = ReadQuery::default();
        let start = |inclusive| ReadQuery {
            range: TimeRange { start: Some(Bound { time, inclusive }), end: None },
            ..ReadQuery::default()
        };
        let filter = |value: CoordinateValue| ReadQuery {
            dimension_filters: vec![("d".to_owned(), vec![value])],
            ..ReadQuery::default()
        };
        let (from, after) = (start(true), start(false));
        let (text, number) = (filter(CoordinateValue::Text("1".into())), filter(CoordinateValue::Int(1)));
        let columns = ReadQuery { columns: Some(vec![]), ..ReadQuery::default() };
        let get = FetchRequest {
            source: "s".into(),
            method: "GET".into(),
            path: "a".into(),
            query: vec![],
            headers: vec![],
            body: None,
            range: None,
        };
        let part = FetchRequest { range: Some(ByteRange { offset: 0, length: None }), ..get.clone() };
        let with_body = FetchRequest { body: Some(bytes::Bytes::new()), ..get.clone() };
        let with_header = FetchRequest { headers: vec![("a".into(), "b".into())], ..get.clone() };
        let with_query = FetchRequest { query: vec![("a".into(), "b".into())], ..get.clone() };
        let field = [("a".to_owned(), "b".to_owned())];
        let calls = [
            HostCall::Open { key: "k", query: &plain },
            HostCall::Open { key: "l", query: &plain },
            HostCall::Open { key: "k", query: &from },
            HostCall::Open { key: "k", query: &after },
            HostCall::Open { key: "k", query: &text },
            HostCall::Open { key: "k", query: &number },
            HostCall::Open { key: "k", query: &columns },
            HostCall::Next { reader: 0 },
            HostCall::Next { reader: 1 },
            HostCall::Emit { message: b"a" },
            HostCall::Emit { message: b"b" },
            HostCall::Log { level: LogLevel::Info, message: "m", fields: &[] },
            HostCall::Log { level: LogLevel::Warn, message: "m", fields: &[] },
            HostCall::Log { level: LogLevel::Info, message: "n", fields: &[] },
            HostCall::Log { level: LogLevel::Info, message: "m", fields: &field },
            HostCall::Fetch(&get),
            HostCall::Fetch(&part),
            HostCall::Fetch(&with_body),
            HostCall::Fetch(&with_header),
            HostCall::Fetch(&with_query),
            HostCall::ReadBody { body: 0, max: 1 },
            HostCall::ReadBody { body: 0, max: 2 },
            HostCall::Option { name: "a" },
            HostCall::Option { name: "b" },
        ];
        let digests: std::collections::BTreeSet<String> = calls
            .iter()
            .map(|call| described(call))
            .map(|Described { function, arguments, .. }| format!("{function} {arguments}"))
            .collect();
        assert_eq!(digests.len(), calls.len());
    }

    #[test]
    fn people_are_shown_a_beginning() {
        let long = "x".repeat(10_000);
        let call = HostCall::Log { level: LogLevel::Info, message: &long, fields: &[] };
        assert_eq!(described(&call).shown.len(), SHOWN);
        assert_eq!(described(&HostCall::Emit { message: &[0; 9] }).shown, "9 bytes");
    }
}
