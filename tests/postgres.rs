//! The same program on a PostgreSQL server: the same tables, and what it can and cannot do there. (What a user is promised of
//! either database is in the other files, whose tests run on both; what a crash or a lost server leaves, in `crash.rs`.)
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

use datanode_tests::{Project, root};
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
fn sql_runs_under_a_login_of_its_own_and_answers_as_the_embedded_database_does() {
    let (embedded, server) = (Project::with_fx(), Project::on_server().and_fx());
    for project in [&embedded, &server] {
        project.run(&["node", "run", RETURNS, "--until", "2001-12-31"]);
    }
    let sql = format!(
        "SELECT date_trunc('month', time_index) AS month, currency, count(*), min(rate), max(time_index), avg(rate) > 1 \
         FROM {RATES} WHERE time_index >= '2000-06-01' AND currency IN ('USD', 'JPY') GROUP BY 1, 2 ORDER BY 1, 2"
    );
    let ask = ["table", "sql", RATES, &sql, "--json"];
    let refused = server.output(&ask);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("sql.no_reader") && said.contains("CREATE ROLE"), "{said}");
    let reader = server.server().reader();
    let asked =
        |arguments: &[&str]| server.command(arguments).env("DATANODE_READER_URL", &reader).output().unwrap();
    let answer = |stdout: &[u8]| serde_json::from_slice::<Value>(stdout).unwrap();
    let (here, there) = (answer(&embedded.output(&ask).stdout), answer(&asked(&ask).stdout));
    assert_eq!(here["row_count"], 38, "{here}");
    for part in ["ok", "columns", "results", "truncated", "row_count", "max_rows", "error"] {
        assert_eq!(there[part], here[part], "{part}");
    }
    // The host's own login may do more: it is not taken.
    let owner = server.command(&ask).env("DATANODE_READER_URL", server.server().url()).output().unwrap();
    assert_eq!(owner.status.code(), Some(3));
    let gone = format!("DELETE FROM {RATES}");
    let delete = asked(&["table", "sql", RATES, &gone]);
    assert_eq!(delete.status.code(), Some(3));
    assert!(String::from_utf8(delete.stderr).unwrap().starts_with("error[sql.forbidden_statement]"));
    assert_eq!(digest(&server, RATES), digest(&embedded, RATES));
}

#[test]
fn what_a_server_cannot_do_here_is_said() {
    let server = Project::on_server().and_fx();
    for (refused, tool) in [("backup", "pg_dump "), ("restore", "pg_restore ")] {
        let (code, said) = server.fails(&[refused, "copy.db"]);
        assert_eq!(code, 2);
        assert!(said.contains(&of_the_guide(tool)), "{said}");
    }
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

/// The one command of docs/operator-guide.md that begins so.
fn of_the_guide(begin: &str) -> String {
    let guide = std::fs::read_to_string(root().join("docs/operator-guide.md")).unwrap();
    let commands: Vec<&str> = guide.lines().filter(|line| line.starts_with(begin)).collect();
    let [command] = commands[..] else { panic!("{commands:?}") };
    command.to_owned()
}

/// The commands of docs/operator-guide.md: all schemas in one dump, restored into an empty database.
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
    // By functions of a schema of their own, and under a login that has its rights from this host.
    let sql = format!(
        "SELECT currency || '!' AS told, round(max(rate), 2) AS most FROM {RATES} GROUP BY 1 ORDER BY 1"
    );
    let asked = |project: &Project| {
        let mut command = project.command(&["table", "sql", RATES, &sql, "--json"]);
        let output = command.env("DATANODE_READER_URL", project.server().reader()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["results"].clone()
    };
    let answer = asked(&server);

    shell(&server, &of_the_guide("pg_dump "), "DATABASE_URL", &server.server().url());
    let restored =
        server.restored(|url| shell(&server, &of_the_guide("pg_restore "), "OTHER_DATABASE_URL", url));
    assert_eq!(asked(&restored), answer);
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

/// A command as somebody types it who stands in the project, with a variable; it must succeed. PostgreSQL's own tools are
/// found first: those of the machine may be older than its server.
fn shell(project: &Project, command: &str, variable: &str, value: &str) {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut places: Vec<_> = installed.map(|version| version.path().join("bin")).collect();
    places.sort();
    places.reverse();
    places.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(project.path())
        .env("PATH", std::env::join_paths(places).unwrap())
        .env(variable, value)
        .output()
        .expect("a shell starts");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
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
