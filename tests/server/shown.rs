//! What shows the rows of a table that somebody may not read, or its name, is not for them: bundles, replays, executions and
//! logs of runs that were given them, and foreign keys that lead there.

use datanode_tests::{Answer, Project, Server};
use serde_json::{Value, json};

use super::rights::token;
use super::{SERIES, contract, names_of};

const MISSING: &str = "server.execution_not_found";

/// That every run of an execution has succeeded.
#[track_caller]
fn is_well(ended: &Value) {
    let runs = ended["result"].as_array().unwrap_or_else(|| panic!("{ended}"));
    assert!(runs.iter().all(|run| run["status"] == "ok" || run["status"] == "empty"), "{ended}");
}

/// A server where `sums` holds what a node has read of `closed`. Bob sees `sums` and `open`, Carol `closed` as well.
struct Place {
    server: Server,
    bob: String,
    carol: String,
    /// Its directory goes with it, and after the server.
    _project: Project,
}

impl Place {
    fn new() -> Self {
        let project = Project::new();
        let admin = token(&project, "ada", Some("admin"), "read,write,run,upload,grant,manage");
        let server = Server::start(&project, &[]).with_token(&admin);
        server.upload(SERIES);
        server.upload("reads_rows");
        for (table, namespace) in [("closed", "secret"), ("open", "fx")] {
            let mut contract = contract(table);
            contract["namespace"] = json!(namespace);
            server.post("/tables", &contract);
        }
        let sums = json!({
            "identifier": "sums", "kind": "time_indexed", "namespace": "fx", "cadence": "1d", "index": ["time_index"],
            "description": "What a table holds.",
            "columns": [
                {"name": "time_index", "type": "timestamp_tz"},
                {"name": "rows", "type": "int64"},
                {"name": "sum", "type": "float64", "nullable": true},
            ],
        });
        server.post("/tables", &sums);
        server.post("/nodes", &json!({"component": SERIES, "table": "closed", "config": {"series": ["S"]}}));
        server.post(
            "/nodes",
            &json!({"component": SERIES, "table": "open", "config": {"series": ["O"], "sound_table": "closed"}}),
        );
        server.post(
            "/nodes",
            &json!({"component": "reads_rows", "table": "sums", "config": {"table": "closed"}}),
        );
        let bob = token(&project, "bob", None, "read,write,run");
        let carol = token(&project, "carol", None, "read,run");
        for user in ["bob", "carol"] {
            server.post("/roles", &json!({"role": "editor", "user": user, "namespace": "fx"}));
        }
        server.post("/roles", &json!({"role": "viewer", "user": "carol", "table": "closed"}));
        Self { _project: project, server, bob, carol }
    }

    fn run(&self, node: &str, how: &Value) -> Value {
        let ended = self.server.ended(&self.server.post(&format!("/nodes/{node}/runs"), how));
        is_well(&ended);
        ended
    }

    fn ask(&self, token: &str, method: &str, path: &str) -> Answer {
        let request = self.server.request(method, &format!("/api/v1{path}"));
        let request = request.header("authorization", &format!("Bearer {token}"));
        if method == "POST" { request.json(&json!({})).send() } else { request.send() }
    }

    /// Who may see an execution, at all its places.
    #[track_caller]
    fn is_seen(&self, token: &str, execution: &Value, is_seen: bool) {
        let id = execution["execution_id"].as_str().unwrap();
        for path in [format!("/executions/{id}"), format!("/executions/{id}/events")] {
            let answer = self.ask(token, "GET", &path);
            if is_seen {
                assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            } else {
                assert_eq!((answer.status, answer.code()), (404, MISSING.to_owned()), "{path}");
            }
        }
        let listed = self.ask(token, "GET", "/executions?limit=1000").success();
        let is_listed = listed["items"].as_array().unwrap().iter().any(|item| item["execution_id"] == id);
        assert_eq!(is_listed, is_seen, "{listed}");
        if !is_seen {
            let cancelled = self.ask(token, "POST", &format!("/executions/{id}/cancel"));
            assert_eq!((cancelled.status, cancelled.code()), (404, MISSING.to_owned()));
        }
    }
}

#[test]
fn what_a_run_was_given_is_shown_to_those_who_may_read_it() {
    let place = Place::new();
    place.run("closed", &json!({"until": "2000-01-05"}));
    let ended = place.run("sums", &json!({"until": "2000-01-05", "scope": "node_alone"}));
    let run = ended["result"][0]["run_id"].as_str().unwrap_or_else(|| panic!("{ended}"));
    // The run is of their table; what it read is not.
    for token in [&place.bob, &place.carol] {
        assert_eq!(place.ask(token, "GET", &format!("/runs/{run}")).success()["status"], "ok");
        let logs = place.ask(token, "GET", &format!("/runs/{run}/logs")).success();
        assert_eq!(logs["items"][0]["message"], "rows read");
    }
    let given = [("GET", "bundle"), ("POST", "replay"), ("POST", "determinism")];
    for (method, what) in given {
        let refused = place.ask(&place.bob, method, &format!("/runs/{run}/{what}"));
        assert_eq!((refused.status, refused.code()), (403, "access.role_missing".to_owned()), "{what}");
        assert!(!refused.text().contains("closed"), "it names what is hidden: {}", refused.text());
    }
    let bundle = place.ask(&place.carol, "GET", &format!("/runs/{run}/bundle"));
    assert!(bundle.status == 200 && bundle.is_whole);
    // Whoever has begun it: its difference would show rows of `closed`.
    for what in ["replay", "determinism"] {
        let begun = place.ask(&place.carol, "POST", &format!("/runs/{run}/{what}"));
        assert_eq!(begun.status, 202, "{what}: {}", begun.text());
        let begun = begun.json();
        assert_eq!(place.server.ended(&begun)["state"], "done", "{what}");
        place.is_seen(&place.bob, &begun, false);
        place.is_seen(&place.carol, &begun, true);
    }
    let dry = place.server.post("/nodes/sums/runs", &json!({"until": "2000-01-06", "dry_run": true}));
    assert_eq!(place.server.ended(&dry)["state"], "done");
    place.is_seen(&place.bob, &dry, false);
    place.is_seen(&place.carol, &dry, true);
    let order = place
        .server
        .request("POST", "/api/v1/nodes/sums/runs")
        .header("authorization", &format!("Bearer {}", place.bob))
        .json(&json!({"dry_run": true}))
        .send();
    assert_eq!((order.status, order.code()), (403, "access.role_missing".to_owned()));
    assert!(!order.text().contains("closed"), "{}", order.text());
    // Of a table that has nothing but its own rows, viewers see what was replayed.
    let own = place.run("closed", &json!({"until": "2000-01-06"}));
    let own = own["result"][0]["run_id"].as_str().unwrap();
    let begun = place.ask(&place.carol, "POST", &format!("/runs/{own}/replay")).json();
    assert_eq!(place.server.ended(&begun)["result"]["verdict"], "identical");
    place.is_seen(&place.carol, &begun, true);
    place.is_seen(&place.bob, &begun, false);
}

/// An execution of a tree tells of all its tables; each run of it is its table's.
#[test]
fn executions_of_a_tree_and_the_logs_in_them_are_each_tables_own() {
    let place = Place::new();
    let begun = place.server.post("/nodes/open/runs", &json!({"until": "2000-01-05"}));
    let ended = place.server.ended(&begun);
    is_well(&ended);
    let [closed, open] = ended["result"].as_array().unwrap().as_slice() else { panic!("{ended}") };
    let [closed, open] = [closed, open].map(|run| run["run_id"].as_str().unwrap().to_owned());
    place.is_seen(&place.bob, &begun, false);
    place.is_seen(&place.carol, &begun, true);
    let logs = |token: &str, run: &str, accept: &str| {
        let request = place.server.request("GET", &format!("/api/v1/runs/{run}/logs"));
        request.header("authorization", &format!("Bearer {token}")).header("accept", accept).send()
    };
    for accept in ["application/json", "text/event-stream"] {
        let refused = logs(&place.bob, &closed, accept);
        assert_eq!((refused.status, refused.code()), (404, "store.run_not_found".to_owned()), "{accept}");
        assert!(!refused.text().contains("closed"), "{}", refused.text());
        assert_eq!(logs(&place.carol, &closed, accept).status, 200);
        assert_eq!(logs(&place.bob, &open, accept).status, 200);
    }
    // The end of it, which whoever follows the log of one run is told, has the records of all of them.
    let followed = logs(&place.bob, &open, "text/event-stream");
    assert!(names_of(&followed).iter().any(|name| name == "logged"), "{}", followed.text());
    for hidden in ["closed", closed.as_str(), "\"result\""] {
        assert!(!followed.text().contains(hidden), "{hidden}: {}", followed.text());
    }
    // A run alone, of a node whose tree bob may not run.
    let refused = place
        .server
        .request("POST", "/api/v1/nodes/open/runs")
        .header("authorization", &format!("Bearer {}", place.bob))
        .json(&json!({"scope": "node_alone"}))
        .send();
    assert_eq!((refused.status, refused.code()), (403, "access.role_missing".to_owned()));
    assert!(!refused.text().contains("closed"), "{}", refused.text());
}

/// A table that refers to one which is hidden, and one which a hidden table refers to: neither tells the other's name.
#[test]
fn foreign_keys_do_not_name_what_is_hidden() {
    let project = Project::new();
    let admin = token(&project, "ada", Some("admin"), "read,write,manage");
    let server = Server::start(&project, &[]).with_token(&admin);
    let reference = |identifier: &str, namespace: &str| {
        json!({
            "identifier": identifier, "kind": "reference", "namespace": namespace, "primary_key": ["series"],
            "description": "Names.", "columns": [{"name": "series", "type": "string", "description": "A name."}],
        })
    };
    let referring = |identifier: &str, namespace: &str, target: &str| {
        let mut contract = contract(identifier);
        contract["namespace"] = json!(namespace);
        let references = json!({"table": target, "columns": ["series"]});
        contract["foreign_keys"] = json!([{"columns": ["series"], "references": references}]);
        contract
    };
    let register =
        |contract: &Value| server.post("/tables", contract)["value"]["uid"].as_str().unwrap().to_owned();
    register(&reference("hidden_target", "secret"));
    let target = register(&reference("open_target", "fx"));
    let source = register(&referring("open_source", "fx", "hidden_target"));
    register(&referring("hidden_source", "secret", "open_target"));
    let bob = token(&project, "bob", None, "read,write");
    server.post("/roles", &json!({"role": "admin", "user": "bob", "namespace": "fx"}));

    let root = "/orm/api/ts_manager";
    let of_table = |uid: &str| {
        vec![
            ("GET", format!("/api/v1/tables/{uid}"), json!(null)),
            ("POST", format!("/api/v1/tables/{uid}/revisions/current"), json!({"files": {}})),
            ("POST", format!("/api/v1/tables/{uid}/revisions/history"), json!({"files": {}})),
            ("GET", format!("{root}/meta_table/{uid}/"), json!(null)),
            (
                "GET",
                format!("{root}/meta_table/{uid}/schema-graph/?depth=5&include_incoming=true"),
                json!(null),
            ),
            ("POST", format!("{root}/meta_table/{uid}/introspect/"), json!({})),
            ("POST", format!("{root}/meta_table/filter/"), json!({"uid__in": [uid]})),
            ("POST", format!("{root}/meta_table/{uid}/refresh-table-search-index/"), json!({})),
        ]
    };
    let mut asked = of_table(&source);
    asked.extend(of_table(&target));
    asked.extend([
        ("GET", "/api/v1/tables".to_owned(), json!(null)),
        ("GET", "/api/v1/graph".to_owned(), json!(null)),
        ("GET", "/api/v1/search/tables?q=hidden".to_owned(), json!(null)),
        ("GET", "/api/v1/search/columns?q=series".to_owned(), json!(null)),
        ("GET", format!("{root}/meta_table/"), json!(null)),
        ("GET", format!("{root}/dynamic_table/"), json!(null)),
        ("GET", format!("{root}/meta_table/description-search/?q=hidden"), json!(null)),
        ("GET", format!("{root}/dynamic_table/{source}/"), json!(null)),
    ]);
    for (method, path, body) in asked {
        let send = |token: &str| {
            let request = server.request(method, &path).header("authorization", &format!("Bearer {token}"));
            if body.is_null() { request.send() } else { request.json(&body).send() }
        };
        let answer = send(&bob);
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        for name in ["hidden_target", "hidden_source"] {
            assert!(!answer.text().contains(name), "{method} {path} tells of {name}: {}", answer.text());
        }
    }
    // The admin is told of both: what is left out is there.
    let shown = server.get("/tables/open_target");
    assert_eq!(shown["referred_to_by"][0]["table"], "hidden_source");
    let told = server.request("GET", &format!("{root}/meta_table/{source}/")).send().text();
    assert!(told.contains("hidden_target"), "{told}");
}
