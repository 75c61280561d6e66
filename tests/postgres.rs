//! The same program on a PostgreSQL server: the same tables, and nothing torn when it is killed or the server is lost.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use datanode_store::fault::{self, Step};
use datanode_tests::{Project, root, rounds};
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
fn a_deleted_tail_comes_back_with_the_next_run() {
    let server = Project::on_server().and_fx();
    inserted(&server, &[]);
    let before = [digest(&server, RATES), digest(&server, RETURNS)];
    let scope = ["--where", "currency=USD", "--where", "currency=JPY"];
    for table in [RATES, RETURNS] {
        let delete = ["table", "delete-after", table, "2024-01-01", "--yes"];
        assert!(server.json(&[&delete[..], &scope].concat())["rows"].as_u64().unwrap() > 1_000);
    }
    is_sound(&server);
    assert_ne!(digest(&server, RATES), before[0]);
    inserted(&server, &["--force"]);
    assert_eq!([digest(&server, RATES), digest(&server, RETURNS)], before);
}

/// Killed, or cut off from the server, at moments drawn evenly over a run: the rows are all there or none of them are,
/// and the next run brings what is missing.
#[test]
fn a_killed_run_and_a_lost_server_leave_all_or_nothing() {
    let server = Project::on_server().and_fx();
    let whole = {
        let begin = Instant::now();
        inserted(&server, &["--until", "2010-12-31"]);
        begin.elapsed()
    };
    let (rates, returns) = (digest(&server, RATES), digest(&server, RETURNS));
    let start_again = || {
        for table in [RATES, RETURNS] {
            server.run(&["table", "delete-after", table, "1999-01-01", "--yes"]);
        }
    };
    let (rounds, mut stored, mut nothing) = (rounds(10, 250), 0, 0);
    for round in 0..rounds {
        start_again();
        let mut child = server
            .command(&["node", "run", RETURNS, "--until", "2010-12-31"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole * (2 * round + 1) / (2 * rounds));
        if round % 2 == 0 {
            child.kill().unwrap();
        } else {
            server.server().cut_off();
        }
        child.wait().unwrap();
        server.server().settled();
        let rows = server.server().number("SELECT count(*) FROM datanode_tables.fx_ecb_daily_rates");
        let kept: i64 = server.server().number(
            "SELECT coalesce(sum(row_count), 0)::bigint FROM datanode.progress p \
             JOIN datanode.tables t ON t.uid = p.table_uid WHERE t.identifier = 'fx_ecb_daily_rates'",
        );
        assert_eq!(rows, kept, "round {round}: progress and rows go together");
        if rows == 0 {
            nothing += 1;
        } else {
            assert_eq!(digest(&server, RATES), rates, "round {round}: all of it or nothing");
            stored += 1;
        }
        is_sound(&server);
        server.expire_leases();
        inserted(&server, &["--until", "2010-12-31", "--force"]);
        assert_eq!((digest(&server, RATES), digest(&server, RETURNS)), (rates.clone(), returns.clone()));
    }
    println!("{rounds} rounds: {nothing} with nothing stored, {stored} with everything");
    assert!(nothing > 0, "no round fell before the commit");
}

/// Ended at each step of the commit protocol: what is left is whole, says who held the node, and the next run completes it.
#[test]
fn a_run_that_is_ended_at_any_step_of_the_commit_leaves_all_or_nothing() {
    const SIGABRT: i32 = 6;
    let server = Project::on_server().and_fx();
    // So that no lease ends before it is looked at, however busy the machine is.
    std::fs::write(server.path().join("datanode.toml"), "[runs]\nlease_seconds = 3600\n").unwrap();
    let run = ["node", "run", RATES, "--until", "2010-12-31"];
    server.run(&run);
    let whole = digest(&server, RATES);
    for step in Step::ALL {
        let name = step.as_str();
        server.run(&["table", "delete-after", RATES, "1999-01-01", "--yes"]);
        let aborted = server.command(&run).env(fault::VARIABLE, name).output().unwrap();
        assert_eq!(aborted.status.signal(), Some(SIGABRT), "{name} was never reached");
        server.server().settled();
        is_sound(&server);
        let leases = server.json(&["run", "leases"]);
        if step == Step::Committed {
            assert_eq!(digest(&server, RATES), whole, "{name}");
            assert_eq!(leases, Value::Array(Vec::new()), "{name}: the lease is given up with the commit");
        } else {
            assert_eq!(server.json(&["table", "show", RATES])["rows"], 0, "{name}");
            let (exit, said) = server.fails(&run);
            assert_eq!(exit, 5, "{name}: {said}");
            assert!(said.contains(leases[0]["holder"].as_str().unwrap()), "{name}: {said}");
        }
        server.expire_leases();
        server.run(&run);
        assert_eq!(digest(&server, RATES), whole, "the run after one that was ended at {name}");
    }
}

#[test]
fn what_a_server_cannot_do_here_is_said() {
    let server = Project::on_server().and_fx();
    let (code, said) = server.fails(&["backup", "copy.db"]);
    assert_eq!(code, 2);
    assert!(said.contains("pg_dump"), "{said}");
}

/// The trial runs are made in an embedded copy: the server is only read, also where a table refers to another.
#[test]
fn a_check_judges_a_node_of_a_server_and_leaves_nothing_there() {
    let server = Project::on_server().and_fx();
    let currencies = "identifier = \"currencies\"\nkind = \"reference\"\nprimary_key = [\"id\"]\n\
        columns = [{ name = \"id\", type = \"string\" }, { name = \"weight\", type = \"decimal(12,2)\", nullable = true }]\n";
    std::fs::write(server.path().join("currencies.toml"), currencies).unwrap();
    let returns = root().join("examples/fx/contracts/fx_log_returns.toml");
    let text = std::fs::read_to_string(returns)
        .unwrap()
        .replace("\"fx_log_returns\"", "\"referring_returns\"")
        + "\n[[foreign_keys]]\ncolumns = [\"currency\"]\nreferences = { table = \"currencies\", columns = [\"id\"] }\n";
    std::fs::write(server.path().join("returns.toml"), text).unwrap();
    server.run(&["table", "register", "currencies.toml", "returns.toml"]);
    inserted(&server, &["--until", "2000-12-31"]);
    server.execute("INSERT INTO currencies SELECT DISTINCT currency, 1.25 FROM fx_ecb_daily_rates");
    let catalogue = || {
        [&["component", "list"][..], &["table", "list"], &["node", "list"], &["run", "list"]]
            .map(|arguments| server.json(arguments))
    };
    let (before, digests) = (catalogue(), [digest(&server, RATES), digest(&server, RETURNS)]);
    for (check, verdict) in [
        (&["check", RETURNS, "--until", "2001-03-01"][..], "pass"),
        // It goes by a name that ends in no version, and refers to rows that are brought with it.
        (&["check", RETURNS, "--table", "referring_returns", "--until", "2001-03-01"], "pass"),
    ] {
        let checked = server.json(check);
        assert_eq!(checked["verdict"], verdict, "{checked:#}");
    }
    assert_eq!(catalogue(), before);
    assert_eq!([digest(&server, RATES), digest(&server, RETURNS)], digests);
    let left: Vec<_> = std::fs::read_dir(server.path().join(".datanode/spill")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The way of docs/operator-guide.md: both schemas in one dump, restored into an empty database.
#[test]
fn a_dump_of_postgresql_restores_everything() {
    let server = Project::on_server().and_fx();
    inserted(&server, &["--until", "2005-12-31"]);
    let notes = "identifier = \"notes\"\nkind = \"reference\"\nprimary_key = [\"id\"]\n\
        columns = [{ name = \"id\", type = \"string\" }, { name = \"of\", type = \"string\", nullable = true }]\n\
        foreign_keys = [{ columns = [\"of\"], references = { table = \"notes\", columns = [\"id\"] } }]\n";
    std::fs::write(server.path().join("notes.toml"), notes).unwrap();
    server.run(&["table", "register", "notes.toml"]);
    std::fs::write(server.path().join("notes.csv"), "id,of\na,b\nb,\n").unwrap();
    server.run(&["table", "load", "notes", "notes.csv"]);
    let before = [digest(&server, RATES), digest(&server, RETURNS), digest(&server, "notes")];
    let runs = server.json(&["run", "list"]);

    let dump = server.path().join("datanode.dump");
    let file = format!("--file={}", dump.display());
    let schemas = ["--schema=datanode", "--schema=datanode_tables"];
    tool("pg_dump", &["--format=custom", schemas[0], schemas[1], &file, &server.server().url()]);
    let restored = server.restored(|url| {
        let into = format!("--dbname={url}");
        let file = dump.to_str().unwrap();
        tool("pg_restore", &["--exit-on-error", "--single-transaction", &into, file]);
    });
    assert_eq!([digest(&restored, RATES), digest(&restored, RETURNS), digest(&restored, "notes")], before);
    assert_eq!(restored.json(&["run", "list"]), runs);
    is_sound(&restored);
    for table in [RATES, RETURNS, "notes"] {
        assert_eq!(restored.json(&["table", "current", table])["drift"], Value::Array(Vec::new()), "{table}");
    }
    // And it goes on there, from where it was: leases and progress came with it.
    assert_eq!(
        inserted(&restored, &["--until", "2006-12-31"]),
        inserted(&server, &["--until", "2006-12-31"])
    );
    assert_eq!(digest(&restored, RETURNS), digest(&server, RETURNS));
}

/// One of PostgreSQL's own tools, which must succeed. That of the machine may be older than its server.
fn tool(name: &str, arguments: &[&str]) {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut places: Vec<_> = installed.map(|version| version.path().join("bin").join(name)).collect();
    places.sort();
    let program = places.pop().filter(|place| place.is_file()).unwrap_or_else(|| name.into());
    let output = Command::new(program).args(arguments).output().expect("PostgreSQL's tools are installed");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
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
