//! Every route of the server, walked: what nobody, a stranger, a token without the right and a caller without the role are
//! answered. A route without a case here fails the test, and so does one that lets somebody through who should not pass.

use std::collections::BTreeSet;

use datanode_server::{Api, Body, Demand, Route, routes};
use datanode_tests::{Project, Server};
use serde_json::json;

use super::rights::token;
use super::{SERIES, contract};

/// What stands in the place of a parameter of a path: things that are there, so that it is rights that decide.
pub(super) fn filled(path: &str) -> String {
    let known = [
        ("{reference}", "daily"),
        ("{digest}", "00000000000000000000000000000000000000000000000000000000000000aa"),
        ("{name}", SERIES),
        ("{version}", "-"),
        ("{component}", SERIES),
        ("{user}", "stranger"),
        ("{id}", "00000000-0000-0000-0000-000000000000"),
        ("{uid}", "TABLE"),
    ];
    known.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// The cases: each route with what it demands, as it was decided. Whoever adds a route adds its line, and has thought about it.
const CASES: &str = include_str!("routes.txt");

fn demanded(route: &Route) -> String {
    match route.demand {
        Demand::Nothing => "nothing".to_owned(),
        Demand::Caller => "caller".to_owned(),
        Demand::To(action) => {
            let need = action.need();
            let role = need.role.map_or("-", |role| role.as_str());
            let of = if need.is_of_organisation { " of all" } else { "" };
            format!("{} {role}{of}", need.right)
        }
    }
}

fn line(route: &Route) -> String {
    format!("{} {} : {}", route.method, route.path, demanded(route))
}

#[test]
fn every_route_has_a_case() {
    let served: BTreeSet<String> = routes().map(|(_, route)| line(route)).collect();
    let cases: BTreeSet<String> = CASES.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let missing: Vec<&String> = served.difference(&cases).collect();
    let gone: Vec<&String> = cases.difference(&served).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "routes without a case in tests/server/routes.txt: {missing:#?}\ncases without a route: {gone:#?}"
    );
}

#[test]
fn every_route_asks_who_it_is() {
    let project = Project::new();
    let all = "read,write,run,upload,grant,manage";
    let admin = token(&project, "ada", Some("admin"), all);
    let server = Server::start(&project, &[]).with_token(&admin);
    server.upload(SERIES);
    let table = server.post("/tables", &contract("daily"))["value"]["uid"].as_str().unwrap().to_owned();
    server.post("/nodes", &json!({"component": SERIES, "table": "daily"}));
    // A user of whom nobody has said anything, with a token for everything; and an admin with a token for nothing else but
    // one right that is not demanded.
    let stranger = token(&project, "stranger", None, all);
    let of = |right: &str| token(&project, "ada", None, right);
    let (reads, manages) = (of("read"), of("manage"));

    let send = |route: &Route, token: Option<&str>| {
        let path = filled(route.path).replace("TABLE", &table);
        let mut request = server.request(route.method, &path).without("authorization");
        if let Some(token) = token {
            request = request.header("authorization", &format!("Bearer {token}"));
        }
        if route.body != Body::None {
            request = request.json(&json!({}));
        }
        // A stream of events would not end: nothing that is asked for here has any.
        request.send()
    };
    for (api, route) in routes() {
        let name = line(route);
        if route.demand == Demand::Nothing {
            let status = send(route, None).status;
            // What nobody may do at all, as giving credentials away, is refused to everybody.
            assert_ne!(status, 401, "{name}");
            continue;
        }
        let nobody = send(route, None);
        assert_eq!(nobody.status, 401, "{name} answers nobody: {}", nobody.text());
        let bad = send(route, Some("dn_0123456789abcdef_00"));
        assert_eq!(bad.status, 401, "{name} answers a token that is none: {}", bad.text());
        let Demand::To(action) = route.demand else { continue };
        let need = action.need();
        let without = if need.right.as_str() == "read" { &manages } else { &reads };
        let refused = send(route, Some(without));
        assert_eq!(refused.status, 403, "{name} answers a token without the right: {}", refused.text());
        if need.role.is_none() {
            continue;
        }
        // What there is must not be told to one who may not see it: no list of it is more than empty.
        let answer = send(route, Some(&stranger));
        let text = answer.text();
        let is_empty_list = answer.status == 200 && !text.contains("daily") && !text.contains(&table);
        let is_refused = match api {
            Api::Own => matches!(answer.status, 400 | 403 | 404 | 415 | 422),
            Api::Compatible => matches!(answer.status, 400 | 403 | 404 | 415 | 422),
        };
        assert!(is_refused || is_empty_list, "{name} answers a stranger: {} {text}", answer.status);
        // The same of an admin is no question of rights.
        let allowed = send(route, Some(&admin));
        assert!(
            !matches!(allowed.status, 401 | 403 | 500..),
            "{name} refuses an admin: {} {}",
            allowed.status,
            allowed.text()
        );
        // Where only the role can be the reason, it is.
        if need.is_of_organisation {
            assert_eq!(answer.status, 403, "{name} does not ask for a role on all: {text}");
        }
    }
    assert_eq!(server.metric("datanode_http_requests_total", &["status=\"500\""]), 0, "{}", server.log());
}
