//! DataNodes written in Python with the unmodified client, and components, that read each other's tables.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::process::Command;

use datanode_tests::{Project, Server, on_both_databases, root};
use serde_json::{Value, json};
use tempfile::TempDir;

const RATES: &str = "fx_ecb_daily_rates";
/// The tables of `tests/client/producer.py`, as the host calls them.
const GBP: &str = "client_gbp_rates";
const CHANGES: &str = "client_rate_changes";

/// The client, as a user who has nothing but its variables.
struct Client {
    address: String,
    token: String,
    home: TempDir,
}

impl Client {
    fn of(server: &Server, project: &Project) -> Self {
        project.run(&["user", "create", "ada"]);
        project.run(&["role", "grant", "editor", "--user", "ada"]);
        let token = project.json(&["token", "create", "--user", "ada", "--right", "read,write"]);
        let token = token["token"].as_str().unwrap_or_else(|| panic!("{token}")).to_owned();
        Self { address: server.address().to_string(), token, home: TempDir::new().unwrap() }
    }

    /// Run a script of `tests/client`; what it says.
    fn script(&self, name: &str, arguments: &[&str]) -> String {
        let python = std::env::var_os("DATANODE_TEST_CLIENT")
            .map_or_else(|| datanode_tests::target().join("client/bin/python"), PathBuf::from);
        let mut command = Command::new(python);
        command.arg(root().join("tests/client").join(name)).args(arguments).current_dir(self.home.path());
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("MAINSEQUENCE_ENDPOINT", format!("http://{}", self.address));
        command
            .env("MAINSEQUENCE_ACCESS_TOKEN", &self.token)
            .env("MAIN_SEQUENCE_PROJECT_UID", "project-of-a-test");
        let output = command.output().expect("the environment of the client; `cargo xtask test` makes it");
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name} {arguments:?}\n{said}\n{errors}");
        said.into_owned()
    }
}

/// The script with these arguments; the last line of what it says.
fn python(client: &Client, arguments: &[&str]) -> Value {
    let said = client.script("producer.py", arguments);
    let last = said.lines().last().unwrap_or("null");
    serde_json::from_str(last).unwrap_or(Value::Null)
}

/// What a table holds: the number of its rows.
fn rows(project: &Project, physical_name: &str) -> i64 {
    let name = if project.is_on_server() {
        format!("datanode_tables.{physical_name}")
    } else {
        physical_name.to_owned()
    };
    project.number(&format!("SELECT count(*) FROM {name}"))
}

/// Days for which there is a rate of the pound.
fn published(project: &Project) -> i64 {
    let name = if project.is_on_server() { format!("datanode_tables.{RATES}") } else { RATES.to_owned() };
    project.number(&format!("SELECT count(*) FROM {name} WHERE currency = 'GBP'"))
}

fn producer_runs(project: &Project) -> Vec<Value> {
    let runs = project.json(&["run", "list", "--limit", "0"]);
    runs.as_array().unwrap().iter().filter(|run| run["kind"] == "producer").cloned().collect()
}

fn python_reads_what_a_component_wrote_and_a_component_what_python_wrote(project: Project) {
    let project = project.and_fx();
    project.run(&["node", "run", RATES, "--until", "2000-12-31"]);
    let first = published(&project);
    let server = Server::start(&project, &[]);
    let client = Client::of(&server, &project);

    python(&client, &["register"]);
    let said = python(&client, &["run"]);
    assert_eq!(said["error"], Value::Null, "{said}");
    assert_eq!((rows(&project, GBP), rows(&project, CHANGES)), (first, 2 * first - 6));
    assert_eq!(said["rows"], json!(2 * first - 6));
    assert_eq!(said["latest"], "2000-12-29 00:00:00+00:00");
    let runs = producer_runs(&project);
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert!(runs.iter().all(|run| run["status"] == "ok"));
    let head = runs.iter().find(|run| run["update_hash"] == said["update_hash"]).unwrap();
    assert_eq!(head["inputs"][0]["key"], said["dependency_hash"]);

    // Again: nothing is new, and nothing is sent.
    let said = python(&client, &["run"]);
    assert_eq!((rows(&project, GBP), rows(&project, CHANGES)), (first, 2 * first - 6), "{said}");
    assert_eq!(producer_runs(&project).iter().filter(|run| run["status"] == "empty").count(), 2);

    // The component goes on, and what is new follows.
    project.run(&["node", "run", RATES, "--until", "2001-03-31"]);
    let second = published(&project);
    assert!(second > first);
    let said = python(&client, &["run"]);
    assert_eq!((rows(&project, GBP), rows(&project, CHANGES)), (second, 2 * second - 6), "{said}");
    let newest = producer_runs(&project);
    let of = |hash: &str| newest.iter().find(|run| run["update_hash"] == said[hash]).unwrap();
    let inserted = |hash: &str| of(hash)["rows_inserted"].as_i64().unwrap();
    assert_eq!(
        (inserted("update_hash"), inserted("dependency_hash")),
        (2 * (second - first), second - first)
    );
    assert_eq!(of("update_hash")["rows_updated"], 0, "what is there was not sent again");

    // One that fails in its `update` stores nothing, and is recorded.
    let said = python(&client, &["run-failing"]);
    assert_eq!(said["error"], "the config asks for it");
    assert_eq!(rows(&project, CHANGES), 2 * second - 6);
    let failed = producer_runs(&project).into_iter().find(|run| run["status"] == "failed").unwrap();
    assert_eq!(failed["error"]["code"], "producer.reported");

    // A component reads what Python wrote.
    project.upload("column_arithmetic");
    let contract = "identifier = \"gbp_arithmetic\"\nindex = [\"time_index\"]\ncolumns = [\
        { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"change\", type = \"float64\" }, \
        { name = \"smoothed\", type = \"float64\" }]";
    std::fs::write(project.path().join("arithmetic.toml"), contract).unwrap();
    project.run(&["table", "register", "arithmetic.toml"]);
    let config = json!({"table": GBP}).to_string();
    project.run(&["node", "create", "column_arithmetic", "--table", "gbp_arithmetic", "--config", &config]);
    let runs = project.json(&["node", "run", "gbp_arithmetic"]);
    assert_eq!(runs.as_array().unwrap().last().unwrap()["rows_inserted"], json!(second));
    // And Python reads that.
    assert_eq!(python(&client, &["read", "gbp_arithmetic"])["rows"], json!(second));
    assert!(
        project
            .json(&["stats", "verify"])
            .as_array()
            .unwrap()
            .iter()
            .all(|table| table["differences"] == json!([]))
    );
    assert!(root().join("tests/client/producer.py").is_file());
}

on_both_databases!(python_reads_what_a_component_wrote_and_a_component_what_python_wrote);
