//! Quality checks of a contract: rows that break them are seen by nobody.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use datanode_tests::{Project, root};

const RATES: &str = "fx_ecb_daily_rates";
const RUN: [&str; 5] = ["node", "run", RATES, "--until", "1999-03-31"];

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

#[test]
fn rows_that_break_a_check_are_not_stored_and_named() {
    let project = Project::with_fx();
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
    insta::assert_snapshot!(record[0]["error"]["message"].as_str().unwrap());

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
    assert!(rows(&project) > 1_000);

    // Taken out of the contract they are gone.
    demand(&project, "");
    assert!(!project.run(&["table", "show", RATES]).contains("rate_sane"));
}

#[test]
fn a_dry_run_judges_too() {
    let project = Project::with_fx();
    demand(&project, "\n[[checks]]\nname = \"few\"\nkind = \"row_count\"\nmax = 10\n");
    let output = project.output(&[&RUN[..], &["--dry-run", "--json"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["run"]["error"]["code"], "quality.failed");
}
