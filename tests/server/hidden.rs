//! What somebody may not see is answered as what is not there: with the same status and the same words, but for the name that
//! was asked for. Every route that names something of a table in its path is asked for both, and so is each place of a
//! body or a query that does.

use datanode_server::{Body, routes};
use datanode_tests::{Project, Server};
use serde_json::{Value, json};

use super::rights::token;
use super::{SERIES, contract};

/// What stands in the place of a name, on the way there and back.
const NAME: &str = "NAME";
const PRODUCERS: &str = "/orm/api/ts_manager/local_time_serie";
const SCHEDULERS: &str = "/orm/api/ts_manager/scheduler";

/// Pairs of names of one kind of thing: of one that is hidden, and of one that there is none of.
type Names = Vec<(String, String)>;

/// A name that nothing has, of the same form.
fn missing(name: &str) -> String {
    let last = if name.ends_with('0') { '1' } else { '0' };
    let mut missing = name.to_owned();
    missing.pop();
    missing.push(last);
    missing
}

fn pair(name: &Value) -> (String, String) {
    let name = name.as_str().unwrap_or_else(|| panic!("no name: {name}"));
    (name.to_owned(), missing(name))
}

/// A server with something of every kind that a user may not see, and the tokens of that user.
struct Place {
    server: Server,
    tokens: Vec<String>,
    tables: Names,
    nodes: Names,
    runs: Names,
    backfills: Names,
    executions: Names,
    producers: Names,
    schedulers: Names,
    /// An update process that is the user's own.
    own: String,
    /// A process of the same.
    own_scheduler: String,
    /// Its directory goes with it, and after the server.
    _project: Project,
}

fn announce(server: &Server, token: Option<&str>, nodes: &Value) -> Value {
    let path = format!("{SCHEDULERS}/build_and_assign_to_update_nodes/");
    let mut request = server.request("POST", &path);
    if let Some(token) = token {
        request = request.header("authorization", &format!("Bearer {token}"));
    }
    request.json(&json!({"scheduler_name": "a process", "update_node_uids": nodes})).send().success()["uid"]
        .clone()
}

fn producer(server: &Server, hash: &str, table: &Value) -> Value {
    let body = json!({"update_hash": hash, "build_configuration": {}, "meta_table_uid": table});
    server.request("POST", &format!("{PRODUCERS}/get_or_create/")).json(&body).send().success()["uid"].clone()
}

impl Place {
    fn new() -> Self {
        let project = Project::new();
        let all = "read,write,run,upload,grant,manage";
        let admin = token(&project, "ada", Some("admin"), all);
        let server = Server::start(&project, &[]).with_token(&admin);
        server.upload(SERIES);
        server.upload("reads_rows");
        let register = |identifier: &str, namespace: &str| {
            let mut contract = contract(identifier);
            contract["namespace"] = json!(namespace);
            server.post("/tables", &contract)["value"]["uid"].clone()
        };
        let (closed, _) = (register("closed", "secret"), register("open", "fx"));
        // What producers write is apart: a table has one node, and so names it.
        let (received, own_rows) = (register("received", "secret"), register("own_rows", "fx"));
        let mut sums = contract("sums");
        sums["namespace"] = json!("fx");
        sums["index"] = json!(["time_index"]);
        let column = |name: &str, kind: &str| json!({"name": name, "type": kind, "nullable": name == "sum"});
        sums["columns"] = json!([
            {"name": "time_index", "type": "timestamp_tz"}, column("rows", "int64"), column("sum", "float64")
        ]);
        server.post("/tables", &sums);
        for table in ["closed", "open"] {
            let config = json!({"series": [table]});
            server.post("/nodes", &json!({"component": SERIES, "table": table, "config": config}));
        }
        let node = server.get("/nodes/closed")["node"].clone();
        let execution = server.post("/nodes/closed/runs", &json!({"until": "2000-01-05"}));
        let ended = server.ended(&execution);
        assert_eq!(ended["result"][0]["status"], "ok", "{ended}");
        let order = json!({"from": "1999-12-01", "to": "1999-12-31", "step": "10d", "mode": "append_only"});
        let backfill = server.post("/nodes/closed/backfills", &order);
        server.ended(&backfill);
        let theirs = producer(&server, "their_hash", &received);
        let scheduler = announce(&server, None, &json!([theirs]));

        let bob = token(&project, "bob", None, all);
        server.post("/roles", &json!({"role": "editor", "user": "bob", "namespace": "fx"}));
        let own = producer(&server, "own_hash", &own_rows);
        let own_scheduler = announce(&server, Some(&bob), &json!([own]));
        let alone = ["write", "run", "manage"].map(|right| token(&project, "bob", None, right));
        let hash = node["update_hash"].as_str().unwrap();
        let prefix = json!(hash[..hash.len() - 4]);
        Self {
            tokens: std::iter::once(bob).chain(alone).collect(),
            tables: vec![pair(&closed), ("closed".to_owned(), "absent".to_owned())],
            nodes: vec![
                pair(&node["uid"]),
                pair(&node["update_hash"]),
                pair(&prefix),
                pair(&theirs),
                ("closed".to_owned(), "absent".to_owned()),
            ],
            runs: vec![pair(&ended["runs"][0]), pair(&json!(ended["runs"][0].as_str().unwrap()[..30]))],
            backfills: vec![pair(&backfill["backfill"]["backfill_id"])],
            executions: vec![pair(&execution["execution_id"]), pair(&backfill["execution_id"])],
            producers: vec![pair(&theirs)],
            schedulers: vec![pair(&scheduler)],
            own: own.as_str().unwrap().to_owned(),
            own_scheduler: own_scheduler.as_str().unwrap().to_owned(),
            server,
            _project: project,
        }
    }

    /// What is told of a name, without it.
    fn told(&self, token: &str, asked: &Asked, name: &str) -> String {
        let put = |text: &str| text.replace(NAME, name);
        let mut request = self
            .server
            .request(asked.method, &put(&asked.path))
            .header("authorization", &format!("Bearer {token}"))
            .header("x-request-id", "asked");
        if let Some(accept) = asked.accept {
            request = request.header("accept", accept);
        }
        if let Some(body) = &asked.body {
            request = request.header("content-type", "application/json").body(put(body).into_bytes());
        }
        let answer = request.send();
        format!("{} {}", answer.status, answer.text()).replace(name, NAME)
    }

    #[track_caller]
    fn is_hidden(&self, names: &Names, asked: &Asked) {
        for (hidden, missing) in names {
            for token in &self.tokens {
                let [of_hidden, of_missing] = [hidden, missing].map(|name| self.told(token, asked, name));
                assert_eq!(of_hidden, of_missing, "{asked:?} tells of {hidden}");
                let is_well = !of_hidden.starts_with('5') && !of_hidden.contains("closed");
                assert!(is_well, "{asked:?}: {of_hidden}");
            }
        }
    }
}

/// Something that is asked.
#[derive(Debug)]
struct Asked {
    method: &'static str,
    path: String,
    body: Option<String>,
    accept: Option<&'static str>,
}

fn asked(method: &'static str, path: &str, body: Option<Value>) -> Asked {
    Asked { method, path: path.to_owned(), body: body.map(|body| body.to_string()), accept: None }
}

/// Bodies that get as far as the question whether it is there: by the end of the path.
fn body_of(method: &str, path: &str) -> Value {
    let ends = [
        ("PATCH", "/tables/{reference}", json!({"add_labels": ["x"]})),
        ("POST", "/owner", json!({"user": null})),
        ("POST", "/repoint", json!({"to": "open"})),
        ("POST", "/delete-after", json!({"after": "2000-01-01"})),
        ("POST", "/query", json!({"sql": "SELECT 1"})),
        ("PATCH", "/nodes/{reference}", json!({"settings": ["retries=1"]})),
        ("POST", "/backfills", json!({"from": "1999-01-01", "to": "1999-01-31", "mode": "append_only"})),
        ("POST", "-label/", json!({"labels": ["x"]})),
        ("POST", "/run_query/", json!("SELECT 1")),
        ("POST", "/delete_after_date/", json!({"after_date": "2000-01-01"})),
        ("PATCH", "/add_tags/", json!({"tags": ["x"]})),
        ("PATCH", "/set_start_of_execution/", json!({"active_update_scheduler_uid": "x"})),
        ("PATCH", "/set_end_of_execution/", json!({"historical_update_uid": "x"})),
        ("PATCH", "/depends_on_connect/", json!({"target_update_node_uid": "x"})),
        ("PATCH", "/depends_on_connect_to_api_table/", json!({"target_table_uid": "x"})),
        ("PATCH", "/assign/", json!({"update_node_uids": []})),
        ("PATCH", "/in-active-tree/", json!({"update_node_uids": []})),
    ];
    let found = ends.iter().find(|(of, end, _)| *of == method && path.ends_with(end));
    found.map_or_else(|| json!({}), |(.., body)| body.clone())
}

/// Things with a name of which nothing depends on a table.
const OF_NO_TABLE: [&str; 12] = [
    "/api/v1/components/",
    "/api/v1/sources/",
    "/api/v1/secrets/",
    "/api/v1/tokens/",
    "/api/v1/users/",
    "/api/v1/teams/",
    "/orm/api/pods/projects/",
    "/orm/api/ts_manager/dynamic_table_data_source/",
    "/orm/api/pods/runtime-credentials/",
    "/auth/",
    "/user/",
    "/docs/",
];

#[test]
fn every_route_tells_of_what_is_hidden_as_of_what_is_not_there() {
    let place = Place::new();
    let kinds = [
        ("/api/v1/tables/{reference}", &place.tables),
        ("/api/v1/nodes/{reference}", &place.nodes),
        ("/api/v1/runs/{id}", &place.runs),
        ("/api/v1/backfills/{id}", &place.backfills),
        ("/api/v1/executions/{id}", &place.executions),
        ("/orm/api/ts_manager/dynamic_table/{uid}/", &place.tables),
        ("/orm/api/ts_manager/meta_table/{uid}/", &place.tables),
        ("/orm/api/ts_manager/local_time_serie/{uid}/", &place.producers),
        ("/orm/api/ts_manager/local_time_serie_update_details/{uid}/", &place.producers),
        ("/orm/api/ts_manager/scheduler/{uid}/", &place.schedulers),
    ];
    // They are there: the admin sees each.
    for (begin, names) in kinds {
        let is_table_of_old_client = begin.ends_with("_table/{uid}/");
        for (name, _) in names.iter().filter(|(name, _)| !(is_table_of_old_client && name == "closed")) {
            let path = begin.replace("{reference}", name).replace("{id}", name).replace("{uid}", name);
            // Schedulers are those of whoever has announced them, who is the admin here.
            assert_eq!(place.server.request("GET", &path).send().status, 200, "{path}");
        }
    }
    for (_, route) in routes().filter(|(_, route)| route.path.contains('{')) {
        let Some((begin, names)) = kinds.iter().find(|(begin, _)| route.path.starts_with(begin)) else {
            let is_placed = OF_NO_TABLE.iter().any(|begin| route.path.starts_with(begin));
            assert!(is_placed, "{} {}: does what it names depend on a table?", route.method, route.path);
            continue;
        };
        let path = begin.replace("{reference}", NAME).replace("{id}", NAME).replace("{uid}", NAME);
        let path = format!("{path}{}", &route.path[begin.len()..]);
        let body = (route.body != Body::None).then(|| body_of(route.method, route.path));
        place.is_hidden(names, &asked(route.method, &path, body));
    }
    let events = Some("text/event-stream");
    let logs = asked("GET", &format!("/api/v1/runs/{NAME}/logs"), None);
    place.is_hidden(&place.runs, &Asked { accept: events, ..logs });
}

#[test]
fn bodies_and_queries_tell_of_what_is_hidden_as_of_what_is_not_there() {
    let place = Place::new();
    let Place { own, own_scheduler, .. } = &place;
    let mut leads_there = contract("mine");
    leads_there["namespace"] = json!("fx");
    leads_there["foreign_keys"] =
        json!([{"columns": ["series"], "references": {"table": NAME, "columns": ["series"]}}]);
    let of_own = |action: &str| format!("{PRODUCERS}/{own}/{action}/");
    let own_nodes = json!([{ "uid": own }]);
    let of_tables = [
        asked("GET", "/api/v1/runs?table=NAME", None),
        asked("GET", "/api/v1/roles?table=NAME", None),
        asked("POST", "/api/v1/roles", Some(json!({"role": "viewer", "user": "bob", "table": NAME}))),
        asked("POST", "/api/v1/roles/revoke", Some(json!({"user": "bob", "table": NAME}))),
        asked("POST", "/api/v1/nodes", Some(json!({"component": SERIES, "table": NAME}))),
        // In a config, of the component's own tables and of those of its dependencies.
        asked(
            "POST",
            "/api/v1/nodes",
            Some(json!({"component": "reads_rows", "table": "sums", "config": {"table": NAME}})),
        ),
        asked(
            "POST",
            "/api/v1/nodes",
            Some(json!({"component": SERIES, "table": "open", "config": {"sound_table": NAME}})),
        ),
        asked("POST", "/api/v1/nodes/hash", Some(json!({"component": SERIES, "table": NAME}))),
        asked(
            "POST",
            "/api/v1/nodes/hash",
            Some(json!({"component": "reads_rows", "config": {"table": NAME}})),
        ),
        asked("POST", "/api/v1/components/check", Some(json!({"subject": SERIES, "table": NAME}))),
        asked("POST", "/api/v1/tables/diff", Some(contract(NAME))),
        asked("POST", "/api/v1/tables", Some(leads_there)),
        asked("POST", "/api/v1/tables/open/repoint", Some(json!({"to": NAME}))),
        asked("GET", "/orm/api/ts_manager/dynamic_table/?identifier=NAME", None),
        asked("GET", "/orm/api/ts_manager/dynamic_table/?uid=NAME", None),
        asked("POST", "/orm/api/ts_manager/meta_table/filter/", Some(json!({"uid__in": [NAME]}))),
        asked(
            "POST",
            "/orm/api/ts_manager/dynamic_table/get_data_between_dates_from_node_identifier/",
            Some(json!({"node_identifier": NAME})),
        ),
        asked(
            "POST",
            &format!("{PRODUCERS}/get_or_create/"),
            Some(json!({"update_hash": "h", "build_configuration": {}, "meta_table_uid": NAME})),
        ),
        asked("GET", &format!("{PRODUCERS}/?remote_table__uid=NAME"), None),
        asked("PATCH", &of_own("depends_on_connect_to_api_table"), Some(json!({"target_table_uid": NAME}))),
    ];
    for asked in &of_tables {
        place.is_hidden(&place.tables, asked);
    }
    for asked in [
        asked("GET", "/api/v1/runs?node=NAME", None),
        asked("GET", "/api/v1/backfills?node=NAME", None),
        asked("POST", "/api/v1/nodes/hash", Some(json!({ "node": NAME }))),
        asked("POST", "/api/v1/components/check", Some(json!({ "subject": NAME }))),
    ] {
        place.is_hidden(&place.nodes, &asked);
    }
    for asked in [
        asked("GET", &format!("{PRODUCERS}/?uid=NAME"), None),
        asked("PATCH", &of_own("depends_on_connect"), Some(json!({"target_update_node_uid": NAME}))),
        asked(
            "POST",
            &format!("{PRODUCERS}/get_metadatas_and_set_updates/"),
            Some(json!({"update_nodes": [{"uid": NAME}]})),
        ),
        asked(
            "POST",
            &format!("{SCHEDULERS}/build_and_assign_to_update_nodes/"),
            Some(json!({"scheduler_name": "x", "update_node_uids": [NAME]})),
        ),
        asked("GET", &format!("{SCHEDULERS}/for-update-node/?update_node_uid=NAME"), None),
        asked(
            "PATCH",
            &format!("{SCHEDULERS}/{own_scheduler}/assign/"),
            Some(json!({"update_node_uids": [NAME]})),
        ),
        asked(
            "PATCH",
            &format!("{SCHEDULERS}/{own_scheduler}/in-active-tree/"),
            Some(json!({"update_node_uids": [NAME]})),
        ),
    ] {
        place.is_hidden(&place.producers, &asked);
    }
    for asked in [
        asked("PATCH", &of_own("set_start_of_execution"), Some(json!({"active_update_scheduler_uid": NAME}))),
        asked(
            "POST",
            &format!("{PRODUCERS}/get_metadatas_and_set_updates/"),
            Some(json!({
                "update_nodes": own_nodes, "update_details_kwargs": {"active_update_scheduler_uid": NAME},
            })),
        ),
    ] {
        place.is_hidden(&place.schedulers, &asked);
    }
    let end = json!({"historical_update_uid": NAME, "error_on_update": true});
    place.is_hidden(&place.runs, &asked("PATCH", &of_own("set_end_of_execution"), Some(end)));
}

/// The beginning of a name that something of theirs has and something hidden has as well means what is theirs.
#[test]
fn what_is_hidden_makes_nothing_ambiguous() {
    let place = Place::new();
    let [bob, ..] = place.tokens.as_slice() else { panic!("no token") };
    let get = |path: &str| {
        let request = place.server.request("GET", &format!("/api/v1{path}"));
        request.header("authorization", &format!("Bearer {bob}")).send()
    };
    // Both nodes are of one component, and so begin alike.
    let theirs = place.server.get("/nodes/open")["node"]["uid"].clone();
    assert_eq!(get("/nodes/daily_series_").success()["node"]["uid"], theirs);
    assert_eq!(place.server.request("GET", "/api/v1/nodes/daily_series_").send().code(), "store.ambiguous");
    // Ids of runs and of backfills begin with the time.
    let ended = place.server.ended(&place.server.post("/nodes/open/runs", &json!({"until": "2000-01-05"})));
    let run = ended["runs"][0].as_str().unwrap();
    assert_eq!(get(&format!("/runs/{}", &run[..4])).success()["run_id"], run);
    let of_admin = place.server.request("GET", &format!("/api/v1/runs/{}", &run[..4])).send();
    assert_eq!(of_admin.code(), "store.ambiguous");
    let order = json!({"from": "1999-12-01", "to": "1999-12-31", "step": "10d", "mode": "append_only"});
    let begun = place.server.post("/nodes/open/backfills", &order);
    place.server.ended(&begun);
    let backfill = begun["backfill"]["backfill_id"].as_str().unwrap();
    assert_eq!(get(&format!("/backfills/{}", &backfill[..4])).success()["backfill"]["backfill_id"], backfill);
}
