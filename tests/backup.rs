//! A backup of a database in use, put back elsewhere and in its own place.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use datanode_tests::{Project, copy_all};
use rusqlite::Connection;
use serde_json::Value;

const RATES: &str = "fx_ecb_daily_rates";
const RETURNS: &str = "fx_log_returns";

fn rows(project: &Project, home: Option<&Path>, table: &str) -> String {
    let read = ["table", "read", table, "--limit", "0", "--format", "jsonl"];
    project.run(&[&read[..], &at(home)].concat())
}

/// The arguments that lead to another data directory.
fn at(home: Option<&Path>) -> Vec<&str> {
    home.map_or_else(Vec::new, |home| vec!["--home", home.to_str().unwrap()])
}

/// A project with some rows, and a backup of it.
fn backed_up() -> (Project, PathBuf) {
    let project = Project::with_fx();
    project.run(&["node", "run", RETURNS, "--until", "1999-03-01"]);
    let backup = project.path().join("backup.db");
    project.run(&["backup", backup.to_str().unwrap()]);
    (project, backup)
}

fn files(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_beside_a_run_is_whole_and_a_further_run_goes_on_from_it() {
    let project = Project::with_fx();
    project.run(&["node", "run", RETURNS, "--until", "2010-12-31"]);
    let before = [RATES, RETURNS].map(|table| rows(&project, None, table));
    let run = ["node", "run", RETURNS, "--progress", "json", "--json"];
    let mut child =
        project.command(&run).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("datanode starts");
    let mut events = BufReader::new(child.stderr.take().unwrap()).lines();
    // The first commit, that of the rates, is under way.
    assert!(events.any(|line| line.unwrap().contains("\"event\":\"committing\"")));
    let backup = project.path().join("backup.db");
    let made = project.json(&["backup", backup.to_str().unwrap()]);
    events.for_each(drop);
    assert!(child.wait().unwrap().success(), "the run was not disturbed");

    let home = project.path().join("elsewhere");
    let restored = project.json(&[&["restore", backup.to_str().unwrap()][..], &at(Some(&home))].concat());
    assert_eq!((&restored["rows"], &restored["runs"]), (&made["rows"], &made["runs"]));
    assert_eq!(restored["kept"], Value::Null);
    project.run(&[&["stats", "verify"][..], &at(Some(&home))].concat());
    // A moment of the database: of each table what was there before the run, or after its commit.
    let after = [RATES, RETURNS].map(|table| rows(&project, None, table));
    for (at_table, table) in [RATES, RETURNS].into_iter().enumerate() {
        let found = rows(&project, Some(&home), table);
        assert!(found == before[at_table] || found == after[at_table], "{table} is half there");
    }
    project.run(&[&["node", "run", RETURNS][..], &at(Some(&home))].concat());
    for (at_table, table) in [RATES, RETURNS].into_iter().enumerate() {
        assert_eq!(rows(&project, Some(&home), table), after[at_table], "{table}");
    }
}

#[test]
fn nothing_that_is_there_is_lost() {
    let (project, backup) = backed_up();
    let file = backup.to_str().unwrap();
    let bytes = std::fs::read(&backup).unwrap();
    let held = rows(&project, None, RETURNS);
    project.run(&["node", "run", RETURNS, "--until", "1999-06-01"]);
    let later = rows(&project, None, RETURNS);

    let (code, error) = project.fails(&["backup", file]);
    assert!(code == 3 && error.contains("backup.exists"), "{error}");
    let (code, error) = project.fails(&["restore", file]);
    assert!(code == 3 && error.contains("restore.exists") && error.contains("--force"), "{error}");
    assert_eq!(std::fs::read(&backup).unwrap(), bytes);
    assert_eq!(rows(&project, None, RETURNS), later);

    // While somebody has the database open it is not taken away.
    let data = project.path().join(".datanode");
    let other = Connection::open(data.join("datanode.db")).unwrap();
    other.query_row("SELECT count(*) FROM _tables", (), |row| row.get::<_, i64>(0)).unwrap();
    let (code, error) = project.fails(&["restore", file, "--force"]);
    assert!(code == 3 && error.contains("restore.in_use"), "{error}");
    drop(other);
    assert_eq!(rows(&project, None, RETURNS), later);

    let restored = project.json(&["restore", file, "--force"]);
    assert_eq!(rows(&project, None, RETURNS), held);
    assert_eq!(std::fs::read(&backup).unwrap(), bytes);
    // What was there before is a database that can be put back.
    let kept = restored["kept"].as_str().unwrap();
    project.run(&["restore", kept, "--force"]);
    assert_eq!(rows(&project, None, RETURNS), later);
    project.run(&["backup", file, "--force"]);
    assert_ne!(std::fs::read(&backup).unwrap(), bytes);
    assert!(files(project.path()).iter().chain(&files(&data)).all(|name| !name.contains("partial")));
}

#[test]
fn only_a_whole_database_is_put_back() {
    let (project, backup) = backed_up();
    let home = project.path().join("elsewhere");
    let whole = std::fs::read(&backup).unwrap();
    let refused = |bytes: &[u8], code: &str| {
        let file = project.path().join("other.db");
        std::fs::write(&file, bytes).unwrap();
        let (_, error) =
            project.fails(&[&["restore", file.to_str().unwrap()][..], &at(Some(&home))].concat());
        assert!(error.contains(code), "{error}");
        assert!(!home.exists(), "nothing is left behind");
    };
    refused(b"no database at all, but long enough to have been one", "backup.not_whole");
    refused(&whole[..whole.len() / 2], "backup.not_whole");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8192].fill(0x5a);
    refused(&damaged, "backup.not_whole");
    let other = project.path().join("empty.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    refused(&std::fs::read(&other).unwrap(), "backup.not_whole");
    Connection::open(&backup)
        .unwrap()
        .execute_batch("INSERT INTO _sqlx_migrations SELECT version + 1000, description, installed_on, success, checksum, execution_time FROM _sqlx_migrations LIMIT 1")
        .unwrap();
    refused(&std::fs::read(&backup).unwrap(), "store.migration");
    let missing = [&["restore", "nowhere.db"][..], &at(Some(&home))].concat();
    let (code, error) = project.fails(&missing);
    assert!(code == 2 && error.contains("backup.missing") && !home.exists(), "{error}");
    let (code, error) = project.fails(&[&["backup", "new.db"][..], &at(Some(&home))].concat());
    assert!(code == 2 && error.contains("cli.no_data") && !home.exists(), "{error}");
}

#[test]
fn a_backup_takes_the_place_of_a_damaged_database_with_its_log() {
    let (project, backup) = backed_up();
    let held = rows(&project, None, RETURNS);
    let data = project.path().join(".datanode");
    std::fs::write(data.join("datanode.db"), b"this was a database before the disk was full").unwrap();
    std::fs::write(data.join("datanode.db-wal"), b"and this its log").unwrap();
    project.fails(&["table", "list"]);
    let restored = project.json(&["restore", backup.to_str().unwrap(), "--force"]);
    assert_eq!(rows(&project, None, RETURNS), held);
    let kept = restored["kept"].as_str().unwrap();
    assert_eq!(std::fs::read(kept).unwrap(), b"this was a database before the disk was full");
}

/// What it takes to have everything again is told when the backup is made, and missed where it was not taken along.
#[test]
fn what_a_backup_leaves_out_is_told_and_what_runs_miss_of_it_is_named() {
    let project = Project::with_fx();
    let backup = project.path().join("backup.db");
    let file = backup.to_str().unwrap();
    // The names of what lies beside the database, as the command ends with them.
    let left_out = || -> Vec<String> {
        let said = project.run(&["backup", file, "--force"]);
        let told = said.lines().find_map(|line| line.strip_prefix("not in it: ")).expect(&said);
        let paths = told.split(", ").map(Path::new);
        let names = paths.map(|path| {
            assert!(path.exists(), "{said}");
            path.file_name().unwrap().to_str().unwrap().to_owned()
        });
        names.collect()
    };
    project.run(&["node", "run", RETURNS, "--until", "1999-06-30"]);
    assert_eq!(left_out(), ["datanode.toml", "contents"]);
    let token = project.path().join("token");
    std::fs::write(&token, "a-token-of-nobody").unwrap();
    let mut set = project.command(&["secret", "set", "token"]);
    set.stdin(File::open(&token).unwrap()).stdout(Stdio::null());
    assert!(set.status().unwrap().success());
    assert_eq!(left_out(), ["datanode.toml", "contents", "secret.key"]);

    let home = project.path().join("elsewhere");
    project.run(&[&["restore", file][..], &at(Some(&home))].concat());
    let listed = project.json(&[&["run", "list", "--table", RETURNS][..], &at(Some(&home))].concat());
    let run = listed[0]["run_id"].as_str().unwrap();
    let replayed = || {
        let replay = [&["run", "replay", run, "--json"][..], &at(Some(&home))].concat();
        let output = project.output(&replay);
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap()[0].clone())
    };
    let (code, replay) = replayed();
    assert_eq!((code, &replay["verdict"]), (Some(3), &Value::from("cannot_replay")), "{replay}");
    assert!(replay["missing"].as_str().unwrap().contains("is not kept"), "{replay}");
    copy_all(&project.path().join(".datanode/contents"), &home.join("contents"));
    let (code, replay) = replayed();
    assert_eq!((code, &replay["verdict"]), (Some(0), &Value::from("identical")), "{replay}");
}
