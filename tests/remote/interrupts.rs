//! Ctrl-C of a command whose work a server does: the server ends it, and nothing is left half done.

use std::time::{Duration, Instant};

use datanode_tests::{Project, Server, component, root};
use serde_json::{Value, json};

use crate::commands::{Going, signal, working};
use crate::gate::Gate;
use crate::trouble::code_of;

/// A server with the node `many_rows`, which comes to no end.
pub(crate) fn endless(project: &Project) -> Server {
    project.upload("many_rows");
    let contract = root().join("tests/guests/many_rows/contract.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    let config = r#"{"rows": 100000000, "rows_per_batch": 1000}"#;
    project.run(&["node", "create", "many_rows", "--table", "many_rows", "--config", config]);
    Server::start(project, &[])
}

/// That a server works on nothing, and nobody holds anything.
fn is_idle(server: &Server) {
    let executions = server.get("/executions");
    let open = executions["items"].as_array().unwrap().iter();
    let open: Vec<&Value> =
        open.filter(|one| matches!(one["state"].as_str(), Some("waiting" | "running"))).collect();
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(server.get("/leases")["items"], json!([]));
    assert_eq!(server.get("/tables/many_rows")["rows"], 0);
}

#[test]
fn ctrl_c_ends_what_the_server_works_on() {
    let project = Project::new();
    let server = endless(&project);
    let client = Project::new();
    let interrupted = json!("run.interrupted");
    let ended = |words: &[&str], name: &str| {
        let going = Going::begin(&client, &server.url(), &[words, &["--json"]].concat());
        let execution = working(&server);
        let begun = Instant::now();
        going.signal(name);
        let gone = going.ended();
        assert_eq!(gone.exit, Some(5), "{words:?}: {}", gone.said);
        assert!(begun.elapsed() < Duration::from_secs(20), "{words:?}: {:?}", begun.elapsed());
        let id = execution["execution_id"].as_str().unwrap();
        assert_eq!(server.get(&format!("/executions/{id}"))["state"], "cancelled", "{words:?}");
        is_idle(&server);
        gone
    };
    for name in ["-INT", "-TERM"] {
        let gone = ended(&["node", "run", "many_rows"], name);
        let runs = gone.json();
        assert_eq!(
            (&runs[0]["status"], &runs[0]["error"]["code"]),
            (&json!("failed"), &interrupted),
            "{runs}"
        );
        assert_eq!(server.get("/runs")["items"][0], runs[0], "the record is that of the server");
        assert_eq!(gone.said, "");
    }
    let before = server.get("/runs")["items"].as_array().unwrap().len();
    let dry = ended(&["node", "run", "many_rows", "--dry-run"], "-INT").json();
    assert_eq!((&dry["run"]["error"]["code"], &dry["frame"]), (&interrupted, &Value::Null), "{dry}");
    let checked = ended(&["check", "many_rows"], "-INT");
    assert!(checked.lines.is_empty() && checked.said.contains("\"run.interrupted\""), "{}", checked.said);
    assert_eq!(server.get("/runs")["items"].as_array().unwrap().len(), before, "trials leave no record");
    let range = ["--from", "2000-01-01", "--to", "2000-01-10", "--step", "1d", "--append-only"];
    let backfill = ended(&[&["node", "backfill", "many_rows"], &range[..]].concat(), "-INT").json();
    assert_eq!(backfill["state"], "interrupted", "{backfill}");
    let windows = &backfill["windows"];
    assert_eq!(
        (&windows["pending"], &windows["running"], &windows["failed"]),
        (&json!(10), &json!(0), &json!(0))
    );
    let id = backfill["backfill_id"].as_str().unwrap();
    assert_eq!(ended(&["node", "backfill", "resume", id], "-INT").json()["state"], "interrupted");
}

#[test]
fn ctrl_c_ends_a_replay() {
    // It computes for some seconds, until its fuel is used up: that is a fact, which can be replayed.
    let project = Project::with_settings("[limits]\nfuel = 20_000_000_000\n");
    project.upload("endless_loop");
    let contract = std::fs::read_to_string(root().join("tests/hostile/contract.toml")).unwrap();
    let file = project.path().join("out.toml");
    std::fs::write(&file, contract.replace("\"hostile_output\"", "\"out\"")).unwrap();
    project.run(&["table", "register", file.to_str().unwrap()]);
    project.run(&["node", "create", "endless_loop", "--table", "out"]);
    let begun = Instant::now();
    let (_, said) = project.fails(&["node", "run", "out"]);
    let took = begun.elapsed();
    assert_eq!(code_of(&said), "sandbox.limit.fuel", "{said}");
    let run = project.json(&["run", "list"])[0]["run_id"].as_str().unwrap().to_owned();
    let server = Server::start(&project, &[]);
    let client = Project::new();
    let words: [&[&str]; 3] =
        [&["run", "replay", &run], &["run", "replay", "--all"], &["check", "--determinism", "endless_loop"]];
    for words in words {
        for url in [Some(server.url()), None] {
            let begun = Instant::now();
            let mut command = if url.is_some() { client.command(words) } else { project.command(words) };
            if let Some(url) = &url {
                command.env("DATANODE_URL", url);
            }
            let going = Going::begun(command);
            if url.is_some() {
                server.until("it is replayed", |server| {
                    server.get("/executions")["items"][0]["state"] == "running"
                });
            } else {
                going.minds_ctrl_c();
            }
            going.signal("-INT");
            let gone = going.ended();
            assert_eq!(gone.exit, Some(5), "{words:?} {url:?}: {}", gone.said);
            assert!(gone.said.starts_with("ending what is under way"), "{words:?} {url:?}: {}", gone.said);
            assert!(gone.lines[0].ends_with("it was ended before"), "{words:?} {url:?}: {:?}", gone.lines);
            // An optimised loop in an unoptimised compiler: what is compiled is compiled to its end.
            assert!(
                begun.elapsed() < took + Duration::from_secs(20),
                "{words:?} {url:?}: {:?}",
                begun.elapsed()
            );
            if url.is_some() {
                assert_eq!(server.get("/executions")["items"][0]["state"], "cancelled", "{words:?}");
            }
        }
    }
    viewers_end_their_replays(&project, server, &run);
}

/// Whoever may begin a replay may end it, though not a run.
fn viewers_end_their_replays(project: &Project, server: Server, run: &str) {
    let token = |user: &str, role: &str| {
        project.run(&["user", "create", user, "--role", role]);
        let words = ["token", "create", "--user", user, "--right", "read,run", "--expires", "1d"];
        project.json(&words)["token"].as_str().unwrap().to_owned()
    };
    let (viewer, editor) = (token("vera", "viewer"), token("edda", "editor"));
    let server = server.with_token(&editor);
    let as_viewer = |path: &str| {
        let request = server.request("POST", &format!("/api/v1{path}"));
        request.header("authorization", &format!("Bearer {viewer}")).send()
    };
    let replay = as_viewer(&format!("/runs/{run}/replay")).success();
    let id = replay["execution_id"].as_str().unwrap();
    assert_eq!(as_viewer(&format!("/executions/{id}/cancel")).status, 200);
    assert_eq!(server.ended(&replay)["state"], "cancelled");
    let begun = server.post("/nodes/out/runs", &json!({"force": true}));
    let id = begun["execution_id"].as_str().unwrap();
    assert_eq!(as_viewer(&format!("/executions/{id}/cancel")).status, 403);
    server.post(&format!("/executions/{id}/cancel"), &json!({}));
    assert_eq!(server.ended(&begun)["state"], "cancelled");
}

#[test]
fn a_second_ctrl_c_ends_the_command_at_once() {
    let project = Project::new();
    let server = endless(&project);
    let client = Project::new();
    let going = Going::begin(&client, &server.url(), &["node", "run", "many_rows"]);
    let execution = working(&server);
    // A server that does not answer, for now.
    signal(server.process(), "-STOP");
    going.signal("-INT");
    going.says("again: at once");
    let begun = Instant::now();
    going.signal("-INT");
    let gone = going.ended();
    signal(server.process(), "-CONT");
    assert_eq!(gone.exit, Some(130), "{}", gone.said);
    assert!(begun.elapsed() < Duration::from_secs(5) && gone.lines.is_empty());
    // Whether the server has heard of it is open: nobody has waited for that.
    server.post(&format!("/executions/{}/cancel", execution["execution_id"].as_str().unwrap()), &json!({}));
    assert_eq!(server.ended(&execution)["state"], "cancelled");
    is_idle(&server);
}

#[test]
fn work_that_cannot_be_ended_is_told_with_how_to_end_it() {
    let project = Project::new();
    let server = endless(&project);
    let gate = Gate::before(&server);
    let client = Project::new();
    let going = Going::begin(&client, &gate.url(), &["node", "run", "many_rows"]);
    let execution = working(&server);
    gate.close(true);
    going.signal("-INT");
    let gone = going.ended();
    let id = execution["execution_id"].as_str().unwrap();
    assert_eq!((gone.exit, gone.lines.len()), (Some(5), 0), "{}", gone.said);
    assert!(gone.said.contains("could not be ended"), "{}", gone.said);
    assert!(gone.said.contains(&format!("/api/v1/executions/{id}/cancel")), "{}", gone.said);
    assert_eq!(server.get(&format!("/executions/{id}"))["state"], "running");
    server.post(&format!("/executions/{id}/cancel"), &json!({}));
    assert_eq!(server.ended(&execution)["state"], "cancelled");
}

#[test]
fn an_upload_that_is_ended_leaves_nothing_half_written() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    let gate = Gate::before(&server);
    let client = Project::new();
    let file = component("fx_log_returns");
    gate.limit(&[crate::gate::After::Stop(20_000)]);
    let going = Going::begin(&client, &gate.url(), &["component", "upload", file.to_str().unwrap()]);
    server.until("some of it has come", |_| gate.bytes() >= 20_000);
    going.signal("-INT");
    assert_ne!(going.ended().exit, Some(0));
    gate.cut();
    assert_eq!(server.get("/components")["items"], json!([]));
    client.run(&["component", "upload", file.to_str().unwrap(), "--url", &server.url()]);
    assert_eq!(server.get("/components")["items"].as_array().unwrap().len(), 1);
}
