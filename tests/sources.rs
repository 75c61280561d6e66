//! Sources: what components may ask of directories and HTTP servers, what hostile ones of both sides get, and the secrets
//! that nobody sees.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "sources/certificates.rs"]
mod certificates;
#[path = "sources/rebinding.rs"]
mod rebinding;
#[path = "sources/secrets.rs"]
mod secrets;
#[path = "sources/server.rs"]
mod server;

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use datanode_tests::{Project, on_both_databases, root};
use secrets::{SECRET, assert_clean, assert_clean_everywhere, set_secret};
use serde_json::Value;
use server::{ROWS, Server};

/// No attack takes longer than this, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn contract_for(table: &str) -> String {
    let contract = std::fs::read_to_string(root().join("tests/hostile/contract.toml")).unwrap();
    contract.replace("\"hostile_output\"", &format!("\"{table}\""))
}

fn register(project: &Project, table: &str) {
    let contract = project.path().join("contract.toml");
    std::fs::write(&contract, contract_for(table)).unwrap();
    project.run(&["table", "register", contract.to_str().unwrap()]);
}

/// Run a command with a text as its standard input.
fn with_input(project: &Project, arguments: &[&str], input: &str) -> std::process::Output {
    let mut command = project.command(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// A project with a source on a server of its own, which redirects to another one.
struct World {
    project: Project,
    server: Server,
    other: Server,
}

/// Rules of the source, beside where it leads and who may ask it.
const RULES: [&str; 16] = [
    "--network",
    "127.0.0.1/32",
    "--header",
    "authorization=Bearer {secret:api_token}",
    "--header",
    "x-api-key={secret:api_token}",
    "--header",
    "x-login={basic:me:api_token}",
    "--query",
    "key={secret:api_token}",
    "--allow-path",
    "echo/*",
    "--allow-path",
    "good",
    "--max-bytes",
    "10000000",
];

impl World {
    fn new() -> Self {
        Self::in_project(Project::new())
    }

    fn in_project(project: Project) -> Self {
        let (server, other) = (Server::start(), Server::start());
        SECRET.clone_into(&mut server.shared.secret.lock().unwrap());
        *server.shared.other.lock().unwrap() = other.url("");
        SECRET.clone_into(&mut other.shared.secret.lock().unwrap());
        let world = Self { project, server, other };
        world.project.upload("fetches");
        world
    }

    /// With the secret, and little that may be asked.
    fn guarded() -> Self {
        let world = Self::new();
        assert_clean("what `secret set` says", set_secret(&world.project, "api_token", SECRET).as_bytes());
        let (url, redirect) = (world.server.url("v1/"), world.other.url("files/"));
        let add = [&["source", "add", "api", "--url", &url, "--redirect-to", &redirect][..], &RULES].concat();
        world.project.run(&add);
        world
    }

    /// Without a secret, and with everything allowed.
    fn open(settings: &[&str]) -> Self {
        let world = Self::new();
        world.add_open(settings);
        world
    }

    fn add_open(&self, settings: &[&str]) {
        let url = self.server.url("v1/");
        let add = ["source", "add", "api", "--url", &url, "--network", "127.0.0.1/32", "--grant", "fetches"];
        self.project.run(&[&add[..], settings].concat());
    }

    /// What a person reads, without ports and run ids.
    fn stable(&self, said: &str) -> String {
        let said = said
            .replace(&self.server.port.to_string(), "PORT")
            .replace(&self.other.port.to_string(), "OTHER")
            .replace(&self.project.path().display().to_string(), "PROJECT");
        said.lines().filter(|line| !line.trim_start().starts_with("see:")).collect::<Vec<_>>().join("\n")
    }

    /// A node of `fetches` that writes this table.
    fn fetching(&self, table: &str, config: &Value) -> String {
        register(&self.project, table);
        let config = config.to_string();
        let node = self.project.json(&["node", "create", "fetches", "--table", table, "--config", &config]);
        node[0]["node"]["uid"].as_str().unwrap().to_owned()
    }

    /// A good run into a table that nothing was written to.
    fn good_run(&self, table: &str) {
        assert_eq!(self.project.json(&["table", "read", table]), Value::Array(Vec::new()), "{table}");
        let node = self.fetching(table, &serde_json::json!({ "path": "good" }));
        let runs = self.project.json(&["node", "run", &node]);
        assert_eq!((&runs[0]["status"], &runs[0]["rows_inserted"]), (&"ok".into(), &3.into()), "{table}");
    }
}

/// Component, and what its error holds beside `node.error`.
const THEFTS: [(&str, &str); 30] = [
    ("steals_echoed_body", "[secret]"),
    ("steals_echoed_upper_case", "[secret]"),
    ("steals_echoed_hex", "[secret]"),
    ("steals_echoed_base64", "[secret]"),
    ("steals_echoed_percent", "[secret]"),
    ("steals_echoed_json", "[secret]"),
    ("steals_echoed_html", "[secret]"),
    ("steals_echoed_in_pieces", "[secret]"),
    ("steals_echoed_in_trailers", "short"),
    ("steals_echoed_header", "[secret]"),
    ("steals_cookie", "401"),
    ("steals_status_text", "200"),
    ("steals_error_page", "[secret]"),
    ("steals_through_redirect", "source.redirect"),
    ("steals_at_redirect", "GET /files/echo?a=b"),
    ("steals_at_forbidden_redirect", "source.redirect"),
    ("steals_by_small_reads", "[secret]"),
    ("steals_by_ranges", "[secret]"),
    ("steals_names_of_secrets", "{secret:api_token}"),
    ("steals_by_its_error", "[secret]"),
    ("sets_credentials", "source.header"),
    ("asks_for_compression", "source.header"),
    ("smuggles_in_headers", "source.header"),
    ("overrides_parameters", "source.query"),
    ("tunnels_methods", "source.method"),
    ("asks_other_hosts", "source.path"),
    ("climbs_out_of_the_url", "source.path"),
    ("smuggles_in_paths", "source.path"),
    ("asks_other_paths", "source.path"),
    ("asks_undeclared_sources", "source.not_declared"),
];

/// The same, of directories.
const TRICKS: [(&str, &str); 4] = [
    ("climbs_out_of_files", "source.path"),
    ("follows_links_out_of_files", "source.path"),
    ("reads_odd_files", "404 404 404 404"),
    ("writes_files", "source.method"),
];

/// Each attack ends in an error of its own within its limit and writes nothing; what a person reads of all of them.
fn attacks(world: &World, cases: &[(&str, &str)]) -> String {
    let (project, mut transcript) = (&world.project, String::new());
    for (name, holds) in cases {
        let table = format!("out_{name}");
        register(project, &table);
        project.upload(name);
        for source in ["api", "files"] {
            project.run(&["source", "grant", source, name]);
        }
        let node = project.json(&["node", "create", name, "--table", &table]);
        let uid = node[0]["node"]["uid"].as_str().unwrap().to_owned();
        let begin = Instant::now();
        let output = project.output(&["node", "run", &uid, "--until", "2026-01-01"]);
        let took = begin.elapsed();
        assert!(took < PATIENCE, "{name} took {took:?}");
        let (said, told) =
            (String::from_utf8(output.stderr).unwrap(), String::from_utf8(output.stdout).unwrap());
        assert_clean(name, said.as_bytes());
        assert_clean(name, told.as_bytes());
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.starts_with("error[node.error]") && said.contains(holds), "{name}: {said}");
        let run = project.json(&["run", "list", "--table", &table]);
        assert_eq!((&run[0]["status"], &run[0]["rows_inserted"]), (&"failed".into(), &0.into()), "{name}");
        // The stack differs between compilers, and so do heads of requests.
        let lines = said.lines().filter(|line| !line.starts_with("    at ") && !line.starts_with("log:"));
        transcript += &format!("── {name}\n{}\n", world.stable(&lines.collect::<Vec<_>>().join("\n")));
        world.good_run(&table);
    }
    transcript
}

fn files(project: &Project) {
    let directory = project.path().join("files");
    std::fs::create_dir_all(directory.join("sub")).unwrap();
    std::fs::write(directory.join("a.txt"), ROWS).unwrap();
    std::fs::write(project.path().join("outside.txt"), "outside").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(project.path().join("outside.txt"), directory.join("link.txt")).unwrap();
        symlink(project.path(), directory.join("directory_link")).unwrap();
        symlink("/proc/self", directory.join("proc_link")).unwrap();
        symlink("loop", directory.join("loop")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(directory.join("pipe")).status().unwrap();
        assert!(made.success());
    }
    project.run(&["source", "add", "files", "--path", "files", "--grant", "fetches"]);
}

#[test]
fn no_component_carries_a_secret_out() {
    let world = World::guarded();
    files(&world.project);
    world.project.run(&["source", "grant", "api", "fetches"]);
    let transcript = attacks(&world, &THEFTS);
    insta::assert_snapshot!("thefts", transcript);
    // The source got it each time, the other place never.
    let (asked, elsewhere) = (world.server.asked(), world.other.asked());
    assert!(asked.iter().all(|head| head.contains(&format!("authorization: Bearer {SECRET}"))));
    assert!(asked.iter().all(|head| head.contains("x-login: Basic bWU6") && head.contains("key=Tk-9")));
    assert_eq!(elsewhere.len(), 1, "{elsewhere:?}");
    assert!(!elsewhere[0].contains("authorization") && !elsewhere[0].contains("x-api-key"), "{elsewhere:?}");
    for head in &elsewhere {
        assert_clean("the other place", head.as_bytes());
    }
    // No request was another than it seemed.
    assert!(asked.iter().all(|head| head.starts_with("GET /v1/echo/") || head.starts_with("GET /v1/good?")));
    assert!(asked.iter().all(|head| head.matches("\r\nhost: ").count() == 1), "{asked:?}");
    assert_clean_everywhere(&world.project);

    // Refusals and answers are facts: they are found again without a server.
    let World { project, server, other } = world;
    drop((server, other));
    let replayed = project.json(&["run", "replay", "--all"]);
    assert_eq!(replayed.as_array().unwrap().len(), 2 * THEFTS.len());
    for run in replayed.as_array().unwrap() {
        assert_eq!(run["verdict"], "identical", "{run}");
    }
}

/// What a run is given lies beside its journal: it ends before it has asked for more than there may be, however often it
/// asks for the same.
#[test]
fn what_a_run_is_given_is_bounded() {
    const MIB: usize = 1 << 20;
    let project = Project::with_settings("[limits]\nread_bytes = 4_194_304\n");
    project.upload("fetches");
    std::fs::create_dir(project.path().join("files")).unwrap();
    std::fs::write(project.path().join("files/large"), "x".repeat(MIB)).unwrap();
    project.run(&["source", "add", "files", "--path", "files", "--grant", "fetches"]);
    let node = |times: u32| {
        let table = format!("out_{times}");
        register(&project, &table);
        let config = serde_json::json!({ "source": "files", "path": "large", "times": times }).to_string();
        let node = project.json(&["node", "create", "fetches", "--table", &table, "--config", &config]);
        node[0]["node"]["uid"].as_str().unwrap().to_owned()
    };
    // Four times a MiB is as much as is allowed; its author's code wants other rows.
    let (_, said) = project.fails(&["node", "run", &node(4)]);
    assert!(said.starts_with("error[node.error]"), "{said}");
    let (exit, said) = project.fails(&["node", "run", &node(1_000)]);
    assert!(exit == 1 && said.starts_with("error[sandbox.limit.read_bytes]"), "{said}");
    assert!(said.contains("4194304 bytes of frames and bodies") && said.contains("`read_bytes`"), "{said}");
    let run = &project.json(&["run", "list", "--table", "out_1000"])[0];
    assert_eq!(run["fetches"].as_array().unwrap().len(), 5, "{run}");
    for replayed in project.json(&["run", "replay", "--all"]).as_array().unwrap() {
        assert_eq!(replayed["verdict"], "identical", "{replayed}");
    }
}

/// By its name; nothing beside it is found, and it may be renewed.
fn a_source_can_be_one_file(project: Project) {
    let world = World::in_project(project);
    let project = &world.project;
    std::fs::create_dir(project.path().join("files")).unwrap();
    for name in ["rows.csv", "others.csv"] {
        std::fs::write(project.path().join("files").join(name), ROWS).unwrap();
    }
    let add = ["source", "add", "files", "--path", "files/rows.csv", "--grant", "fetches"];
    let said = project.run(&add);
    assert!(said.contains("files/rows.csv"), "{said}");
    assert!(project.run(&add).contains("already there"));
    let listed = project.json(&["source", "list"]);
    assert_eq!(listed[0]["kind"], "one_file", "{listed}");
    let node = |table: &str, path: &str| {
        world.fetching(table, &serde_json::json!({ "source": "files", "path": path }))
    };
    let runs = project.json(&["node", "run", &node("out", "rows.csv")]);
    assert_eq!((&runs[0]["status"], &runs[0]["rows_inserted"]), (&"ok".into(), &3.into()), "{runs}");
    for (table, path, holds) in
        [("beside", "others.csv", "404"), ("above", "../files/rows.csv", "source.path")]
    {
        let (exit, said) = project.fails(&["node", "run", &node(table, path)]);
        assert!(exit == 1 && said.starts_with("error[node.error]") && said.contains(holds), "{path}: {said}");
    }
    // What is neither is refused, and so are rules that only HTTP has.
    let (exit, said) = project.fails(&["source", "add", "nothing", "--path", "/dev/null"]);
    assert!(exit == 2 && said.starts_with("error[source.path]"), "{said}");
    assert!(said.contains("neither a directory nor a file"), "{said}");
    let (exit, said) = project.fails(&["source", "allow", "files", "--retries", "1"]);
    assert!(exit == 2 && said.starts_with("error[source.rule]"), "{said}");
}

on_both_databases!(a_source_can_be_one_file);

#[test]
fn no_path_leads_out_of_a_directory() {
    let world = World::open(&[]);
    files(&world.project);
    let transcript = attacks(&world, &TRICKS);
    insta::assert_snapshot!("tricks", transcript);
    assert!(world.server.asked().iter().all(|head| head.starts_with("GET /v1/good ")));
}

/// What the server does, the error code, the exit code.
const SERVERS: [(&str, &str, i32); 20] = [
    ("slow_head", "source.timeout", 5),
    ("slow_body", "source.timeout", 5),
    ("silent", "source.timeout", 5),
    ("endless", "source.limit.bytes", 1),
    ("endless_chunks", "source.limit.bytes", 1),
    ("says_huge", "source.limit.bytes", 1),
    ("says_more", "source.unreachable", 5),
    ("says_two_lengths", "source.unreachable", 5),
    ("bad_chunk", "source.unreachable", 5),
    ("huge_head", "source.limit.headers", 1),
    ("many_headers", "source.limit.headers", 1),
    ("gzip_bomb", "source.encoding", 1),
    ("garbage", "source.unreachable", 5),
    ("hangs_up", "source.unreachable", 5),
    ("loop", "node.error", 1),
    ("metadata", "node.error", 1),
    ("other_scheme", "node.error", 1),
    ("no_url", "node.error", 1),
    ("escapes", "node.error", 1),
    ("busy", "node.error", 1),
];

#[test]
fn no_server_holds_a_run_up_or_fills_the_disk() {
    let limits = ["--timeout-ms", "1500", "--retries", "1", "--max-bytes", "5000000"];
    let world = World::open(&limits);
    let project = &world.project;
    let mut transcript = String::new();
    for (path, code, exit) in SERVERS {
        let table = format!("out_{path}");
        let node = world.fetching(&table, &serde_json::json!({ "path": path }));
        let begin = Instant::now();
        let (exit_code, said) = project.fails(&["node", "run", &node, "--until", "2026-01-01"]);
        let took = begin.elapsed();
        // The limit of time, and what a command takes besides.
        assert!(took < Duration::from_secs(20), "{path} took {took:?}");
        assert!(said.starts_with(&format!("error[{code}]")), "{path}: {said}");
        assert_eq!(exit_code, exit, "{path}: {said}");
        let lines = said.lines().filter(|line| !line.starts_with("    at ") && !line.starts_with("log:"));
        transcript += &format!("── {path}\n{}\n", world.stable(&lines.collect::<Vec<_>>().join("\n")));
        let run = &project.json(&["run", "list", "--table", &table])[0];
        assert_eq!((&run["status"], &run["rows_inserted"]), (&"failed".into(), &0.into()), "{path}");
        // What says nothing about the data is kept nowhere as a fact.
        assert_eq!(run["journal"].is_null(), exit == 5, "{path}: {run}");
        world.good_run(&table);
    }
    insta::assert_snapshot!("servers", transcript);
    let spilled = std::fs::read_dir(project.path().join(".datanode/spill")).map_or(0, Iterator::count);
    assert_eq!(spilled, 0, "nothing waits on the disk");
}

#[test]
fn what_passes_is_tried_again_and_an_answer_is_a_fact() {
    let world = World::open(&[]);
    let project = &world.project;
    for (path, attempts) in [("flaky", 3), ("breaks_once", 2)] {
        world.server.forget();
        let node = world.fetching(&format!("out_{path}"), &serde_json::json!({ "path": path }));
        let runs = project.json(&["node", "run", &node]);
        assert_eq!((&runs[0]["status"], &runs[0]["rows_inserted"]), (&"ok".into(), &3.into()), "{path}");
        assert_eq!(world.server.asked().len(), attempts, "{path}");
        // The guest asked once, and so says the record.
        let fetches = runs[0]["fetches"].as_array().unwrap();
        assert_eq!((fetches.len(), &fetches[0]["status"]), (1, &200.into()), "{path}");
        assert_eq!(fetches[0]["bytes"], ROWS.len(), "{path}");
    }
    let node = world.fetching("out_missing", &serde_json::json!({ "path": "missing" }));
    let (exit, said) = project.fails(&["node", "run", &node]);
    assert!(exit == 1 && said.contains("source.status") && said.contains("404"), "{said}");
    let run = &project.json(&["run", "list", "--table", "out_missing"])[0];
    assert!(run["journal"].is_object() && run["fetches"][0]["status"] == 404, "{run}");

    // Nobody there: no fact. The same node later: as good as any.
    let node = world.fetching("out_good", &serde_json::json!({ "path": "good" }));
    let World { project, server, other } = world;
    drop((server, other));
    project.run(&["source", "allow", "api", "--retries", "0"]);
    let (exit, said) = project.fails(&["node", "run", &node]);
    assert!(exit == 5 && said.starts_with("error[source.unreachable]"), "{said}");
    let replayed = project.json(&["run", "replay", "--all"]);
    let verdicts: Vec<&str> =
        replayed.as_array().unwrap().iter().map(|run| run["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == "identical").count(), 3, "{verdicts:?}");
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == "cannot_replay").count(), 1, "{verdicts:?}");
}

#[test]
fn a_denial_names_the_command_that_allows_it() {
    let world = World::new();
    let project = &world.project;
    let (url, other) = (world.server.url("v1/"), world.other.url("files/"));
    let refused = |arguments: &[&str]| world.stable(&project.fails(arguments).1);
    let mut transcript = refused(&["source", "add", "api", "--url", &url, "--grant", "fetches"]);
    project.run(&[
        "source",
        "add",
        "api",
        "--url",
        &url.replace("127.0.0.1", "localhost"),
        "--allow-path",
        "good",
        "--grant",
        "fetches",
    ]);
    let node = world.fetching("out_redirected", &serde_json::json!({ "path": "to_files" }));
    let mut allow = |expected: &str| {
        let (exit, said) = project.fails(&["node", "run", &node]);
        assert!(exit == 1 && said.contains(expected), "{said}");
        let line = said.lines().find(|line| line.contains("allow it: datanode ")).unwrap();
        let (_, command) = line.split_once("allow it: datanode ").unwrap();
        transcript += &format!("\n{}", world.stable(line));
        let words: Vec<&str> = command.split(' ').map(|word| word.trim_matches('\'')).collect();
        project.run(&words);
    };
    allow("source.path");
    allow("source.address");
    // A machine may have another address of this name.
    project.run(&["source", "allow", "api", "--network", "127.0.0.1/32", "--network", "::1/128"]);
    allow("source.redirect");
    insta::assert_snapshot!("denials", transcript);
    let runs = project.json(&["node", "run", &node]);
    assert_eq!(runs[0]["rows_inserted"], 3);
    let source = project.json(&["source", "show", "api"]);
    assert_eq!(source["paths"], serde_json::json!(["good", "to_files"]));
    assert_eq!(source["redirect_to"], serde_json::json!([other]));
    // Denials are facts as well.
    for run in project.json(&["run", "replay", "--all"]).as_array().unwrap() {
        assert_eq!(run["verdict"], "identical", "{run}");
    }
}

#[test]
fn requests_are_spread_and_bounded() {
    let world = World::open(&["--per-minute", "60"]);
    let node = world.fetching("out_slow", &serde_json::json!({ "path": "good", "times": 3 }));
    let begin = Instant::now();
    world.project.run(&["node", "run", &node]);
    assert!(begin.elapsed() >= Duration::from_secs(2), "{:?}", begin.elapsed());
    // Another process goes on where this one has left off.
    let node = world.fetching("out_behind", &serde_json::json!({ "path": "good", "times": 2 }));
    world.project.run(&["node", "run", &node]);
    assert!(begin.elapsed() >= Duration::from_secs(4), "{:?}", begin.elapsed());
    world.project.run(&["source", "allow", "api", "--per-minute", "1", "--timeout-ms", "1000"]);
    let node = world.fetching("out_rated", &serde_json::json!({ "path": "good", "times": 2 }));
    let (exit, said) = world.project.fails(&["node", "run", &node]);
    assert!(exit == 5 && said.starts_with("error[source.limit.rate]"), "{said}");
    world.project.run(&["source", "allow", "api", "--per-minute", "6000"]);
    world.good_run("out_rated");
}

/// The sandbox's own deadline of a host call is told as the one that it is.
#[test]
fn the_deadline_of_host_calls_holds_for_sources() {
    let project = Project::with_settings("[limits]\nhost_call_ms = 800\n");
    let world = World::in_project(project);
    world.add_open(&[]);
    let node = world.fetching("out_silent", &serde_json::json!({ "path": "silent" }));
    let begin = Instant::now();
    let (exit, said) = world.project.fails(&["node", "run", &node]);
    assert!(exit == 5 && said.starts_with("error[source.timeout]"), "{said}");
    assert!(said.contains("700 ms") && said.contains("`host_call_ms`"), "{said}");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn mistakes_are_answered_with_the_next_step() {
    let project = Project::new();
    set_secret(&project, "api_token", SECRET);
    let mut transcript = String::new();
    let mut fails = |arguments: &[&str]| {
        let (exit, said) = project.fails(arguments);
        assert_clean("a refusal", said.as_bytes());
        transcript += &format!("$ datanode {}\n[{exit}] {said}\n", arguments.join(" "));
    };
    let add = ["source", "add", "api"];
    for rules in [
        &["--url", "ftp://example.com/"][..],
        &["--url", "https://me:hunter2@example.com/"],
        &["--url", "https://example.com/?a=b"],
        &["--url", "http://169.254.169.254/latest/"],
        &["--url", "http://example.com/", "--header", "authorization={secret:api_token}"],
        &["--url", "https://example.com/", "--header", "authorization=Bearer hunter22"],
        &["--url", "https://example.com/", "--header", "host=evil.example"],
        &["--url", "https://example.com/", "--header", "x={secrets:api_token}"],
        &["--url", "https://example.com/", "--allow-path", "/a"],
        &["--url", "https://example.com/", "--method", "CONNECT"],
        &["--url", "https://example.com/", "--network", "10.0.0.1"],
        &["--url", "https://example.com/", "--retries", "1000"],
        &["--url", "https://example.com/", "--request-header", "cookie"],
        &["--url", "https://example.com/", "--ca-file", "nothing.pem"],
        &["--path", ".", "--retries", "1"],
    ] {
        fails(&[&add[..], rules].concat());
    }
    project.run(&["source", "add", "api", "--url", "https://example.com/v1"]);
    fails(&["source", "add", "api", "--url", "https://example.com/v2"]);
    fails(&["source", "allow", "api"]);
    project.run(&["source", "add", "files", "--path", "."]);
    fails(&["source", "allow", "files", "--retries", "1"]);
    fails(&["source", "remove", "nothing"]);
    fails(&["secret", "remove", "nothing"]);
    fails(&["secret", "set", "Bad Name", "--env", "X"]);
    for value in ["tiny&5", "with a\nline break", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"] {
        let output = with_input(&project, &["secret", "set", "other"], value);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("error[secret.unfit]") && !said.contains(value), "{said}");
    }
    insta::assert_snapshot!("mistakes", transcript.replace(&project.path().display().to_string(), "PROJECT"));
    insta::assert_snapshot!("shown", {
        project.run(&[
            "source",
            "add",
            "api",
            "--url",
            "https://example.com/v1",
            "--header",
            "authorization=Bearer {secret:api_token}",
            "--query",
            "format=csv",
            "--allow-path",
            "series/**",
            "--redirect-to",
            "https://cdn.example.com/files",
            "--per-minute",
            "60",
            "--grant",
            "rates",
            "--replace",
        ]);
        let shown = project.run(&["source", "show", "api"]);
        let stable = shown.lines().filter(|line| !line.starts_with("created"));
        let listed = project.run(&["secret", "list"]);
        format!("{}\n\n{}", stable.collect::<Vec<_>>().join("\n"), &listed[..listed.find("sealed").unwrap()])
    });
}
