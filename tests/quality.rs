//! Quality checks of a contract: rows that break them are seen by nobody.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use datanode_tests::{Project, on_both_databases, root};
use serde_json::json;

const RATES: &str = "fx_ecb_daily_rates";
const RUN: [&str; 5] = ["node", "run", RATES, "--until", "1999-03-31"];

on_both_databases!(
    rows_that_break_a_check_are_not_stored_and_named,
    a_dry_run_judges_too,
    rows_are_compared_with_stored_ones,
);

/// Register the contract of the example with checks beside it.
fn demand(project: &Project, checks: &str) -> String {
    let contract = root().join("examples/fx/contracts/fx_ecb_daily_rates.toml");
    let text = std::fs::read_to_string(contract).unwrap() + checks;
    let file = project.path().join("checked.toml");
    std::fs::write(&file, text).unwrap();
    project.run(&["table", "register", file.to_str().unwrap()])
}

fn rows(project: &Project) -> u64 {
    project.json(&["table", "show", RATES])["rows"].as_u64().unwrap()
}

fn rows_that_break_a_check_are_not_stored_and_named(empty: Project) {
    let project = empty.and_fx();
    let applied = demand(
        &project,
        "\n[[checks]]\nname = \"rate_sane\"\nkind = \"range\"\ncolumn = \"rate\"\nmin = 0\nmax = 1000\n\
         description = \"A rate beyond is a slipped decimal point.\"\n\
         [[checks]]\nname = \"major\"\nkind = \"accepted_values\"\ncolumn = \"currency\"\nvalues = [\"USD\", \"JPY\"]\n\
         severity = \"warn\"\n",
    );
    assert!(applied.contains("checks"), "applied at once: {applied}");
    let shown = project.run(&["table", "show", RATES]);
    assert!(shown.contains("rate_sane") && shown.contains("rate is at least 0 and at most 1000"), "{shown}");

    let (code, said) = project.fails(&RUN);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("quality.failed"), "{said}");
    assert_eq!(rows(&project), 0, "nothing is visible");
    let record = project.json(&["run", "list", "--limit", "1"]);
    assert_eq!(record[0]["status"], "failed");
    assert_eq!(record[0]["error"]["code"], "quality.failed");
    let violations = &record[0]["violations"];
    assert_eq!((&violations[0]["check"], &violations[0]["severity"]), (&json!("rate_sane"), &json!("error")));
    assert_eq!((&violations[1]["check"], &violations[1]["severity"]), (&json!("major"), &json!("warn")));
    assert_eq!(violations[0]["examples"].as_array().unwrap().len(), 10);
    insta::assert_snapshot!("broken_check", record[0]["error"]["message"].as_str().unwrap());

    // As a warning it is told, and the rows come.
    demand(
        &project,
        "\n[[checks]]\nname = \"rate_sane\"\nkind = \"range\"\ncolumn = \"rate\"\nmax = 1000\nseverity = \"warn\"\n",
    );
    let runs = project.json(&RUN);
    assert_eq!(runs[0]["status"], "ok");
    let warnings = runs[0]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].as_str().unwrap().starts_with("check `rate_sane` (rate is at most 1000): "));
    assert_eq!(runs[0]["violations"][0]["check"], "rate_sane");
    assert!(rows(&project) > 1_000);

    // Taken out of the contract they are gone.
    demand(&project, "");
    assert!(!project.run(&["table", "show", RATES]).contains("rate_sane"));
}

fn a_dry_run_judges_too(empty: Project) {
    let project = empty.and_fx();
    demand(&project, "\n[[checks]]\nname = \"few\"\nkind = \"row_count\"\nmax = 10\n");
    let output = project.output(&[&RUN[..], &["--dry-run", "--json"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["run"]["error"]["code"], "quality.failed");
}

/// Rows that are wrong only beside those that are stored.
fn rows_are_compared_with_stored_ones(empty: Project) {
    let project = empty.and_fx();
    project.run(&RUN);
    let stored = rows(&project);
    demand(
        &project,
        "\n[[checks]]\nname = \"once\"\nkind = \"unique\"\ncolumns = [\"currency\", \"rate\"]\nseverity = \"warn\"\n\
         [[checks]]\nname = \"enough\"\nkind = \"sql\"\nquery = \"\"\"\n\
         SELECT currency, count(*) AS days FROM fx_ecb_daily_rates WHERE time_index < '1999-04-10' AND currency = 'USD'\n\
         GROUP BY currency HAVING count(*) > 65\"\"\"\n",
    );
    let next = ["node", "run", RATES, "--until", "1999-04-30"];
    // A dry run is judged as the run would be, and leaves nothing behind.
    let before = project.json(&["table", "digest", RATES]);
    let output = project.output(&[&next[..], &["--dry-run", "--json"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let dry: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(dry["run"]["error"]["code"], "quality.failed", "{dry:#}");
    let judged = dry["run"]["violations"].clone();
    assert_eq!(project.json(&["table", "digest", RATES]), before);
    assert_eq!(project.json(&["stats", "verify", RATES])[0]["differences"], json!([]));

    let (code, said) = project.fails(&next);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("quality.failed") && said.contains("currency = USD, days = "), "{said}");
    assert_eq!(rows(&project), stored, "nothing is visible");
    let record = &project.json(&["run", "list", "--limit", "1"])[0];
    assert_eq!(record["status"], "failed");
    assert_eq!(record["violations"], judged, "as the dry run was judged");
    let [enough, once] = &record["violations"].as_array().unwrap()[..] else { panic!("{record:#}") };
    assert_eq!((&enough["check"], &enough["rows"]), (&json!("enough"), &json!(1)));
    assert_eq!((&once["check"], &once["severity"]), (&json!("once"), &json!("warn")));
    let first = &once["examples"][0];
    assert!(first["key"].as_str().unwrap().starts_with("(1999-04-"), "{first}");
    assert!(first["value"].as_str().unwrap().starts_with("currency = "), "{first}");

    // Until then they are right, and what only warns is told.
    let dry = project.json(&["node", "run", RATES, "--until", "1999-04-01", "--dry-run"])["run"].clone();
    assert_eq!((&dry["status"], &dry["violations"][0]["check"]), (&json!("ok"), &json!("once")), "{dry:#}");
    assert_eq!(rows(&project), stored);
    let runs = project.json(&["node", "run", RATES, "--until", "1999-04-01"]);
    assert_eq!(runs[0]["status"], "ok", "{runs:#}");
    for same in ["rows_inserted", "rows_updated", "rows_unchanged", "violations"] {
        assert_eq!(runs[0][same], dry[same], "{same}");
    }
    assert!(rows(&project) > stored);
}
