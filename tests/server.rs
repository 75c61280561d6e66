//! `datanode serve`, driven over HTTP: the own API on both databases, people and rights, what answers look like.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)]

#[path = "server/hidden.rs"]
mod hidden;
#[path = "server/openapi.rs"]
mod openapi;
#[path = "server/pages.rs"]
mod pages;
#[path = "server/rights.rs"]
mod rights;
#[path = "server/shown.rs"]
mod shown;
#[path = "server/traces.rs"]
mod traces;
#[path = "server/walk.rs"]
mod walk;

use std::io::{Read, Write};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use datanode_core::digest::Digest;
use datanode_tests::{Answer, Project, Server, component, on_both_databases, root};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

const SERIES: &str = "daily_series";

/// A contract of the shape of `daily_series`.
fn contract(table: &str) -> Value {
    let column = |name: &str, kind: &str| json!({"name": name, "type": kind, "description": "For tests."});
    json!({
        "identifier": table, "kind": "time_indexed", "namespace": "tests.guests", "cadence": "1d",
        "description": "Made-up numbers.", "labels": ["test"], "index": ["time_index", "series"],
        "columns": [column("time_index", "timestamp_tz"), column("series", "string"), column("value", "float64")],
    })
}

/// A server with the component, a table, and a node that has run until the end of January 2000.
fn with_rows(project: &Project) -> Server {
    let server = Server::start(project, &[]);
    server.upload(SERIES);
    server.post("/tables", &contract("daily"));
    let node = json!({"component": SERIES, "table": "daily", "config": {"series": ["USD", "GBP"]}});
    server.post("/nodes", &node);
    let ended = run(&server, "daily", &json!({"until": "2000-01-31"}));
    assert_eq!(ended["result"][0]["status"], "ok", "{ended}");
    server
}

fn run(server: &Server, node: &str, how: &Value) -> Value {
    let begun = server.post(&format!("/nodes/{node}/runs"), how);
    server.ended(&begun)
}

fn error(server: &Server, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
    let request = server.request(method, path);
    let answer = body.map_or(request.clone(), |body| request.json(body)).send();
    (answer.status, answer.code())
}

on_both_databases! {
    what_the_command_prints_is_what_the_server_answers,
    a_node_from_nothing_to_rows,
    rows_come_in_each_format,
    changes_name_the_state_that_they_change,
    of_those_who_have_seen_the_same_state_one_changes_it,
    changes_of_one_source_that_meet_are_all_made,
    a_request_with_a_key_is_carried_out_once,
    lists_come_in_pages,
    backfills_and_replays_are_executions,
    old_journals_go_while_a_server_runs,
    callers_errors_are_no_5xx,
    two_servers_over_one_database,
}

fn what_the_command_prints_is_what_the_server_answers(project: Project) {
    let server = with_rows(&project);
    let items = |path: &str| server.get(path)["items"].clone();
    assert_eq!(items("/components"), project.json(&["component", "list"]));
    assert_eq!(server.get("/components/daily_series"), project.json(&["component", "show", SERIES]));
    assert_eq!(items("/tables"), project.json(&["table", "list"]));
    assert_eq!(server.get("/tables/daily"), project.json(&["table", "show", "daily"]));
    assert_eq!(items("/nodes"), project.json(&["node", "list"]));
    assert_eq!(server.get("/nodes/daily"), project.json(&["node", "show", "daily"]));
    assert_eq!(server.get("/graph"), project.json(&["node", "graph"]));
    assert_eq!(items("/nodes/daily/windows"), project.json(&["node", "windows", "daily"]));
    assert_eq!(items("/runs"), project.json(&["run", "list"]));
    let run = items("/runs")[0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(server.get(&format!("/runs/{run}")), project.json(&["run", "show", &run]));
    assert_eq!(server.get("/tables/daily/statistics"), project.json(&["stats", "show", "daily"]));
    assert_eq!(server.get("/tables/daily/digest"), project.json(&["table", "digest", "daily"]));
    let hash = server.post("/nodes/hash", &json!({"node": "daily"}));
    assert_eq!(hash, project.json(&["node", "hash", "daily"]));
    let rows = server.request("GET", "/api/v1/tables/daily/rows").send().success();
    assert_eq!(rows, project.json(&["table", "read", "daily", "--limit", "0"]));
}

fn a_node_from_nothing_to_rows(project: Project) {
    let server = with_rows(&project);
    // Again changes nothing, and says so by its status.
    let again = server
        .request("POST", "/api/v1/components")
        .header("content-type", "application/wasm")
        .body(std::fs::read(component(SERIES)).unwrap())
        .send();
    assert_eq!((again.status, again.json()["created"].as_bool()), (200, Some(false)));
    let toml = std::fs::read_to_string(root().join("tests/guests/daily_series/contract.toml")).unwrap();
    let toml = |server: &Server| {
        server
            .request("POST", "/api/v1/tables")
            .header("content-type", "application/toml")
            .body(toml.clone().into())
            .send()
    };
    assert_eq!(toml(&server).status, 201);
    assert_eq!(toml(&server).status, 200);

    // A run that has nothing to do, and one that is tried dry.
    let ended = run(&server, "daily", &json!({"until": "2000-01-31"}));
    assert_eq!(
        (&ended["state"], &ended["result"][0]["rows_inserted"]),
        (&json!("done"), &json!(0)),
        "{ended}"
    );
    let dry = run(&server, "daily", &json!({"until": "2000-02-02", "dry_run": true, "sample": 3}));
    assert_eq!(dry["result"]["frame"]["rows"], 4, "{dry}");
    assert_eq!(dry["result"]["frame"]["sample"].as_array().unwrap().len(), 3);
    assert_eq!(server.get("/runs")["items"].as_array().unwrap().len(), 2, "a dry run leaves no record");

    // SQL, a tail that goes, what the node does again.
    let sql = json!({"sql": "SELECT count(*) AS n FROM daily"});
    if !project.is_on_server() {
        assert_eq!(server.post("/tables/daily/query", &sql)["results"], json!([{"n": 62}]));
        let hostile = server.post("/tables/daily/query", &json!({"sql": "DROP TABLE daily"}));
        assert_eq!(hostile["ok"], false);
    }
    let tail = json!({"after": "2000-01-30", "scope": {"where": {"series": ["USD"]}}, "dry_run": true});
    assert_eq!(server.post("/tables/daily/delete-after", &tail)["rows"], 2);
    let tail = json!({"after": "2000-01-30", "scope": {"where": {"series": ["USD"]}}});
    assert_eq!(server.post("/tables/daily/delete-after", &tail)["rows"], 2);
    let ended = run(&server, "daily", &json!({"until": "2000-01-31"}));
    assert_eq!(ended["result"][0]["rows_inserted"], 2, "{ended}");
    let verified = server.post("/tables/daily/statistics/verify", &json!({}));
    assert_eq!(verified["differences"], json!([]));

    // What happened is told as it happened, from any event on.
    let id = ended["execution_id"].as_str().unwrap();
    let events = server.request("GET", &format!("/api/v1/executions/{id}/events")).send();
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    let names = names_of(&events);
    assert_eq!(names.first().map(String::as_str), Some("started"));
    assert_eq!(names.last().map(String::as_str), Some("end"));
    assert!(names.contains(&"logged".to_owned()) && names.contains(&"finished".to_owned()), "{names:?}");
    let late = server
        .request("GET", &format!("/api/v1/executions/{id}/events"))
        .header("last-event-id", &(names.len() - 1).to_string())
        .send();
    assert_eq!(names_of(&late), ["end"]);
    let run_id = ended["runs"][0].as_str().unwrap();
    let logs = server
        .request("GET", &format!("/api/v1/runs/{run_id}/logs"))
        .header("accept", "text/event-stream")
        .send();
    assert!(names_of(&logs).contains(&"logged".to_owned()));
    assert_eq!(server.get(&format!("/runs/{run_id}/logs"))["items"][0]["message"], "days to store");
}

fn names_of(events: &Answer) -> Vec<String> {
    let text = events.text();
    text.lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect()
}

fn rows_come_in_each_format(project: Project) {
    let server = with_rows(&project);
    let read = |accept: &str, query: &str| {
        let request = server.request("GET", &format!("/api/v1/tables/daily/rows{query}"));
        let answer = request.header("accept", accept).send();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.is_whole);
        assert_eq!(answer.header("datanode-table-rows"), Some("62"));
        answer
    };
    let json = read("application/json", "").json();
    assert_eq!(json.as_array().unwrap().len(), 62);
    let lines = read("application/x-ndjson", "").text();
    assert_eq!(
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>(),
        *json.as_array().unwrap()
    );
    let csv = read("text/csv", "?filter=series%3DUSD&start=2000-01-02&end=2000-01-04&columns=value").text();
    assert_eq!(csv.lines().count(), 4, "{csv}");
    assert!(csv.starts_with("time_index,series,value"), "{csv}");
    let arrow = read("application/vnd.apache.arrow.stream", "?start=%3E2000-01-30");
    let batches: Vec<_> =
        StreamReader::try_new(arrow.body.as_slice(), None).unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    let parquet = read("application/vnd.apache.parquet", "?last=true");
    let mut file = tempfile();
    file.write_all(&parquet.body).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);

    let body = json!({"filters": ["series=USD"], "limit": 3, "start": "2000-01-05", "start_operand": ">"});
    let queried = server.post("/tables/daily/rows/query", &body);
    assert_eq!(queried.as_array().unwrap().len(), 3);
    assert_eq!(queried[0]["time_index"], "2000-01-06T00:00:00.000000Z");
    assert_eq!(queried[0]["value"], 10_962.0);

    let refused = server.request("GET", "/api/v1/tables/daily/rows").header("accept", "text/html").send();
    assert_eq!((refused.status, refused.code()), (406, "server.not_acceptable".to_owned()));
    let compressed =
        server.request("GET", "/api/v1/tables/daily/rows").header("accept-encoding", "gzip").send();
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    let head = server.request("HEAD", "/api/v1/tables/daily").send();
    assert_eq!((head.status, head.body.len()), (200, 0));
}

/// A file without a name.
fn tempfile() -> std::fs::File {
    let directory = tempfile::TempDir::new().unwrap();
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(directory.path().join("rows"))
        .unwrap()
}

fn changes_name_the_state_that_they_change(project: Project) {
    let server = with_rows(&project);
    let shown = server.request("GET", "/api/v1/tables/daily").send();
    let tag = shown.header("etag").unwrap().to_owned();
    let same = server.request("GET", "/api/v1/tables/daily").header("if-none-match", &tag).send();
    assert_eq!((same.status, same.body.len()), (304, 0));
    let edit = |tag: &str, label: &str| {
        server
            .request("PATCH", "/api/v1/tables/daily")
            .header("if-match", tag)
            .json(&json!({"add_labels": [label]}))
            .send()
    };
    let first = edit(&tag, "one");
    assert_eq!(first.status, 200, "{}", first.text());
    let second = edit(&tag, "two");
    assert_eq!((second.status, second.code()), (412, "server.precondition".to_owned()));
    let third = edit(first.header("etag").unwrap(), "two");
    assert_eq!(third.json()["value"]["contract"]["labels"], json!(["test", "one", "two"]));

    let node = server.request("GET", "/api/v1/nodes/daily").send();
    let tag = node.header("etag").unwrap();
    let set = |tag: &str| {
        let request = server.request("PATCH", "/api/v1/nodes/daily").header("if-match", tag);
        request.json(&json!({"settings": ["retries=7"]})).send()
    };
    assert_eq!(set(tag).json()["node"]["settings"]["retries"], 7);
    assert_eq!(set(tag).status, 412);
}

/// Requests that wait for the database together: all of them were compared before one of them could write.
fn meeting(project: &Project, requests: Vec<datanode_tests::Request>) -> Vec<u16> {
    let waiting: Vec<_> = project.while_writing(|| {
        let sent: Vec<_> =
            requests.into_iter().map(|request| std::thread::spawn(move || request.send().status)).collect();
        std::thread::sleep(Duration::from_secs(1));
        sent
    });
    let mut statuses: Vec<u16> = waiting.into_iter().map(|waiting| waiting.join().unwrap()).collect();
    statuses.sort_unstable();
    statuses
}

fn of_those_who_have_seen_the_same_state_one_changes_it(project: Project) {
    let server = with_rows(&project);
    project.run(&["source", "add", "api", "--url", "https://api.example.com/v1/"]);
    let change = |method: &str, path: &str, body: &dyn Fn(u32) -> Value| {
        let path = format!("/api/v1{path}");
        let tag = server.request("GET", &path).send().header("etag").unwrap().to_owned();
        let request = |number| server.request(method, &path).header("if-match", &tag).json(&body(number));
        let statuses = meeting(&project, (0..4).map(request).collect());
        assert_eq!(statuses, [200, 412, 412, 412], "{method} {path}");
    };
    change("PATCH", "/tables/daily", &|number| json!({"add_labels": [format!("label {number}")]}));
    assert_eq!(server.get("/tables/daily")["contract"]["labels"].as_array().unwrap().len(), 2);
    change("PATCH", "/nodes/daily", &|number| json!({"settings": [format!("retries={}", number + 1)]}));
    change(
        "PUT",
        "/sources/api",
        &|number| json!({"base_url": "https://api.example.com/v1/", "paths": [format!("path_{number}/*")]}),
    );
    assert_eq!(server.get("/sources/api")["paths"].as_array().unwrap().len(), 1);
}

/// `source allow` reads, changes and writes. What others have allowed meanwhile stays allowed.
fn changes_of_one_source_that_meet_are_all_made(project: Project) {
    let server = Server::start(&project, &[]);
    project.run(&["source", "add", "api", "--url", "https://api.example.com/v1/"]);
    let paths = ["one/*", "two/*", "three/*"];
    let commands: Vec<_> = project.while_writing(|| {
        let commands = paths.map(|path| {
            let mut command = project.command(&["source", "allow", "api", "--allow-path", path]);
            command.env("DATANODE_URL", server.url()).env_remove("DATANODE_DATABASE_URL");
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        });
        std::thread::sleep(Duration::from_secs(2));
        commands.into_iter().collect()
    });
    for mut command in commands {
        assert!(command.wait().unwrap().success());
    }
    let allowed = server.get("/sources/api")["paths"].clone();
    for path in paths {
        assert!(allowed.as_array().unwrap().contains(&json!(path)), "{path}: {allowed}");
    }
}

/// Whoever would have to wait for too long is told so, and that it is worth to try again.
#[test]
fn writers_of_the_catalogue_wait_no_longer_than_they_are_set_to() {
    let project = Project::on_server().set("[database]\nwait_seconds = 1\n");
    let server = Server::start(&project, &[]);
    let answer =
        project.while_writing(|| server.request("POST", "/api/v1/tables").json(&contract("t")).send());
    assert_eq!((answer.status, answer.code()), (503, "store.busy".to_owned()));
    assert!(answer.header("retry-after").is_some() && answer.text().contains("the database is busy"));
    assert_eq!(server.request("POST", "/api/v1/tables").json(&contract("t")).send().status, 201);
}

fn a_request_with_a_key_is_carried_out_once(project: Project) {
    let server = with_rows(&project);
    let begin = |key: &str, until: &str| {
        let request = server.request("POST", "/api/v1/nodes/daily/runs").header("idempotency-key", key);
        request.json(&json!({"until": until, "force": true})).send()
    };
    let first = begin("key-1", "2000-02-01");
    let second = begin("key-1", "2000-02-01");
    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(first.json()["execution_id"], second.json()["execution_id"]);
    assert_eq!(
        (first.header("idempotency-replayed"), second.header("idempotency-replayed")),
        (None, Some("true"))
    );
    let other = begin("key-1", "2000-02-02");
    assert_eq!((other.status, other.code()), (422, "server.key_of_another".to_owned()));
    assert_ne!(begin("key-2", "2000-02-01").json()["execution_id"], first.json()["execution_id"]);
    // An error of the caller's is an answer, too; a bad key is none.
    let missing = |key: &str| {
        server
            .request("POST", "/api/v1/tables/nothing/repoint")
            .header("idempotency-key", key)
            .json(&json!({"to": "x"}))
            .send()
    };
    assert_eq!(missing("key-3").code(), "store.table_not_found");
    assert_eq!(missing("key-3").header("idempotency-replayed"), Some("true"));
    assert_eq!(missing("with a space").status, 400);
}

fn lists_come_in_pages(project: Project) {
    let server = with_rows(&project);
    for number in 0..7 {
        server.post("/tables", &contract(&format!("table_{number}")));
    }
    for _ in 0..4 {
        run(&server, "daily", &json!({"until": "2000-01-31", "force": true}));
    }
    for (path, key) in
        [("/tables", "identifier"), ("/runs", "run_id"), ("/nodes", "uid"), ("/executions", "execution_id")]
    {
        let all = server.get(&format!("{path}?limit=1000"));
        assert_eq!(all["next_cursor"], Value::Null, "{path}");
        let mut paged = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = server.get(&format!("{path}?limit=3{cursor}"));
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 3);
            paged.extend(items.clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(&paged, all["items"].as_array().unwrap(), "{path} by {key}");
    }
    let refused = |path: &str| error(&server, "GET", path, None).0;
    assert_eq!(refused("/api/v1/tables?limit=0"), 400);
    assert_eq!(refused("/api/v1/tables?limit=1001"), 400);
    assert_eq!(refused("/api/v1/tables?cursor=nonsense"), 400);
    assert_eq!(refused("/api/v1/tables?namspace=x"), 400, "a misspelt filter is none");
}

fn backfills_and_replays_are_executions(project: Project) {
    let server = with_rows(&project);
    let order = json!({
        "from": "1999-12-01", "to": "1999-12-31", "step": "10d", "mode": "append_only", "concurrency": 2,
    });
    let order = server.post("/nodes/daily/backfills", &order);
    assert_eq!(order["backfill"]["state"], "interrupted", "nobody works on it yet: {order}");
    let ended = server.ended(&order);
    assert_eq!((&ended["kind"], &ended["result"]["state"]), (&json!("backfill"), &json!("done")), "{ended}");
    let id = order["backfill"]["backfill_id"].as_str().unwrap();
    let shown = server.get(&format!("/backfills/{id}"));
    assert_eq!(shown["windows"].as_array().unwrap().len(), 4);
    assert_eq!(server.get("/backfills")["items"][0]["backfill_id"], id);
    assert_eq!(
        error(&server, "POST", &format!("/api/v1/backfills/{id}/pause"), None),
        (409, "backfill.over".to_owned())
    );

    let run_id = server.get("/runs?limit=1")["items"][0]["run_id"].as_str().unwrap().to_owned();
    let replayed = server.ended(&server.post(&format!("/runs/{run_id}/replay"), &json!({})));
    assert_eq!(replayed["result"]["verdict"], "identical", "{replayed}");
    let bundle = server.request("GET", &format!("/api/v1/runs/{run_id}/bundle")).send();
    assert_eq!((bundle.status, bundle.is_whole), (200, true));
    let file = project.path().join("run.tar");
    std::fs::write(&file, &bundle.body).unwrap();
    assert_eq!(project.json(&["run", "replay", file.to_str().unwrap()])[0]["verdict"], "identical");
    // What stands against it is known when its turn has come.
    let retried = server.ended(&server.post(&format!("/runs/{run_id}/retry"), &json!({})));
    let said = (&retried["state"], &retried["error"]["code"], &retried["error"]["status"]);
    assert_eq!(said, (&json!("failed"), &json!("run.not_failed"), &json!(409)), "{retried}");
}

/// Nobody asks for it: a server looks after its own house, each minute.
fn old_journals_go_while_a_server_runs(project: Project) {
    let project = project.set("[runs]\njournal_days = 30\n");
    let server = with_rows(&project);
    run(&server, "daily", &json!({"until": "2000-02-05"}));
    let runs = server.get("/runs")["items"].clone();
    let [new, old] = [0, 1].map(|at| runs[at]["run_id"].as_str().unwrap().to_owned());
    let days_40: i64 = 40 * 86_400 * 1_000_000;
    project.execute(&format!("UPDATE _runs SET started_at = started_at - {days_40} WHERE run_id = '{old}'"));
    // Where the machine was slow, the server has looked today already.
    let _ = std::fs::remove_file(project.path().join(".datanode/contents/swept"));
    let removed = || project.json(&["audit", "list", "--action", "journal.remove"])["entries"].clone();
    server.until("old journals are removed", |_| removed() != json!([]));
    assert_eq!(removed()[0]["detail"]["journals"], 1, "{}", removed());
    let verdict = |run: &str| {
        let replayed = server.ended(&server.post(&format!("/runs/{run}/replay"), &json!({})));
        replayed["result"]["verdict"].as_str().map(str::to_owned)
    };
    assert_eq!(verdict(&new).as_deref(), Some("identical"));
    assert_eq!(verdict(&old).as_deref(), Some("cannot_replay"));
    // The run itself is told as before.
    assert_eq!(server.get(&format!("/runs/{old}"))["rows_inserted"], runs[1]["rows_inserted"]);
}

fn callers_errors_are_no_5xx(project: Project) {
    let server = with_rows(&project);
    let table = "/api/v1/tables";
    let get = |path: &str| error(&server, "GET", path, None);
    let post = |path: &str, body: Value| error(&server, "POST", path, Some(&body));
    assert_eq!(get("/api/v1/tables/nothing"), (404, "store.table_not_found".to_owned()));
    assert_eq!(get("/api/v1/nothing"), (404, "server.not_found".to_owned()));
    assert_eq!(get("/api/v1/tables/daily/rows?filter=nonsense"), (400, "server.query".to_owned()));
    assert_eq!(get("/api/v1/tables/daily/rows?columns=nothing"), (400, "server.query".to_owned()));
    assert_eq!(get("/api/v1/tables/daily/rows?start=nonsense").0, 400);
    assert_eq!(get("/api/v1/runs/zz"), (404, "store.run_not_found".to_owned()));
    assert_eq!(get("/api/v1/executions/zz"), (404, "server.execution_not_found".to_owned()));
    assert_eq!(post(table, json!({"identifier": "Not A Name"})).0, 400);
    assert_eq!(post(table, json!([])).0, 400);
    let other = json!({"columns": contract("daily")["columns"], "index": ["time_index"], "identifier": "daily", "kind": "time_indexed"});
    assert_eq!(post(table, other).0 / 100, 4);
    assert_eq!(post("/api/v1/nodes", json!({"component": "nothing", "table": "daily"})).0, 404);
    assert_eq!(
        post("/api/v1/nodes", json!({"component": SERIES, "table": "daily", "config": {"sries": []}})).0
            / 100,
        4
    );
    assert_eq!(post("/api/v1/nodes/daily/runs", json!({"untl": "2000"})).0, 400);
    assert_eq!(post("/api/v1/nodes/daily/runs", json!({"until": "tomorrow"})).0, 400);
    let text = server.request("POST", table).header("content-type", "text/plain").body(b"x".to_vec()).send();
    assert_eq!((text.status, text.code()), (415, "server.media_type".to_owned()));
    let broken = server
        .request("POST", table)
        .header("content-type", "application/json")
        .body(b"{\"a\":".to_vec())
        .send();
    assert_eq!(broken.status, 400);
    let wrong = server.request("DELETE", "/api/v1/tables").send();
    assert_eq!((wrong.status, wrong.code()), (405, "server.method".to_owned()));
    let allowed = wrong.header("allow").unwrap();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    let wasm = |bytes: &[u8]| {
        let request = server.request("POST", "/api/v1/components").header("content-type", "application/wasm");
        request.body(bytes.to_vec()).send()
    };
    assert_eq!(wasm(b"no component").status / 100, 4);
    assert_eq!(wasm(b"").status / 100, 4);

    // Each has an id, which is the caller's where it sends one that can be one.
    let named = server.request("GET", "/api/v1/tables/nothing").header("x-request-id", "mine-1").send();
    assert_eq!(named.header("x-request-id"), Some("mine-1"));
    assert_eq!(named.json()["request_id"], "mine-1");
    assert_eq!(named.json()["instance"], "/api/v1/tables/nothing");
    assert_eq!(named.header("content-type"), Some("application/problem+json"));
    let odd = server.request("GET", "/api/v1/tables/nothing").header("x-request-id", "a b\"c").send();
    assert_ne!(odd.header("x-request-id"), Some("a b\"c"));
    assert_eq!(server.metric("datanode_http_requests_total", &["status=\"5"]), 0);
}

fn two_servers_over_one_database(project: Project) {
    let one = with_rows(&project);
    let other = Server::start(&project, &[]);
    // What one has written the other knows, a key as well.
    assert_eq!(one.get("/tables/daily"), other.get("/tables/daily"));
    let register = |server: &Server| {
        let request = server.request("POST", "/api/v1/tables").header("idempotency-key", "shared");
        request.header("content-type", "application/json").body(contract("shared").to_string().into()).send()
    };
    let (first, second) = (register(&one), register(&other));
    assert_eq!((first.status, second.status), (201, 201));
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(first.body, second.body);
    // Both run the node: never at once, and no row comes twice.
    for day in 1..=6 {
        let how = json!({"until": format!("2000-02-{day:02}"), "wait_seconds": 60});
        let begun = [&one, &other].map(|server| server.post("/nodes/daily/runs", &how));
        let [left, right] = [one.ended(&begun[0]), other.ended(&begun[1])];
        let rows = [&left, &right].map(|ended| ended["result"][0]["rows_inserted"].as_u64().unwrap_or(99));
        assert_eq!(rows.iter().sum::<u64>(), 2, "{left} {right}");
    }
    assert_eq!(one.get("/tables/daily")["rows"], 74);
    assert_eq!(one.post("/tables/daily/statistics/verify", &json!({}))["differences"], json!([]));
}

#[test]
fn uploads_are_resumed_by_their_digest() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    let bytes = std::fs::read(component(SERIES)).unwrap();
    let digest = Digest::of(&bytes).to_string();
    let place = format!("/api/v1/components/uploads/{digest}");
    let send = |method: &str, offset: Option<usize>, piece: &[u8]| {
        let mut request = server.request(method, &place).header("upload-length", &bytes.len().to_string());
        if let Some(offset) = offset {
            request = request.header("upload-offset", &offset.to_string());
        }
        request.body(piece.to_vec()).send()
    };
    assert_eq!(server.request("HEAD", &place).send().status, 404);
    let third = bytes.len() / 3;
    let begun = send("PUT", None, &bytes[..third]);
    assert_eq!((begun.status, begun.header("upload-offset")), (202, Some(third.to_string().as_str())));
    // From the wrong place, nothing is taken.
    let wrong = send("PATCH", Some(third + 1), &bytes[third + 1..]);
    assert_eq!((wrong.status, wrong.header("upload-offset")), (409, Some(third.to_string().as_str())));
    // A connection that is lost in the middle: what had come stays.
    let request = server
        .request("PATCH", &place)
        .header("upload-length", &bytes.len().to_string())
        .header("upload-offset", &third.to_string())
        .header("content-length", &(bytes.len() - third).to_string());
    let mut stream = request.begin();
    stream.write_all(&bytes[third..2 * third]).unwrap();
    drop(stream);
    server.until("what had come is there", |server| {
        let answer = server.request("HEAD", &place).send();
        answer.status == 204 && answer.header("upload-offset") == Some((2 * third).to_string().as_str())
    });
    let last = send("PATCH", Some(2 * third), &bytes[2 * third..]);
    assert_eq!(last.status, 201, "{}", last.text());
    assert_eq!(last.json()["component"]["digest"], digest.as_str());
    assert_eq!(server.request("HEAD", &place).send().status, 404, "it is over");

    // Other bytes than the digest's are refused, and forgotten.
    let other = format!("/api/v1/components/uploads/{}", "0".repeat(64));
    let request = server.request("PUT", &other).header("upload-length", "3").body(b"abc".to_vec());
    assert_eq!(request.send().status / 100, 4);
    assert_eq!(server.request("HEAD", &other).send().status, 404);
    // A form does as well.
    let mut form =
        b"--x\r\ncontent-disposition: form-data; name=\"component\"; filename=\"a.wasm\"\r\n\r\n".to_vec();
    form.extend(&bytes);
    form.extend(b"\r\n--x--\r\n");
    let request = server
        .request("POST", "/api/v1/components")
        .header("content-type", "multipart/form-data; boundary=x");
    assert_eq!(request.body(form).send().status, 200);
}

#[test]
fn reference_tables_are_loaded_and_revised() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    let contract = json!({
        "identifier": "currencies", "kind": "reference", "description": "Currencies.", "primary_key": ["code"],
        "columns": [
            {"name": "code", "type": "string", "description": "ISO 4217."},
            {"name": "name", "type": "string", "description": "In English."},
        ],
    });
    server.post("/tables", &contract);
    let load = |text: &str, query: &str| {
        let request = server.request("POST", &format!("/api/v1/tables/currencies/load{query}"));
        request.header("content-type", "text/csv").body(text.as_bytes().to_vec()).send()
    };
    let loaded = load("code,name\nUSD,Dollar\nGBP,Pound\n", "");
    assert_eq!((loaded.status, &loaded.json()["inserted"]), (200, &json!(2)), "{}", loaded.text());
    assert_eq!(load("code,name\nUSD,Dollar\n", "?replace=true").json()["deleted"], 1);
    let bad = load("code,name\nUSD\n", "");
    assert_eq!(bad.status / 100, 4);
    let told = bad.text();
    assert!(told.contains("the body") && !told.contains(project.path().to_str().unwrap()), "{told}");

    let mut wider = contract.clone();
    wider["columns"].as_array_mut().unwrap().push(
        json!({"name": "digits", "type": "int32", "nullable": true, "description": "Digits of its smallest unit."}),
    );
    let difference = server.post("/tables/diff", &wider);
    assert_eq!(difference["changes"].as_array().unwrap().len(), 1);
    let at = |verb: &str| format!("/tables/currencies/revisions/{verb}");
    let written = server.post(
        &at("write"),
        &json!({"directory": "revisions", "files": {}, "message": "digits", "contract": wider}),
    );
    let folder = written["revision"]["folder"].as_str().unwrap();
    assert!(folder.starts_with("revisions/currencies/0001_"), "{written}");
    let files = written["files"].clone();
    assert!(files.as_object().unwrap().len() >= 4, "{files}");
    let upgraded = server.post(&at("upgrade"), &json!({"directory": "revisions", "files": files}));
    assert_eq!(
        (upgraded["done"].as_array().unwrap().len(), &upgraded["error"]),
        (1, &Value::Null),
        "{upgraded}"
    );
    let standing = server.post(&at("current"), &json!({"files": files}));
    assert_eq!((&standing["pending"], &standing["drift"]), (&json!(0), &json!([])), "{standing}");
    let history = server.post(&at("history"), &json!({"files": files}));
    assert_eq!(history["items"][0]["current"], true, "{history}");
    for files in [
        json!({"../x/up.sql": ""}),
        json!({"a/../../x": ""}),
        json!({"/etc/x": ""}),
        json!({".hidden/x": ""}),
    ] {
        let answer = server
            .request("POST", &format!("/api/v1{}", at("current")))
            .json(&json!({"files": files}))
            .send();
        assert_eq!(answer.status, 400, "{files}");
    }
}

#[test]
fn it_lives_is_ready_counts_and_describes_itself() {
    let project = Project::new();
    let server = with_rows(&project);
    assert_eq!(server.request("GET", "/healthz").send().json(), json!({"status": "ok"}));
    assert_eq!(server.request("GET", "/readyz").send().json(), json!({"status": "ok"}));
    // Numbers by label are there once there is one.
    assert_eq!(server.request("GET", "/api/v1/tables/daily/rows").send().status, 200);
    assert_eq!(
        server.request("GET", "/api/v1/tables").header("authorization", "Bearer x").send().status,
        401
    );
    // The page of metrics names what is served, and nothing else.
    let page = std::fs::read_to_string(root().join("docs/reference/metrics.md")).unwrap();
    let promised: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `datanode_")?.split('`').next()).collect();
    let text = server.request("GET", "/metrics").send().text();
    let served: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE datanode_")?.split(' ').next()).collect();
    let mut named: Vec<&str> =
        promised.iter().map(|name| name.strip_suffix("_total").unwrap_or(name)).collect();
    let mut found: Vec<&str> =
        served.iter().map(|name| name.strip_suffix("_total").unwrap_or(name)).collect();
    named.sort_unstable();
    found.sort_unstable();
    assert_eq!(named, found);
    assert_eq!(server.metric("datanode_runs_total", &["status=\"ok\""]), 1);
    assert_eq!(server.metric("datanode_executions_total", &["state=\"done\""]), 1);

    let document = server.get("/openapi.json");
    let kept = std::fs::read_to_string(root().join("docs/reference/openapi.json")).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(document, kept, "docs/reference/openapi.json is another: cargo xtask docs");
    assert_eq!(server.get("/version")["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn it_ends_well_when_it_is_asked_to() {
    let project = Project::new();
    let server = with_rows(&project);
    // Somebody watches, somebody has a connection open.
    let idle = std::net::TcpStream::connect(server.address()).unwrap();
    let (status, log) = server.end();
    assert!(status.success(), "{log}");
    assert!(log.contains("ended"), "{log}");
    drop(idle);
    // Nothing is held, and the embedded database is closed.
    assert_eq!(project.json(&["run", "leases"]), json!([]));
    assert!(!project.path().join(".datanode/datanode.db-wal").exists());
}

#[test]
fn the_log_is_json_where_it_is_wanted_and_holds_no_secret() {
    let project = Project::new();
    let server = Server::start(&project, &["--log-format", "json"]);
    let secret = "dn_0123456789abcdef_ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
    let answer = server
        .request("GET", "/api/v1/tables?limit=7")
        .header("authorization", &format!("Bearer {secret}"))
        .header("x-request-id", "wanted")
        .send();
    assert_eq!(answer.status, 401);
    server.post("/secrets", &json!({"name": "prices", "value": "correct horse battery"}));
    server.until("the request is in the log", |server| server.log().contains("wanted"));
    let (_, log) = server.end();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let line = lines.iter().find(|line| line["request_id"] == "wanted").unwrap();
    assert_eq!(
        (&line["status"], &line["path"], &line["route"]),
        (&json!(401), &json!("/api/v1/tables"), &json!("/api/v1/tables"))
    );
    for secret in [&secret[20..], "correct horse", "limit=7"] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[test]
fn ports_that_are_taken_are_told() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    let (code, said) = project.fails(&["serve", "--listen", &server.address().to_string()]);
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("server.listen"), "{said}");
}

#[test]
fn one_connection_serves_many_requests() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    let request = server.request("GET", "/healthz").without("connection");
    let mut stream = request.begin();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    for _ in 0..3 {
        let mut seen = Vec::new();
        while !seen.ends_with(b"}") {
            let mut piece = [0; 1_024];
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0);
            seen.extend(&piece[..read]);
        }
        stream.write_all(request.head().as_bytes()).unwrap();
    }
}
