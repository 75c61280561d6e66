//! Which format of rows a caller wants.

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use datanode_runtime::ExportFormat;

use crate::Problem;

/// What there is: media type, format, name in metrics. The first is answered to whoever takes anything.
const FORMATS: [(&str, ExportFormat, &str); 7] = [
    ("application/json", ExportFormat::Json, "json"),
    ("application/vnd.apache.arrow.stream", ExportFormat::Arrow, "arrow"),
    ("application/vnd.apache.parquet", ExportFormat::Parquet, "parquet"),
    ("text/csv", ExportFormat::Csv, "csv"),
    ("application/x-ndjson", ExportFormat::JsonLines, "ndjson"),
    ("application/jsonl", ExportFormat::JsonLines, "ndjson"),
    ("application/ndjson", ExportFormat::JsonLines, "ndjson"),
];

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) media_type: &'static str,
    pub(crate) format: ExportFormat,
    pub(crate) name: &'static str,
}

/// Bounds of one header.
const MOST_RANGES: usize = 32;

/// The format that a caller likes best of those that there are.
pub(crate) fn of(headers: &HeaderMap) -> Result<Wanted, Problem> {
    let given: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let given = given.join(",");
    if given.trim().is_empty() {
        return Ok(wanted(0));
    }
    let ranges = given.split(',').take(MOST_RANGES).filter_map(range);
    let best = ranges
        .filter(|(_, quality)| *quality > 0)
        .filter_map(|(range, quality)| Some((place(range)?, quality)))
        // Of equal ones the first that was named.
        .reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(place, _)| wanted(place)).ok_or_else(|| {
        let names: Vec<&str> = FORMATS.iter().take(5).map(|(name, _, _)| *name).collect();
        Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "server.not_acceptable",
            format!("rows come as {}", names.join(", ")),
        )
    })
}

fn wanted(place: usize) -> Wanted {
    let (media_type, format, name) = FORMATS[place];
    Wanted { media_type, format, name }
}

/// A media range and its quality in thousandths.
fn range(text: &str) -> Option<(&str, u32)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let quality = parts.find_map(|part| part.strip_prefix("q="));
    let quality = match quality {
        None => 1_000,
        Some(text) => {
            let value: f64 = text.parse().ok().filter(|value| (0.0..=1.0).contains(value))?;
            // In range by the line above.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let thousandths = (value * 1_000.0).round() as u32;
            thousandths
        }
    };
    Some((range, quality))
}

fn place(range: &str) -> Option<usize> {
    let range = range.to_ascii_lowercase();
    match range.as_str() {
        "*/*" | "application/*" => Some(0),
        "text/*" => Some(3),
        range => FORMATS.iter().position(|(name, _, _)| *name == range),
    }
}

/// Whether a caller wants events as they happen.
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("text/event-stream")))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn chosen(accept: &'static str) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        of(&headers).ok().map(|wanted| wanted.name)
    }

    #[test]
    fn the_best_liked_of_what_there_is() {
        assert_eq!(of(&HeaderMap::new()).unwrap().name, "json");
        assert_eq!(chosen("*/*"), Some("json"));
        assert_eq!(chosen("text/csv"), Some("csv"));
        assert_eq!(
            chosen("text/html, text/csv;q=0.5, application/vnd.apache.arrow.stream;q=0.9"),
            Some("arrow")
        );
        assert_eq!(chosen("text/csv;q=0, */*;q=0.1"), Some("json"));
        assert_eq!(chosen("text/html"), None);
        assert_eq!(chosen("text/csv;q=nonsense"), None);
    }
}
