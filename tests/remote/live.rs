//! What goes on at a server, as it is told: line by line as it comes, over connections that break, and when the server goes.

use std::time::Duration;

use datanode_tests::{Project, Server};
use serde_json::json;

use crate::commands::{Going, working};
use crate::gate::Gate;
use crate::paced::{Paced, number_of};
use crate::trouble::code_of;

/// The run that the server works on.
fn run_of(server: &Server) -> String {
    working(server)["runs"][0].as_str().unwrap().to_owned()
}

#[test]
fn lines_come_as_they_happen_and_each_comes_once() {
    let (project, source) = Paced::project(8);
    let server = Server::start(&project, &[]);
    let gate = Gate::before(&server);
    let client = Project::new();
    let begun = server.post("/nodes/out/runs", &json!({}));
    let run = run_of(&server);
    let follows = Going::begin(&client, &gate.url(), &["run", "logs", &run, "--follow", "--json"]);
    follows.waits();
    for number in 1..=2 {
        source.go_on();
        assert_eq!(number_of(&follows.line()), number);
        follows.waits();
    }
    // A connection that breaks, and lines that come meanwhile.
    gate.cut();
    source.go_on();
    assert_eq!(number_of(&follows.line()), 3);
    gate.close(true);
    source.go_on();
    source.go_on();
    std::thread::sleep(Duration::from_millis(1_500));
    follows.waits();
    gate.close(false);
    assert_eq!([number_of(&follows.line()), number_of(&follows.line())], [4, 5]);
    // Who comes later is told all of it; in words, and from a level on.
    let late = Going::begin(&client, &server.url(), &["run", "logs", &run, "--follow"]);
    assert_eq!((1..=5).map(|_| number_of(&late.line())).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    for _ in 6..=8 {
        source.go_on();
    }
    for follower in [follows, late] {
        let gone = follower.ended();
        assert_eq!((gone.exit, gone.said.as_str()), (Some(0), ""));
        let numbers: Vec<u32> =
            gone.lines.iter().filter(|line| line.contains("answered")).map(|line| number_of(line)).collect();
        assert_eq!(numbers, [6, 7, 8], "{:?}", gone.lines);
    }
    assert_eq!(server.ended(&begun)["state"], "done");
    // From its record, as without a server.
    let words = ["run", "logs", &run, "--follow", "--json"];
    let told = Going::begin(&client, &gate.url(), &words).ended();
    assert_eq!(told.lines, project.run(&words).lines().collect::<Vec<_>>());
    assert_eq!(told.lines.len(), project.run(&["run", "logs", &run, "--json"]).lines().count());
}

#[test]
fn lines_have_the_same_numbers_while_they_come_and_afterwards() {
    let (project, source) = Paced::project(3);
    let server = Server::start(&project, &[]);
    let begun = server.post("/nodes/out/runs", &json!({}));
    let run = run_of(&server);
    for _ in 0..3 {
        source.go_on();
    }
    server.ended(&begun);
    let ids = |server: &Server, last: Option<&str>| {
        let request = server.request("GET", &format!("/api/v1/runs/{run}/logs"));
        let request = request.header("accept", "text/event-stream");
        let request = match last {
            Some(last) => request.header("last-event-id", last),
            None => request,
        };
        let text = request.send().text();
        let ids: Vec<String> =
            text.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned).collect();
        assert!(text.contains("event: end"), "{text}");
        ids
    };
    let live = ids(&server, None);
    assert_eq!(live[..3], ["1", "2", "3"]);
    assert_eq!(ids(&server, Some("2"))[..1], ["3"]);
    // A server that has not worked on it tells the record.
    let other = Server::start(&project, &[]);
    assert_eq!(ids(&other, None), live);
    assert_eq!(ids(&other, Some("2")), live[2..]);
    let odd = other.request("GET", &format!("/api/v1/runs/{run}/logs"));
    let odd = odd.header("accept", "text/event-stream").header("last-event-id", "two").send();
    assert_eq!((odd.status, odd.code()), (400, "server.request".to_owned()));
}

#[test]
fn a_server_that_was_started_anew_says_that_it_knows_nothing_more() {
    let (project, source) = Paced::project(4);
    let mut server = Server::start(&project, &[]);
    let gate = Gate::before(&server);
    let client = Project::new();
    let runs = Going::begin(&client, &gate.url(), &["node", "run", "out", "--json"]);
    let run = run_of(&server);
    let follows = Going::begin(&client, &gate.url(), &["run", "logs", &run, "--follow"]);
    source.go_on();
    assert_eq!(number_of(&follows.line()), 1);
    server.kill();
    let anew = Server::start(&project, &[]);
    gate.lead_to(&anew);
    let follows = follows.ended();
    assert_eq!((follows.exit, code_of(&follows.said)), (Some(5), "remote.restarted"), "{}", follows.said);
    assert!(follows.said.contains("next: see what has become of it: datanode run list"), "{}", follows.said);
    assert!(follows.lines.is_empty(), "{:?}", follows.lines);
    let runs = runs.ended();
    assert_eq!(runs.exit, Some(5), "{}", runs.said);
    assert!(runs.said.contains("\"remote.restarted\"") && runs.lines.is_empty(), "{}", runs.said);
}

#[test]
fn a_run_whose_server_is_asked_to_end_is_told_as_ended() {
    let project = Project::new();
    let server = crate::interrupts::endless(&project);
    let client = Project::new();
    let runs = Going::begin(&client, &server.url(), &["node", "run", "many_rows", "--json"]);
    let run = run_of(&server);
    let follows = Going::begin(&client, &server.url(), &["run", "logs", &run, "--follow"]);
    follows.waits();
    let (status, log) = server.end();
    assert!(status.success(), "{log}");
    let runs = runs.ended();
    assert_eq!(runs.exit, Some(5), "{}", runs.said);
    let records = runs.json();
    assert_eq!(
        (&records[0]["run_id"], &records[0]["error"]["code"]),
        (&json!(run), &json!("run.interrupted")),
        "{records}"
    );
    let follows = follows.ended();
    assert_eq!(follows.exit, Some(0), "{}", follows.said);
}
