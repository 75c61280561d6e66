//! The volatility by hand, and that any division of time into runs gives the same bits.
#![allow(clippy::unwrap_used)] // a panic is the report

use std::collections::{BTreeMap, BTreeSet};

use datanode_sdk::chrono::TimeDelta;
use datanode_sdk::prelude::*;
use datanode_sdk::testing::{Harness, Run, Table};
use ecb_daily_fx_rates::EcbDailyFxRates;
use fx_log_returns::FxLogReturns;
use fx_rolling_volatility::{Config, FxRollingVolatility};

const INDEX: [&str; 2] = ["time_index", "currency"];

/// Day, currency and the bits of the value: equal means equal to the last bit.
type Row = (Timestamp, String, u64);

fn day(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A table of returns.
fn returns(rows: &[(Timestamp, &str, f64)]) -> Table {
    let frame = FrameBuilder::new()
        .timestamps("time_index", rows.iter().map(|(time, ..)| *time))
        .strings("currency", rows.iter().map(|(_, currency, _)| currency))
        .floats("log_return", rows.iter().map(|(.., value)| *value))
        .build()
        .unwrap();
    Table::new(INDEX, [frame])
}

fn over(table: &Table, n: u32) -> Harness<FxRollingVolatility> {
    Harness::new().config(json!({ "n": n })).dependency("returns", table.clone())
}

fn listed(frames: &[RecordBatch], column: &str) -> Vec<(Timestamp, String, f64)> {
    let mut rows = Vec::new();
    for frame in frames {
        let (times, currencies, values) = (
            frame.timestamps("time_index").unwrap(),
            frame.strings("currency").unwrap(),
            frame.floats(column).unwrap(),
        );
        for row in 0..frame.num_rows() {
            rows.push((times.at(row), currencies.value(row).to_owned(), values.value(row)));
        }
    }
    rows.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    rows
}

fn bits(frames: &[RecordBatch]) -> Vec<Row> {
    let rows = listed(frames, "volatility");
    rows.into_iter().map(|(time, currency, value)| (time, currency, value.to_bits())).collect()
}

/// One run after another, each up to the next of these moments, and the last one over everything.
fn in_legs(table: &Table, n: u32, ends: &[Timestamp]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let last = Timestamp::from_micros(i64::MAX);
    for end in ends.iter().chain([&last]) {
        let stored: Vec<RecordBatch> = runs.iter().flat_map(|run| run.batches.clone()).collect();
        let mut harness = over(table, n);
        if !stored.is_empty() {
            harness = harness.output(Table::new(INDEX, stored));
        }
        let harness = if *end == last { harness } else { harness.window(None, &end.to_string()) };
        runs.push(harness.run().ok());
    }
    runs
}

/// Numbers that look drawn, the same in every run of the test.
struct Draw(u64);

impl Draw {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn value(&mut self) -> f64 {
        f64::from(u32::try_from(self.next(2_000_001)).unwrap()) / 1e8 - 0.01
    }
}

/// Currencies that begin late or end early, with weekends, holidays and interruptions of up to some years.
fn drawn(draw: &mut Draw) -> Vec<(Timestamp, &'static str, f64)> {
    let mut rows = Vec::new();
    for currency in ["CHF", "CYP", "ISK", "JPY", "USD"] {
        let mut time = day("2000-01-03") + TimeDelta::days(i64::try_from(draw.next(60)).unwrap());
        for _ in 0..draw.next(90) {
            rows.push((time, currency, draw.value()));
            let step = match draw.next(60) {
                0 => 1 + draw.next(2_000),
                1..=3 => 5,
                step if step % 5 == 0 => 3,
                _ => 1,
            };
            time = time + TimeDelta::days(i64::try_from(step).unwrap());
        }
    }
    rows.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    rows
}

#[test]
fn a_volatility_is_the_annualised_deviation_of_its_window() {
    let at = |days| day("2020-01-01") + TimeDelta::days(days);
    let rows = [(at(1), "USD", 0.01), (at(2), "USD", 0.03), (at(3), "USD", 0.02), (at(4), "USD", 0.02)];
    let run = over(&returns(&rows), 3).run().ok();
    // Around the means 0.02 and 0.07 / 3: squares of 0.0002 and 0.02 / 300, over 2.
    let expected = [(0.000_2_f64 / 2.0), (0.02 / 300.0 / 2.0)].map(|variance| (variance * 252.0).sqrt());
    let found = listed(&run.batches, "volatility");
    assert_eq!(found.len(), expected.len(), "the first at the third return");
    for ((time, _, value), (days, expected)) in found.iter().zip([3, 4].into_iter().zip(expected)) {
        assert_eq!(*time, at(days));
        assert!((value / expected - 1.0).abs() < 1e-12, "{value} is not {expected}");
    }
}

#[test]
fn any_division_of_time_into_runs_gives_the_same_bits() {
    let mut draw = Draw(20_261_122);
    let mut compared = 0;
    for case in 0..150 {
        let rows = drawn(&mut draw);
        if rows.is_empty() {
            continue;
        }
        let n = [2, 3, 5, 20, 50, 10_000][usize::try_from(draw.next(6)).unwrap()];
        let table = returns(&rows);
        let whole = bits(&in_legs(&table, n, &[])[0].batches);

        let mut per_currency = BTreeMap::<&str, usize>::new();
        for (_, currency, _) in &rows {
            *per_currency.entry(currency).or_default() += 1;
        }
        let expected: usize = per_currency.values().map(|count| (count + 1).saturating_sub(n as usize)).sum();
        assert_eq!(whole.len(), expected, "case {case}: one from the n-th return of each currency on");

        let days: BTreeSet<Timestamp> = (0..draw.next(8))
            .map(|_| rows[usize::try_from(draw.next(rows.len() as u64)).unwrap()].0)
            .collect();
        let ends: Vec<Timestamp> = days.into_iter().collect();
        let runs = in_legs(&table, n, &ends);
        let frames: Vec<RecordBatch> = runs.into_iter().flat_map(|run| run.batches).collect();
        assert_eq!(bits(&frames), whole, "case {case}: n = {n}, legs until {ends:?}");
        compared += whole.len();
    }
    assert!(compared > 1_000, "only {compared} values were compared");
}

#[test]
fn a_run_for_each_day_gives_the_same_bits() {
    let rows = drawn(&mut Draw(3));
    let table = returns(&rows);
    let whole = bits(&in_legs(&table, 5, &[])[0].batches);
    let ends: Vec<Timestamp> =
        rows.iter().map(|(time, ..)| *time).collect::<BTreeSet<_>>().into_iter().collect();
    let runs = in_legs(&table, 5, &ends);
    let frames: Vec<RecordBatch> = runs.into_iter().flat_map(|run| run.batches).collect();
    assert!(!whole.is_empty());
    assert_eq!(bits(&frames), whole);
}

#[test]
fn a_window_with_a_start_gives_what_the_whole_has_from_there_on() {
    let mut draw = Draw(7);
    for _ in 0..50 {
        let rows = drawn(&mut draw);
        let table = returns(&rows);
        let whole = bits(&in_legs(&table, 5, &[])[0].batches);
        for (start, ..) in rows.iter().step_by(29) {
            let expected: Vec<Row> = whole.iter().filter(|(time, ..)| time >= start).cloned().collect();
            let harness = over(&table, 5).window(&*start.to_string(), "9999-12-31");
            assert_eq!(bits(&harness.clone().run().ok().batches), expected, "from {start}");
            // A backfill fills its range whatever is stored.
            let stored = in_legs(&table, 5, &[]).remove(0).batches;
            if !stored.is_empty() {
                let backfill = harness.output(Table::new(INDEX, stored)).backfill();
                assert_eq!(bits(&backfill.run().ok().batches), expected, "backfill from {start}");
            }
        }
    }
}

#[test]
fn nothing_new_reads_nothing_old() {
    let rows = drawn(&mut Draw(5));
    let table = returns(&rows);
    let first = over(&table, 5).run().ok();
    let again = over(&table, 5).output(Table::new(INDEX, first.batches)).run().ok();
    assert!(again.messages.is_empty());
    let few: usize = again.reads.iter().map(|read| read.rows).sum();
    // Currencies with fewer than n returns have no volatility yet, and are looked at again.
    let mut counts = BTreeMap::<&str, usize>::new();
    for (_, currency, _) in &rows {
        *counts.entry(currency).or_default() += 1;
    }
    assert_eq!(few, counts.values().filter(|count| **count < 5).sum::<usize>());
}

#[test]
fn an_interruption_of_years_is_found_by_reading_further_back() {
    let mut rows: Vec<_> = (0..30_i32)
        .map(|at| (day("2008-01-01") + TimeDelta::days(at.into()), "ISK", 1e-3 * f64::from(at)))
        .collect();
    rows.extend(
        (0..9_i32).map(|at| (day("2018-02-01") + TimeDelta::days(at.into()), "ISK", -2e-3 * f64::from(at))),
    );
    let table = returns(&rows);
    let whole = bits(&over(&table, 20).run().ok().batches);
    let runs = in_legs(&table, 20, &[day("2018-02-04")]);
    let second = &runs[1];
    assert!(second.reads.len() > 2, "the first span holds too few");
    let frames: Vec<RecordBatch> = runs.iter().flat_map(|run| run.batches.clone()).collect();
    assert_eq!(bits(&frames), whole);
    // Spans that follow one another: nothing twice.
    let read: usize = second.reads[1..].iter().map(|read| read.rows).sum();
    assert!(read <= rows.len() - 5, "{read} old rows were read");
}

#[test]
fn the_published_rates_in_two_legs() {
    let published = Harness::<EcbDailyFxRates>::new()
        .file("ecb", "eurofxref-hist.zip", include_bytes!("../../data/eurofxref-hist.zip"))
        .run()
        .ok();
    let rates = Table::new(INDEX, published.batches);
    let all = Harness::<FxLogReturns>::new().dependency("rates", rates).run().ok();
    let returns = listed(&all.batches, "log_return");
    let table = Table::new(INDEX, all.batches);

    let whole = over(&table, 20).run().ok();
    let currencies: BTreeSet<&String> = returns.iter().map(|(_, currency, _)| currency).collect();
    assert_eq!(whole.rows(), returns.len() - 19 * currencies.len(), "each currency has more than 20 returns");
    assert!(
        listed(&whole.batches, "volatility").iter().all(|(.., value)| value.is_finite() && *value >= 0.0)
    );

    let end = day("2020-12-31");
    let runs = in_legs(&table, 20, &[end]);
    let frames: Vec<RecordBatch> = runs.iter().flat_map(|run| run.batches.clone()).collect();
    assert_eq!(bits(&frames), bits(&whole.batches));

    // The second leg read the new returns, and little more than 19 old ones of each currency that has any.
    let new: Vec<_> = returns.iter().filter(|(time, ..)| *time > end).collect();
    let going: BTreeSet<&String> = new.iter().map(|(_, currency, _)| currency).collect();
    let reads = &runs[1].reads;
    assert_eq!(reads[0].rows, new.len());
    assert_eq!(reads.len(), 2, "one look back was enough");
    assert!((19 * going.len()..30 * going.len()).contains(&reads[1].rows), "{} old rows", reads[1].rows);
}

#[test]
fn the_config_says_what_a_window_is_and_what_is_read() {
    let config: Config =
        datanode_sdk::serde_json::from_value(json!({ "returns_table": "mine", "rates_table": "my_rates" }))
            .unwrap();
    assert_eq!(config.n, 20);
    let expected = Dependency::node(
        "returns",
        "fx_log_returns",
        json!({ "rates_table": "my_rates" }),
        &TableRef::new("mine"),
    );
    assert_eq!(FxRollingVolatility::dependencies(&config).unwrap(), [expected]);
    let schema = datanode_sdk::config_schema::<Config>();
    assert_eq!(schema["properties"]["n"]["minimum"], 2);
    for table in ["returns_table", "rates_table"] {
        assert_eq!(schema["properties"][table]["x-table-reference"], true);
    }
}

/// An experiment with the volatility must not meet the published nodes that feed it, however far down.
#[test]
fn a_hash_namespace_reaches_the_whole_chain() {
    let chain = |namespace: &str| {
        let volatility = Harness::<FxRollingVolatility>::new().hash_namespace(namespace);
        let returns = volatility.dependency_node::<FxLogReturns>("returns").unwrap();
        let rates = returns.dependency_node::<EcbDailyFxRates>("rates").unwrap();
        assert_eq!(rates.resolved_hash_namespace().unwrap(), namespace);
        [volatility.update_hash(), returns.update_hash(), rates.update_hash()].map(Result::unwrap)
    };
    let (published, experiment) = (chain(""), chain("experiments.alice"));
    let all: BTreeSet<_> = published.iter().chain(&experiment).collect();
    assert_eq!(all.len(), 6, "{all:?}");
    assert_eq!(published, chain(""));
}
