//! Every document that `--json` prints is the one that docs/reference/json.schema.json describes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use datanode_tests::{Project, Server, component, root};
use serde_json::{Value, json};

struct Schemas {
    root: Value,
    used: BTreeSet<String>,
}

impl Schemas {
    fn new() -> Self {
        let text = std::fs::read_to_string(root().join("docs/reference/json.schema.json")).unwrap();
        Self { root: serde_json::from_str(&text).unwrap(), used: BTreeSet::new() }
    }

    fn check(&mut self, name: &str, document: &Value) {
        assert!(self.root["$defs"][name].is_object(), "no definition `{name}`");
        self.used.insert(name.to_owned());
        let mut schema = self.root.clone();
        schema["$ref"] = json!(format!("#/$defs/{name}"));
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(document)
            .take(5)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {}", errors.join("\n"));
    }

    fn each(&mut self, name: &str, documents: &Value) {
        let documents = documents.as_array().expect("an array");
        assert!(!documents.is_empty(), "no `{name}` to check");
        for document in documents {
            self.check(name, document);
        }
    }
}

#[test]
fn every_command_prints_what_the_schema_says() {
    let mut schemas = Schemas::new();
    let project = Project::with_fx();
    let place = project.path().to_str().unwrap();
    schemas.check("initialised", &project.json(&["init", place]));
    let (example, guest) = (root().join("examples/fx"), component("fx_log_returns"));
    let contract = example.join("contracts/fx_log_returns.toml");
    schemas.each("uploaded", &project.json(&["component", "upload", guest.to_str().unwrap()]));
    schemas.each("registered", &project.json(&["table", "register", contract.to_str().unwrap()]));
    let create = ["node", "create", "fx_log_returns", "--table", "fx_log_returns"];
    schemas.each("planned_node", &project.json(&create));
    schemas.check("graph", &project.json(&["node", "graph"]));
    schemas.check("plot", &project.json(&["table", "show", "fx_log_returns", "--plot", "log_return"]));

    let run = ["node", "run", "fx_log_returns", "--until", "1999-02-01", "--progress", "json", "--json"];
    let output = project.output(&run);
    assert!(output.status.success());
    schemas.each("run", &serde_json::from_slice(&output.stdout).unwrap());
    let mut events = BTreeSet::new();
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        let mut event: Value = serde_json::from_str(line).unwrap();
        schemas.check("event", &event);
        events.insert(event["event"].as_str().unwrap().to_owned());
        // Beside its name the last one is a run, whole.
        if event["event"] == "finished" {
            event.as_object_mut().unwrap().remove("event");
            schemas.check("run", &event);
        }
    }
    assert_eq!(events.len(), 9, "{events:?}");

    schemas.each("component", &project.json(&["component", "list"]));
    schemas.check("component", &project.json(&["component", "show", "fx_log_returns"]));
    schemas.check("component", &project.json(&["component", "disable", "fx_log_returns"]));
    // A run that fails, and a command that does.
    let (_, error) = project.fails(&["node", "run", "fx_log_returns", "--json"]);
    schemas.check("error", &serde_json::from_str(&error).unwrap());
    schemas.check("component", &project.json(&["component", "enable", "fx_log_returns"]));
    let again = ["node", "run", "fx_log_returns", "--until", "1999-03-01"];
    let dry = project.json(&[&again[..], &["--dry-run", "--force"]].concat());
    assert!(dry["frame"].is_object() && dry["stored"].is_object());
    schemas.check("dry_run", &dry);
    let debugged = project.json(&[&again[..], &["--debug"]].concat());
    assert!(!debugged["frame"]["sample"].as_array().unwrap().is_empty());
    schemas.check("debugged", &debugged);
    let runs = project.json(&["run", "list"]);
    let last = runs[0]["run_id"].as_str().unwrap().to_owned();
    schemas.check("journal", &runs[0]["journal"]);
    schemas.each("replayed", &project.json(&["run", "replay", "--all"]));
    let golden = root().join("tests/golden/c_nan_bits.tar");
    schemas.check("determinism", &project.json(&["check", "--determinism", golden.to_str().unwrap()]));
    schemas.check("exported", &project.json(&["run", "export", &last, "--output", "run.tar"]));
    schemas.check("pruned", &project.json(&["run", "prune", "--before", "2000-01-01"]));
    schemas.each("table", &project.json(&["table", "list"]));
    schemas.check("table_shown", &project.json(&["table", "show", "fx_log_returns"]));
    schemas.check("plot", &project.json(&["table", "show", "fx_log_returns", "--plot", "log_return"]));
    schemas.each("row", &project.json(&["table", "read", "fx_log_returns", "--limit", "20"]));
    schemas.check("written", &project.json(&["table", "read", "fx_log_returns", "--output", "rows.parquet"]));
    schemas.check("table_digest", &project.json(&["table", "digest", "fx_log_returns"]));
    schemas.check(
        "sql_answer",
        &project.json(&["table", "sql", "fx_log_returns", "SELECT * FROM fx_log_returns"]),
    );
    let refused = project.output(&["table", "sql", "fx_log_returns", "DELETE FROM fx_log_returns", "--json"]);
    assert_eq!(refused.status.code(), Some(3));
    schemas.check("sql_answer", &serde_json::from_slice(&refused.stdout).unwrap());
    schemas.check("statistics", &project.json(&["stats", "show", "fx_log_returns"]));
    schemas.each("source", &project.json(&["source", "list"]));
    schemas.check("source", &project.json(&["source", "grant", "ecb", "fx_log_returns"]));
    schemas.check("source", &project.json(&["source", "revoke", "ecb", "fx_log_returns"]));
    let place = [
        "source",
        "add",
        "prices",
        "--url",
        "https://example.com/",
        "--query",
        "key={secret:token}",
        "--retries",
        "0",
    ];
    schemas.check("source", &project.json(&place));
    schemas.check("source", &project.json(&["source", "allow", "prices", "--method", "POST"]));
    schemas.check("source", &project.json(&["source", "show", "prices"]));
    schemas.check("secret", &project.json(&["secret", "set", "token", "--env", "TOKEN"]));
    schemas.each("secret", &project.json(&["secret", "list"]));
    schemas.each("source", &project.json(&["source", "list"]));
    schemas.check("source", &project.json(&["source", "remove", "prices"]));
    schemas.check("secret_removed", &project.json(&["secret", "remove", "token"]));
    let shown = project.json(&["component", "show", "fx_log_returns"]);
    schemas.check("provenance", &shown["provenance"]);
    let taken = project.json(&["source", "revoke", "ecb", "ecb_daily_fx_rates"]);
    schemas.check("source", &taken);
    let output = project.output(&["node", "run", "fx_ecb_daily_rates", "--json"]);
    assert!(!output.status.success());
    let failed: Value = serde_json::from_slice(&output.stdout).unwrap();
    schemas.each("run", &failed);
    schemas.check("run_error", &failed[0]["error"]);
    schemas.each("node", &project.json(&["node", "list"]));
    schemas.check("node", &project.json(&["node", "unpin", "fx_log_returns"]));
    schemas.check("identity", &project.json(&["node", "hash", "fx_log_returns"]));
    schemas.check("identity", &project.json(&["node", "hash", "--component", "fx_log_returns"]));
    schemas.check("node_shown", &project.json(&["node", "show", "fx_log_returns"]));
    schemas.check("graph", &project.json(&["node", "graph"]));
    let check = project.output(&["check", "fx_log_returns", "--until", "1999-02-01", "--json"]);
    schemas.check("checked", &serde_json::from_slice(&check.stdout).unwrap());
    let runs = project.json(&["run", "list", "--limit", "0"]);
    schemas.each("run", &runs);
    let ok = runs.as_array().unwrap().iter().find(|run| run["status"] == "ok").unwrap();
    let id = ok["run_id"].as_str().unwrap();
    schemas.check("run", &project.json(&["run", "show", id]));
    let logs = project.run(&["run", "logs", id, "--json"]);
    assert!(!logs.is_empty());
    logs.lines().for_each(|line| schemas.check("log_line", &serde_json::from_str(line).unwrap()));
    // Revisions of a table.
    let table = "fx_log_returns";
    let text = std::fs::read_to_string(&contract).unwrap();
    let more = project.path().join("more.toml");
    let column = "\n[[columns]]\nname = \"note\"\ntype = \"string\"\nnullable = true\n";
    std::fs::write(&more, text.clone() + column).unwrap();
    let write = ["table", "revision", table, "-m", "a note", "--autogenerate", more.to_str().unwrap()];
    let written = project.json(&write);
    schemas.check("revision", &written);
    let seal = ["table", "revision", table, "--seal", written["revision"].as_str().unwrap()];
    schemas.check("revision", &project.json(&seal));
    schemas.each("revision_step", &project.json(&["table", "upgrade", table]));
    schemas.each("revision_of_table", &project.json(&["table", "history", table]));
    schemas.check("table_standing", &project.json(&["table", "current", table]));
    assert!(project.json(&write).is_null(), "nothing to do");
    let bind = ["table", "refresh", table, "--contract", more.to_str().unwrap()];
    schemas.check("revision_step", &project.json(&bind));
    schemas.each("revision_step", &project.json(&["table", "downgrade", table, "base"]));
    let remove = ["component", "remove", "fx_log_returns", "--json"];
    schemas.check("error", &serde_json::from_str(&project.fails(&remove).1).unwrap());

    // What a guest says and where it stood: of one that cannot describe itself, and of one whose run fails.
    let (_, error) =
        project.fails(&["component", "upload", component("panics_in_config").to_str().unwrap(), "--json"]);
    let error: Value = serde_json::from_str(&error).unwrap();
    schemas.check("error", &error);
    schemas.check("guest_failure", &error["error"]["guest"]);
    for guest in ["divides_by_zero", "error_value", "garbage_arrow"] {
        let text = std::fs::read_to_string(root().join("tests/hostile/contract.toml")).unwrap();
        let contract = project.path().join("contract.toml");
        std::fs::write(&contract, text.replace("\"hostile_output\"", &format!("\"{guest}\""))).unwrap();
        project.run(&["table", "register", contract.to_str().unwrap()]);
        project.upload(guest);
        project.run(&["node", "create", guest, "--table", guest]);
        let output = project.output(&["node", "run", guest, "--json"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stderr.is_empty(), "its error is in its record");
        let failed: Value = serde_json::from_slice(&output.stdout).unwrap();
        schemas.each("run", &failed);
        schemas.check("run_error", &failed[0]["error"]);
        schemas.check("guest_failure", &failed[0]["error"]["guest"]);
        let again = project.output(&["run", "retry", failed[0]["run_id"].as_str().unwrap(), "--json"]);
        schemas.each("run", &serde_json::from_slice(&again.stdout).unwrap());
        schemas.check(
            "node",
            &project.json(&["node", "set", guest, "lookback=7d", "retries=1", "late_rows=overwrite"]),
        );
        schemas.each("node_window", &project.json(&["node", "windows", guest]));
    }

    // A backfill, with what it tells on its way.
    let range = ["node", "backfill", "fx_ecb_daily_rates", "--from", "1999-01-04", "--to", "1999-01-08"];
    let output = project
        .output(&[&range[..], &["--append-only", "--step", "2", "--progress", "json", "--json"]].concat());
    // Its source was revoked: its first window has failed.
    assert_eq!(output.status.code(), Some(3));
    let failed: Value = serde_json::from_slice(&output.stdout).unwrap();
    schemas.check("backfill", &failed);
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let is_own = event["event"] == "backfill";
        schemas.check(if is_own { "backfill_event" } else { "event" }, &event);
    }
    let id = failed["backfill_id"].as_str().unwrap();
    let shown = project.json(&["node", "backfill", "show", id]);
    schemas.check("backfill_shown", &shown);
    schemas.each("backfill_window", &shown["windows"]);
    project.run(&["source", "grant", "ecb", "ecb_daily_fx_rates"]);
    schemas.check("backfill", &project.json(&["node", "backfill", "pause", id]));
    schemas.check("backfill", &project.json(&["node", "backfill", "resume", id]));
    schemas.each("backfill", &project.json(&["node", "backfill", "list"]));
    schemas.each("node_window", &project.json(&["node", "windows", "fx_ecb_daily_rates"]));
    schemas.each("run", &project.json(&["run", "list"]));

    // People, and what was done.
    schemas.check("user_shown", &project.json(&["user", "create", "ada", "--role", "admin"]));
    schemas.check("user_shown", &project.json(&["user", "disable", "ada"]));
    schemas.check("user_shown", &project.json(&["user", "enable", "ada"]));
    schemas.each("user", &project.json(&["user", "list"]));
    schemas.check("team_shown", &project.json(&["team", "create", "desk", "--user", "ada"]));
    schemas.each("team", &project.json(&["team", "list"]));
    let on_table = ["--team", "desk", "--table", "fx_log_returns"];
    for role in [&["--user", "ada", "--namespace", "fx"][..], &on_table] {
        let granted = project.json(&[&["role", "grant", "viewer"], role].concat());
        schemas.check("role_changed", &granted);
    }
    schemas.each("held_role", &project.json(&["role", "list"]));
    let created = project.json(&["token", "create", "--user", "ada", "--per-minute", "60"]);
    schemas.check("token_created", &created);
    schemas.each("token", &project.json(&["token", "list"]));
    schemas.check("user_shown", &project.json(&["user", "show", "ada"]));
    schemas.check("team_shown", &project.json(&["team", "show", "desk"]));
    schemas.check("token", &project.json(&["token", "revoke", created["id"].as_str().unwrap()]));
    schemas.check("role_changed", &project.json(&[&["role", "revoke"][..], &on_table].concat()));
    schemas.check("table_given", &project.json(&["table", "give", "fx_log_returns", "--to", "ada"]));
    schemas.each("table", &project.json(&["table", "list"]));
    schemas.check("table_shown", &project.json(&["table", "show", "fx_log_returns"]));
    schemas.check("table_given", &project.json(&["table", "give", "fx_log_returns", "--to-nobody"]));
    let page = project.json(&["audit", "list", "--limit", "5"]);
    schemas.check("audit_page", &page);
    schemas.each("audit_entry", &page["entries"]);

    // A node that a run of another process holds.
    let database = rusqlite::Connection::open(project.path().join(".datanode/datanode.db")).unwrap();
    database
        .execute(
            "UPDATE _leases SET holder = 'elsewhere, process 7', run_id = 'r', expires_at = 4102444800000000",
            (),
        )
        .unwrap();
    schemas.each("lease", &project.json(&["run", "leases"]));
    // For a moment later on, nobody else may have it open.
    drop(database);

    // Reference tables, differences, metadata and identifiers that move.
    let path = |name: &str| example.join(name).to_str().unwrap().to_owned();
    let currencies = path("contracts/currencies.toml");
    schemas.each("registered", &project.json(&["table", "register", &currencies]));
    schemas
        .check("loaded", &project.json(&["table", "load", "currencies", &path("reference/currencies.csv")]));
    schemas.check("table_shown", &project.json(&["table", "show", "currencies"]));
    schemas.check("difference", &project.json(&["table", "diff", &currencies]));
    schemas.check("registered", &project.json(&["table", "label", "currencies", "--set", "codes"]));
    let described = project.json(&["table", "describe", "currencies", "--column", "name=Name."]);
    schemas.check("registered", &described);
    let text = std::fs::read_to_string(&currencies).unwrap();
    let text = text
        .replace("\"date\"", "\"string\"")
        .replace("primary_key = [\"currency\"]", "primary_key = [\"name\"]");
    let key = "\n[[columns]]\nname = \"of\"\ntype = \"string\"\n\n[[foreign_keys]]\ncolumns = [\"of\"]\n\
               references = { table = \"currencies\", columns = [\"name\"] }\n";
    let other = project.path().join("other.toml");
    std::fs::write(&other, text.replace("nullable = true\n", "") + key).unwrap();
    let output = project.output(&["table", "diff", other.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let difference: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(difference["changes"].as_array().unwrap().len(), 7, "{difference:#}");
    schemas.check("difference", &difference);
    let repoint = ["table", "repoint", "fx_ecb_daily_rates", "--to", "currencies", "--rename-old", "rates"];
    schemas.check("repointed", &project.json(&repoint));
    schemas.check("node_shown", &project.json(&["node", "show", "fx_log_returns"]));
    schemas.check("repointed", &project.json(&["table", "repoint", "codes", "--to", "rates"]));

    schemas.check("found_tables", &project.json(&["search", "returns"]));
    schemas.check("found_columns", &project.json(&["search", "log return", "--mode", "column"]));
    let both = project.json(&["search", "currency", "--mode", "both"]);
    schemas.check("found_both", &both);
    schemas.each("found_table", &both["tables"]["items"]);
    schemas.each("found_columns_of_table", &both["columns"]["items"]);
    schemas.check("search_refreshed", &project.json(&["table", "refresh-search-index", "fx_log_returns"]));

    // A backup, tails that go, progress that somebody broke, and the backup in its place.
    let backup = project.path().join("backup.db");
    schemas.check("backed_up", &project.json(&["backup", backup.to_str().unwrap()]));
    let delete = ["table", "delete-after", "fx_log_returns", "1999-01-20"];
    schemas.check("deleted", &project.json(&[&delete[..], &["--dry-run"]].concat()));
    schemas.check("deleted", &project.json(&[&delete[..], &["--yes", "--where", "currency=USD"]].concat()));
    schemas
        .check("deleted", &project.json(&[&delete[..], &["--yes", "--coordinate", "currency=GBP"]].concat()));
    schemas.each("verified", &project.json(&["stats", "verify"]));
    schemas.check("served", Server::start(&project, &[]).said());
    let database = project.path().join(".datanode/datanode.db");
    let database = rusqlite::Connection::open(database).unwrap();
    let broken = "UPDATE _progress SET coordinate = '[\"XXX\"]' WHERE coordinate = '[\"USD\"]'";
    assert!(database.execute(broken, ()).unwrap() > 0);
    drop(database);
    let output = project.output(&["stats", "verify", "--json"]);
    schemas.each("verified", &serde_json::from_slice(&output.stdout).unwrap());
    schemas.check("restored", &project.json(&["restore", backup.to_str().unwrap(), "--force"]));

    // No definition describes what nobody prints; `built` is checked in tests/build.rs.
    schemas.used.extend(
        [
            "built",
            "contract",
            "foreign_key",
            "frame",
            "manifest",
            "moment",
            "quality_check",
            "sha256",
            "stored_rows",
            "value",
            "violation",
            "window",
        ]
        .map(str::to_owned),
    );
    let defined: BTreeSet<String> = schemas.root["$defs"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(schemas.used, defined);
}
