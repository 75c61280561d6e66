//! Who may do what: tokens, rights, roles, and what is not there for whom.

use datanode_tests::{Project, Server};
use serde_json::{Value, json};

use super::{SERIES, contract};

/// A token of a user that is made for it, with these rights; the role is on the organisation.
pub(super) fn token(project: &Project, user: &str, role: Option<&str>, rights: &str) -> String {
    if !project.output(&["user", "show", user]).status.success() {
        let mut create = vec!["user", "create", user];
        if let Some(role) = role {
            create.extend(["--role", role]);
        }
        project.run(&create);
    }
    let created = project.json(&["token", "create", "--user", user, "--right", rights, "--expires", "1d"]);
    created["token"].as_str().expect("a token").to_owned()
}

fn status(server: &Server, token: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
    let request = server.request(method, path).header("authorization", &format!("Bearer {token}"));
    let answer = body.map_or(request.clone(), |body| request.json(body)).send();
    let code = if answer.status >= 400 { answer.code() } else { String::new() };
    (answer.status, code)
}

#[test]
fn the_first_token_closes_the_door() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    assert_eq!(server.get("/me")["name"], "local");
    let admin = token(&project, "ada", Some("admin"), "read,manage");
    server.until("a token is demanded", |server| server.request("GET", "/api/v1/me").send().status == 401);
    let refused = server.request("GET", "/api/v1/me").send();
    assert_eq!(refused.code(), "access.no_token");
    assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
    let server = server.with_token(&admin);
    let me = server.get("/me");
    assert_eq!((&me["user"]["username"], &me["rights"]), (&json!("ada"), &json!(["read", "manage"])));
    // As the existing client writes it.
    let old = server.request("GET", "/api/v1/me").header("authorization", &format!("Token {admin}")).send();
    assert_eq!(old.status, 200);
    for bad in ["Bearer nonsense", "Basic YTpi", "Bearer", "", "Bearer dn_0123456789abcdef_00"] {
        assert_eq!(
            server.request("GET", "/api/v1/me").header("authorization", bad).send().status,
            401,
            "{bad}"
        );
    }
    let id = me["token"].as_str().unwrap();
    assert_eq!(server.request("DELETE", &format!("/api/v1/tokens/{id}")).send().status, 200);
    assert_eq!(server.request("GET", "/api/v1/me").send().code(), "access.token_refused");
}

#[test]
fn other_machines_are_let_in_by_token_alone() {
    let project = Project::new();
    let (code, said) = project.fails(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("server.open"), "{said}");
    let admin = token(&project, "ada", Some("admin"), "read");
    let server = Server::started(project.command(&["serve", "--listen", "0.0.0.0:0", "--json"]));
    assert_eq!(server.request("GET", "/api/v1/tables").send().status, 401);
    assert_eq!(server.request("GET", "/healthz").send().status, 200);
    let server = server.with_token(&admin);
    assert_eq!(server.get("/tables")["items"], json!([]));
    let strict = Server::start(&Project::new(), &["--require-token"]);
    assert_eq!(strict.request("GET", "/api/v1/tables").send().code(), "access.no_token");
}

#[test]
fn pages_of_other_sites_reach_nothing() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    let asked =
        |name: &str, value: &str| server.request("GET", "/api/v1/tables").header(name, value).send().status;
    assert_eq!(asked("host", "evil.example"), 403);
    assert_eq!(asked("origin", "http://evil.example"), 403);
    assert_eq!(asked("sec-fetch-site", "cross-site"), 403);
    assert_eq!(asked("host", "localhost"), 200);
    assert_eq!(asked("origin", &server.url()), 200);
}

#[test]
fn tables_of_others_are_not_there() {
    let project = Project::new();
    let admin = token(&project, "ada", Some("admin"), "read,write,run,upload,grant,manage");
    let server = Server::start(&project, &[]).with_token(&admin);
    server.upload(SERIES);
    for (table, namespace) in [("open", "fx"), ("closed", "secret")] {
        let mut contract = contract(table);
        contract["namespace"] = json!(namespace);
        server.post("/tables", &contract);
        server.post("/nodes", &json!({"component": SERIES, "table": table, "config": {"series": [table]}}));
        let begun = server.post(&format!("/nodes/{table}/runs"), &json!({"until": "2000-01-05"}));
        assert_eq!(server.ended(&begun)["state"], "done");
    }
    let bob = token(&project, "bob", None, "read,write,run,manage");
    server.post("/roles", &json!({"role": "viewer", "user": "bob", "namespace": "fx"}));
    let as_bob = |method: &str, path: &str, body: Option<&Value>| {
        status(&server, &bob, method, &format!("/api/v1{path}"), body)
    };
    assert_eq!(as_bob("GET", "/tables/open", None).0, 200);
    for (kind, path) in [
        ("table", "/tables/closed"),
        ("table", "/tables/closed/rows"),
        ("table", "/tables/closed/statistics"),
        ("node", "/nodes/closed"),
        ("node", "/nodes/closed/windows"),
        ("node", "/runs?node=closed"),
        ("table", "/runs?table=closed"),
    ] {
        assert_eq!(as_bob("GET", path, None), (404, format!("store.{kind}_not_found")), "{path}");
    }
    let seen = |path: &str| {
        let answer = server
            .request("GET", &format!("/api/v1{path}"))
            .header("authorization", &format!("Bearer {bob}"))
            .send();
        answer.success().to_string()
    };
    for path in [
        "/tables",
        "/nodes",
        "/runs",
        "/graph",
        "/executions",
        "/search/tables?q=closed",
        "/search/columns?q=value",
    ] {
        assert!(!seen(path).contains("closed"), "{path}");
    }
    assert!(seen("/tables").contains("open"));
    // To see is not to change.
    let edit = json!({"add_labels": ["mine"]});
    assert_eq!(as_bob("PATCH", "/tables/open", Some(&edit)), (403, "access.role_missing".to_owned()));
    assert_eq!(as_bob("POST", "/nodes/open/runs", Some(&json!({}))), (403, "access.role_missing".to_owned()));
    assert_eq!(as_bob("POST", "/tables", Some(&contract("new"))), (403, "access.role_missing".to_owned()));
    assert_eq!(as_bob("POST", "/components", None), (403, "access.right_missing".to_owned()));
    assert_eq!(as_bob("GET", "/audit", None), (403, "access.role_missing".to_owned()));
    // Nor to give oneself a role.
    let role = json!({"role": "admin", "user": "bob"});
    assert_eq!(as_bob("POST", "/roles", Some(&role)), (403, "access.role_missing".to_owned()));
    // The audit log says who it was, by which request.
    let edit = json!({"add_labels": ["theirs"]});
    let answer =
        server.request("PATCH", "/api/v1/tables/open").header("x-request-id", "label-1").json(&edit).send();
    assert_eq!(answer.status, 200);
    let entries = server.get("/audit?subject=open");
    assert_eq!(
        (&entries["items"][0]["actor"], &entries["items"][0]["request_id"]),
        (&json!("ada"), &json!("label-1")),
        "{entries}"
    );
}

#[test]
fn foreign_keys_lead_to_what_one_may_read() {
    let project = Project::new();
    let admin = token(&project, "ada", Some("admin"), "read,write,manage");
    let server = Server::start(&project, &[]).with_token(&admin);
    let mut closed = contract("closed");
    closed["namespace"] = json!("secret");
    server.post("/tables", &closed);
    let bob = token(&project, "bob", None, "read,write");
    server.post("/roles", &json!({"role": "editor", "user": "bob", "namespace": "fx"}));
    let leads_to = |target: &str| {
        let mut contract = contract("mine");
        contract["namespace"] = json!("fx");
        let references = json!({"table": target, "columns": ["series"]});
        contract["foreign_keys"] = json!([{"columns": ["series"], "references": references}]);
        status(&server, &bob, "POST", "/api/v1/tables", Some(&contract)).1
    };
    // One that is hidden is answered as one that is not there.
    for target in ["closed", "absent"] {
        assert_eq!(leads_to(target), "contract.target_not_registered", "{target}");
    }
}

#[test]
fn a_token_is_good_for_so_many_requests() {
    let project = Project::new();
    project.run(&["user", "create", "ada", "--role", "admin"]);
    let created = project.json(&["token", "create", "--user", "ada", "--right", "read", "--per-minute", "3"]);
    let server = Server::start(&project, &[]).with_token(created["token"].as_str().unwrap());
    let statuses: Vec<u16> = (0..5).map(|_| server.request("GET", "/api/v1/me").send().status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let refused = server.request("GET", "/api/v1/me").send();
    assert_eq!(refused.code(), "access.too_many_requests");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(server.request("GET", "/healthz").send().status, 200);

    // One that says nothing is good for as many as the server is set to.
    let project = Project::with_settings("[server]\nrequests_per_minute = 2\n");
    let ada = token(&project, "ada", Some("admin"), "read");
    let server = Server::start(&project, &[]).with_token(&ada);
    let statuses: Vec<u16> = (0..3).map(|_| server.request("GET", "/api/v1/me").send().status).collect();
    assert_eq!(statuses, [200, 200, 429]);
}
