//! Tails that a user deletes and nodes compute again, and progress that somebody broke.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use datanode_tests::{Project, on_both_databases, root};
use serde_json::{Value, json};

const RATES: &str = "fx_ecb_daily_rates";
const RETURNS: &str = "fx_log_returns";

fn rows(project: &Project, table: &str) -> String {
    project.run(&["table", "read", table, "--limit", "0", "--format", "jsonl"])
}

/// How many rows satisfy a condition, counted from what a user reads.
fn how_many(rows: &str, keep: impl Fn(&str, &str) -> bool) -> u64 {
    let matches = |line: &&str| {
        let row: Value = serde_json::from_str(line).unwrap();
        keep(row["time_index"].as_str().unwrap(), row["currency"].as_str().unwrap())
    };
    rows.lines().filter(matches).count() as u64
}

fn a_tail_of_two_currencies_comes_back_as_it_was(empty: Project) {
    let project = empty.and_fx();
    project.run(&["node", "run", RETURNS, "--until", "2020-12-31"]);
    let (rates, returns) = (rows(&project, RATES), rows(&project, RETURNS));
    let tail = |day: &str, currency: &str| day >= "2015-06-01" && ["USD", "GBP"].contains(&currency);
    let expected = how_many(&rates, tail);
    assert!(expected > 2_000);
    let delete =
        ["table", "delete-after", RATES, "2015-06-01", "--where", "currency=USD", "--where", "currency=GBP"];

    // Counted, and nothing more.
    let dry = project.json(&[&delete[..], &["--dry-run"]].concat());
    assert_eq!(
        (&dry["rows"], &dry["dry_run"], &dry["statistics"]),
        (&json!(expected), &json!(true), &Value::Null)
    );
    assert_eq!(rows(&project, RATES), rates);

    // A script has to say that it means it.
    let (code, error) = project.fails(&delete);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("--yes") && error.contains("--dry-run"), "{error}");
    assert_eq!(rows(&project, RATES), rates);

    let deleted = project.json(&[&delete[..], &["--yes"]].concat());
    let left = how_many(&rates, |day, currency| !tail(day, currency));
    assert_eq!(deleted["rows"], expected);
    assert_eq!(deleted["scope"], json!({"where": {"currency": ["USD", "GBP"]}}));
    assert_eq!((&deleted["is_empty"], &deleted["statistics"]["rows"]), (&json!(false), &json!(left)));
    assert_eq!(how_many(&rows(&project, RATES), tail), 0);
    let shown = project.json(&["stats", "show", RATES]);
    let dollar =
        shown["progress"].as_array().unwrap().iter().find(|held| held["coordinate"][0] == "USD").unwrap();
    assert_eq!(dollar["max"], "2015-05-29T00:00:00.000000Z");
    // The returns that were computed from these rates, by the other way to say which.
    let delete =
        ["table", "delete-after", RETURNS, "2015-06-01", "--coordinate", "currency=USD", "--coordinate"];
    let deleted = project.json(&[&delete[..], &["currency=GBP", "--yes"]].concat());
    assert_eq!(deleted["rows"], expected);
    assert_eq!(deleted["scope"], json!({"coordinates": [{"currency": "USD"}, {"currency": "GBP"}]}));

    project.run(&["stats", "verify"]);
    let runs = project.json(&["node", "run", RETURNS, "--until", "2020-12-31"]);
    for run in runs.as_array().unwrap() {
        assert_eq!(run["rows_inserted"], expected, "what went, and nothing else");
    }
    assert_eq!(rows(&project, RATES), rates);
    assert_eq!(rows(&project, RETURNS), returns);
    project.run(&["stats", "verify"]);

    // All of it.
    let deleted = project.json(&["table", "delete-after", RETURNS, "1999-01-01", "--yes"]);
    assert_eq!((&deleted["is_empty"], &deleted["scope"]), (&json!(true), &json!({})));
    project.run(&["node", "run", RETURNS, "--until", "2020-12-31"]);
    assert_eq!(rows(&project, RETURNS), returns);
}

fn values_with_commas_and_quotes_are_named_in_quotes(empty: Project) {
    const TABLE: &str = "daily_series";
    let project = empty;
    project.upload(TABLE);
    let contract = root().join("tests/guests/daily_series/contract.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    let config = json!({"series": ["Acme", "Acme, Inc", "the \"best\""]}).to_string();
    project.run(&["node", "create", TABLE, "--table", TABLE, "--config", &config]);
    project.run(&["node", "run", TABLE, "--until", "2000-01-31"]);
    let last = |series: &str| {
        let shown = project.json(&["stats", "show", TABLE]);
        let progress = shown["progress"].as_array().unwrap();
        let held = progress.iter().find(|held| held["coordinate"][0] == series).unwrap();
        held["max"].as_str().unwrap()[..10].to_owned()
    };
    let delete = |day: &str, scope: [&str; 2], how: &str| {
        project.json(&[&["table", "delete-after", TABLE, day][..], &scope, &[how]].concat())
    };

    let both = "series=\"Acme, Inc\",\"the \"\"best\"\"\"";
    let deleted = delete("2000-01-21", ["--where", both], "--yes");
    assert_eq!(deleted["scope"], json!({"where": {"series": ["Acme, Inc", "the \"best\""]}}));
    assert_eq!(deleted["rows"], 22);
    let deleted = delete("2000-01-11", ["--coordinate", "series=\"Acme, Inc\""], "--yes");
    assert_eq!(deleted["scope"], json!({"coordinates": [{"series": "Acme, Inc"}]}));
    assert_eq!(deleted["rows"], 10);
    assert_eq!(
        ["Acme", "Acme, Inc", "the \"best\""].map(last),
        ["2000-01-31", "2000-01-10", "2000-01-20"],
        "nothing of the others"
    );

    // Without quotes a comma divides, as everywhere.
    let counted = delete("2000-01-21", ["--where", "series=Acme, Inc"], "--dry-run");
    assert_eq!(
        (&counted["rows"], &counted["scope"]),
        (&json!(11), &json!({"where": {"series": ["Acme", " Inc"]}}))
    );
    let scope = ["--coordinate", "series=Acme, Inc", "--yes"];
    let (code, error) =
        project.fails(&[&["table", "delete-after", TABLE, "2000-01-01"][..], &scope].concat());
    assert!(code == 2 && error.contains("` Inc` is not DIMENSION=VALUE"), "{error}");
    assert_eq!(last("Acme"), "2000-01-31");
    project.run(&["stats", "verify"]);
}

fn what_has_no_tail_or_names_no_coordinate_is_refused(empty: Project) {
    let project = empty.and_fx();
    let contract = root().join("examples/fx/contracts/currencies.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    let (code, error) = project.fails(&["table", "delete-after", "currencies", "2020-01-01", "--yes"]);
    assert!(code == 3 && error.contains("table.no_tail"), "{error}");
    for scope in [
        &["--where", "venue=1"][..],
        &["--coordinate", "currency=USD,venue=1"],
        &["--coordinate", "currency=USD,currency=GBP"],
        &["--where", "currency=USD", "--coordinate", "currency=GBP"],
    ] {
        let (code, error) =
            project.fails(&[&["table", "delete-after", RATES, "2020-01-01", "--yes"], scope].concat());
        assert_eq!(code, 2, "{error}");
    }
}

fn progress_that_somebody_broke_is_reported(empty: Project) {
    let project = empty.and_fx();
    project.run(&["node", "run", RETURNS, "--until", "1999-03-01"]);
    assert!(project.run(&["stats", "verify", RATES, RETURNS]).contains("2 tables"));
    let sql = "UPDATE _progress SET row_count = row_count + 3 WHERE coordinate = '[\"USD\"]' AND table_uid = \
               (SELECT uid FROM _tables WHERE identifier = 'fx_log_returns')";
    project.execute(sql);
    project.execute("DELETE FROM fx_ecb_daily_rates WHERE currency = 'GBP'");

    let output = project.output(&["stats", "verify"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(
        "progress_that_somebody_broke_is_reported",
        String::from_utf8(output.stdout).unwrap()
    );
    project.run(&["stats", "show", RATES]);
    let output = project.output(&["stats", "verify", RETURNS, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let verified: Value = serde_json::from_slice(&output.stdout).unwrap();
    let difference = &verified[0]["differences"][0];
    assert_eq!(difference["coordinate"], json!(["USD"]));
    let rows = |side: &str| difference[side]["rows"].as_u64().unwrap();
    assert_eq!(rows("kept"), rows("counted") + 3);
}

on_both_databases!(
    a_tail_of_two_currencies_comes_back_as_it_was,
    values_with_commas_and_quotes_are_named_in_quotes,
    what_has_no_tail_or_names_no_coordinate_is_refused,
    progress_that_somebody_broke_is_reported,
);
