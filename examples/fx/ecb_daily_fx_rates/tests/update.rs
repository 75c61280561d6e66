//! The component against the bank's own file, and against small and broken ones.
#![allow(clippy::unwrap_used)] // a panic is the report

use std::collections::BTreeSet;
use std::io::{Cursor, Write};

use datanode_sdk::prelude::*;
use datanode_sdk::testing::{Harness, Run, Table};
use ecb_daily_fx_rates::EcbDailyFxRates;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const INDEX: [&str; 2] = ["time_index", "currency"];

fn with_zip(zip: impl AsRef<[u8]>) -> Harness<EcbDailyFxRates> {
    Harness::new().file("ecb", "eurofxref-hist.zip", zip)
}

fn with_csv(csv: &str) -> Harness<EcbDailyFxRates> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("eurofxref-hist.csv", SimpleFileOptions::default()).unwrap();
    zip.write_all(csv.as_bytes()).unwrap();
    with_zip(zip.finish().unwrap().into_inner())
}

fn with_published() -> Harness<EcbDailyFxRates> {
    with_zip(include_bytes!("../../data/eurofxref-hist.zip"))
}

/// `day currency rate`, one text per row.
fn rows(run: &Run) -> Vec<String> {
    let Some(frame) = run.frame() else { return Vec::new() };
    let (times, currencies, rates) = (
        frame.timestamps("time_index").unwrap(),
        frame.strings("currency").unwrap(),
        frame.floats("rate").unwrap(),
    );
    (0..frame.num_rows())
        .map(|row| format!("{} {} {}", times.at(row), currencies.value(row), rates.value(row)))
        .collect()
}

fn days(run: &Run) -> usize {
    let frame = run.frame().unwrap();
    frame.timestamps("time_index").unwrap().values().iter().collect::<BTreeSet<_>>().len()
}

#[test]
fn the_published_file_in_two_legs() {
    let first = with_published().window(None, "2020-12-31").run().ok();
    assert_eq!((first.rows(), days(&first)), (176_280, 5_632));

    let held = Table::new(INDEX, first.batches);
    assert_eq!(held.statistics().len(), 41);
    let second = with_published().output(held.clone()).window(None, "2026-10-30").run().ok();
    assert_eq!(second.rows(), 45_422);
    assert_eq!(rows(&second)[0], "2021-01-04T00:00:00Z AUD 1.5928");

    let whole = held.with(second.batches);
    assert_eq!(whole.rows().num_rows(), 221_702);
    assert_eq!(whole.statistics().min_time().unwrap(), "1999-01-04".parse().unwrap());
    assert_eq!(whole.statistics().max_time().unwrap(), "2026-10-30".parse().unwrap());

    let third = with_published().output(whole).window(None, "2026-10-30").run().ok();
    assert!(third.messages.is_empty(), "nothing new, nothing emitted");
    assert_eq!(third.logs[0].field("rows"), Some("0"));
}

#[test]
fn rows_are_sorted_and_the_empty_column_is_ignored() {
    let run = with_csv("Date,USD,JPY,\n2020-01-03,1.2,120,\n2020-01-02,1.1,N/A,\n").run().ok();
    assert_eq!(
        rows(&run),
        ["2020-01-02T00:00:00Z USD 1.1", "2020-01-03T00:00:00Z JPY 120", "2020-01-03T00:00:00Z USD 1.2"]
    );
    let line = &run.logs[0];
    assert_eq!((line.field("identities"), line.field("rows")), (Some("2"), Some("3")));
    assert!(line.field("window").is_some());
}

#[test]
fn not_available_is_no_row() {
    assert_eq!(with_csv("Date,USD,\n2020-01-02,N/A,\n").run().ok().rows(), 0);
}

#[test]
fn the_window_bounds_both_ends() {
    let run = with_csv("Date,USD,\n2020-01-04,4,\n2020-01-03,3,\n2020-01-02,2,\n2020-01-01,1,\n")
        .window("2020-01-02", "2020-01-03")
        .run()
        .ok();
    assert_eq!(rows(&run), ["2020-01-02T00:00:00Z USD 2", "2020-01-03T00:00:00Z USD 3"]);
}

#[test]
fn progress_is_kept_per_currency() {
    let held = FrameBuilder::new()
        .timestamps("time_index", ["2020-01-02".parse::<Timestamp>().unwrap()])
        .strings("currency", ["USD"])
        .floats("rate", [1.1])
        .build()
        .unwrap();
    let harness = with_csv("Date,USD,JPY,\n2020-01-03,1.2,120,\n2020-01-02,1.1,119,\n")
        .output(Table::new(INDEX, [held]));
    let run = harness.clone().run().ok();
    assert_eq!(
        rows(&run),
        ["2020-01-02T00:00:00Z JPY 119", "2020-01-03T00:00:00Z JPY 120", "2020-01-03T00:00:00Z USD 1.2"],
        "the currency not seen before comes with its history"
    );
    let backfill = harness.window("2020-01-02", "2020-01-02").backfill().run().ok();
    assert_eq!(rows(&backfill).len(), 2, "a backfill fills its range whatever the table holds");
}

#[test]
fn a_bad_cell_is_named_by_line_and_column() {
    let error = with_csv("Date,USD,JPY,\n2020-01-03,1.2,120,\n2020-01-02,1.1,1x9,\n").run().error();
    assert_eq!(error.kind, "source.parse");
    assert_eq!(
        error.message,
        "eurofxref-hist.csv, line 3, column 3: `1x9` is neither a positive number nor `N/A`"
    );
    let fields: Vec<_> = error.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(fields, [("file", "eurofxref-hist.csv"), ("line", "3"), ("column", "3"), ("currency", "JPY")]);
}

#[test]
fn every_kind_of_broken_file_is_an_error_with_a_place() {
    for (csv, line, column) in [
        ("Day,USD,\n", "1", "1"),
        ("Date,usd,\n", "1", "2"),
        ("Date,,USD\n", "1", "2"),
        ("Date,USD,\n02.01.2020,1.1,\n", "2", "1"),
        ("Date,USD,\n2020-01-02,1.1,\n2020-01-01,-1,\n", "3", "2"),
        ("Date,USD,\n2020-01-02,inf,\n", "2", "2"),
        ("Date,USD,\n2020-01-02,,\n", "2", "2"),
        ("Date,USD,\n2020-01-02\n", "2", "2"),
        ("", "1", "1"),
    ] {
        let error = with_csv(csv).run().error();
        assert_eq!(error.kind, "source.parse", "{csv:?}: {error}");
        let field = |name: &str| {
            error.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        assert_eq!((field("line"), field("column")), (Some(line), Some(column)), "{csv:?}: {error}");
    }
}

#[test]
fn what_is_not_the_zip_is_said_so() {
    assert_eq!(with_zip("not a zip").run().error().kind, "source.zip");
    let missing = Harness::<EcbDailyFxRates>::new().config(json!({ "file": "other.zip" })).run().error();
    assert_eq!(
        (missing.kind.as_str(), missing.message.as_str()),
        ("source.status", "GET ecb/other.zip answered 404")
    );
}

#[test]
fn the_config_is_described() {
    let schema = datanode_sdk::config_schema::<ecb_daily_fx_rates::Config>();
    let file = &schema["properties"]["file"];
    assert_eq!(file["default"], "eurofxref-hist.zip");
    assert_eq!(file["description"], "Path of the historical zip within the source.");
    assert_eq!(file["examples"], json!(["eurofxref-hist.zip"]));
}
