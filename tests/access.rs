//! People, tokens, roles and the audit log, through the command line, on both databases.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)]

use datanode_tests::{Project, on_both_databases};
use serde_json::Value;

/// What every run of the tests has another of: ids of tokens, uids, moments, numbers of the audit log that rollbacks skip.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let is_part = |c: char| c.is_ascii_hexdigit() || "-:TZ.".contains(c);
    let mut rest = text;
    while !rest.is_empty() {
        let boundary = masked.chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let word = &rest[..length];
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let name = match word.len() {
            36 if word.matches('-').count() == 4 => Some("UID"),
            27 | 20 if word.contains('T') && word.ends_with('Z') => Some("MOMENT"),
            10 if digits == 8 && word.matches('-').count() == 2 => Some("DATE"),
            16 if word.bytes().all(|byte| byte.is_ascii_hexdigit()) && digits > 0 => Some("TOKEN"),
            64 => Some("SECRET"),
            _ => None,
        };
        let after = rest[length..].chars().next().is_none_or(|c| !c.is_alphanumeric());
        let token = masked.ends_with("dn_") || masked.ends_with("dn_TOKEN_");
        match name {
            Some(name) if (boundary && after) || token => {
                masked.push_str(name);
                rest = &rest[length..];
            }
            _ => {
                let step = length.max(rest.chars().next().map_or(1, char::len_utf8));
                masked.push_str(&rest[..step]);
                rest = &rest[step..];
            }
        }
    }
    // Columns are as wide as what stood in them.
    let lines = masked.lines().map(|line| {
        line.split("  ").filter(|part| !part.is_empty()).map(str::trim).collect::<Vec<_>>().join("  ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn token(project: &Project, arguments: &[&str]) -> (String, Value) {
    let created = project.json(&[&["token", "create"], arguments].concat());
    (created["token"].as_str().unwrap().to_owned(), created)
}

fn people_are_created_shown_and_disabled(project: Project) {
    let mut pages = String::new();
    let mut show = |arguments: &[&str]| {
        let said = project.run(arguments);
        pages += &format!("$ datanode {}\n{}\n\n", arguments.join(" "), masked(&said));
    };
    show(&["user", "create", "ada", "--role", "admin", "--first-name", "Ada", "--email", "ada@example.com"]);
    show(&["user", "create", "grace"]);
    show(&["user", "list"]);
    show(&["team", "create", "desk", "--description", "FX desk", "--user", "grace"]);
    show(&["team", "add", "desk", "ada", "grace"]);
    show(&["team", "remove", "desk", "ada"]);
    show(&["team", "list"]);
    show(&["role", "grant", "editor", "--team", "desk", "--namespace", "examples.fx"]);
    show(&["role", "grant", "editor", "--team", "desk", "--namespace", "examples.fx"]);
    show(&["role", "list"]);
    show(&["user", "show", "grace"]);
    show(&["team", "show", "desk"]);
    show(&["user", "disable", "grace"]);
    show(&["user", "enable", "grace"]);
    show(&["role", "revoke", "--team", "desk", "--namespace", "examples.fx"]);
    show(&["token", "list"]);
    insta::assert_snapshot!("people", pages);
}

fn a_token_is_shown_once(project: Project) {
    project.run(&["user", "create", "ada"]);
    let page =
        project.run(&["token", "create", "--user", "ada", "--right", "read,write", "--name", "notebooks"]);
    insta::assert_snapshot!("token", masked(&page));
    let text = page.lines().next().unwrap();
    let secret = text.rsplit('_').next().unwrap();
    assert!(text.starts_with("dn_") && secret.len() == 64, "{text}");
    for arguments in [
        &["token", "list"][..],
        &["token", "list", "--json"],
        &["user", "show", "ada", "--json"],
        &["audit", "list", "--json"],
    ] {
        assert!(!project.run(arguments).contains(secret), "{arguments:?}");
    }
    let listed = project.json(&["token", "list", "--user", "ada"]);
    let (id, state) = (listed[0]["id"].as_str().unwrap(), &listed[0]["state"]);
    assert!(text.contains(id) && state == "active", "{listed}");
    let days = |value: &Value| {
        let moment = |name: &str| value[name].as_str().unwrap().parse::<datanode_core::Timestamp>().unwrap();
        (moment("expires_at").micros() - moment("created_at").micros()) / 86_400_000_000
    };
    assert_eq!(days(&listed[0]), 89, "90 days, but for the moments in between");
    assert_eq!(listed[0]["rights"], serde_json::json!(["read", "write"]));
    project.run(&["token", "revoke", id]);
    let revoked = project.json(&["token", "revoke", id]);
    assert_eq!(revoked["state"], "revoked", "again changes nothing");
    let (_, endless) =
        token(&project, &["--user", "ada", "--right", "read", "--right", "run", "--expires", "never"]);
    assert!(
        endless["expires_at"].is_null() && endless["rights"] == serde_json::json!(["read", "run"]),
        "{endless}"
    );
}

fn mistakes_are_answered(project: Project) {
    project.run(&["user", "create", "ada"]);
    project.run(&["user", "create", "off"]);
    project.run(&["user", "disable", "off"]);
    let mut transcript = String::new();
    for arguments in [
        &["user", "create", "ada"][..],
        &["user", "create", "Ada Lovelace"],
        &["user", "create", "local"],
        &["user", "create", "grace", "--email", "nowhere"],
        &["user", "show", "grace"],
        &["token", "create", "--user", "grace"],
        &["token", "create", "--user", "off"],
        &["token", "create", "--user", "ada", "--right", "everything"],
        &["token", "create", "--user", "ada", "--right", ""],
        &["token", "create", "--user", "ada", "--expires", "soon"],
        &["token", "create", "--user", "ada", "--expires", "2001-01-01"],
        &["token", "create", "--user", "ada", "--per-minute", "0"],
        &["token", "revoke", "0123456789abcdef"],
        &["team", "show", "desk"],
        &["team", "create", "desk", "--user", "grace"],
        &["role", "grant", "owner", "--user", "ada"],
        &["role", "grant", "viewer"],
        &["role", "grant", "viewer", "--user", "ada", "--table", "nowhere"],
        &["role", "grant", "viewer", "--user", "ada", "--namespace", "No Namespace"],
        &["role", "grant", "viewer", "--user", "ada", "--namespace", "fx", "--table", "t"],
        &["role", "revoke", "--user", "ada", "--namespace", "fx"],
        &["table", "give", "nowhere", "--to", "ada"],
        &["table", "give", "nowhere"],
        &["audit", "list", "--since", "yesterday"],
    ] {
        let (exit, said) = project.fails(arguments);
        // A usage line names what the environment gives, too.
        let said = said.replace(" --database <URL>", "");
        transcript += &format!("$ datanode {}\n{said}exit {exit}\n\n", arguments.join(" "));
    }
    insta::assert_snapshot!("mistakes", transcript);
    assert_eq!(
        project.json(&["team", "list"]),
        serde_json::json!([]),
        "what is refused leaves nothing behind"
    );
}

fn tables_are_given_and_shared(project: Project) {
    let project = project.and_fx();
    for name in ["ada", "grace"] {
        project.run(&["user", "create", name]);
    }
    let given = project.json(&["table", "give", "fx_log_returns", "--to", "ada"]);
    let ada = project.json(&["user", "show", "ada"]);
    assert_eq!(given["owner"], ada["uid"]);
    assert!(project.run(&["table", "show", "fx_log_returns"]).contains(ada["uid"].as_str().unwrap()));
    assert_eq!(project.json(&["table", "give", "fx_log_returns", "--to-nobody"])["owner"], Value::Null);
    let change = project.json(&["role", "grant", "viewer", "--user", "grace", "--table", "fx_log_returns"]);
    assert_eq!((&change["table"], &change["roles"][0]), (&"fx_log_returns".into(), &"viewer".into()));
    let roles = project.json(&["role", "list", "--table", "fx_log_returns"]);
    assert_eq!((roles.as_array().unwrap().len(), &roles[0]["member_name"]), (1, &"grace".into()));
    assert_eq!(project.json(&["role", "list", "--table", "fx_ecb_daily_rates"]), serde_json::json!([]));
}

/// What every command leaves there, by whom, and nothing twice.
fn the_audit_log_tells_what_was_done(project: Project) {
    let project = project.and_fx();
    project.run(&["node", "run", "fx_log_returns", "--until", "1999-02-01"]);
    project.run(&["node", "run", "fx_log_returns", "--until", "1999-02-01"]);
    project.run(&["table", "label", "fx_log_returns", "--add", "tutorial"]);
    project.run(&["table", "delete-after", "fx_log_returns", "1999-01-20", "--yes"]);
    project.run(&["node", "set", "fx_log_returns", "retries=3"]);
    project.run(&["secret", "set", "prices", "--env", "PRICES_TOKEN"]);
    project.run(&["user", "create", "ada", "--role", "viewer"]);
    project.run(&["token", "create", "--user", "ada"]);
    let entries = project.json(&["audit", "list", "--limit", "0"]);
    let entries = entries["entries"].as_array().unwrap();
    let mut actions: Vec<_> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    actions.reverse();
    // The example is put up by several commands; what came after it is known.
    let begin = actions.iter().position(|action| *action == "table.describe").unwrap();
    assert_eq!(
        actions[begin..],
        [
            "table.describe",
            "table.delete_after",
            "node.set",
            "secret.set",
            "user.create",
            "role.grant",
            "token.create"
        ],
        "runs have records of their own"
    );
    for (action, times) in [("component.upload", 2), ("table.register", 2), ("node.create", 2)] {
        assert_eq!(actions.iter().filter(|one| **one == action).count(), times, "{action}: {actions:?}");
    }
    assert!(entries.iter().all(|entry| entry["actor"] == "local" && entry["token"].is_null()));
    assert!(!format!("{entries:?}").contains("PRICES_TOKEN"));
    let of = |arguments: &[&str]| {
        let page = project.json(&[&["audit", "list"], arguments].concat());
        page["entries"].as_array().unwrap().len()
    };
    assert_eq!(of(&["--subject", "fx_log_returns", "--action", "table"]), 3);
    assert_eq!((of(&["--actor", "ada"]), of(&["--actor", "local", "--limit", "3"])), (0, 3));
    assert_eq!(of(&["--since", "2999-01-01"]), 0);
    let page = project.run(&["audit", "list", "--action", "token", "--limit", "1"]);
    let is_number =
        |word: &str| !word.is_empty() && word.trim_end_matches(',').bytes().all(|byte| byte.is_ascii_digit());
    let numbers = |line: &str| {
        line.split(' ').map(|word| if is_number(word) { "N" } else { word }).collect::<Vec<_>>().join(" ")
    };
    let page: Vec<_> = masked(&page).lines().map(numbers).collect();
    insta::assert_snapshot!("audit", page.join("\n"));
    let more = project.run(&["audit", "list", "--limit", "2"]);
    let before = more.rsplit("--before ").next().unwrap().split(',').next().unwrap();
    let (first, second) = (
        project.json(&["audit", "list", "--limit", "2"]),
        project.json(&["audit", "list", "--limit", "2", "--before", before]),
    );
    assert_eq!(first["next"].to_string(), before);
    assert!(second["entries"][0]["id"].as_i64() < first["entries"][1]["id"].as_i64());
}

on_both_databases!(
    people_are_created_shown_and_disabled,
    a_token_is_shown_once,
    mistakes_are_answered,
    tables_are_given_and_shared,
    the_audit_log_tells_what_was_done,
);

/// A backup and its restored copy know everybody, and let the same tokens in.
#[test]
fn people_and_the_audit_log_are_in_a_backup() {
    let project = Project::new();
    project.run(&["user", "create", "ada", "--role", "admin"]);
    token(&project, &["--user", "ada"]);
    project.run(&["backup", "copy.db"]);
    let home = project.path().join("elsewhere");
    let there = ["--home", home.to_str().unwrap()];
    project.run(&[&["restore", "copy.db"][..], &there].concat());
    let restored = |arguments: &[&str]| project.json(&[arguments, &there].concat());
    for arguments in [&["user", "list"][..], &["token", "list"], &["role", "list"], &["audit", "list"]] {
        assert_eq!(restored(arguments), project.json(arguments), "{arguments:?}");
    }
    restored(&["user", "create", "grace"]);
    let (before, after) = (project.json(&["audit", "list"]), restored(&["audit", "list"]));
    assert_eq!(after["entries"].as_array().unwrap().len(), before["entries"].as_array().unwrap().len() + 1);
    assert_eq!(after["entries"][1], before["entries"][0]);
}
