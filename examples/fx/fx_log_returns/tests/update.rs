//! The gap rule, and that any cut of the history into runs gives the same returns.
#![allow(clippy::unwrap_used)] // a panic is the report

use datanode_sdk::prelude::*;
use datanode_sdk::testing::{Harness, Run, Table};
use ecb_daily_fx_rates::EcbDailyFxRates;
use fx_log_returns::FxLogReturns;

const INDEX: [&str; 2] = ["time_index", "currency"];

fn day(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A table of rates from `(day, currency, rate)`.
fn rates(rows: &[(&str, &str, f64)]) -> Table {
    let frame = FrameBuilder::new()
        .timestamps("time_index", rows.iter().map(|(time, ..)| day(time)))
        .strings("currency", rows.iter().map(|(_, currency, _)| currency))
        .floats("rate", rows.iter().map(|(.., rate)| *rate))
        .build()
        .unwrap();
    Table::new(INDEX, [frame])
}

fn over(table: &Table) -> Harness<FxLogReturns> {
    Harness::new().dependency("rates", table.clone())
}

/// Day, currency and return of each row.
fn returns(run: &Run) -> Vec<(Timestamp, String, f64)> {
    run.frame().map(|frame| listed(&frame)).unwrap_or_default()
}

fn listed(frame: &RecordBatch) -> Vec<(Timestamp, String, f64)> {
    let (times, currencies, values) = (
        frame.timestamps("time_index").unwrap(),
        frame.strings("currency").unwrap(),
        frame.floats("log_return").unwrap(),
    );
    (0..frame.num_rows())
        .map(|row| (times.at(row), currencies.value(row).to_owned(), values.value(row)))
        .collect()
}

fn found(run: &Run) -> Vec<String> {
    returns(run).iter().map(|(time, currency, value)| format!("{time} {currency} {value:.3}")).collect()
}

/// Two currencies, one with an interruption.
fn sample() -> Table {
    rates(&[
        ("2020-01-01", "USD", 1.0),
        ("2020-01-01", "ISK", 100.0),
        ("2020-01-02", "USD", 1.1),
        ("2020-01-02", "ISK", 110.0),
        ("2020-01-03", "USD", 1.2),
        ("2020-03-01", "USD", 1.3),
        ("2020-03-01", "ISK", 120.0),
        ("2020-03-02", "USD", 1.4),
        ("2020-03-02", "ISK", 130.0),
        ("2020-03-12", "USD", 1.5),
        ("2020-03-13", "ISK", 140.0),
        ("2020-03-14", "ISK", 150.0),
    ])
}

#[test]
fn a_return_is_the_log_of_the_ratio() {
    let run = over(&rates(&[("2020-01-01", "USD", 2.0), ("2020-01-02", "USD", 3.0)])).run().ok();
    assert_eq!(returns(&run), [(day("2020-01-02"), "USD".to_owned(), 1.5_f64.ln())]);
}

#[test]
fn currencies_do_not_mix() {
    let table =
        rates(&[("2020-01-01", "USD", 1.0), ("2020-01-02", "JPY", 100.0), ("2020-01-03", "USD", 2.0)]);
    assert_eq!(found(&over(&table).run().ok()), ["2020-01-03T00:00:00Z USD 0.693"]);
}

#[test]
fn a_gap_of_more_than_ten_days_gives_none() {
    let run = over(&sample()).run().ok();
    let of = |currency: &str| {
        returns(&run)
            .into_iter()
            .filter(|(_, known, _)| known == currency)
            .map(|(time, ..)| time)
            .collect::<Vec<_>>()
    };
    // Exactly ten days (the 2nd to the 12th of March) are no gap, eleven are.
    assert_eq!(of("USD"), ["2020-01-02", "2020-01-03", "2020-03-02", "2020-03-12"].map(day));
    assert_eq!(of("ISK"), ["2020-01-02", "2020-03-02", "2020-03-14"].map(day));
    assert_eq!(run.logs.iter().filter(|line| line.message == "no return across a gap").count(), 3);
    assert_eq!(run.logs.last().unwrap().field("gaps"), Some("3"));
}

#[test]
fn the_gap_is_a_config_field() {
    let wide = over(&sample()).config(json!({ "max_gap_days": 365 })).run().ok();
    assert_eq!(wide.rows(), 10, "all but the first of each currency");
}

#[test]
fn any_cut_into_runs_gives_the_same_returns() {
    let whole = over(&sample()).run().ok();
    let cuts =
        ["2020-01-01", "2020-01-02", "2020-01-03", "2020-03-01", "2020-03-02", "2020-03-12", "2020-03-13"];
    for first in cuts {
        for second in cuts.into_iter().filter(|second| *second > first) {
            let mut all: Vec<RecordBatch> = Vec::new();
            for end in [first, second, "2020-03-14"] {
                let harness = over(&sample());
                let harness =
                    if all.is_empty() { harness } else { harness.output(Table::new(INDEX, all.clone())) };
                all.extend(harness.window(None, end).run().ok().batches);
            }
            let mut rows: Vec<_> = all.iter().flat_map(listed).collect();
            rows.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
            assert_eq!(rows, returns(&whole), "cut after {first} and {second}");
        }
    }
}

#[test]
fn the_second_leg_reads_the_new_rows_and_one_per_currency() {
    let first = over(&sample()).window(None, "2020-01-03").run().ok();
    assert_eq!(first.reads[0].rows, 5);
    let second =
        over(&sample()).output(Table::new(INDEX, first.batches)).window(None, "2020-03-02").run().ok();
    assert_eq!(second.reads[0].rows, 4 + 2, "four new rates and the latest of USD and ISK");
    assert_eq!(second.rows(), 2);
}

#[test]
fn the_published_rates_in_two_legs() {
    let published = Harness::<EcbDailyFxRates>::new()
        .file("ecb", "eurofxref-hist.zip", include_bytes!("../../data/eurofxref-hist.zip"))
        .run()
        .ok();
    let rates = Table::new(INDEX, published.batches);
    let first = over(&rates).window(None, "2020-12-31").run().ok();
    assert_eq!(
        (first.reads[0].rows, first.rows()),
        (176_280, 176_280 - 41 - 1),
        "one interruption: ISK, 2008 to 2018"
    );
    let second = over(&rates).output(Table::new(INDEX, first.batches.clone())).run().ok();
    assert_eq!((second.reads[0].rows, second.rows()), (45_422 + 41, 45_422));
    assert_eq!(first.rows() + second.rows(), 221_660);
}

#[test]
fn nothing_new_emits_nothing_at_all() {
    let first = over(&sample()).run().ok();
    let again = over(&sample()).output(Table::new(INDEX, first.batches)).run().ok();
    assert!(again.messages.is_empty());
    assert_eq!(again.reads[0].rows, 2);
}

#[test]
fn a_window_with_a_start_still_sees_the_observation_before_it() {
    let run = over(&sample()).window("2020-01-03", "2020-01-03").run().ok();
    assert_eq!(found(&run), ["2020-01-03T00:00:00Z USD 0.087"]);
}

#[test]
fn a_backfill_fills_its_range_whatever_is_stored() {
    let first = over(&sample()).run().ok();
    let run = over(&sample())
        .output(Table::new(INDEX, first.batches))
        .window("2020-01-02", "2020-01-02")
        .backfill()
        .run()
        .ok();
    assert_eq!(run.rows(), 2);
}

#[test]
fn a_rate_without_a_logarithm_is_an_error() {
    let error = over(&rates(&[("2020-01-01", "USD", 0.0)])).run().error();
    assert_eq!(error.kind, "rates.not_positive");
    assert_eq!(error.fields[0], ("currency".to_owned(), "USD".to_owned()));
}

#[test]
fn the_dependency_takes_its_table_from_the_config() {
    let config: fx_log_returns::Config =
        datanode_sdk::serde_json::from_value(json!({ "rates_table": "my_rates" })).unwrap();
    let dependencies = FxLogReturns::dependencies(&config).unwrap();
    let expected = Dependency::node("rates", "ecb_daily_fx_rates", json!({}), &TableRef::new("my_rates"));
    assert_eq!(dependencies, [expected]);
    let schema = datanode_sdk::config_schema::<fx_log_returns::Config>();
    assert_eq!(schema["properties"]["rates_table"]["x-table-reference"], true);
    assert_eq!(schema["properties"]["rates_table"]["default"], "fx_ecb_daily_rates");
}
