//! What is refused: mistakes, and what somebody has no right to.

use datanode_tests::Project;
use serde_json::{Value, json};

use crate::http::Request;
use crate::place::{DYNAMIC, META, Place, RATES};

pub(crate) fn mistakes_are_the_callers(project: Project) {
    let place = Place::new(project, "1999-01-05");
    let read = place.of_rates("get_data_between_dates_from_remote/");
    for body in ["{", "[]", "\"x\"", "{\"start_date\": }", "\u{0}", "{\"a\": \"\\u0000\"}"] {
        let answer =
            place.send(&Request::new("POST", &read).header("Content-Type", "application/json").body(body));
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(answer.json()["detail"].is_string());
        assert!(
            answer.head.to_ascii_lowercase().contains("content-type: application/json"),
            "{}",
            answer.head
        );
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let answer = place.send(&Request::new("POST", &read).body(deep));
    assert_eq!(answer.status, 400, "{}", answer.text);
    // Larger than any document.
    let large = place.send(&Request::new("POST", &read).body(vec![b' '; (16 << 20) + 1]));
    assert_eq!(large.status, 413, "{}", large.text);
    assert!(large.json()["detail"].is_string());
    // Paths that lead nowhere, methods that are not for them.
    for (method, path, status) in [
        ("GET", "/orm/api/ts_manager/nothing/", 404),
        ("GET", "/orm/api/ts_manager/dynamic_table/../../etc/", 404),
        ("PUT", "/orm/api/ts_manager/dynamic_table/", 405),
        ("GET", "/orm/api/ts_manager/dynamic_table/%00/", 400),
        ("GET", "/orm/api/ts_manager/dynamic_table/%ff/", 400),
    ] {
        let answer = place.send(&Request::new(method, path));
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    }
    // What the protocol has and this host does not.
    let source = place.source();
    for path in [
        format!("{META}/finalize-managed/"),
        format!("{META}/execute-operation/"),
        format!("{DYNAMIC}_data_source/{source}/migration-connection/"),
    ] {
        place.refused(400, "POST", &path, &json!({}));
    }
    place.refused(404, "GET", &format!("{DYNAMIC}_data_source/{}/", uuid::Uuid::nil()), &Value::Null);
    assert_eq!(place.get(&format!("{DYNAMIC}_data_source/{source}/"))["id"], 1);
    let project = place.get("/orm/api/pods/projects/project-142/");
    assert_eq!((&project["uid"], &project["is_initialized"]), (&json!("project-142"), &json!(true)));
}

/// Both may register a table where there is none; to protect the table of somebody else takes more.
pub(crate) fn who_registers_what_another_has_registered_meanwhile_is_judged_by_that(project: Project) {
    let place = Place::new(project, "1999-01-10");
    let body = place.registration("prices_of_bob", "prices_of_bob");
    let token = |user: &str| {
        place.project.run(&["user", "create", user]);
        place.project.run(&["role", "grant", "editor", "--user", user, "--namespace", "examples.client"]);
        let created =
            place.project.json(&["token", "create", "--user", user, "--right", "read", "--right", "write"]);
        created["token"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned()
    };
    let (bob, carol) = (token("bob"), token("carol"));
    let send = |token: &str, body: &Value| {
        let (address, token, body) = (place.server.address().to_string(), token.to_owned(), body.to_string());
        std::thread::spawn(move || {
            let path = format!("{DYNAMIC}/register/");
            let request = Request::new("POST", &path).header("Authorization", &format!("Bearer {token}"));
            request.body(body).send(&address)
        })
    };
    let mut protecting = body.clone();
    protecting["protect_from_deletion"] = json!(true);
    let (first, second) = place.project.while_writing(|| {
        let pause = || std::thread::sleep(std::time::Duration::from_millis(700));
        let first = send(&bob, &body);
        pause();
        let second = send(&carol, &protecting);
        pause();
        (first, second)
    });
    let (first, second) = (first.join().unwrap(), second.join().unwrap());
    assert_eq!((first.status, second.status), (201, 403), "{} {}", first.text, second.text);
    let uid = first.json()["uid"].as_str().unwrap().to_owned();
    let path = format!("{DYNAMIC}/{uid}/");
    let shown = place.send(&Request::new("GET", &path).header("Authorization", &format!("Bearer {bob}")));
    assert_eq!(shown.json()["protect_from_deletion"], json!(false), "{}", shown.text);
}

pub(crate) fn rights_are_asked_for(project: Project) {
    let place = Place::new(project, "1999-01-10");
    let token = |user: &str, rights: &str| {
        let created = place.project.json(&["token", "create", "--user", user, "--right", rights]);
        created["token"]
            .as_str()
            .or(created["text"].as_str())
            .unwrap_or_else(|| panic!("{created}"))
            .to_owned()
    };
    let grant = |role: &str, words: &[&str]| {
        place.project.run(&[&["role", "grant", role], words].concat());
    };
    for user in ["ada", "grace", "mary"] {
        place.project.run(&["user", "create", user]);
    }
    grant("admin", &["--user", "ada"]);
    grant("viewer", &["--user", "grace", "--table", RATES]);
    let (ada, grace, mary) =
        (token("ada", "read,write,manage"), token("grace", "read,write"), token("mary", "read,write"));
    // A server that was there before the first token closes within a second.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let ask = |token: Option<&str>, method: &str, path: &str, body: &Value| {
        let mut request = Request::new(method, path);
        if let Some(token) = token {
            request = request.header("Authorization", &format!("Bearer {token}"));
        }
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        place.send(&request)
    };
    let status =
        |token: Option<&str>, method: &str, path: &str, body: &Value| ask(token, method, path, body).status;
    let list = format!("{DYNAMIC}/");
    assert_eq!(status(None, "GET", &list, &Value::Null), 401);
    assert_eq!(status(Some("dn_x_y"), "GET", &list, &Value::Null), 401);
    let count = |token: &str| ask(Some(token), "GET", &list, &Value::Null).json()["count"].clone();
    assert_eq!((count(&ada), count(&grace), count(&mary)), (json!(2), json!(1), json!(0)));
    // One who sees nothing of it learns nothing of it.
    let (show, delete) = (place.of_rates(""), place.of_rates("delete_after_date/"));
    let tail = json!({"after_date": "1999-01-08"});
    assert_eq!(status(Some(&mary), "GET", &show, &Value::Null), 404);
    assert_eq!(status(Some(&mary), "POST", &delete, &tail), 404);
    assert_eq!(
        ask(Some(&mary), "GET", &format!("{DYNAMIC}/description-search/?q=rates"), &Value::Null).json()["count"],
        0
    );
    assert_eq!(status(Some(&grace), "GET", &show, &Value::Null), 200);
    assert_eq!(status(Some(&grace), "POST", &delete, &tail), 403);
    assert_eq!(status(Some(&grace), "POST", &place.of_rates("add-to-view/"), &json!({"user_id": 1})), 403);
    assert_eq!(status(Some(&grace), "DELETE", &show, &Value::Null), 403);
    let register = ask(Some(&grace), "POST", &format!("{DYNAMIC}/register/"), &Value::Null).status;
    assert_eq!(register, 400, "the body is looked at first");
    assert_eq!(status(Some(&ada), "POST", &delete, &tail), 200);
    // Who one is.
    let details = ask(Some(&ada), "GET", "/user/api/user/get_user_details/", &Value::Null).json();
    assert_eq!(
        (&details["user"]["username"], details["user"]["organization"]["name"].is_string()),
        (&json!("ada"), true)
    );
    assert!(ask(Some(&ada), "GET", "/auth/rest-auth/user/", &Value::Null).json()["uid"].is_string());
    // A token refreshes itself, as long as it counts; and its id and secret are a credential.
    let refresh =
        |token: &str| ask(None, "POST", "/auth/jwt-token/token/refresh/", &json!({"refresh": token}));
    assert_eq!(refresh(&grace).json()["access"], json!(grace));
    let parts: Vec<&str> = grace.split('_').collect();
    let body = json!({"credential_id": parts[1], "credential_secret": parts[2]});
    let credential = ask(None, "POST", "/orm/api/pods/runtime-credentials/token/", &body).json();
    assert_eq!((&credential["access"], &credential["token_type"]), (&json!(grace), &json!("Bearer")));
    assert_eq!(
        status(None, "POST", "/auth/jwt-token/token/", &json!({"username": "ada", "password": "x"})),
        403
    );
    place.project.run(&["token", "revoke", parts[1]]);
    assert_eq!(refresh(&grace).status, 401);
    assert_eq!(status(None, "POST", "/orm/api/pods/runtime-credentials/token/", &body), 401);
    assert_eq!(status(Some(&grace), "GET", &list, &Value::Null), 401);
}
