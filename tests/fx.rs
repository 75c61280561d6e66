//! The example on real data, through the command line: every cell, every count, every increment.
#![allow(
    missing_docs,
    clippy::float_cmp,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::format_push_string
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use datanode_tests::{Project, root};
use serde_json::Value;

const RATES: &str = "fx_ecb_daily_rates";
const RETURNS: &str = "fx_log_returns";
const VOLATILITY: &str = "fx_rolling_volatility";
const LONG_VOLATILITY: &str = "fx_volatility_of_60";
/// The window's length that the volatility has by default.
const N: u64 = 20;

/// (day, currency) → value
type Cells = BTreeMap<(String, String), f64>;

/// The rates as the ECB published them, read here without any code of ours.
fn published() -> Cells {
    let file = std::fs::File::open(root().join("examples/fx/data/eurofxref-hist.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let mut reader = csv::Reader::from_reader(archive.by_name("eurofxref-hist.csv").unwrap());
    let currencies: Vec<String> = reader.headers().unwrap().iter().skip(1).map(str::to_owned).collect();
    let mut cells = Cells::new();
    for line in reader.records() {
        let line = line.unwrap();
        for (currency, rate) in currencies.iter().zip(line.iter().skip(1)) {
            if !currency.is_empty() && rate != "N/A" {
                cells.insert((line[0].to_owned(), currency.clone()), rate.parse().unwrap());
            }
        }
    }
    cells
}

fn stored(project: &Project, table: &str, column: &str) -> Cells {
    let text = project.run(&["table", "read", table, "--limit", "0", "--format", "jsonl"]);
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let day = row["time_index"].as_str().unwrap().strip_suffix("T00:00:00.000000Z").unwrap().to_owned();
        ((day, row["currency"].as_str().unwrap().to_owned()), row[column].as_f64().unwrap())
    };
    text.lines().map(row).collect()
}

/// Compare all rows of a table with a script of the example that shares no code with the components.
fn assert_agrees_with(script: &str, more: &[&str], project: &Project, table: &str) {
    let csv = project.run(&["table", "read", table, "--limit", "0", "--format", "csv"]);
    let mut script = Command::new("python3")
        .arg(root().join("examples/fx").join(script))
        .arg("-")
        .args(more)
        .stdin(Stdio::piped())
        .spawn()
        .expect("python3 runs the independent check");
    script.stdin.take().unwrap().write_all(csv.as_bytes()).unwrap();
    assert!(script.wait().unwrap().success(), "the independent script disagrees");
}

fn number(run: &Value, field: &str) -> u64 {
    run[field].as_u64().unwrap()
}

#[test]
fn two_legs_fill_the_tables_with_exactly_the_published_data() {
    let project = Project::with_fx();
    let published = published();
    let until_2020: Cells = published
        .iter()
        .filter(|((day, _), _)| day.as_str() <= "2020-12-31")
        .map(|(k, v)| (k.clone(), *v))
        .collect();

    // First leg.
    let runs = project.json(&["node", "run", RETURNS, "--until", "2020-12-31"]);
    assert_eq!(runs[0]["table"], RATES, "dependencies first");
    assert_eq!((number(&runs[0], "rows_inserted"), number(&runs[0], "rows_dropped")), (176_280, 0));
    let rates = stored(&project, RATES, "rate");
    assert_eq!(rates, until_2020, "every cell");
    assert_eq!(rates.keys().map(|(day, _)| day).collect::<BTreeSet<_>>().len(), 5_632);
    let first_leg_returns = number(&runs[1], "rows_inserted");

    // Second leg: only what is new.
    let runs = project.json(&["node", "run", RETURNS]);
    assert_eq!((number(&runs[0], "rows_emitted"), number(&runs[0], "rows_dropped")), (45_422, 0));
    let rates = stored(&project, RATES, "rate");
    assert_eq!(rates, published, "every cell");
    assert_eq!(rates.len(), 221_702);
    assert_eq!(rates.keys().map(|(day, _)| day).collect::<BTreeSet<_>>().len(), 7_126);
    assert_eq!(rates.keys().map(|(_, currency)| currency).collect::<BTreeSet<_>>().len(), 41);
    assert_eq!(rates.keys().next().unwrap().0, "1999-01-04");
    assert_eq!(rates.keys().last().unwrap().0, "2026-10-30");

    // The dependant read the new rows and one more per currency, nothing else.
    let read: u64 = runs[1]["inputs"].as_array().unwrap().iter().map(|input| number(input, "rows")).sum();
    assert!(read <= 45_422 + 41, "{read} rows of the dependency were read");
    assert_eq!(number(&runs[1], "rows_dropped"), 0);
    assert_eq!(first_leg_returns + number(&runs[1], "rows_inserted"), 221_660);

    // A currency that ended keeps its progress.
    let table = project.json(&["table", "show", RATES]);
    let progress = table["progress"].as_array().unwrap();
    let cyp = progress.iter().find(|held| held["coordinate"][0] == "CYP").unwrap();
    assert_eq!(cyp["max"], "2007-12-31T00:00:00.000000Z");
    assert_eq!(progress.iter().map(|held| number(held, "rows")).sum::<u64>(), 221_702);

    // Values agree with the independent script.
    assert_eq!(stored(&project, RETURNS, "log_return").len(), 221_660);
    assert_agrees_with("check_returns.py", &[], &project, RETURNS);

    // A third time: nothing is new, nothing is written, and the record says so.
    project.json(&["node", "run", RETURNS]);
    let runs = project.json(&["run", "list", "--limit", "2"]);
    for run in runs.as_array().unwrap() {
        assert_eq!(
            (run["status"].as_str().unwrap(), number(run, "rows_inserted"), number(run, "rows_emitted")),
            ("empty", 0, 0)
        );
    }
    assert_eq!(stored(&project, RATES, "rate").len(), 221_702);
}

/// The same inputs give the same bytes: in another project, and when both legs are one.
#[test]
fn runs_are_functions_of_their_inputs() {
    let (one, two) = (Project::with_fx(), Project::with_fx());
    let digests = |project: &Project| {
        let runs = project.json(&["node", "run", RETURNS, "--until", "2020-12-31"]);
        runs.as_array().unwrap().iter().map(|run| run["output_digest"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(digests(&one), digests(&two));
    assert!(digests(&one).iter().all(Value::is_null), "nothing is emitted twice");
    one.json(&["node", "run", RETURNS]);
    let whole = Project::with_fx();
    whole.json(&["node", "run", RETURNS]);
    assert_eq!(stored(&one, RETURNS, "log_return"), stored(&whole, RETURNS, "log_return"), "two legs or one");
}

#[test]
fn the_volatility_reads_what_is_new_and_a_window_before_it() {
    let project = Project::with_fx_volatility();
    let runs = project.json(&["node", "run", VOLATILITY, "--until", "2020-12-31"]);
    let order: Vec<_> = runs.as_array().unwrap().iter().map(|run| run["table"].as_str().unwrap()).collect();
    assert_eq!(order, [RATES, RETURNS, VOLATILITY], "dependencies first");
    let runs = project.json(&["node", "run", VOLATILITY]);

    // Each currency has a value from its n-th return on.
    let returns = stored(&project, RETURNS, "log_return");
    let mut counts = BTreeMap::<&str, u64>::new();
    for (_, currency) in returns.keys() {
        *counts.entry(currency).or_default() += 1;
    }
    let volatility = stored(&project, VOLATILITY, "volatility");
    assert_eq!(
        volatility.len() as u64,
        counts.values().map(|count| (count + 1).saturating_sub(N)).sum::<u64>()
    );
    assert_agrees_with("check_volatility.py", &[], &project, VOLATILITY);

    // The second leg read the new returns once, and at most one and a half windows of old ones for each currency that
    // goes on.
    let new: Vec<_> = returns.keys().filter(|(day, _)| day.as_str() > "2020-12-31").collect();
    let going = new.iter().map(|(_, currency)| currency).collect::<BTreeSet<_>>().len() as u64;
    let inputs: Vec<u64> =
        runs[2]["inputs"].as_array().unwrap().iter().map(|input| number(input, "rows")).collect();
    assert_eq!((inputs[0], number(&runs[2], "rows_inserted")), (new.len() as u64, new.len() as u64));
    let old: u64 = inputs[1..].iter().sum();
    assert!(
        going * (N - 1) <= old && old <= going * N * 3 / 2,
        "{old} old rows of {going} currencies were read"
    );

    // Two legs or one: the same bits.
    let whole = Project::with_fx_volatility();
    whole.json(&["node", "run", VOLATILITY]);
    let bits =
        |cells: Cells| cells.into_iter().map(|(key, value)| (key, value.to_bits())).collect::<Vec<_>>();
    assert_eq!(bits(stored(&whole, VOLATILITY, "volatility")), bits(volatility));

    // The length of the window is config: another one is another node, with a table of its own.
    let contract =
        std::fs::read_to_string(root().join("examples/fx/contracts/fx_rolling_volatility.toml")).unwrap();
    let file = whole.path().join("long.toml");
    std::fs::write(&file, contract.replace("\"fx_rolling_volatility\"", &format!("\"{LONG_VOLATILITY}\"")))
        .unwrap();
    whole.run(&["table", "register", file.to_str().unwrap()]);
    whole.run(&[
        "node",
        "create",
        "fx_rolling_volatility",
        "--table",
        LONG_VOLATILITY,
        "--config",
        "{\"n\": 60}",
    ]);
    whole.run(&["node", "run", LONG_VOLATILITY]);
    assert_eq!(
        stored(&whole, LONG_VOLATILITY, "volatility").len() as u64,
        counts.values().map(|count| (count + 1).saturating_sub(60)).sum::<u64>()
    );
    assert_agrees_with("check_volatility.py", &["-n", "60"], &whole, LONG_VOLATILITY);

    let again = project.json(&["node", "run", VOLATILITY]);
    assert!(again.as_array().unwrap().iter().all(|run| number(run, "rows_emitted") == 0));
}

#[test]
fn a_source_that_is_not_granted_stops_the_run_and_blocks_its_dependants() {
    let project = Project::with_fx();
    project.run(&["source", "revoke", "ecb", "ecb_daily_fx_rates"]);
    let (code, said) = project.fails(&["node", "run", RETURNS, "--until", "2020-12-31"]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("source.missing") && said.contains("run.blocked"), "{said}");
    // The next step that the error names mends it.
    let step = said.lines().find_map(|line| line.split_once("next: datanode ")).unwrap().1;
    project.run(&step.split_whitespace().collect::<Vec<_>>());
    let runs = project.json(&["node", "run", RETURNS, "--until", "1999-02-01"]);
    assert!(runs.as_array().unwrap().iter().all(|run| run["status"] == "ok"));
}
