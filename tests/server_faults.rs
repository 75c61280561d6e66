//! What goes wrong around a server: callers who leave, who are slow, who send too much or nonsense; a database that goes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use datanode_tests::{Answer, Project, Server, component, on_both_databases, root};
use serde_json::{Value, json};
use xtask::postgres::{Cluster, Disk, installed};

const SERIES: &str = "daily_series";
/// Rows of the large table: some 30 MB as CSV.
const ROWS: u64 = 400_000;

/// Short patience, so that tests have some.
const SETTINGS: &str = "[server]\nhead_seconds = 1\nbody_idle_seconds = 1\nwrite_idle_seconds = 1\n\
                        document_bytes = 100000\ncomponent_bytes = 4000000\nshutdown_seconds = 10\n";

/// A server with a table of many rows.
fn with_many_rows(project: Project) -> (Project, Server) {
    let project = project.set(SETTINGS);
    let server = Server::start(&project, &[]);
    server.upload("many_rows");
    let contract = std::fs::read(root().join("tests/guests/many_rows/contract.toml")).unwrap();
    let request = server.request("POST", "/api/v1/tables").header("content-type", "application/toml");
    request.body(contract).send().success();
    let config = json!({"rows": ROWS, "coordinates": 100});
    server.post("/nodes", &json!({"component": "many_rows", "table": "many_rows", "config": config}));
    let ended = server.ended(&server.post("/nodes/many_rows/runs", &json!({})));
    assert_eq!(ended["result"][0]["rows_inserted"], ROWS, "{ended}");
    (project, server)
}

/// That the server does its work as before, and holds nothing of what went wrong.
fn is_well(server: &Server) {
    server.until("no answer of rows is being written", |server| {
        server.metric("datanode_row_streams", &[]) == 0
    });
    assert_eq!(server.request("GET", "/readyz").send().status, 200);
    assert_eq!(server.metric("datanode_http_requests_total", &["status=\"500\""]), 0, "{}", server.log());
    server.until("no request is under way but the one that asks", |server| {
        server.metric("datanode_http_requests_under_way", &[]) <= 1
    });
}

/// The most bytes that a process has held in memory.
fn peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

on_both_databases! {
    readers_who_leave_or_sleep_end_their_reads,
    many_slow_readers_cost_little_memory,
    slow_readers_leave_snapshots_to_runs,
    a_run_whose_server_is_asked_to_end_gives_its_node_up,
}

fn readers_who_leave_or_sleep_end_their_reads(project: Project) {
    let (project, server) = with_many_rows(project);
    let gone = || server.metric("datanode_row_streams_ended_total", &["outcome=\"gone\""]);
    let request = server.request("GET", "/api/v1/tables/many_rows/rows").header("accept", "text/csv");
    for (number, leaves) in [true, false].into_iter().enumerate() {
        let before = gone();
        let mut stream = request.begin();
        let mut first = vec![0; 20_000];
        stream.read_exact(&mut first).unwrap();
        assert!(first.starts_with(b"HTTP/1.1 200"));
        // One leaves, the other stays and takes nothing more.
        if leaves {
            drop(stream);
            server.until("the read has ended", |_| gone() > before);
        } else {
            server.until("the read of a sleeper has ended", |_| gone() > before);
            drop(stream);
        }
        assert_eq!(gone(), before + 1, "{number}");
    }
    if project.is_on_server() {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
        server.until("no transaction is open", |_| project.server().number(open) == 0);
    }
    // One who reads on is answered whole.
    let whole = request.send();
    assert!(whole.is_whole);
    assert_eq!(whole.text().lines().count() as u64, ROWS + 1);
    is_well(&server);
}

fn many_slow_readers_cost_little_memory(project: Project) {
    let (_project, server) = with_many_rows(project.set(SETTINGS));
    let before = peak(&server);
    std::thread::scope(|scope| {
        for accept in
            ["text/csv", "application/json", "application/vnd.apache.arrow.stream", "application/x-ndjson"]
                .repeat(3)
        {
            let server = &server;
            scope.spawn(move || {
                let mut stream =
                    server.request("GET", "/api/v1/tables/many_rows/rows").header("accept", accept).begin();
                let mut piece = vec![0; 256 << 10];
                let mut bytes = 0;
                // Slowly, but never so that it would be called asleep.
                while let Ok(read) = stream.read(&mut piece) {
                    if read == 0 {
                        break;
                    }
                    bytes += read;
                    if bytes < 8 << 20 {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
                assert!(bytes > 10 << 20, "{accept}: {bytes} bytes");
            });
        }
    });
    let grown = peak(&server).saturating_sub(before);
    // Twelve answers of some 30 MB each.
    assert!(grown < 200 << 20, "{grown} bytes");
    is_well(&server);
}

fn a_run_whose_server_is_asked_to_end_gives_its_node_up(project: Project) {
    let server = Server::start(&project, &[]);
    server.upload("many_rows");
    let contract = std::fs::read(root().join("tests/guests/many_rows/contract.toml")).unwrap();
    let request = server.request("POST", "/api/v1/tables").header("content-type", "application/toml");
    request.body(contract).send().success();
    let config = json!({"rows": 100_000_000, "rows_per_batch": 1_000});
    server.post("/nodes", &json!({"component": "many_rows", "table": "many_rows", "config": config}));
    let begun = server.post("/nodes/many_rows/runs", &json!({}));
    let id = begun["execution_id"].as_str().unwrap();
    let emits = |server: &Server| server.get(&format!("/executions/{id}"))["runs"] != json!([]);
    server.until("the run has begun", emits);
    let begin = Instant::now();
    let (status, log) = server.end();
    assert!(status.success(), "{log}");
    assert!(begin.elapsed() < Duration::from_secs(30), "{log}");
    assert_eq!(project.json(&["run", "leases"]), json!([]), "{log}");
    let run = &project.json(&["run", "list"])[0];
    assert_eq!(
        (&run["status"], &run["error"]["code"]),
        (&json!("failed"), &json!("run.interrupted")),
        "{run}"
    );
    assert_eq!(project.json(&["table", "show", "many_rows"])["rows"], 0);
}

/// More slow readers than there are snapshots: those who are let in keep theirs as long as they like, and a run has its own
/// all the same.
fn slow_readers_leave_snapshots_to_runs(project: Project) {
    let (project, server) = with_many_rows(project);
    drop(server);
    let project = project.set("[server]\nrow_streams = 200\nwrite_idle_seconds = 300\n");
    let server = Server::start(&project, &[]);
    let rows = server.request("GET", "/api/v1/tables/many_rows/rows").header("accept", "text/csv");
    let readers: Vec<TcpStream> = (0..70).map(|_| rows.begin()).collect();
    let let_in = if project.is_on_server() { 24 } else { 48 };
    server.until("as many read as may", |server| server.metric("datanode_row_streams", &[]) == let_in);

    server.upload(SERIES);
    let contract = std::fs::read(root().join("tests/guests/daily_series/contract.toml")).unwrap();
    let request = server.request("POST", "/api/v1/tables").header("content-type", "application/toml");
    request.body(contract).send().success();
    server.post("/nodes", &json!({"component": SERIES, "table": SERIES, "config": {"series": ["USD"]}}));
    let ended = server.ended(&server.post(&format!("/nodes/{SERIES}/runs"), &json!({"until": "2000-01-10"})));
    assert_eq!(
        (&ended["state"], &ended["result"][0]["rows_inserted"]),
        (&json!("done"), &json!(10)),
        "{ended}"
    );
    assert_eq!(server.metric("datanode_row_streams", &[]), let_in, "nobody was sent away for it");
    drop(readers);
    is_well(&server);
}

/// Two tokens of one user are one reader.
#[test]
fn one_reader_does_not_take_the_places_of_others() {
    let (project, server) = with_many_rows(Project::new());
    drop(server);
    let project = project.set("[server]\nrow_streams = 4\nrow_streams_of_one = 2\nwrite_idle_seconds = 60\n");
    let token = |user: &str| {
        let created =
            project.json(&["token", "create", "--user", user, "--right", "read", "--expires", "1d"]);
        created["token"].as_str().unwrap().to_owned()
    };
    for user in ["ada", "bob"] {
        project.run(&["user", "create", user, "--role", "viewer"]);
    }
    let (ada, other, bob) = (token("ada"), token("ada"), token("bob"));
    let server = Server::start(&project, &[]);
    let rows = |token: &str| {
        let request = server.request("GET", "/api/v1/tables/many_rows/rows").header("accept", "text/csv");
        request.header("authorization", &format!("Bearer {token}"))
    };
    let slow: Vec<TcpStream> = [&ada, &other]
        .into_iter()
        .map(|token| {
            let mut stream = rows(token).begin();
            stream.read_exact(&mut [0; 1_000]).unwrap();
            stream
        })
        .collect();
    for token in [&ada, &other] {
        let refused = rows(token).send();
        assert_eq!((refused.status, refused.code()), (503, "server.busy".to_owned()));
        assert!(refused.text().contains("2 answers of rows are open for this caller"), "{}", refused.text());
        assert!(refused.header("retry-after").is_some());
    }
    let whole = rows(&bob).send();
    assert!(whole.is_whole);
    assert_eq!(whole.text().lines().count() as u64, ROWS + 1);
    drop(slow);
    server.until("her places are free", |_| rows(&ada).send().status == 200);
    is_well(&server);
}

/// Whoever is refused for want of a place asks again: nothing of the first time is there.
#[test]
fn what_is_refused_for_want_of_a_place_has_left_nothing() {
    let project = Project::new().set("[server]\nexecutions = 1\nexecutions_waiting = 1\n");
    let server = Server::start(&project, &[]);
    for component in ["many_rows", SERIES] {
        server.upload(component);
        let file = root().join(format!("tests/guests/{component}/contract.toml"));
        let request = server.request("POST", "/api/v1/tables").header("content-type", "application/toml");
        request.body(std::fs::read(file).unwrap()).send().success();
    }
    let endless = json!({"rows": 100_000_000, "rows_per_batch": 1_000});
    server.post("/nodes", &json!({"component": "many_rows", "table": "many_rows", "config": endless}));
    server.post("/nodes", &json!({"component": SERIES, "table": SERIES, "config": {"series": ["USD"]}}));
    let ended = server.ended(&server.post(&format!("/nodes/{SERIES}/runs"), &json!({"until": "2000-01-10"})));
    let run = ended["runs"][0].as_str().unwrap();
    let full = ["running", "waiting"].map(|state| {
        let begun = server.post("/nodes/many_rows/runs", &json!({}));
        let place = format!("/executions/{}", begun["execution_id"].as_str().unwrap());
        server.until(state, |server| server.get(&place)["state"] == state);
        begun
    });
    let orders = || server.get("/audit?action=run.order&limit=1000")["items"].as_array().unwrap().len();
    let (before, executions) = (orders(), server.get("/executions")["items"].as_array().unwrap().len());
    let ask = |path: &str, body: &Value| {
        let request = server.request("POST", &format!("/api/v1{path}")).header("idempotency-key", path);
        request.json(body).send()
    };
    let order = json!({"from": "1999-12-01", "to": "1999-12-31", "step": "10d", "mode": "append_only"});
    let cases = [
        (format!("/nodes/{SERIES}/backfills"), order),
        (format!("/nodes/{SERIES}/runs"), json!({"until": "2000-01-12"})),
        (format!("/runs/{run}/replay"), json!({})),
        (format!("/runs/{run}/determinism"), json!({})),
        (format!("/runs/{run}/retry"), json!({})),
    ];
    for (path, body) in &cases {
        for _ in 0..2 {
            let refused = ask(path, body);
            assert_eq!((refused.status, refused.code()), (503, "server.busy".to_owned()), "{path}");
        }
    }
    assert_eq!(server.get("/backfills")["items"], json!([]));
    assert_eq!(orders(), before);
    assert_eq!(server.get("/audit?action=run.retry")["items"], json!([]));
    assert_eq!(server.get("/executions")["items"].as_array().unwrap().len(), executions);
    for begun in &full {
        let id = begun["execution_id"].as_str().unwrap();
        server.post(&format!("/executions/{id}/cancel"), &json!({}));
        server.ended(begun);
    }
    // By the same keys each is carried out, and once.
    for (path, body) in &cases {
        let (first, second) = (ask(path, body), ask(path, body));
        assert_eq!((first.status, second.status), (202, 202), "{path}: {}", first.text());
        assert_eq!(second.header("idempotency-replayed"), Some("true"), "{path}");
        assert_eq!(first.json()["execution_id"], second.json()["execution_id"], "{path}");
        server.ended(&first.json());
    }
    assert_eq!(server.get("/backfills")["items"].as_array().unwrap().len(), 1);
    assert_eq!(orders(), before + 1);
    is_well(&server);
}

#[test]
fn a_cancelled_execution_ends() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    server.upload("many_rows");
    let contract = std::fs::read(root().join("tests/guests/many_rows/contract.toml")).unwrap();
    let request = server.request("POST", "/api/v1/tables").header("content-type", "application/toml");
    request.body(contract).send().success();
    let config = json!({"rows": 100_000_000, "rows_per_batch": 1_000});
    server.post("/nodes", &json!({"component": "many_rows", "table": "many_rows", "config": config}));
    let begun = server.post("/nodes/many_rows/runs", &json!({}));
    let id = begun["execution_id"].as_str().unwrap();
    server.until("the run has begun", |server| server.get(&format!("/executions/{id}"))["runs"] != json!([]));
    server.post(&format!("/executions/{id}/cancel"), &json!({}));
    let ended = server.ended(&begun);
    assert_eq!(ended["state"], "cancelled", "{ended}");
    assert_eq!(server.get("/leases")["items"], json!([]));
    is_well(&server);
}

#[test]
fn uploads_that_end_early_leave_nothing() {
    let project = Project::new().set(SETTINGS);
    let server = Server::start(&project, &[]);
    let bytes = std::fs::read(component(SERIES)).unwrap();
    let request = server
        .request("POST", "/api/v1/components")
        .header("content-type", "application/wasm")
        .header("content-length", &bytes.len().to_string());
    // As many as would take every place, if a place were not given back.
    for _ in 0..12 {
        let mut stream = request.begin();
        stream.write_all(&bytes[..bytes.len() / 2]).unwrap();
        drop(stream);
    }
    let mut stream = request.begin();
    stream.write_all(&bytes[..bytes.len() / 2]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    drop(stream);
    server.upload(SERIES);
    assert_eq!(server.get("/components")["items"].as_array().unwrap().len(), 1);
    // Requests that were given up are answered to nobody, and still end.
    is_well(&server);
}

#[test]
fn slow_callers_are_not_waited_for() {
    let project = Project::new().set(SETTINGS);
    let server = Server::start(&project, &[]);
    let patience = Duration::from_secs(20);
    let ends = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(patience)).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).map(|_| rest)
    };
    // One who says nothing, and one who never comes to the end of the head.
    let mut silent = TcpStream::connect(server.address()).unwrap();
    assert!(ends(&mut silent).is_ok());
    let mut half = TcpStream::connect(server.address()).unwrap();
    half.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n").unwrap();
    assert!(ends(&mut half).is_ok());
    // One whose body stops.
    let request = server
        .request("POST", "/api/v1/tables")
        .header("content-type", "application/json")
        .header("content-length", "1000");
    let mut stream = request.begin();
    stream.write_all(b"{\"identifier\": ").unwrap();
    let answer = Answer::read(&mut stream);
    assert_eq!((answer.status, answer.code()), (408, "server.body_too_slow".to_owned()));
    // Many of them keep nobody else waiting.
    let sleepers: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    let begin = Instant::now();
    assert_eq!(server.request("GET", "/healthz").send().status, 200);
    assert!(begin.elapsed() < Duration::from_secs(5));
    drop(sleepers);
    is_well(&server);
}

#[test]
fn bodies_that_are_too_large_are_refused() {
    let project = Project::new().set(SETTINGS);
    let server = Server::start(&project, &[]);
    let document = server.request("POST", "/api/v1/tables").header("content-type", "application/json");
    let told = document.clone().header("content-length", "1000000000").begin();
    let mut told = told;
    let answer = Answer::read(&mut told);
    assert_eq!(
        (answer.status, answer.code()),
        (413, "server.body_too_large".to_owned()),
        "before any of it comes"
    );
    let answer = document.clone().body(vec![b' '; 200_000]).send();
    assert_eq!(answer.status, 413);
    // One that does not say how much it has.
    let chunked = document.header("transfer-encoding", "chunked");
    let mut stream = chunked.begin();
    let piece = [format!("{:x}\r\n", 50_000).as_bytes(), &vec![b' '; 50_000], b"\r\n"].concat();
    for _ in 0..5 {
        if stream.write_all(&piece).is_err() {
            break;
        }
    }
    let _ = stream.write_all(b"0\r\n\r\n");
    assert_eq!(Answer::read(&mut stream).status, 413);
    let upload = server.request("POST", "/api/v1/components").header("content-type", "application/wasm");
    assert_eq!(upload.body(vec![0; 4_100_000]).send().status, 413);
    // A head that is too large, and one with too many lines.
    let long = server.request("GET", "/healthz").header("x-long", &"x".repeat(200_000)).try_send();
    assert!(long.is_none_or(|answer| answer.status == 431));
    let query = server.request("GET", &format!("/api/v1/tables?label={}", "x".repeat(60_000))).try_send();
    assert!(query.is_none_or(|answer| (400..500).contains(&answer.status) || answer.status == 200));
    is_well(&server);
}

#[test]
fn answers_that_take_too_long_are_given_up() {
    let project = Project::new().set("[server]\nanswer_seconds = 1\nlong_answer_seconds = 1\n");
    let server = Server::start(&project, &[]);
    // Somebody writes, and does not come to an end.
    let database = rusqlite::Connection::open(project.database()).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let slow = server.request("POST", "/api/v1/teams").json(&json!({"name": "slow"})).send();
    assert_eq!((slow.status, slow.code()), (503, "server.too_long".to_owned()));
    assert!(slow.header("retry-after").is_some());
    let begun = Instant::now();
    assert_eq!(server.request("GET", "/api/v1/teams").send().status, 200, "who reads waits for nobody");
    assert!(begun.elapsed() < Duration::from_secs(1));
    database.execute_batch("ROLLBACK").unwrap();
    drop(database);
    server.post("/teams", &json!({"name": "quick"}));
    is_well(&server);
}

#[test]
fn as_much_as_is_allowed_and_no_more() {
    let settings = "[server]\nexecutions = 1\nexecutions_waiting = 1\nevent_streams = 1\nrow_streams = 1\nuploads = 1\n\
                    rows_bytes = 1000\nbody_idle_seconds = 20\nwrite_idle_seconds = 20\nrequests_per_minute = 100000\n";
    let project = Project::new().set(settings);
    let server = Server::start(&project, &[]);
    let register = |file: &str| {
        let contract = std::fs::read(root().join(file)).unwrap();
        let request = server.request("POST", "/api/v1/tables").header("content-type", "application/toml");
        request.body(contract).send().success();
    };
    let busy = |answer: Answer| assert_eq!((answer.status, answer.code()), (503, "server.busy".to_owned()));
    server.upload("many_rows");
    register("tests/guests/many_rows/contract.toml");
    server.post("/nodes", &json!({"component": "many_rows", "table": "many_rows", "config": {"rows": ROWS}}));
    server.ended(&server.post("/nodes/many_rows/runs", &json!({})));
    // Rows for one reader at a time.
    let rows = server.request("GET", "/api/v1/tables/many_rows/rows");
    let mut reader = rows.begin();
    reader.read_exact(&mut vec![0; 1_000]).unwrap();
    busy(rows.send());
    drop(reader);
    server.until("the place is free", |_| rows.send().status == 200);

    // One execution that is worked on, one that waits, one that is too many.
    let endless = json!({"rows": 100_000_000, "rows_per_batch": 1_000});
    let node =
        server.post("/nodes", &json!({"component": "many_rows", "table": "many_rows", "config": endless}));
    let node = node[0]["node"]["uid"].as_str().unwrap();
    let run = || server.request("POST", &format!("/api/v1/nodes/{node}/runs")).json(&json!({})).send();
    let first = run().success();
    let id = first["execution_id"].as_str().unwrap();
    let place = format!("/executions/{id}");
    server.until("the first one runs", |server| server.get(&place)["state"] == "running");
    let second = run().success();
    busy(run());
    // One who watches.
    let events = server.request("GET", &format!("/api/v1{place}/events"));
    let mut watcher = events.begin();
    watcher.read_exact(&mut [0; 100]).unwrap();
    busy(events.send());
    for execution in [&second, &first] {
        let id = execution["execution_id"].as_str().unwrap();
        server.post(&format!("/executions/{id}/cancel"), &json!({}));
        assert_eq!(server.ended(execution)["state"], "cancelled");
    }
    let mut told = String::new();
    watcher.read_to_string(&mut told).unwrap();
    assert!(told.contains("event: end"), "{told}");

    // One upload that has begun.
    let begin = |digit: &str| {
        let path = format!("/api/v1/components/uploads/{}", digit.repeat(64));
        server.request("PUT", &path).header("upload-length", "10").body(b"abc".to_vec()).send()
    };
    assert_eq!(begin("a").status, 202);
    busy(begin("b"));
    let given_up = server.request("DELETE", &format!("/api/v1/components/uploads/{}", "a".repeat(64))).send();
    assert_eq!(given_up.status, 204);
    assert_eq!(begin("b").status, 202);

    // Rows that are sent, and a query that is.
    let table = json!({
        "identifier": "codes", "kind": "reference", "description": "d", "primary_key": ["code"],
        "columns": [{"name": "code", "type": "string", "description": "d"}],
    });
    server.post("/tables", &table);
    let load = server.request("POST", "/api/v1/tables/codes/load").header("content-type", "text/csv");
    assert_eq!(
        load.body(format!("code\n{}", "x\n".repeat(1_000)).into()).send().code(),
        "server.body_too_large"
    );
    let long = server.request("GET", &format!("/api/v1/tables?label={}", "%41".repeat(15_000))).send();
    assert_eq!((long.status, long.code()), (414, "server.query_too_long".to_owned()));
    is_well(&server);
}

#[test]
fn nonsense_is_answered_or_hung_up_on() {
    let project = Project::new().set(SETTINGS);
    let server = Server::start(&project, &[]);
    server.post(
        "/tables",
        &json!({
            "identifier": "daily", "kind": "time_indexed", "description": "d", "index": ["time_index"],
            "columns": [
                {"name": "time_index", "type": "timestamp_tz", "description": "d"},
                {"name": "value", "type": "float64", "description": "d"},
            ],
        }),
    );
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost\r\n\r\n",
        b"POST /api/v1/tables HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /api/v1/tables HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /api/v1/tables HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(bytes).unwrap();
        if let Some(answer) = Answer::try_read(&mut stream) {
            assert!((400..500).contains(&answer.status) || answer.status == 505, "{bytes:?}: {}", answer.status);
        }
    }
    // Paths that lead out of anything, and texts that no name is.
    for path in [
        "/api/v1/tables/..",
        "/api/v1/tables/%2e%2e",
        "/api/v1/tables/../../../../etc/passwd",
        "/api/v1/tables/..%2f..%2f..%2fetc%2fpasswd",
        "/api/v1/tables/%2fetc%2fpasswd",
        "/api/v1/tables/daily%00",
        "/api/v1/tables/%ff%fe",
        "/api/v1/tables/'%3B%20DROP%20TABLE%20daily--",
        "//api/v1/tables",
        "/api//v1/tables",
        "/api/v1/tables/",
        "/api/v1/components/uploads/..%2f..%2fx",
        "/api/v1/components/uploads/%2e%2e",
        "/api/v1/runs/..",
        "/api/v1/tables/daily/rows?filter=a%00b",
        "/api/v1/tables/daily/rows?columns=value%22%3B",
        "/api/v1/tables/daily/rows?start=9999999999999999999",
        "/api/v1/tables/daily/rows?limit=-1",
        "/api/v1/tables/daily/rows?limit=99999999999999999999999",
        "/api/v1/runs?cursor=1.AAAA&limit=5",
        "/api/v1/audit?before=x",
    ] {
        let answer = server.request("GET", path).send();
        assert!(
            (400..500).contains(&answer.status) || path.contains("cursor"),
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(!answer.text().contains("root:"), "{path}");
    }
    for body in [
        &b"null"[..],
        b"[]",
        b"{}",
        b"\"x\"",
        b"{\"identifier\": \"a\\u0000b\"}",
        b"\xff\xfe",
        b"{\"identifier\": 1e999}",
        "[".repeat(50_000).as_bytes(),
    ] {
        for path in [
            "/api/v1/tables",
            "/api/v1/nodes",
            "/api/v1/users",
            "/api/v1/roles",
            "/api/v1/sources",
            "/api/v1/tables/daily/rows/query",
        ] {
            let request =
                server.request("POST", path).header("content-type", "application/json").body(body.to_vec());
            let answer = request.send();
            let is_read = path.ends_with("query") && body == b"{}";
            assert!(
                (400..500).contains(&answer.status) || is_read,
                "{path} {body:?}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
    assert_eq!(server.get("/tables")["items"].as_array().unwrap().len(), 1, "nothing was made or lost");
    is_well(&server);
}

#[test]
fn a_database_that_is_lost_comes_back() {
    // Where the server of the tests is another machine's, there is nothing to restart here.
    let Some(binaries) = installed() else { return };
    let mut cluster = Cluster::start(&binaries, Disk::Synced, None).unwrap();
    let project = Project::new();
    let url = cluster.url("127.0.0.1");
    let mut command = project.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    command.env("DATANODE_DATABASE_URL", &url);
    let server = Server::started(command);
    server.upload(SERIES);
    let contract = std::fs::read(root().join("tests/guests/daily_series/contract.toml")).unwrap();
    let request = server.request("POST", "/api/v1/tables").header("content-type", "application/toml");
    request.body(contract).send().success();
    server.post("/nodes", &json!({"component": SERIES, "table": SERIES, "config": {"series": ["USD"]}}));
    let run = |until: &str| {
        let key = format!("run-{until}");
        let request =
            server.request("POST", &format!("/api/v1/nodes/{SERIES}/runs")).header("idempotency-key", &key);
        request.json(&json!({"until": until})).send()
    };
    let ended = server.ended(&run("2000-01-10").success());
    assert_eq!(ended["result"][0]["rows_inserted"], 10, "{ended}");

    cluster.crash().unwrap();
    assert_eq!(server.request("GET", "/healthz").send().status, 200);
    let not_ready = server.request("GET", "/readyz").send();
    assert_eq!((not_ready.status, not_ready.code()), (503, "server.not_ready".to_owned()));
    let lost = server.request("GET", "/api/v1/tables").send();
    assert_eq!(lost.status, 503, "{}", lost.text());
    assert!(lost.header("retry-after").is_some());
    // What the database is called, and where it is, is not told.
    assert!(!lost.text().contains("127.0.0.1") && !lost.text().contains("postgres"), "{}", lost.text());
    cluster.begin_again().unwrap();
    server.until("it is ready again", |server| server.request("GET", "/readyz").send().status == 200);
    assert_eq!(server.get(&format!("/tables/{SERIES}"))["rows"], 10, "nothing is lost");

    // Requests and runs while it goes and comes: each is answered, none with a 500, and what was answered is there.
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| {
            let begin = Instant::now();
            let mut statuses: Vec<u16> = Vec::new();
            while begin.elapsed() < Duration::from_secs(8) {
                statuses.push(server.request("GET", &format!("/api/v1/tables/{SERIES}")).send().status);
            }
            statuses
        });
        let mut begun: Vec<Value> = Vec::new();
        for day in 11..=20 {
            let answer = run(&format!("2000-01-{day}"));
            assert!(matches!(answer.status, 202 | 503), "{}", answer.text());
            if answer.status == 202 {
                begun.push(answer.json());
            }
            if day == 13 {
                cluster.crash().unwrap();
                cluster.begin_again().unwrap();
            }
        }
        for execution in &begun {
            let id = execution["execution_id"].as_str().unwrap();
            server.until("an execution ends", |server| {
                let state = server.get(&format!("/executions/{id}"))["state"].clone();
                !matches!(state.as_str(), Some("waiting" | "running"))
            });
        }
        let statuses = asks.join().unwrap();
        assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
        assert!(statuses.ends_with(&[200]), "{statuses:?}");
    });
    let last = server.ended(
        &server.post(&format!("/nodes/{SERIES}/runs"), &json!({"until": "2000-01-25", "wait_seconds": 60})),
    );
    assert_eq!(last["state"], "done", "{last}");
    assert_eq!(server.get(&format!("/tables/{SERIES}"))["rows"], 25);
    assert_eq!(
        server.post(&format!("/tables/{SERIES}/statistics/verify"), &json!({}))["differences"],
        json!([])
    );
    assert_eq!(server.metric("datanode_http_requests_total", &["status=\"500\""]), 0, "{}", server.log());
    drop(server);
}
