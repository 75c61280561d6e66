//! Traces: what a collector is sent of requests and runs, what it never is, and what becomes of a server without one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use datanode_tests::{Project, Server};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;

use super::{SERIES, contract};

/// How long the end of a server may take whose collector is of no use: its last spans are waited for three seconds.
const SOON: Duration = Duration::from_secs(15);

/// The head of a request, and its body.
type Taken = (String, Vec<u8>);

/// A collector that takes what it is sent, and keeps it.
struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::default();
        let kept = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                Self::take(stream, &kept);
            }
        });
        Self { address, taken }
    }

    fn take(mut stream: TcpStream, kept: &Mutex<Vec<Taken>>) {
        let mut bytes = Vec::new();
        let mut piece = [0; 4_096];
        loop {
            let read = stream.read(&mut piece).unwrap();
            bytes.extend(&piece[..read]);
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                assert!(read > 0, "a head without an end");
                continue;
            };
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.expect("a length").parse().unwrap();
            if bytes.len() < end + 4 + length {
                assert!(read > 0, "a body without an end");
                continue;
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
            kept.lock().unwrap().push((head, bytes[end + 4..].to_vec()));
            return;
        }
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let taken = self.taken.lock().unwrap();
        taken.iter().map(|(_, body)| ExportTraceServiceRequest::decode(body.as_slice()).unwrap()).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let scopes = self.requests().into_iter().flat_map(|request| request.resource_spans);
        scopes.flat_map(|of_resource| of_resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => text.clone(),
        Any::IntValue(number) => number.to_string(),
        other => panic!("{name} is {other:?}"),
    })
}

fn served(project: &Project, endpoint: &str) -> Server {
    let mut command = project.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=sesame")
        .env("OTEL_SERVICE_NAME", "prices")
        .env("OTEL_BSP_SCHEDULE_DELAY", "50");
    Server::started(command)
}

#[test]
fn a_run_is_one_trace_with_the_request_that_began_it_and_holds_no_secret() {
    let project = Project::new();
    let collector = Collector::start();
    let server = served(&project, &format!("http://{}", collector.address));
    server.upload(SERIES);
    server.post("/tables", &contract("daily"));
    let node = json!({"component": SERIES, "table": "daily", "config": {"series": ["HUSH", "GBP"]}});
    server.post("/nodes", &node);
    let secret = "dn_0123456789abcdef_ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
    let refused = server
        .request("GET", "/api/v1/tables?namespace=whispered")
        .header("authorization", &format!("Bearer {secret}"))
        .send();
    assert_eq!(refused.status, 401);
    server.post("/secrets", &json!({"name": "prices", "value": "correct horse battery"}));
    let begun = server
        .request("POST", "/api/v1/nodes/daily/runs")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("tracestate", "vendor=muttered")
        .header("x-request-id", "wanted")
        .json(&json!({"until": "2000-01-31"}))
        .send();
    assert_eq!(begun.status, 202, "{}", begun.text());
    let ended = server.ended(&begun.json());
    assert_eq!(ended["result"][0]["status"], "ok", "{ended}");
    let (status, log) = server.end();
    assert!(status.success(), "{log}");

    let spans = collector.spans();
    let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    let of_trace: Vec<&Span> = spans.iter().filter(|span| span.trace_id == trace).collect();
    let named = |name: &str| -> &Span {
        let found: Vec<_> = of_trace.iter().filter(|span| span.name == name).collect();
        let names: Vec<&str> = of_trace.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(found.len(), 1, "{name} in {names:?}");
        found[0]
    };
    let request = named("POST /api/v1/nodes/{reference}/runs");
    assert_eq!(request.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(attribute(&request.attributes, "datanode.request_id").as_deref(), Some("wanted"));
    assert_eq!(attribute(&request.attributes, "http.response.status_code").as_deref(), Some("202"));
    let execution = named("execution run");
    assert_eq!(execution.parent_span_id, request.span_id);
    assert_eq!(attribute(&execution.attributes, "datanode.request_id").as_deref(), Some("wanted"));
    assert_eq!(attribute(&execution.attributes, "datanode.state").as_deref(), Some("done"));
    let run = named("run");
    for (span, parent) in [
        (run, execution),
        (named("claim"), run),
        (named("load"), run),
        (named("update"), run),
        (named("commit"), run),
    ] {
        assert_eq!(span.parent_span_id, parent.span_id, "{}", span.name);
        assert!(span.start_time_unix_nano >= parent.start_time_unix_nano, "{}", span.name);
        assert!(span.end_time_unix_nano <= parent.end_time_unix_nano, "{}", span.name);
    }
    assert!(of_trace.iter().any(|span| span.name == "plan"));
    assert_eq!(attribute(&run.attributes, "datanode.run_id").as_deref(), ended["runs"][0].as_str());
    assert_eq!(attribute(&run.attributes, "datanode.status").as_deref(), Some("ok"));
    assert_eq!(attribute(&run.attributes, "datanode.rows_inserted").as_deref(), Some("62"));
    // Others have traces of their own.
    assert!(spans.iter().any(|span| span.name == "GET /api/v1/tables" && span.trace_id != trace));

    for request in collector.requests() {
        for of_resource in request.resource_spans {
            let resource = of_resource.resource.unwrap();
            assert_eq!(attribute(&resource.attributes, "service.name").as_deref(), Some("prices"));
        }
    }
    let taken = collector.taken.lock().unwrap();
    for (head, body) in taken.iter() {
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        assert!(head.contains("x-collector-key: sesame"), "{head}");
        for hidden in [
            "whispered",
            "0123456789abcdef",
            "ffffffff",
            "correct horse",
            "HUSH",
            "muttered",
            "sesame",
            "Bearer",
        ] {
            let is_there = body.windows(hidden.len()).any(|window| window == hidden.as_bytes());
            assert!(!is_there, "{hidden}");
        }
    }
    assert!(log.contains("traces are sent") && !log.contains("sesame"), "{log}");
}

#[test]
fn a_collector_that_is_gone_costs_spans_and_one_line() {
    let project = Project::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let server = served(&project, &format!("http://{gone}"));
    let lost = "traces are not taken";
    for _ in 0..20 {
        assert_eq!(server.request("GET", "/healthz").send().status, 200);
    }
    server.until("the collector is missed", |server| server.log().contains(lost));
    for _ in 0..20 {
        assert_eq!(server.request("GET", "/healthz").send().status, 200);
    }
    let begun = Instant::now();
    let (status, log) = server.end();
    assert!(status.success(), "{log}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(log.matches(lost).count(), 1, "{log}");
}

#[test]
fn a_collector_that_says_nothing_keeps_nobody() {
    let project = Project::new();
    // Whoever connects is never answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = served(&project, &format!("http://{}", silent.local_addr().unwrap()));
    for _ in 0..20 {
        assert_eq!(server.request("GET", "/healthz").send().status, 200);
    }
    // Until it waits for an answer.
    let (_held, _) = silent.accept().unwrap();
    assert_eq!(server.request("GET", "/healthz").send().status, 200);
    let begun = Instant::now();
    let (status, log) = server.end();
    assert!(status.success(), "{log}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert!(log.contains("the last spans were not taken in time"), "{log}");
}

#[test]
fn traces_are_off_unless_somebody_wants_them_and_a_wrong_endpoint_is_told() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    assert_eq!(server.request("GET", "/healthz").send().status, 200);
    let (_, log) = server.end();
    assert!(!log.contains("traces"), "{log}");
    let wrong = "http://user:hunter2@127.0.0.1:4318";
    let (code, said) = project.fails(&["serve", "--otlp-endpoint", wrong]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("server.traces") && !said.contains("hunter2"), "{said}");
}
