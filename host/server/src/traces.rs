//! Traces of requests and runs for a collector, in the protocol of OpenTelemetry (OTLP over HTTP).
//!
//! Off unless an endpoint is named. Spans wait in memory, so many at most, and a thread of their own sends them: no request
//! waits for a collector. One that is not there costs the spans that it does not get, and one line of the log.
//!
//! What is in a span is named here and in the spans of `datanode-runtime`: routes, statuses, names and ids. Never a path, a
//! query, a header, a body or a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::HeaderMap;
use bytes::Bytes;
use datanode_runtime::Courier;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, Protocol, SpanExporter,
    WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};
use url::Url;

use crate::ServerError;

/// Of the spans of this crate: another one than that of its lines, so that no line of the log tells of spans.
const TARGET: &str = "datanode_trace";
/// The spans of runs.
const RUNS: &str = "datanode_runtime";
/// Where a collector takes traces, below its endpoint.
const PATH: &str = "v1/traces";
/// What the service is called that says nothing else.
const SERVICE: &str = "datanode";
/// How long one answer of a collector may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the last spans may take to be sent when the server ends.
const LAST: Duration = Duration::from_secs(3);

/// Traces on their way to a collector.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    place: String,
}

impl Traces {
    /// Traces for the collector at this endpoint, else at that of the environment (`OTEL_EXPORTER_OTLP_ENDPOINT`); None
    /// where neither names one. To be called where tokio runs.
    ///
    /// # Errors
    ///
    /// [`ServerError::Traces`] for an endpoint that can be none.
    pub fn begin(endpoint: Option<&str>) -> Result<Option<Self>, ServerError> {
        let Some(url) = endpoint_of(endpoint, |name| std::env::var(name).ok())? else { return Ok(None) };
        let cannot = |problem: &str| ServerError::Traces { problem: problem.to_owned() };
        let runtime = Handle::try_current().map_err(|_| cannot("nothing runs that could send them"))?;
        let client = Collector {
            runtime,
            courier: Arc::default(),
            // A query may hold what somebody proves themselves with.
            place: url.origin().ascii_serialization(),
            url: url.clone(),
            is_lost: AtomicBool::new(false),
        };
        let place = client.place.clone();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(url.as_str())
            .with_protocol(Protocol::HttpBinary)
            .build()
            // Its text would repeat the endpoint.
            .map_err(|_| cannot("nothing can be sent to this endpoint"))?;
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource());
        Ok(Some(Self { provider: provider.build(), place }))
    }

    /// What the log calls the collector.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// What hears of spans.
    pub(crate) fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        // Lines of the log stay in the log: they say more than a trace may.
        let wanted = filter_fn(|metadata| {
            let target = metadata.target();
            let is_ours = target == TARGET || target.starts_with(RUNS);
            metadata.is_span() && is_ours && *metadata.level() <= Level::INFO
        });
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(wanted.with_max_level_hint(LevelFilter::INFO))
            .boxed()
    }

    /// Send what is left, but for no longer than a few seconds. What comes later is lost.
    pub async fn end(self) {
        let last = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST)).await;
        if !matches!(last, Ok(Ok(()))) {
            tracing::warn!("the last spans were not taken in time, and are lost");
        }
    }
}

/// Where traces go; None: nowhere.
fn endpoint_of(
    given: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Url>, ServerError> {
    // Set and empty is as if it were not set, as the standard of these variables has it.
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let is = |name: &str, word: &str| set(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return Ok(None);
    }
    let named = |name: &'static str, is_whole: bool| set(name).map(|text| (name, text, is_whole));
    let found = given.map(|text| ("--otlp-endpoint", text.to_owned(), false));
    let found = found.or_else(|| named(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, true));
    let Some((name, text, is_whole)) = found.or_else(|| named(OTEL_EXPORTER_OTLP_ENDPOINT, false)) else {
        return Ok(None);
    };
    // None of these says what was given: it may hold a secret.
    let wrong = |problem: String| ServerError::Traces { problem: format!("{name} {problem}") };
    let mut url = Url::parse(&text).map_err(|error| wrong(format!("is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("is neither http nor https".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a user or password: give headers by OTEL_EXPORTER_OTLP_HEADERS".to_owned()));
    }
    if !is_whole {
        let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(Some(url))
}

/// What the spans are of: this server, and whatever the environment says of it.
fn resource() -> Resource {
    let known = Resource::builder_empty()
        .with_service_name(SERVICE)
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            // Several servers over one database are told apart.
            KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
        ])
        .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())]);
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => known.with_service_name(name).build(),
        _ => known.build(),
    }
}

/// A collector, as the exporter reaches it.
#[derive(Debug)]
struct Collector {
    runtime: Handle,
    courier: Arc<Courier>,
    /// What the log calls it.
    place: String,
    url: Url,
    /// Whether the last attempt has failed.
    is_lost: AtomicBool,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let (courier, url) = (Arc::clone(&self.courier), self.url.clone());
        // Whoever calls this is a thread without a runtime.
        let sent = self.runtime.spawn(async move {
            let patient = tokio::time::timeout(PATIENCE, courier.post(&url, head.headers, body)).await;
            patient.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
        });
        let answer = sent.await.unwrap_or_else(|_| Err("the server ends".to_owned()));
        self.note(&answer);
        Ok(answer?)
    }
}

impl Collector {
    /// Tell the log when the collector is lost, and when it is back, and not of every attempt in between.
    fn note(&self, answer: &Result<Response<Bytes>, String>) {
        let problem = match answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status().as_u16())),
            Err(problem) => Some(problem.clone()),
        };
        let was_lost = self.is_lost.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !was_lost => {
                tracing::warn!(collector = self.place, problem, "traces are not taken: spans are lost");
            }
            None if was_lost => tracing::info!(collector = self.place, "traces are taken again"),
            _ => {}
        }
    }
}

/// The one header of a request that traces look at. (`tracestate` is a text of whoever sends it, and nobody here reads it.)
struct Parent<'a>(&'a HeaderMap);

impl Extractor for Parent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then(|| self.0.get(key)?.to_str().ok()).flatten()
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

/// A request. A trace that its caller has begun goes on in it.
pub(crate) fn of_request(method: &str, headers: &HeaderMap, id: &str) -> Span {
    let span = info_span!(
        target: TARGET,
        parent: None,
        "request",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        datanode.request_id = id,
    );
    if !span.is_disabled() {
        let given = TraceContextPropagator::new().extract_with_context(&Context::new(), &Parent(headers));
        // It begins nowhere else where this fails: nobody listens then.
        let _ = span.set_parent(given);
    }
    span
}

/// Which route it was: before anything is done in it, for then its name stands.
pub(crate) fn routed(span: &Span, method: &str, route: &str) {
    if !span.is_disabled() {
        span.record("otel.name", format!("{method} {route}"));
        span.record("http.route", route);
    }
}

/// What it was answered.
pub(crate) fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// Work that goes on behind the answer to the request that is being answered, in the same trace. The span of the request
/// does not wait for it.
pub(crate) fn of_execution(kind: &str, id: &str) -> Span {
    let request = Span::current();
    let span = info_span!(
        target: TARGET,
        parent: None,
        "execution",
        otel.name = format!("execution {kind}"),
        otel.status_code = Empty,
        datanode.execution_id = id,
        datanode.request_id = crate::request::id(),
        datanode.state = Empty,
    );
    if !span.is_disabled() {
        let _ = span.set_parent(request.context());
    }
    span
}

/// How the work that is being done here ended.
pub(crate) fn ended(state: &str, has_failed: bool) {
    let span = Span::current();
    span.record("datanode.state", state);
    if has_failed {
        span.record("otel.status_code", "ERROR");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(given: Option<&str>, set: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable =
            |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let url = endpoint_of(given, variable).map_err(|error| error.to_string())?;
        Ok(url.map(|url| url.to_string()))
    }

    #[test]
    fn traces_go_where_they_are_sent_and_else_nowhere() {
        let (endpoint, traces) = (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);
        let to = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(told(None, &[]), Ok(None));
        assert_eq!(told(None, &[(endpoint, "")]), Ok(None));
        assert_eq!(told(Some("http://collector:4318"), &[]), to("http://collector:4318/v1/traces"));
        assert_eq!(told(None, &[(endpoint, "https://c/otlp/")]), to("https://c/otlp/v1/traces"));
        // That of traces is taken as it is, and before the other.
        assert_eq!(told(None, &[(endpoint, "http://a"), (traces, "http://b/in?x=1")]), to("http://b/in?x=1"));
        assert_eq!(told(Some("http://c"), &[(traces, "http://b/in")]), to("http://c/v1/traces"));
        assert_eq!(told(Some("http://c"), &[("OTEL_SDK_DISABLED", "TRUE")]), Ok(None));
        assert_eq!(told(None, &[(endpoint, "http://a"), ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
    }

    #[test]
    fn an_endpoint_that_is_none_is_refused_and_not_repeated() {
        for text in ["collector:4318", "ftp://collector/", "http://user:hunter2@collector/", "http://"] {
            let refused = told(Some(text), &[]).unwrap_err();
            assert!(refused.contains("--otlp-endpoint") && !refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn of_a_request_only_the_parent_of_its_trace_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer x".parse().unwrap());
        headers.insert("tracestate", "who=me".parse().unwrap());
        headers.insert(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap(),
        );
        let parent = Parent(&headers);
        assert!(parent.get("authorization").is_none() && parent.get("tracestate").is_none());
        assert!(parent.get("traceparent").is_some_and(|text| text.starts_with("00-4bf9")));
    }
}
