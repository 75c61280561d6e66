//! The producer protocol over HTTP: each status code, what is asked twice, and what nobody should send. The client that
//! speaks it is another test (`compat.rs`); here is what it never says.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datanode_store::fault::{self, Step};
use datanode_tests::{Project, Server, on_both_databases};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

const TABLE: &str = r#"
identifier = "prices"
index = ["time_index", "name"]
cadence = "1d"
columns = [
    { name = "time_index", type = "timestamp_tz" },
    { name = "name", type = "string" },
    { name = "price", type = "float64", nullable = true },
    { name = "lots", type = "int64", nullable = true },
    { name = "facts", type = "json", nullable = true },
]
"#;

const NODES: &str = "/orm/api/ts_manager/local_time_serie";
const SCHEDULERS: &str = "/orm/api/ts_manager/scheduler";

/// A project with a table, and a server over it.
struct Place {
    project: Project,
    server: Server,
    table: String,
}

impl Place {
    fn new(project: Project) -> Self {
        Self::under(project, "[runs]\nlease_seconds = 30\n")
    }

    fn under(project: Project, settings: &str) -> Self {
        Self::of(project, settings, TABLE)
    }

    fn of(project: Project, settings: &str, contract: &str) -> Self {
        let project = project.set(settings);
        std::fs::write(project.path().join("prices.toml"), contract).unwrap();
        project.run(&["table", "register", "prices.toml"]);
        let table = project.json(&["table", "show", "prices"])["uid"].as_str().unwrap().to_owned();
        let server = Server::start(&project, &[]);
        Self { project, server, table }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        ask(&self.server, method, path, body.to_string().as_bytes())
    }

    /// Ask for what must be answered so.
    #[track_caller]
    fn answer(&self, status: u16, method: &str, path: &str, body: &Value) -> Value {
        let (found, answer) = self.ask(method, path, body);
        assert_eq!(found, status, "{method} {path}: {answer}");
        answer
    }

    /// Ask for what must be refused so; what is said.
    #[track_caller]
    fn refused(&self, status: u16, method: &str, path: &str, body: &Value) -> String {
        let answer = self.answer(status, method, path, body);
        let detail = answer["detail"].as_str().unwrap_or_default().to_owned();
        assert!(!detail.is_empty(), "the client shows `detail`: {answer}");
        detail
    }

    /// An update process.
    #[track_caller]
    fn node(&self, update_hash: &str) -> String {
        let body = json!({
            "update_hash": update_hash, "build_configuration": {"window": 5}, "meta_table_uid": self.table,
            "current_project_uid": "project-1",
        });
        let (status, node) = self.ask("POST", &format!("{NODES}/get_or_create/"), &body);
        assert!(matches!(status, 200 | 201), "{status} {node}");
        node["uid"].as_str().unwrap().to_owned()
    }

    fn scheduler(&self, node: &str) -> String {
        let body = json!({
            "scheduler_name": format!("DEBUG_{node}"), "delink_all_update_nodes": false,
            "remove_from_other_schedulers": true, "scheduler_kwargs": {"running_in_debug_mode": true},
            "update_node_uids": [node],
        });
        let made =
            self.answer(201, "POST", &format!("{SCHEDULERS}/build_and_assign_to_update_nodes/"), &body);
        made["uid"].as_str().unwrap().to_owned()
    }

    fn start(&self, node: &str, scheduler: &str) -> Value {
        let body = json!({"active_update_scheduler_uid": scheduler});
        self.answer(201, "PATCH", &format!("{NODES}/{node}/set_start_of_execution/"), &body)
    }

    fn insert(&self, node: &str, rows: &Value) -> (u16, Value) {
        self.ask("POST", &format!("{NODES}/{node}/insert_data_into_table/"), &packed(&rows.to_string()))
    }

    fn complete(&self, node: &str, first: &str, last: &str, names: &[&str]) -> (u16, Value) {
        let leaves: serde_json::Map<_, _> =
            names.iter().map(|name| ((*name).to_owned(), json!(last))).collect();
        let statistics = json!({
            "multi_index_stats": {"_GLOBAL_": {"min": first, "max": last}, "index_progress": leaves,
                                  "index_min": leaves},
            "multi_index_column_stats": {"price": {}},
        });
        let path = format!("{NODES}/{node}/set_last_update_index_time_from_update_stats/");
        self.ask("POST", &path, &packed(&statistics.to_string()))
    }

    fn end(&self, node: &str, run: &str, failed: bool) -> (u16, Value) {
        let body = json!({"error_on_update": failed, "historical_update_uid": run});
        self.ask("PATCH", &format!("{NODES}/{node}/set_end_of_execution/"), &body)
    }

    fn rows(&self) -> i64 {
        let counted = self.project.json(&["table", "show", "prices"])["rows"].as_i64();
        counted.unwrap_or_else(|| panic!("{}", self.project.json(&["table", "show", "prices"])))
    }
}

/// One request on a connection of its own: status, and the JSON of the body.
fn ask(server: &Server, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    // The client labels its bodies by chance.
    let request = server.request(method, path).header("content-type", "text/plain");
    let answer = request.body(body.to_vec()).send();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn packed(text: &str) -> Value {
    json!({
        "data": STANDARD.encode(gzip(text.as_bytes())), "chunk_stats": {}, "overwrite": true, "chunk_index": 0,
        "total_chunks": 1,
    })
}

fn row(day: u32, name: &str, price: f64) -> Value {
    json!({"time_index": format!("2026-01-{day:02}T00:00:00Z"), "name": name, "price": price, "lots": 1,
           "facts": {"day": day}})
}

/// The steps of the client, in its order, with what it may repeat repeated.
fn an_update_is_received_committed_and_answered_the_same_when_asked_again(project: Project) {
    let place = Place::new(project);
    let list = format!(
        "{NODES}/?update_hash=prices_1&remote_table__uid={}&include_relations_detail=true",
        place.table
    );
    assert_eq!(place.answer(200, "GET", &list, &Value::Null)["count"], 0);
    let node = place.node("prices_1");
    assert_eq!(place.node("prices_1"), node);
    let found = place.answer(200, "GET", &list, &Value::Null);
    assert_eq!((&found["count"], &found["results"][0]["uid"]), (&json!(1), &json!(node)));
    assert_eq!(found["results"][0]["data_node_storage"]["uid"], json!(place.table));
    assert_eq!(found["results"][0]["build_configuration"], json!({"window": 5}));

    let scheduler = place.scheduler(&node);
    let constants = place.answer(200, "GET", "/orm/api/ts_manager/api/constants", &Value::Null);
    assert_eq!(constants["SCHEDULER_HEART_BEAT_FREQUENCY_SECONDS"], 10, "three in a lease");
    let beat = json!({"is_running": true, "running_process_pid": 1, "running_in_debug_mode": true,
                      "last_heart_beat": 1_769_731_200.25});
    let heard = place.answer(200, "PATCH", &format!("{SCHEDULERS}/{scheduler}/"), &beat);
    assert_eq!((&heard["uid"], &heard["running_process_pid"]), (&json!(scheduler), &json!(1)));
    let linked =
        place.answer(200, "PATCH", &format!("{NODES}/{node}/"), &json!({"ogm_dependencies_linked": true}));
    assert_eq!(linked["ogm_dependencies_linked"], true);
    let priorities = format!("{NODES}/{node}/get_all_dependencies_update_priority/");
    assert_eq!(place.answer(200, "GET", &priorities, &Value::Null), json!([]));
    let tree = json!({"update_node_uids": [node, node]});
    place.answer(204, "PATCH", &format!("{SCHEDULERS}/{scheduler}/in-active-tree/"), &tree);
    let states = json!({
        "update_nodes": [{"uid": node, "update_hash": "prices_1", "physical_table_name": "prices",
                          "node_type": "local_time_serie"}],
        "update_details_kwargs": {"error_on_last_update": false, "active_update_scheduler_uid": scheduler,
                                  "active_update_status": "Q"},
        "update_priority_dict": null,
    });
    let states = place.answer(200, "POST", &format!("{NODES}/get_metadatas_and_set_updates/"), &states);
    assert_eq!(states["local_metadatas"][0]["uid"], json!(node));
    assert_eq!(states["state_data"][&node]["last_update"], Value::Null);

    let begun = place.start(&node, &scheduler);
    let run = begun["historical_update"]["uid"].as_str().unwrap().to_owned();
    assert_eq!((&begun["must_update"], &begun["multi_index_stats"]), (&json!(true), &Value::Null));
    assert_eq!(place.start(&node, &scheduler)["historical_update"]["uid"], json!(run), "asked again");
    let first = json!([row(1, "a", 1.5), row(2, "a", 2.5)]);
    for _ in 0..2 {
        let (status, answer) = place.insert(&node, &first);
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(place.insert(&node, &json!([row(3, "b", 3.5)])).0, 200);
    assert_eq!(place.insert(&node, &json!([])).0, 200);
    assert_eq!(place.rows(), 0, "nothing is there before all of it is");
    let committed = || place.complete(&node, "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z", &["a", "b"]);
    let (status, answer) = committed();
    assert_eq!((status, &answer["uid"]), (200, &json!(node)), "{answer}");
    assert_eq!(place.rows(), 3);
    assert_eq!(committed().0, 200, "the first outcome is the answer");
    assert_eq!(place.end(&node, &run, false).0, 200);
    assert_eq!(place.end(&node, &run, true).0, 200, "how it ended does not change");
    assert_eq!(committed().0, 200);
    assert_eq!(place.insert(&node, &first).0, 409, "it is over");

    // Incremental, over what is there: rows that are there take the new values.
    let begun = place.start(&node, &scheduler);
    assert_eq!(begun["multi_index_stats"]["index_progress"]["b"], "2026-01-03T00:00:00.000000Z");
    let second = json!([row(2, "a", 20.0), row(3, "b", 3.5), row(4, "b", 4.5)]);
    assert_eq!(place.insert(&node, &second).0, 200);
    assert_eq!(place.complete(&node, "2026-01-02T00:00:00Z", "2026-01-04T00:00:00Z", &["a", "b"]).0, 200);
    let run = begun["historical_update"]["uid"].as_str().unwrap();
    let record = place.project.json(&["run", "show", run]);
    let rows = ["rows_inserted", "rows_updated", "rows_unchanged"].map(|name| record[name].as_u64().unwrap());
    assert_eq!((rows, &record["kind"]), ([1, 1, 1], &json!("producer")), "{record}");
    assert_eq!(record["producer"]["uploads"], 1);
    assert_eq!(place.rows(), 4);
    assert!(place.project.json(&["stats", "verify"]).to_string().contains("\"differences\":[]"));

    let replayed = place.project.output(&["run", "replay", run]);
    let said = String::from_utf8_lossy(&replayed.stdout).into_owned();
    assert!(said.contains("cannot replay") && said.contains("written by a producer"), "{said}");
    let (_, said) = place.project.fails(&["node", "run", "prices_1"]);
    assert!(said.contains("producer.runs_elsewhere"), "{said}");
}

/// What stands between the begin and the commit can go wrong in each place.
fn an_update_that_does_not_end_well_stores_nothing(project: Project) {
    let place = Place::new(project);
    let node = place.node("prices_1");
    let scheduler = place.scheduler(&node);
    let run_of = |begun: &Value| begun["historical_update"]["uid"].as_str().unwrap().to_owned();
    let error_of = |run: &str| place.project.json(&["run", "show", run])["error"]["code"].clone();

    // Before anything has begun.
    assert_eq!(place.insert(&node, &json!([row(1, "a", 1.0)])).0, 409);
    assert_eq!(place.complete(&node, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", &["a"]).0, 409);
    // It says that it failed.
    let run = run_of(&place.start(&node, &scheduler));
    place.insert(&node, &json!([row(1, "a", 1.0)]));
    assert_eq!(place.end(&node, &run, true).0, 200);
    assert_eq!(place.end(&node, &run, true).0, 200);
    assert_eq!(error_of(&run), "producer.reported");
    // It ends without statistics.
    let run = run_of(&place.start(&node, &scheduler));
    place.insert(&node, &json!([row(1, "a", 1.0)]));
    assert_eq!(place.end(&node, &run, false).0, 200);
    assert_eq!(error_of(&run), "producer.not_completed");
    // Its statistics are of other rows: an upload is missing, or somebody else has sent one.
    for (first, last, names) in [
        ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", &["a"][..]),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", &["a", "b"]),
    ] {
        let run = run_of(&place.start(&node, &scheduler));
        place.insert(&node, &json!([row(1, "a", 1.0)]));
        assert_eq!(place.complete(&node, first, last, names).0, 409);
        assert_eq!(place.complete(&node, first, last, names).0, 409, "the first outcome is the answer");
        assert_eq!(error_of(&run), "producer.statistics");
        assert_eq!(place.end(&node, &run, true).0, 200);
    }
    // One row in two uploads.
    let run = run_of(&place.start(&node, &scheduler));
    place.insert(&node, &json!([row(1, "a", 1.0), row(2, "a", 1.0)]));
    place.insert(&node, &json!([row(2, "a", 2.0), row(3, "a", 1.0)]));
    let (status, said) = place.complete(&node, "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z", &["a"]);
    assert_eq!(status, 400, "{said}");
    assert_eq!(error_of(&run), "frame.duplicate_key");
    // It begins again in its middle.
    let run = run_of(&place.start(&node, &scheduler));
    place.insert(&node, &json!([row(1, "a", 1.0)]));
    let again = run_of(&place.start(&node, &scheduler));
    assert_ne!(run, again);
    assert_eq!(error_of(&run), "producer.begun_again");
    assert_eq!(place.end(&node, &run, false).0, 200, "of a run that has ended");
    // It has nothing to send.
    assert_eq!(place.end(&node, &again, false).0, 200);
    assert_eq!(place.project.json(&["run", "show", &again])["status"], "empty");
    assert_eq!(place.rows(), 0);
    assert_eq!(place.project.number("SELECT count(*) FROM _producer_uploads"), 0);
}

/// Whose process has gone is waited for as long as its lease holds, and no longer.
fn of_two_processes_the_second_waits_for_the_lease_of_the_first(project: Project) {
    let place = Place::under(project, "[runs]\nlease_seconds = 2\n");
    let node = place.node("prices_1");
    let (first, second) = (place.scheduler(&node), place.scheduler(&node));
    assert_ne!(first, second, "each announcement is a process of its own");
    let lost = place.start(&node, &first);
    place.insert(&node, &json!([row(1, "a", 1.0)]));
    // It waits, and has the node when the lease has ended.
    let begun = place.start(&node, &second);
    assert_ne!(lost["historical_update"]["uid"], begun["historical_update"]["uid"]);
    let run = lost["historical_update"]["uid"].as_str().unwrap();
    assert_eq!(place.project.json(&["run", "show", run])["error"]["code"], "producer.abandoned");
    assert_eq!(place.end(&node, run, true).0, 200, "it is told late");
    assert_eq!(place.insert(&node, &json!([row(2, "a", 2.0)])).0, 200);
    assert_eq!(place.complete(&node, "2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z", &["a"]).0, 200);
    assert_eq!(place.rows(), 1, "of the first nothing is there");
}

/// Another server over the same database goes on where one was killed.
fn an_update_outlives_the_server_that_received_it(project: Project) {
    let mut place = Place::new(project);
    let node = place.node("prices_1");
    let scheduler = place.scheduler(&node);
    let run = place.start(&node, &scheduler)["historical_update"]["uid"].clone();
    assert_eq!(place.insert(&node, &json!([row(1, "a", 1.0)])).0, 200);
    place.server.kill();
    place.server = Server::start(&place.project, &[]);
    assert_eq!(place.insert(&node, &json!([row(1, "a", 1.0)])).0, 200, "sent again, kept once");
    assert_eq!(place.insert(&node, &json!([row(2, "b", 2.0)])).0, 200);
    assert_eq!(place.complete(&node, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", &["a", "b"]).0, 200);
    assert_eq!(place.rows(), 2);
    let record = place.project.json(&["run", "show", run.as_str().unwrap()]);
    assert_eq!((&record["rows_inserted"], &record["producer"]["uploads"]), (&json!(2), &json!(2)));
}

/// An upload comes while its update is being stored: what was answered with 200 is stored with it, and nothing else.
fn an_upload_beside_the_statistics_is_stored_or_refused(project: Project) {
    let place = Place::new(project);
    let node = place.node("prices_1");
    let scheduler = place.scheduler(&node);
    let insert = format!("{NODES}/{node}/insert_data_into_table/");
    for round in 0..20 {
        let name = format!("n{round}");
        place.start(&node, &scheduler);
        assert_eq!(place.insert(&node, &json!([row(1, &name, 1.0), row(3, &name, 3.0)])).0, 200);
        // The statistics are the same with it and without it.
        let between = packed(&json!([row(2, &name, 2.0)]).to_string()).to_string();
        let server = &place.server;
        let (late, (status, said)) = std::thread::scope(|scope| {
            let late = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(round % 7));
                ask(server, "POST", &insert, between.as_bytes()).0
            });
            let completed = place.complete(&node, "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z", &[&name]);
            (late.join().unwrap(), completed)
        });
        assert_eq!(status, 200, "{said}");
        let rows = place.project.number(&format!("SELECT count(*) FROM prices WHERE name = '{name}'"));
        let stored = match late {
            200 => 3,
            409 => 2,
            other => panic!("an upload was answered with {other}"),
        };
        assert_eq!(rows, stored, "round {round}: the upload was answered with {late}");
    }
    assert_eq!(place.project.number("SELECT count(*) FROM _producer_uploads"), 0);
}

/// As a client sends them: each coordinate three times, some 24 MB of JSON. That they are of other rows is told after all of
/// them were counted.
fn statistics_of_200_000_coordinates_are_read(project: Project) {
    let place = Place::new(project);
    let node = place.node("prices_1");
    let run = place.start(&node, &place.scheduler(&node))["historical_update"]["uid"].clone();
    assert_eq!(place.insert(&node, &json!([row(1, "a", 1.0)])).0, 200);
    let time = "2026-01-01T00:00:00Z";
    let leaves: Vec<String> =
        (0..200_000).map(|number| format!("\"coordinate-{number}\":\"{time}\"")).collect();
    let leaves = format!("{{{}}}", leaves.join(","));
    let statistics = format!(
        "{{\"multi_index_stats\":{{\"_GLOBAL_\":{{\"min\":\"{time}\",\"max\":\"{time}\"}},\"index_progress\":{leaves},\
         \"index_min\":{leaves}}},\"multi_index_column_stats\":{{\"price\":{leaves}}}}}"
    );
    assert!(statistics.len() > 20 << 20);
    let path = format!("{NODES}/{node}/set_last_update_index_time_from_update_stats/");
    let said = place.refused(409, "POST", &path, &packed(&statistics));
    assert!(said.contains("said to be of 200000 coordinates, and are of 1"), "{said}");
    let record = place.project.json(&["run", "show", run.as_str().unwrap()]);
    assert_eq!(record["error"]["code"], "producer.statistics");
}

/// Decimals are judged by the contract's values and beside stored ones, digit by digit: as floats all of these are the same.
fn decimals_of_a_producer_are_judged_digit_by_digit(project: Project) {
    const MOST: &str = "12345678901234.5678";
    let checks = format!(
        "[[checks]]\nname = \"sane\"\nkind = \"range\"\ncolumn = \"price\"\nmin = 0.05\nmax = \"{MOST}\"\n\
         [[checks]]\nname = \"known\"\nkind = \"accepted_values\"\ncolumn = \"price\"\nvalues = [\"{MOST}\"]\n\
         severity = \"warn\"\n\
         [[checks]]\nname = \"rises\"\nkind = \"monotonic\"\ncolumn = \"price\"\n"
    );
    let contract = TABLE.replace("\"float64\"", "\"decimal(18,4)\"") + &checks;
    let place = Place::of(project, "", &contract);
    let node = place.node("prices_1");
    let scheduler = place.scheduler(&node);
    let send = |day: u32, price: &str| {
        let run = place.start(&node, &scheduler)["historical_update"]["uid"].as_str().unwrap().to_owned();
        let mut sent = row(day, "a", 0.0);
        sent["price"] = price.into();
        assert_eq!(place.insert(&node, &json!([sent])).0, 200);
        let time = format!("2026-01-{day:02}T00:00:00Z");
        let (status, answer) = place.complete(&node, &time, &time, &["a"]);
        let record = place.project.json(&["run", "show", &run]);
        place.end(&node, &run, status != 200);
        (status, record, answer)
    };
    let (status, record, answer) = send(1, MOST);
    assert_eq!((status, &record["status"]), (200, &json!("ok")), "{answer} {record}");
    for (price, told) in [
        ("12345678901234.5679", "price = 12345678901234.5679"),
        ("0.0499", "price = 0.0499"),
        ("12345678901234.5677", "price = 12345678901234.5677 after 12345678901234.5678"),
    ] {
        let (status, record, answer) = send(2, price);
        assert_eq!((status, &record["error"]["code"]), (400, &json!("quality.failed")), "{answer} {record}");
        assert!(record["error"]["message"].as_str().unwrap().contains(told), "{record}");
    }
    assert_eq!(place.rows(), 1);
    let (status, record, answer) = send(2, MOST);
    assert_eq!((status, &record["status"]), (200, &json!("ok")), "{answer} {record}");
}

/// The server ends when rows are stored and uploads forgotten, but for the `COMMIT`: nothing of it has happened.
fn uploads_of_a_commit_that_is_cut_off_wait_for_the_next_one(project: Project) {
    let mut place = Place::new(project);
    place.server.kill();
    let mut cut_off = place.project.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    cut_off.env(fault::VARIABLE, Step::OF_PRODUCERS[0].as_str());
    place.server = Server::started(cut_off);
    let node = place.node("prices_1");
    let scheduler = place.scheduler(&node);
    let run = place.start(&node, &scheduler)["historical_update"]["uid"].clone();
    let rows = json!([row(1, "a", 1.0), row(2, "a", 2.0)]);
    assert_eq!(place.insert(&node, &rows).0, 200);
    let times = json!({"_GLOBAL_": {"min": "2026-01-01T00:00:00Z", "max": "2026-01-02T00:00:00Z"}});
    let path = format!("{NODES}/{node}/set_last_update_index_time_from_update_stats/");
    let statistics = packed(&json!({ "multi_index_stats": times }).to_string()).to_string();
    let answer = place.server.request("POST", &path).body(statistics.into_bytes()).try_send();
    assert!(answer.is_none(), "it has ended: {answer:?}");

    place.project.settle();
    place.server = Server::start(&place.project, &[]);
    assert_eq!(place.rows(), 0);
    assert_eq!(place.project.number("SELECT count(*) FROM _producer_uploads"), 1);
    assert_eq!(place.insert(&node, &rows).0, 200, "sent again, kept once");
    assert_eq!(place.complete(&node, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", &["a"]).0, 200);
    let record = place.project.json(&["run", "show", run.as_str().unwrap()]);
    assert_eq!((&record["rows_inserted"], &record["producer"]["uploads"]), (&json!(2), &json!(1)));
    assert_eq!(place.project.number("SELECT count(*) FROM _producer_uploads"), 0);
}

fn what_no_producer_should_send_is_refused_as_the_callers_error(project: Project) {
    let place = Place::new(project);
    let node = place.node("prices_1");
    let scheduler = place.scheduler(&node);
    place.start(&node, &scheduler);
    let insert = format!("{NODES}/{node}/insert_data_into_table/");
    let good = row(1, "a", 1.0).to_string();
    let with = |old: &str, new: &str| {
        assert!(good.contains(old), "{good}");
        packed(&format!("[{}]", good.replacen(old, new, 1)))
    };
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut said = String::new();
    for (what, body) in [
        ("no rows", packed("{}")),
        ("a number", packed("7")),
        ("deep JSON", packed(&deep)),
        ("a deep cell", with("{\"day\":1}", &deep)),
        ("NaN", with("1.0", "NaN")),
        ("Infinity", with("1.0", "-Infinity")),
        ("a huge float", with("1.0", "1e400")),
        ("a text for a number", with("1.0", "\"1.0\"")),
        ("an integer too large", with("\"lots\":1", "\"lots\":18446744073709551615")),
        ("an unknown column", with("\"lots\":1", "\"lots\":1,\"other\":2")),
        ("a column twice", with("\"lots\":1", "\"lots\":1,\"lots\":2")),
        ("a missing column", with("\"lots\":1,", "")),
        ("a null identity", with("\"name\":\"a\"", "\"name\":null")),
        ("a null time", with("\"2026-01-01T00:00:00Z\"", "null")),
        ("a time without a zone", with("2026-01-01T00:00:00Z", "2026-01-01T00:00:00")),
        ("a time that is too fine", with("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000001Z")),
        ("a time beyond all", with("2026-01-01T00:00:00Z", "+12026-01-01T00:00:00Z")),
        ("a zero byte", with("\"name\":\"a\"", "\"name\":\"a\\u0000\"")),
        ("half a character", with("\"name\":\"a\"", "\"name\":\"\\ud800\"")),
        ("a row twice", packed(&format!("[{good}, {good}]"))),
        ("no base64", json!({"data": "&&&&"})),
        ("no gzip", json!({"data": STANDARD.encode("[]")})),
        ("half of it", json!({"data": STANDARD.encode(&gzip(good.as_bytes())[..20])})),
        ("no data", json!({"rows": []})),
        ("data that is no text", json!({"data": [1, 2]})),
        ("appending", json!({"data": STANDARD.encode(gzip(b"[]")), "overwrite": false})),
    ] {
        let (status, answer) = place.ask("POST", &insert, &body);
        assert!((400..500).contains(&status) && status != 429, "{what}: {status} {answer}");
        let detail: String = answer["detail"].as_str().unwrap_or_default().chars().take(160).collect();
        said += &format!("{what}: {status} {detail}\n");
    }
    insta::assert_snapshot!("what_no_producer_should_send", said);

    // The client halves what is too large.
    let bomb = json!({"data": STANDARD.encode(gzip(&vec![b' '; (64 << 20) + 1]))});
    assert_eq!(place.ask("POST", &insert, &bomb).0, 413);
    assert_eq!(place.ask("POST", &insert, &json!({"data": "A".repeat(65 << 20)})).0, 413);
    for body in [&b"not json"[..], b"", b"[]", &[0xff, 0xfe]] {
        let (status, answer) = ask(&place.server, "POST", &insert, body);
        assert_eq!(status, 400, "{answer}");
    }
    // Nothing of all this was kept.
    assert_eq!(place.project.number("SELECT count(*) FROM _producer_uploads"), 0);
    assert_eq!(place.insert(&node, &json!([row(1, "a", 1.0)])).0, 200);
    assert_eq!(place.complete(&node, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", &["a"]).0, 200);
}

fn what_makes_no_sense_is_refused_as_the_callers_error(project: Project) {
    let place = Place::new(project);
    let node = place.node("prices_1");
    let other = place.node("prices_2");
    let scheduler = place.scheduler(&node);
    let nobody = "00000000-0000-4000-8000-000000000000";
    let at = |path: &str| format!("{NODES}/{path}");
    let table = json!({"meta_table_uid": place.table, "build_configuration": {}});
    let with = |field: &str, value: Value| {
        let mut body = table.clone();
        body["update_hash"] = json!("prices_3");
        body[field] = value;
        body
    };
    for (status, method, path, body) in [
        (400, "POST", at("get_or_create/"), table.clone()),
        (400, "POST", at("get_or_create/"), with("update_hash", json!("a".repeat(64)))),
        (400, "POST", at("get_or_create/"), with("update_hash", json!("a b"))),
        (400, "POST", at("get_or_create/"), with("build_configuration", json!([]))),
        (404, "POST", at("get_or_create/"), with("meta_table_uid", json!(nobody))),
        (400, "GET", at("?other=1"), Value::Null),
        (404, "GET", at(&format!("{nobody}/")), Value::Null),
        (404, "PATCH", at(&format!("{nobody}/")), json!({})),
        (400, "PATCH", at(&format!("{node}/")), json!({"update_hash": "x"})),
        (400, "PATCH", at(&format!("{node}/")), json!({"tags": "x"})),
        (400, "PATCH", at(&format!("{node}/depends_on_connect/")), json!({})),
        (404, "PATCH", at(&format!("{node}/depends_on_connect/")), json!({"target_update_node_uid": nobody})),
        (409, "PATCH", at(&format!("{node}/depends_on_connect/")), json!({"target_update_node_uid": node})),
        (
            404,
            "PATCH",
            at(&format!("{node}/depends_on_connect_to_api_table/")),
            json!({"target_table_uid": nobody}),
        ),
        (
            404,
            "PATCH",
            at(&format!("{node}/set_start_of_execution/")),
            json!({"active_update_scheduler_uid": nobody}),
        ),
        (400, "PATCH", at(&format!("{node}/set_start_of_execution/")), json!({})),
        (404, "PATCH", at(&format!("{nobody}/set_start_of_execution/")), json!({})),
        (
            404,
            "PATCH",
            at(&format!("{node}/set_end_of_execution/")),
            json!({"historical_update_uid": nobody}),
        ),
        (400, "PATCH", at(&format!("{node}/set_end_of_execution/")), json!({"error_on_update": true})),
        (404, "POST", at(&format!("{nobody}/insert_data_into_table/")), packed("[]")),
        (404, "PATCH", format!("{SCHEDULERS}/{nobody}/"), json!({})),
        (400, "PATCH", format!("{SCHEDULERS}/{scheduler}/"), json!({"last_heart_beat": "soon"})),
        (400, "PATCH", format!("{SCHEDULERS}/{scheduler}/"), json!({"running_process_pid": "x"})),
        (400, "PATCH", format!("{SCHEDULERS}/{scheduler}/"), json!({"other": 1})),
        (404, "GET", format!("{SCHEDULERS}/for-update-node/?update_node_uid={other}"), Value::Null),
        (
            404,
            "POST",
            format!("{SCHEDULERS}/build_and_assign_to_update_nodes/"),
            json!({"scheduler_name": "x",
            "update_node_uids": [nobody]}),
        ),
        (
            400,
            "POST",
            format!("{SCHEDULERS}/build_and_assign_to_update_nodes/"),
            json!({"update_node_uids": []}),
        ),
        (404, "PATCH", format!("{SCHEDULERS}/{scheduler}/assign/"), json!({"update_node_uids": [nobody]})),
        (404, "POST", at("get_metadatas_and_set_updates/"), json!({"update_nodes": [{"uid": nobody}]})),
        (400, "POST", at("get_metadatas_and_set_updates/"), json!({"update_nodes": [7]})),
    ] {
        place.refused(status, method, &path, &body);
    }
    // Statistics without times.
    let run = place.start(&node, &scheduler)["historical_update"]["uid"].clone();
    let path = at(&format!("{node}/set_last_update_index_time_from_update_stats/"));
    for statistics in
        ["{}", "7", "{\"multi_index_stats\": {\"_GLOBAL_\": {\"min\": 7}}}", &"[".repeat(10_000)]
    {
        place.refused(400, "POST", &path, &packed(statistics));
    }
    // The run of another node.
    assert_eq!(place.end(&other, run.as_str().unwrap(), true).0, 404);
    assert_eq!(place.end(&node, run.as_str().unwrap(), false).0, 200);
}

fn what_a_producer_reads_is_in_the_graph_and_in_its_runs(project: Project) {
    let place = Place::new(project);
    let (first, second, third) = (place.node("p_1"), place.node("p_2"), place.node("p_3"));
    let connect = |from: &str, to: &str| {
        let body = json!({"target_update_node_uid": to});
        place.answer(204, "PATCH", &format!("{NODES}/{from}/depends_on_connect/"), &body);
    };
    connect(&third, &second);
    connect(&second, &first);
    connect(&third, &first);
    let body = json!({"target_table_uid": place.table});
    place.answer(204, "PATCH", &format!("{NODES}/{third}/depends_on_connect_to_api_table/"), &body);
    let path = format!("{NODES}/{third}/get_all_dependencies_update_priority/");
    let answer = place.answer(200, "GET", &path, &Value::Null);
    let order: Vec<_> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["update_node_uid"], &row["update_priority"]))
        .collect();
    assert_eq!(order, [(&json!(first), &json!(0)), (&json!(second), &json!(1))]);
    place.refused(
        409,
        "PATCH",
        &format!("{NODES}/{first}/depends_on_connect/"),
        &json!({"target_update_node_uid": third}),
    );
    let verify = format!("{NODES}/{third}/verify_if_direct_dependencies_are_updated/");
    assert_eq!(place.answer(200, "GET", &verify, &Value::Null)["updated"], false);

    let run = place.start(&third, &place.scheduler(&third))["historical_update"]["uid"].clone();
    place.insert(&third, &json!([row(1, "a", 1.0)]));
    assert_eq!(place.complete(&third, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", &["a"]).0, 200);
    let record = place.project.json(&["run", "show", run.as_str().unwrap()]);
    let keys: Vec<_> =
        record["inputs"].as_array().unwrap().iter().map(|input| input["key"].clone()).collect();
    assert_eq!(keys, ["p_2", "p_1", "prices"]);
    let graph = place.project.json(&["node", "graph", "p_3"]);
    assert_eq!(graph["nodes"].as_array().unwrap().len(), 3, "{graph}");

    place.answer(204, "POST", &format!("{NODES}/{third}/clear-dependencies/"), &json!({}));
    assert_eq!(place.answer(200, "GET", &path, &Value::Null), json!([]));
}

on_both_databases!(
    an_update_is_received_committed_and_answered_the_same_when_asked_again,
    an_update_that_does_not_end_well_stores_nothing,
    of_two_processes_the_second_waits_for_the_lease_of_the_first,
    an_update_outlives_the_server_that_received_it,
    an_upload_beside_the_statistics_is_stored_or_refused,
    statistics_of_200_000_coordinates_are_read,
    decimals_of_a_producer_are_judged_digit_by_digit,
    uploads_of_a_commit_that_is_cut_off_wait_for_the_next_one,
    what_no_producer_should_send_is_refused_as_the_callers_error,
    what_makes_no_sense_is_refused_as_the_callers_error,
    what_a_producer_reads_is_in_the_graph_and_in_its_runs,
);
