//! Tables that move from one contract to another, through the command line.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "migrations/by_hand.rs"]
mod by_hand;
#[path = "migrations/foreign_keys.rs"]
mod foreign_keys;
#[path = "migrations/kills.rs"]
mod kills;

use std::path::PathBuf;

use by_hand::{
    a_database_reads_its_own_sql_alone, a_revision_that_was_run_by_hand_is_bound,
    of_two_revisions_the_one_that_succeeds_stays,
};
use datanode_tests::{Project, proposals, root};
use foreign_keys::{
    a_table_that_others_refer_to_keeps_its_key, foreign_keys_are_added_refused_and_taken_back_by_revisions,
};
use serde_json::Value;

const RATES: &str = "fx_ecb_daily_rates";

/// Makes an empty project.
type New = fn() -> Project;

/// Makes two tests of each function that takes a [`New`]: one on each database.
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                super::$name(datanode_tests::Project::new);
            })*
        }

        mod postgres {
            $(#[test]
            fn $name() {
                super::$name(datanode_tests::Project::on_server);
            })*
        }
    };
}

on_both_databases!(
    a_column_is_added_half_way_fails_resumes_and_goes_back_with_all_rows_intact,
    nodes_that_no_longer_fit_are_named,
    of_two_revisions_the_one_that_succeeds_stays,
    drift_is_named_and_bound_by_a_step_of_its_own,
    a_revision_that_was_run_by_hand_is_bound,
    mistakes_are_answered_with_the_next_step,
    a_database_reads_its_own_sql_alone,
    a_table_that_others_refer_to_keeps_its_key,
    a_table_that_drifted_is_neither_upgraded_nor_downgraded,
    foreign_keys_are_added_refused_and_taken_back_by_revisions,
    commands_that_mistakes_propose_are_run,
);

/// The example with a part of its rows.
fn with_rates(new: New, until: &str) -> Project {
    let project = new().and_fx();
    project.run(&["node", "run", RATES, "--until", until]);
    project
}

fn contract_text() -> String {
    std::fs::read_to_string(root().join("examples/fx/contracts/fx_ecb_daily_rates.toml")).unwrap()
}

/// A contract file in the project.
fn contract(project: &Project, name: &str, text: &str) -> String {
    let path = project.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const SOURCE: &str = "\n[[columns]]\nname = \"source\"\ntype = \"string\"\nnullable = true\ndescription = \"Who published the rate; null for the bank itself.\"\n";

fn with_source() -> String {
    contract_text() + SOURCE
}

/// The files of SQL that its database reads.
fn sql(project: &Project) -> [&'static str; 2] {
    if project.is_on_server() {
        return ["postgres.up.sql", "postgres.down.sql"];
    }
    ["sqlite.up.sql", "sqlite.down.sql"]
}

/// What each database says, or needs.
fn of<'t>(project: &Project, sqlite: &'t str, postgres: &'t str) -> &'t str {
    if project.is_on_server() { postgres } else { sqlite }
}

/// All rows, in the columns that every step leaves alone.
fn untouched(project: &Project) -> String {
    project.run(&["table", "read", RATES, "--columns", "rate", "--limit", "0", "--format", "csv"])
}

fn write(project: &Project, message: &str, contract: &str) -> Value {
    project.json(&["table", "revision", RATES, "-m", message, "--autogenerate", contract])
}

fn folder(revision: &Value) -> PathBuf {
    revision["folder"].as_str().unwrap().into()
}

/// Edit a file of a revision.
fn edit(revision: &Value, file: &str, change: impl Fn(String) -> String) {
    let path = folder(revision).join(file);
    std::fs::write(&path, change(std::fs::read_to_string(&path).unwrap())).unwrap();
}

fn seal(project: &Project, revision: &Value) {
    project.run(&["table", "revision", RATES, "--seal", revision["revision"].as_str().unwrap()]);
}

/// Run the commands that an error proposes, one after the other, once a person has done their part.
fn follow(project: &Project, message: &str, expected: usize) {
    let commands = proposals(message);
    assert_eq!(commands.len(), expected, "{message}");
    for command in commands {
        project.run(&command.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

fn current(project: &Project) -> Option<String> {
    let standing = project.json(&["table", "current", RATES]);
    assert_eq!(standing["drift"], Value::Array(Vec::new()));
    standing["current"].as_str().map(str::to_owned)
}

/// A message without what differs from run to run.
fn settled(project: &Project, text: &str) -> String {
    let mut text = text.replace(project.path().to_str().unwrap(), "[project]");
    if let Ok(path) = project.path().canonicalize() {
        text = text.replace(path.to_str().unwrap(), "[project]");
    }
    let uid = project.json(&["table", "show", RATES])["uid"].as_str().unwrap().to_owned();
    text.replace(&uid, "[uid]")
}

fn columns(project: &Project) -> Vec<String> {
    let table = project.json(&["table", "show", RATES]);
    table["contract"]["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].as_str().unwrap().to_owned())
        .collect()
}

fn a_column_is_added_half_way_fails_resumes_and_goes_back_with_all_rows_intact(new: New) {
    let project = with_rates(new, "2001-12-31");
    let rows = untouched(&project);
    assert!(rows.lines().count() > 20_000);

    // The first revision adds a column; it is written, read, applied.
    let file = contract(&project, "with_source.toml", &with_source());
    let first = write(&project, "add the source", &file);
    assert_eq!(first["operations"][0], "additive: add column `source` string, nullable");
    assert_eq!(current(&project), None, "writing applies nothing");
    project.run(&["table", "upgrade", RATES]);
    assert_eq!(current(&project).as_deref(), first["revision"].as_str());
    assert_eq!(untouched(&project), rows);

    // The second one needs a value that only a person knows: it is written by two hands, and the second errs.
    let text = with_source()
        + "\n[[columns]]\nname = \"fixing\"\ntype = \"int16\"\ndescription = \"Minute of the day, Central European Time.\"\n";
    let second =
        write(&project, "add the minute of the fixing", &contract(&project, "with_fixing.toml", &text));
    let page = std::fs::read_to_string(root().join("docs/migrations.md")).unwrap();
    for revision in [&first, &second] {
        let id = revision["revision"].as_str().unwrap();
        assert!(page.contains(id), "docs/migrations.md tells this story with other revisions than {id}");
    }
    let (code, message) = project.fails(&["table", "upgrade", RATES]);
    assert_eq!(code, 3);
    assert!(
        message.contains("error[revision.unedited]")
            && message.contains(&format!("{}, line", sql(&project)[0])),
        "{message}"
    );
    let some = "CASE WHEN \"currency\" = 'USD' THEN 855 END";
    edit(&second, sql(&project)[0], |sql| sql.replace("EDIT_THIS", some));
    let (_, message) = project.fails(&["table", "upgrade", RATES]);
    assert!(message.contains("error[revision.unsealed]"), "{message}");
    seal(&project, &second);
    let (code, message) = project.fails(&["table", "upgrade", RATES]);
    assert_eq!(code, 1);
    let said = of(&project, "NOT NULL constraint failed", "contains null values");
    assert!(message.contains(said), "{message}");

    // Half way: the copy had begun. The table is at the first revision, whole.
    assert_eq!(current(&project).as_deref(), first["revision"].as_str());
    assert_eq!(untouched(&project), rows);
    assert_eq!(columns(&project), ["time_index", "currency", "rate", "source"]);

    // Mended, sealed, resumed: by what the error names.
    edit(&second, sql(&project)[0], |sql| sql.replace(some, "855"));
    follow(&project, &message, 2);
    let history = project.json(&["table", "history", RATES]);
    assert_eq!(history[1]["rows_after"], history[0]["rows_after"]);
    assert_eq!(untouched(&project), rows);
    let fixing = project.number("SELECT count(*) FROM fx_ecb_daily_rates WHERE fixing = 855");
    assert_eq!(usize::try_from(fixing).unwrap(), rows.lines().count() - 1);

    // And back, one at a time, to the table as it was registered; and once more up.
    project.run(&["table", "downgrade", RATES, "-1"]);
    assert_eq!(untouched(&project), rows);
    project.run(&["table", "downgrade", RATES, "base"]);
    assert_eq!(
        (current(&project), columns(&project)),
        (None, ["time_index", "currency", "rate"].map(str::to_owned).to_vec())
    );
    assert_eq!(untouched(&project), rows);
    project.run(&["table", "upgrade", RATES]);
    assert_eq!(untouched(&project), rows);
    let history = project.json(&["table", "history", RATES]);
    assert_eq!(history.as_array().unwrap().len(), 2);
    assert_eq!(history[1]["current"], true);

    // Back at the beginning the node goes on where it was.
    project.run(&["table", "downgrade", RATES, "base"]);
    let runs = project.json(&["node", "run", RATES, "--until", "2002-12-31"]);
    assert_eq!((&runs[0]["status"], &runs[0]["rows_dropped"]), (&Value::from("ok"), &Value::from(0)));
}

fn nodes_that_no_longer_fit_are_named(new: New) {
    let project = with_rates(new, "1999-02-01");
    write(&project, "add the source", &contract(&project, "c.toml", &with_source()));
    let steps = project.json(&["table", "upgrade", RATES]);
    let warning = steps[0]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("the component does not emit the table's column `source`"), "{warning}");
}

/// Hostile SQL of a folder: each line is refused by name, and nothing of it is left.
#[test]
fn the_sql_of_a_revision_reaches_its_table_and_nothing_else() {
    let hostile = [
        "UPDATE _tables SET epoch = 7",
        "DELETE FROM _table_revisions",
        "DROP TABLE fx_log_returns",
        "UPDATE fx_ecb_daily_rates SET rate = (SELECT max(log_return) FROM fx_log_returns)",
        "CREATE TABLE other (x) STRICT",
        "CREATE TABLE fx_ecb_daily_rates_2 AS SELECT * FROM fx_ecb_daily_rates",
        "ALTER TABLE fx_ecb_daily_rates RENAME TO elsewhere",
        "ALTER TABLE _nodes ADD COLUMN x",
        "CREATE INDEX i ON fx_ecb_daily_rates (rate)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TEMP TABLE x (y)",
        "CREATE TRIGGER t AFTER INSERT ON fx_ecb_daily_rates BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE v USING fts5(x)",
        "ATTACH ':memory:' AS other",
        "PRAGMA writable_schema = 1",
        "PRAGMA foreign_keys = 1",
        "UPDATE sqlite_schema SET sql = ''",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT s",
        "SELECT 1",
        "VACUUM",
        "SELECT load_extension('x')",
        "DELETE FROM fx_ecb_daily_rates WHERE rate IN (WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x FROM r) SELECT x FROM r)",
    ];
    insta::assert_snapshot!("hostile_sql", refused(Project::new, &hostile));
}

/// On PostgreSQL, where the role may own the server. (More statements are judged where the judge is: in `host/core`.)
#[test]
fn the_sql_of_a_revision_on_a_server_reaches_its_table_and_nothing_else() {
    let hostile = [
        "UPDATE datanode.tables SET epoch = 7",
        "DROP TABLE fx_log_returns",
        "UPDATE fx_ecb_daily_rates SET rate = (SELECT max(log_return) FROM fx_log_returns)",
        "UPDATE fx_ecb_daily_rates SET rate = (SELECT count(*) FROM pg_catalog.pg_authid)",
        "UPDATE fx_ecb_daily_rates SET currency = pg_read_file('/etc/passwd')",
        "UPDATE fx_ecb_daily_rates SET rate = 1 WHERE pg_sleep(1000) IS NULL",
        "UPDATE fx_ecb_daily_rates SET rate = 1 WHERE set_config('search_path', 'x', false) = ''",
        "UPDATE fx_ecb_daily_rates SET rate = 1 WHERE dblink_exec('', 'DROP TABLE x') = ''",
        "UPDATE fx_ecb_daily_rates SET rate = 1 WHERE query_to_xml('DELETE FROM datanode.nodes', true, true, '') IS NULL",
        "ALTER TABLE fx_ecb_daily_rates ALTER rate TYPE text USING pg_ls_dir('.')",
        "ALTER TABLE fx_ecb_daily_rates ADD COLUMN x text DEFAULT pg_read_file('/etc/passwd')",
        "ALTER TABLE fx_ecb_daily_rates DISABLE TRIGGER ALL",
        "ALTER TABLE fx_ecb_daily_rates DROP COLUMN rate CASCADE",
        "ALTER TABLE datanode.nodes ADD COLUMN x int",
        "CREATE TABLE datanode_tables.copied AS SELECT * FROM fx_ecb_daily_rates",
        "CREATE INDEX i ON fx_ecb_daily_rates (rate)",
        "CREATE TEMP TABLE x (y int)",
        "CREATE TRIGGER t AFTER INSERT ON fx_ecb_daily_rates EXECUTE FUNCTION f()",
        "DO $$ BEGIN DELETE FROM datanode.nodes; END $$",
        "COPY fx_ecb_daily_rates TO PROGRAM 'id'",
        "TRUNCATE fx_ecb_daily_rates, fx_log_returns",
        "SET session_replication_role = replica",
        "COMMIT",
        "SELECT 1",
        "INSERT INTO fx_ecb_daily_rates WITH x AS (DELETE FROM fx_log_returns RETURNING *) SELECT * FROM x",
        "DELETE FROM fx_ecb_daily_rates WHERE rate IN (WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x FROM r) SELECT x FROM r)",
        "DELETE FROM fx_ecb_daily_rates USING generate_series(1, 1000000000000) AS g",
        "/* /* */ DELETE FROM datanode.nodes; */",
    ];
    insta::assert_snapshot!("hostile_sql_on_a_server", refused(Project::on_server, &hostile));
}

/// What each statement is answered, behind one that deletes all rows. Nothing of either is left.
fn refused(new: New, hostile: &[&str]) -> String {
    let project = with_rates(new, "1999-02-01");
    let [up, _] = sql(&project);
    let rows = untouched(&project);
    let revision = project.json(&["table", "revision", RATES, "-m", "by hand"]);
    let clean = std::fs::read_to_string(folder(&revision).join(up)).unwrap();
    let mut said = String::new();
    for statement in hostile {
        edit(&revision, up, |_| format!("{clean}DELETE FROM fx_ecb_daily_rates;\n{statement};\n"));
        seal(&project, &revision);
        let (code, message) = project.fails(&["table", "upgrade", RATES]);
        let first = message.lines().next().unwrap();
        let place = format!("{}/", folder(&revision).display());
        said += &format!("{statement}\n  {code} {}\n", settled(&project, &first.replace(&place, "")));
        assert_eq!(untouched(&project), rows, "{statement}");
        assert_eq!(current(&project), None, "{statement}");
    }
    // The commands and tables are all as they were.
    project.run(&["node", "run", RATES, "--until", "1999-03-01"]);
    said
}

/// What somebody did to the table by hand is named: by `current`, by a run, by `upgrade`. `refresh` binds the catalogue
/// once the contract says it too.
fn drift_is_named_and_bound_by_a_step_of_its_own(new: New) {
    let project = with_rates(new, "1999-02-01");
    let rows = untouched(&project);
    let text = of(&project, "TEXT", "text COLLATE \"C\"");
    project.execute(&format!("ALTER TABLE fx_ecb_daily_rates ADD COLUMN source {text}"));
    let mut said = String::new();
    let mut told = |arguments: &[&str]| {
        let output = project.output(arguments);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let code = output.status.code().unwrap();
        said += &format!("$ datanode {}\n{code}\n{text}\n", arguments.join(" "));
    };
    let file = contract(&project, "c.toml", &with_source());
    let bare = contract(&project, "bare.toml", &contract_text().replace("\"float64\"", "\"string\""));
    told(&["table", "current", RATES]);
    told(&["table", "upgrade", RATES]);
    told(&["table", "revision", RATES, "-m", "a", "--autogenerate", &file]);
    told(&["table", "refresh", RATES, "--contract", &bare]);
    told(&["table", "refresh", RATES, "--contract", &file]);
    let settled = settled(&project, &said);
    let (code, run) = project.fails(&["node", "run", RATES, "--until", "1999-03-01"]);
    assert_eq!(code, 3, "the node does not emit the new column: {run}");
    assert_eq!(untouched(&project), rows);
    insta::assert_snapshot!(of(&project, "drift", "drift_on_a_server"), settled);
    project.execute("ALTER TABLE fx_ecb_daily_rates DROP COLUMN source");
    let (code, run) = project.fails(&["node", "run", RATES, "--until", "1999-03-01"]);
    assert!(code == 3 && run.contains("error["), "{run}");
    project.run(&["table", "refresh", RATES, "--contract", &contract(&project, "d.toml", &contract_text())]);
    project.run(&["node", "run", RATES, "--until", "1999-03-01"]);
    // Of further indexes PostgreSQL's tables may have some: they change no row.
    project.execute(of(
        &project,
        "CREATE INDEX by_rate ON fx_ecb_daily_rates (rate)",
        "ALTER TABLE fx_ecb_daily_rates ADD CONSTRAINT by_rate CHECK (rate > 0)",
    ));
    let (code, run) = project.fails(&["node", "run", RATES, "--until", "1999-04-01"]);
    let what = of(&project, "index `by_rate`", "check `by_rate`");
    assert!(code == 3 && run.contains("error[table.drifted]") && run.contains(what), "{run}");
}

/// Every other mistake, as a person reads it. Where the next step is a command that mends it, it is run.
fn mistakes_are_answered_with_the_next_step(new: New) {
    let project = with_rates(new, "1999-02-01");
    let [up, down] = sql(&project);
    let rows = untouched(&project);
    let mut said = String::new();
    let mut told = |what: &str, arguments: &[&str]| {
        let (code, message) = project.fails(arguments);
        said += &format!("{what}\n  {code} {}\n", settled(&project, message.trim_end()));
        message
    };
    let run_next = |message: &str| {
        let next = message.lines().find_map(|line| line.strip_prefix("next: ")).unwrap();
        let command = next.split("datanode ").nth(1).unwrap();
        project.run(&command.split(' ').collect::<Vec<_>>());
    };
    let returns = root().join("examples/fx/contracts/fx_log_returns.toml");
    told(
        "another table",
        &["table", "revision", RATES, "-m", "a", "--autogenerate", returns.to_str().unwrap()],
    );
    let moved =
        contract(&project, "m.toml", &contract_text().replace("labels", "physical_name = \"x\"\nlabels"));
    told("another place", &["table", "revision", RATES, "-m", "a", "--autogenerate", &moved]);
    told("no message", &["table", "revision", RATES, "-m", " "]);
    told("no revision", &["table", "upgrade", RATES, "abcdef"]);

    // Rows that a shorter key cannot tell apart.
    let shorter = contract(
        &project,
        "s.toml",
        &contract_text().replace("\"time_index\", \"currency\"]", "\"time_index\"]"),
    );
    let revision = write(&project, "one row a day", &shorter);
    let duplicates = told("duplicates", &["table", "upgrade", RATES]);
    let message = told("a second one", &["table", "revision", RATES, "-m", "b"]);
    assert!(message.contains("datanode table upgrade"));
    // A person says which of them stays.
    edit(&revision, up, |sql| {
        if project.is_on_server() {
            return format!("DELETE FROM fx_ecb_daily_rates WHERE currency <> 'USD';\n{sql}");
        }
        sql.replace(
            "FROM \"fx_ecb_daily_rates\";",
            "FROM \"fx_ecb_daily_rates\"\nWHERE \"currency\" = 'USD';",
        )
    });
    let message = told("unsealed", &["table", "upgrade", RATES]);
    run_next(&message);
    let before = project.json(&["table", "show", RATES])["rows"].as_u64().unwrap();
    follow(&project, &duplicates, 2);
    let table = project.json(&["table", "show", RATES]);
    let after = project.json(&["table", "history", RATES])[0]["rows_after"].clone();
    assert_eq!((&table["coordinates"], &table["rows"]), (&Value::from(1), &after));
    assert!(after.as_u64().unwrap() < before);

    told("applied", &["table", "revision", RATES, "--seal", revision["revision"].as_str().unwrap()]);
    let back = told("the wrong way", &["table", "upgrade", RATES, "base"]);
    run_next(&back);
    // The days are those of one currency now; the key is longer again.
    assert_eq!(project.json(&["table", "show", RATES])["coordinates"], 1);
    assert!(rows.starts_with(untouched(&project).lines().next().unwrap()));
    std::fs::remove_dir_all(folder(&revision)).unwrap();

    // Values that the narrower type does not have.
    let narrow = contract(
        &project,
        "n.toml",
        &with_source().replace("\"string\"\nnullable = true", "\"int64\"\nnullable = true"),
    );
    let wide = write(&project, "a number", &narrow);
    edit(&wide, up, |sql| sql + "UPDATE fx_ecb_daily_rates SET source = 70000;\n");
    seal(&project, &wide);
    project.run(&["table", "upgrade", RATES]);
    let narrow = contract(
        &project,
        "n.toml",
        &with_source().replace("\"string\"\nnullable = true", "\"int16\"\nnullable = true"),
    );
    let narrowed = write(&project, "a small number", &narrow);
    told("values", &["table", "upgrade", RATES]);
    edit(&narrowed, up, |_| "ALTER TABLE fx_ecb_daily_rates DROP COLUMN source;".to_owned());
    seal(&project, &narrowed);
    told("not reached", &["table", "upgrade", RATES]);
    edit(&narrowed, "contract.before.toml", |text| text.replace("\"int64\"", "\"string\""));
    seal(&project, &narrowed);
    told("stale", &["table", "upgrade", RATES]);
    edit(&narrowed, "revision.toml", |text| text.replace("parent = \"", "parent = \"0"));
    told("no id", &["table", "history", RATES]);
    edit(&narrowed, "revision.toml", |text| {
        let at = text.find("parent = \"").unwrap() + 10;
        format!("{}{}{}", &text[..at], "000000000000", &text[at + 13..])
    });
    told("no chain", &["table", "history", RATES]);
    std::fs::remove_dir_all(folder(&narrowed)).unwrap();
    edit(&wide, down, |sql| sql + "-- later\n");
    told("changed after it was applied", &["table", "current", RATES]);
    std::fs::remove_dir_all(folder(&wide)).unwrap();
    told("the folder is gone", &["table", "upgrade", RATES]);
    // The way back is in the catalogue.
    project.run(&["table", "downgrade", RATES, "-1"]);

    // A way back that nobody has written.
    let without = contract_text();
    let at = without.find("[[columns]]\nname = \"rate\"").unwrap();
    let bare = without[..at].to_owned() + SOURCE;
    let dropped = write(&project, "no rate", &contract(&project, "w.toml", &bare));
    assert_eq!(dropped["loses"][0], "all values of column `rate`");
    project.run(&["table", "upgrade", RATES]);
    told("irreversible", &["table", "downgrade", RATES, "base"]);
    let ids = ["revision", "parent"];
    let mut text = said;
    for (at, known) in [&revision, &wide, &narrowed, &dropped].into_iter().enumerate() {
        for id in ids.iter().filter_map(|field| known[field].as_str()) {
            text = text.replace(id, &format!("[revision {}]", at + 1));
        }
    }
    insta::assert_snapshot!(of(&project, "mistakes", "mistakes_on_a_server"), text);
}

/// A table that somebody has changed by hand goes neither on nor back.
fn a_table_that_drifted_is_neither_upgraded_nor_downgraded(new: New) {
    let project = with_rates(new, "1999-02-01");
    let first = write(&project, "add the source", &contract(&project, "c.toml", &with_source()));
    let refused = |arguments: &[&str]| {
        let (code, message) = project.fails(arguments);
        assert!(
            code == 3 && message.starts_with("error[table.drifted]") && message.contains("`by_rate`"),
            "{message}"
        );
    };
    // Of further indexes PostgreSQL's tables may have some: they change no row.
    let create = of(
        &project,
        "CREATE INDEX by_rate ON fx_ecb_daily_rates (rate)",
        "ALTER TABLE fx_ecb_daily_rates ADD CONSTRAINT by_rate CHECK (rate > 0)",
    );
    let drop = of(&project, "DROP INDEX by_rate", "ALTER TABLE fx_ecb_daily_rates DROP CONSTRAINT by_rate");
    project.execute(create);
    refused(&["table", "upgrade", RATES]);
    assert_eq!(columns(&project), ["time_index", "currency", "rate"]);
    project.execute(drop);
    project.run(&["table", "upgrade", RATES]);

    project.execute(create);
    refused(&["table", "downgrade", RATES, "base"]);
    // Where there is no step to make, that is no answer either.
    refused(&["table", "upgrade", RATES]);
    refused(&["table", "downgrade", RATES, first["revision"].as_str().unwrap()]);
    assert_eq!(columns(&project).len(), 4);
    project.execute(drop);
    project.run(&["table", "downgrade", RATES, "base"]);
    assert_eq!((current(&project), columns(&project).len()), (None, 3));
}

/// Every command that a mistake with revisions proposes, run.
fn commands_that_mistakes_propose_are_run(new: New) {
    let project = with_rates(new, "1999-02-01");
    let first = write(&project, "add the source", &contract(&project, "c.toml", &with_source()));
    for (arguments, code) in [
        (&["table", "upgrade", RATES, "abcdef"][..], "revision.not_found"),
        (&["table", "revision", RATES, "-m", "b"], "revision.not_at_head"),
    ] {
        let (_, message) = project.fails(arguments);
        assert!(message.starts_with(&format!("error[{code}]")), "{message}");
        assert_eq!(project.mended_by(&message), 1, "{message}");
    }
    edit(&first, sql(&project)[0], |sql| sql + "-- read again\n");
    let (_, message) = project.fails(&["table", "upgrade", RATES]);
    assert!(message.starts_with("error[revision.unsealed]"), "{message}");
    assert_eq!(project.mended_by(&message), 1, "{message}");
    seal(&project, &first);
    project.run(&["table", "upgrade", RATES]);
    for (arguments, code) in [
        (["table", "upgrade", RATES, "base"], "revision.direction"),
        (["table", "downgrade", RATES, "abcdef"], "revision.not_found"),
    ] {
        let (_, message) = project.fails(&arguments);
        assert!(message.starts_with(&format!("error[{code}]")), "{message}");
        assert_eq!(project.mended_by(&message), 1, "{message}");
    }
}
