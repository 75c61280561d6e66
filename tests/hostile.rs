//! Hostile components: each ends in its own error, within its limit, and leaves nothing behind.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use datanode_tests::{Project, component, root};
use serde_json::Value;

/// Small limits, so that reaching one takes seconds.
const SETTINGS: &str = "
[limits]
fuel = 3_000_000_000
memory_bytes = 536_870_912
emit_bytes = 134_217_728
message_bytes = 33_554_432
host_calls = 100_000
opens = 1_000
emit_rows = 40_000
stack_bytes = 262_144
";

/// No case takes longer than this, even on a busy machine: the limits end it, not patience.
const PATIENCE: Duration = Duration::from_mins(1);

/// Component, error code, exit code.
const CASES: [(&str, &str, i32); 28] = [
    ("endless_loop", "sandbox.limit.fuel", 1),
    ("memory_bomb", "sandbox.limit.memory", 1),
    ("deep_recursion", "sandbox.limit.stack", 5),
    ("huge_emit", "sandbox.limit.emit_bytes", 1),
    ("huge_message", "sandbox.limit.message_bytes", 1),
    ("log_flood", "sandbox.limit.host_calls", 1),
    ("opens_without_end", "sandbox.limit.opens", 1),
    ("keeps_readers_open", "sandbox.limit.open_handles", 1),
    ("endless_rows", "sandbox.limit.emit_rows", 1),
    ("garbage_arrow", "frame.not_arrow", 1),
    ("truncated_arrow", "frame.truncated", 1),
    ("wrong_schema", "frame.schema", 1),
    ("extra_column", "frame.schema", 1),
    ("duplicate_key", "frame.duplicate_key", 1),
    ("duplicate_key_across_batches", "frame.duplicate_key", 1),
    ("null_key", "frame.null_key", 1),
    ("null_time", "frame.null_key", 1),
    ("non_utc_time", "frame.not_utc", 1),
    ("naive_time", "frame.not_utc", 1),
    ("row_after_window", "frame.after_window", 1),
    ("trap", "sandbox.trap", 1),
    ("panics", "sandbox.trap", 1),
    ("divides_by_zero", "sandbox.trap", 1),
    ("out_of_bounds", "sandbox.trap", 1),
    ("wild_pointer", "sandbox.trap", 1),
    ("error_value", "node.error", 1),
    ("reads_undeclared", "node.error", 1),
    ("fetches_undeclared", "node.error", 1),
];

fn contract_for(table: &str) -> String {
    let contract = std::fs::read_to_string(root().join("tests/hostile/contract.toml")).unwrap();
    contract.replace("\"hostile_output\"", &format!("\"{table}\""))
}

/// What a user reads, without the parts that differ between compilers and runs: all frames of a stack but the first
/// sentence's, the name of that one's function, and the run's id. Lines of a flood are told by the first.
fn stable(said: &str) -> String {
    let differs =
        |line: &str| ["    at ", "see:", "log:  info  again"].iter().any(|start| line.starts_with(start));
    let place = |line: &str| match line.split_once("` trapped: ") {
        Some((before, after)) => format!("{before}` trapped: {}", after.split(" (").next().unwrap_or(after)),
        None => line.to_owned(),
    };
    said.lines().filter(|line| !differs(line)).map(place).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_ends_in_its_own_error_and_leaves_nothing_behind() {
    let project = Project::with_settings(SETTINGS);
    project.upload("well_behaved");
    let mut transcript = String::new();
    for (component, code, exit) in CASES {
        let table = format!("out_{component}");
        let contract = project.path().join("contract.toml");
        std::fs::write(&contract, contract_for(&table)).unwrap();
        project.run(&["table", "register", contract.to_str().unwrap()]);
        project.upload(component);
        let node = project.json(&["node", "create", component, "--table", &table]);
        // By uid: the same component with the same config has one update hash, whatever table it writes.
        let uid = node[0]["node"]["uid"].as_str().unwrap().to_owned();

        let begin = Instant::now();
        let (exit_code, said) = project.fails(&["node", "run", &uid, "--until", "2026-01-01"]);
        let took = begin.elapsed();
        assert!(said.starts_with(&format!("error[{code}]")), "{component}: {said}");
        assert_eq!(exit_code, exit, "{component}: {said}");
        assert!(took < PATIENCE, "{component} took {took:?}");
        transcript += &format!("── {component}\n{}\n", stable(&said));

        // The record stays small, whatever the guest logged, opened or answered.
        let record = project.json(&["run", "list", "--table", &table]).to_string();
        assert!(record.len() < 4 << 20, "{component}: a run record of {} bytes", record.len());

        // Recorded as failed, with zero rows, and the table is empty.
        let run = project.json(&["run", "list", "--table", &table]);
        assert_eq!((&run[0]["status"], &run[0]["rows_inserted"]), (&Value::from("failed"), &Value::from(0)));
        assert_eq!(run[0]["error"]["code"], code, "{component}");
        assert_eq!(project.json(&["table", "read", &table]), Value::Array(Vec::new()), "{component}");
        assert_eq!(project.json(&["table", "show", &table])["rows"], 0, "{component}");

        // The next good run into the same table succeeds.
        let node = project.json(&["node", "create", "well_behaved", "--table", &table]);
        let runs = project.json(&["node", "run", node[0]["node"]["uid"].as_str().unwrap()]);
        assert_eq!(
            (&runs[0]["status"], &runs[0]["rows_inserted"]),
            (&Value::from("ok"), &Value::from(3)),
            "{component}"
        );
    }
    insta::assert_snapshot!(transcript);
}

/// A project with these settings and a table `out` for each name.
fn project(settings: &str, tables: &[&str]) -> Project {
    let project = Project::with_settings(settings);
    for table in tables {
        let contract = project.path().join("contract.toml");
        std::fs::write(&contract, contract_for(table)).unwrap();
        project.run(&["table", "register", contract.to_str().unwrap()]);
    }
    project
}

/// What the run of a component into the table `out` ends with under these settings.
fn ends_with(settings: &str, name: &str) -> (i32, String) {
    let project = project(settings, &["out"]);
    project.upload(name);
    project.run(&["node", "create", name, "--table", "out"]);
    project.fails(&["node", "run", "out", "--until", "2026-01-01"])
}

#[test]
fn a_trap_names_its_place_and_carries_all_that_is_known_as_data() {
    let project = project(SETTINGS, &["out"]);
    project.upload("divides_by_zero");
    project.run(&["node", "create", "divides_by_zero", "--table", "out"]);
    project.fails(&["node", "run", "out"]);
    let runs = project.json(&["run", "list"]);
    let (error, guest) = (&runs[0]["error"], &runs[0]["error"]["guest"]);
    assert_eq!((&guest["component"], &guest["function"]), (&"divides_by_zero".into(), &"update".into()));
    let location = guest["place"]["location"].as_str().unwrap();
    assert!(location.ends_with("/divides_by_zero.rs:6"), "{location}");
    assert!(error["message"].as_str().unwrap().contains(location), "{error}");
    assert!(guest["stack"].as_array().unwrap().iter().any(|frame| frame["location"] == location), "{guest}");
    let log: Vec<&str> =
        guest["log_tail"].as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(log, ["dividing", "panic: attempt to divide by zero"]);
}

#[test]
fn an_authors_error_is_data_too() {
    let project = project(SETTINGS, &["out"]);
    project.upload("error_value");
    project.run(&["node", "create", "error_value", "--table", "out"]);
    project.fails(&["node", "run", "out"]);
    let author = &project.json(&["run", "list"])[0]["error"]["guest"]["author"];
    assert_eq!(author["kind"], "author.refused");
    assert_eq!(author["message"], "the author says no");
    assert_eq!(author["fields"][0], serde_json::json!({"name": "row", "value": "7"}));
}

#[test]
fn a_component_that_fails_to_describe_itself_says_why() {
    let project = Project::new();
    let file = component("panics_in_config");
    let (exit, said) = project.fails(&["component", "upload", file.to_str().unwrap()]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("panics_in_config.rs:15 ("), "{said}");
    assert!(said.contains("about to describe myself"), "{said}");
    assert!(said.contains("panic: no idea what I am"), "{said}");
    let (_, said) = project.fails(&["component", "upload", file.to_str().unwrap(), "--json"]);
    let document: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(document["error"]["guest"]["log_tail"][1]["message"], "panic: no idea what I am");
}

#[test]
fn what_a_component_says_of_itself_is_limited_too() {
    for (setting, code) in [
        ("instances = 1", "sandbox.limit.instances"),
        ("table_elements = 1", "sandbox.limit.table_elements"),
        ("describe_fuel = 1_000", "sandbox.limit.fuel"),
    ] {
        let project = Project::with_settings(&format!("[limits]\n{setting}\n"));
        let (exit, said) =
            project.fails(&["component", "upload", component("well_behaved").to_str().unwrap()]);
        assert_eq!(exit, 1, "{said}");
        assert!(said.starts_with(&format!("error[{code}]")), "{said}");
        assert!(said.contains(setting.split(' ').next().unwrap()), "the way out names the setting: {said}");
    }
}

#[test]
fn configs_and_dependencies_are_limited() {
    let tables = ["fx", "out"];
    let project = project("[limits]\nconfig_bytes = 30\ndependencies = 10\n", &tables);
    project.upload("depends_without_end");
    let create = |config: &str| {
        project.fails(&["node", "create", "depends_without_end", "--table", "out", "--config", config])
    };
    let (exit, said) = create(r#"{"table": "fx"}"#);
    assert!(exit == 3 && said.starts_with("error[dependency.too_many]"), "{said}");
    assert!(
        said.contains("1000 dependencies where 10 are allowed") && said.contains("`dependencies`"),
        "{said}"
    );
    let (exit, said) = create(r#"{"table": "a_name_that_is_longer_than_this"}"#);
    assert!(exit == 2 && said.starts_with("error[config.too_large]"), "{said}");
    assert!(said.contains("`config_bytes`"), "{said}");
}

/// The config that a component gives to a node it depends on is held to the same bound as its own, before anybody reads it.
#[test]
fn the_config_of_a_dependency_is_limited_too() {
    let project = Project::with_settings("[limits]\nconfig_bytes = 20\n");
    let contracts = root().join("examples/fx/contracts");
    for name in ["fx_ecb_daily_rates", "fx_log_returns", "fx_rolling_volatility"] {
        let contract = contracts.join(format!("{name}.toml"));
        project.run(&["table", "register", contract.to_str().unwrap()]);
    }
    for name in ["ecb_daily_fx_rates", "fx_log_returns", "fx_rolling_volatility"] {
        project.upload(name);
    }
    // Its own config is short; it gives the name of a table to the one that it depends on.
    let (exit, said) =
        project.fails(&["node", "create", "fx_rolling_volatility", "--table", "fx_rolling_volatility"]);
    assert!(exit == 3 && said.starts_with("error[dependency.config_too_large]"), "{said}");
    assert!(said.contains("20") && said.contains("`config_bytes`"), "{said}");
    assert_eq!(project.json(&["node", "list"]), Value::Array(Vec::new()));
}

#[test]
fn a_guest_that_computes_for_ever_is_stopped_by_the_clock_where_fuel_would_not() {
    let (exit, said) =
        ends_with("[limits]\nfuel = 9_000_000_000_000_000\ncall_seconds = 1\n", "endless_loop");
    assert!(exit == 5 && said.starts_with("error[sandbox.limit.call_time]"), "{said}");
}

#[test]
fn the_log_of_a_run_is_bounded_by_lines_and_by_bytes() {
    for (setting, most) in [("log_lines = 20", 20), ("log_bytes = 10_000", 7)] {
        let project = project(&format!("[limits]\nhost_calls = 100\n{setting}\n"), &["out"]);
        project.upload("log_flood");
        project.run(&["node", "create", "log_flood", "--table", "out"]);
        project.fails(&["node", "run", "out"]);
        let run = &project.json(&["run", "list"])[0];
        let kept = run["logs"].as_array().unwrap().len();
        assert!(0 < kept && kept <= most, "{setting}: {kept} lines");
        assert_eq!(run["logs_dropped"].as_u64().unwrap() + kept as u64, 100, "{setting}");
    }
}

/// Holds a file so that nobody else's `open` of it comes back, as a hung file system would: Linux makes an `open` wait
/// until the holder of a lease has let go.
#[cfg(target_os = "linux")]
const HOLD: &str = "
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.read()
";

#[cfg(target_os = "linux")]
#[test]
fn a_host_call_that_does_not_come_back_ends_the_run_and_keeps_nobody() {
    // After so many seconds the system takes a lease away, and the blocked call comes back.
    let held_for = std::fs::read_to_string("/proc/sys/fs/lease-break-time").unwrap();
    let held_for = Duration::from_secs(held_for.trim().parse().unwrap());
    let project = Project::with_settings("[limits]\nhost_call_ms = 500\n");
    let (example, data) = (root().join("examples/fx"), project.path().join("data"));
    let rates = data.join("eurofxref-hist.zip");
    std::fs::create_dir(&data).unwrap();
    std::fs::copy(example.join("data/eurofxref-hist.zip"), &rates).unwrap();
    project.upload("ecb_daily_fx_rates");
    let contract = example.join("contracts/fx_ecb_daily_rates.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    project.run(&["source", "add", "ecb", "--path", "data", "--grant", "ecb_daily_fx_rates"]);
    project.run(&["node", "create", "ecb_daily_fx_rates", "--table", "fx_ecb_daily_rates"]);

    let mut holder = std::process::Command::new("python3");
    holder.args(["-c", HOLD]).arg(&rates).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    let mut held = [0; 5];
    holder.stdout.take().unwrap().read_exact(&mut held).expect("a lease: a local file system");
    let begin = Instant::now();
    let (exit, said) = project.fails(&["node", "run", "fx_ecb_daily_rates"]);
    let took = begin.elapsed();
    assert!(took < held_for, "the command waited for the call: {took:?}");
    assert!(exit == 5 && said.starts_with("error[sandbox.limit.host_call_time]"), "{said}");
    assert!(said.contains("(`sources.fetch`)"), "{said}");
    // The record is there, and what was left behind holds no lock on the data.
    let run = &project.json(&["run", "list"])[0];
    assert_eq!((&run["status"], &run["rows_inserted"]), (&Value::from("failed"), &Value::from(0)));
    // It can be read again: with the holder gone, the next run succeeds.
    drop(holder.stdin.take());
    holder.wait().unwrap();
    project.run(&["node", "run", "fx_ecb_daily_rates", "--until", "1999-01-10"]);
}

#[test]
fn progress_that_nobody_reads_ends_the_run_and_not_the_host() {
    let project = project("[limits]\nhost_call_ms = 500\n", &["out"]);
    project.upload("endless_rows");
    project.run(&["node", "create", "endless_rows", "--table", "out"]);
    // Each emitted row is told to a pipe that nobody reads: once it is full, the host call that tells it waits for ever.
    let mut command = project.command(&["node", "run", "out", "--until", "2026-01-01", "--progress", "json"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    let run = loop {
        let runs = project.json(&["run", "list"]);
        if runs[0].is_object() {
            break runs[0].clone();
        }
        assert!(begin.elapsed() < PATIENCE, "the run was not ended");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(run["error"]["code"], "sandbox.limit.host_call_time", "{run}");
    assert_eq!(run["error"]["class"], "infrastructure");
    assert!(run["error"]["message"].as_str().unwrap().contains("(`frames.emit`)"), "{run}");
    // Somebody reads again: what was left behind ends, and so does the command.
    let mut told = String::new();
    running.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(5));
}

#[test]
fn a_trap_leaves_the_next_run_of_the_same_process_alone() {
    let project = project(SETTINGS, &["bad", "good", "out"]);
    for name in ["trap", "well_behaved", "depends_on_trap"] {
        project.upload(name);
    }
    let config = r#"{"bad": "bad", "good": "good"}"#;
    project.run(&["node", "create", "depends_on_trap", "--table", "out", "--config", config]);
    project.fails(&["node", "run", "out"]);
    let outcome = |table: &str| {
        let run = &project.json(&["run", "list", "--table", table])[0];
        (run["status"].as_str().unwrap().to_owned(), run["rows_inserted"].as_u64().unwrap())
    };
    assert_eq!(outcome("bad"), ("failed".to_owned(), 0));
    assert_eq!(outcome("good"), ("ok".to_owned(), 3));
    assert_eq!(outcome("out"), ("blocked".to_owned(), 0));
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    for setting in ["memory_bytes = 0", "fuel = 0", "stack_bytes = 1", "host_call_ms = 0", "instances = 129"]
    {
        let project = Project::with_settings(&format!("[limits]\n{setting}\n"));
        let (exit, said) = project.fails(&["table", "list"]);
        assert_eq!(exit, 2, "{said}");
        let name = setting.split(' ').next().unwrap();
        assert!(said.starts_with("error[sandbox.setting]") && said.contains(&format!("`{name}`")), "{said}");
        assert!(said.contains("datanode.toml"), "{said}");
    }
}

#[test]
fn a_panic_is_explained_by_the_log_of_its_run() {
    let project = project(SETTINGS, &["out"]);
    project.upload("panics");
    project.run(&["node", "create", "panics", "--table", "out"]);
    let (_, said) = project.fails(&["node", "run", "out"]);
    assert!(
        said.contains("row 7 is impossible"),
        "the error itself shows the last word of the guest: {said}"
    );
    let run = project.json(&["run", "list"]);
    let last = run[0]["logs"].as_array().unwrap().last().unwrap();
    assert_eq!(last["level"], "error");
    assert!(last.to_string().contains("row 7 is impossible"), "{last}");
    assert!(last.to_string().contains("panics.rs"), "{last}");
}
