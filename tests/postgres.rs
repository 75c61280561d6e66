//! The same program on a PostgreSQL server: the same tables, and what it can and cannot do there. (What a user is promised of
//! either database is in the other files, whose tests run on both; what a crash or a lost server leaves, in `crash.rs`.)
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use datanode_tests::Project;
use serde_json::Value;

const RATES: &str = "fx_ecb_daily_rates";
const RETURNS: &str = "fx_log_returns";
const FIRST_LEG: &str = "2020-12-31";

fn digest(project: &Project, table: &str) -> Value {
    project.json(&["table", "digest", table])["digest"].clone()
}

fn inserted(project: &Project, arguments: &[&str]) -> Vec<u64> {
    let runs = project.json(&[&["node", "run", RETURNS], arguments].concat());
    runs.as_array().unwrap().iter().map(|run| run["rows_inserted"].as_u64().unwrap()).collect()
}

fn is_sound(project: &Project) {
    for table in project.json(&["stats", "verify"]).as_array().unwrap() {
        assert_eq!(table["differences"].as_array().unwrap().len(), 0, "{table}");
    }
}

#[test]
fn two_legs_on_either_database_end_in_the_same_tables() {
    let (embedded, server) = (Project::with_fx(), Project::on_server().and_fx());
    for leg in [&["--until", FIRST_LEG][..], &[]] {
        assert_eq!(inserted(&server, leg), inserted(&embedded, leg));
    }
    for table in [RATES, RETURNS] {
        assert_eq!(digest(&server, table), digest(&embedded, table), "{table}");
    }
    assert_eq!(inserted(&server, &["--force"]), [0, 0], "what is there is not computed again");
    is_sound(&server);
}

#[test]
fn what_a_server_cannot_do_here_is_said() {
    let server = Project::on_server().and_fx();
    let (code, said) = server.fails(&["backup", "copy.db"]);
    assert_eq!(code, 2);
    assert!(said.contains("pg_dump"), "{said}");
    let (code, said) = server.fails(&["check", RETURNS]);
    assert_eq!(code, 3);
    assert!(said.contains("store.not_on_this_database"), "{said}");
}

#[test]
fn a_server_that_is_not_there_is_named_without_its_password() {
    let project = Project::new();
    let asked = |url: &str| {
        let output = project.command(&["table", "list"]).env("DATANODE_DATABASE_URL", url).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = asked("postgres://somebody:hunter2@127.0.0.1:1/nowhere");
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("store.connect") && said.contains("127.0.0.1:1/nowhere"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let (code, said) = asked("mysql://somebody:hunter2@127.0.0.1/nowhere");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("postgres://"), "{said}");
}
