//! SQL of strangers: what is harmless answers, what is not answers why, and neither changes anything.
//!
//! Both suites are data, in `tests/sql`: every database answers them alike.

#![allow(clippy::unwrap_used)] // a panic here is the report

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datanode_core::contract::Contract;
use datanode_core::coordinate::Coordinate;
use datanode_core::sql::{SqlErrorKind, SqlLimits};
use datanode_store::Table;
use serde_json::Value;
use support::{Place, commit, node, progress, run, table, text};

/// Its physical name is `prices`.
const PRICES: &str = r#"
    identifier = "prices_daily"
    physical_name = "prices"
    index = ["time_index", "series"]
    columns = [
        { name = "time_index", type = "timestamp_tz" },
        { name = "series", type = "string" },
        { name = "price", type = "float64", nullable = true },
        { name = "size", type = "int32", nullable = true },
        { name = "open", type = "bool", nullable = true },
        { name = "day", type = "date", nullable = true },
        { name = "id", type = "uuid", nullable = true },
        { name = "amount", type = "decimal(10,2)", nullable = true },
    ]"#;
const SECRETS: &str = r#"
    identifier = "secrets"
    index = ["time_index"]
    columns = [{ name = "time_index", type = "timestamp_tz" }, { name = "secret", type = "string" }]"#;
const DAY: i64 = 86_400_000_000;

/// 2020-01-01 a, 2020-01-02 a, 2020-01-02 b, and b a month later to the microsecond.
async fn prices(place: &Place) -> Table {
    let prices = table(&*place.store, &Contract::from_toml(PRICES).unwrap()).await;
    table(&*place.store, &Contract::from_toml(SECRETS).unwrap()).await;
    let first = 18_262 * DAY;
    let times = [first, first + DAY, first + DAY, 1_580_702_706_000_007];
    let series = ["a", "a", "b", "b"];
    let id = [Some(0x018f_0000_0000_7000_8000_0000_0000_000a_u128.to_be_bytes()), None, None, None];
    let amounts = Decimal128Array::from(vec![Some(1_050), Some(10_000), Some(-200), None]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values(series)),
        Arc::new(Float64Array::from(vec![Some(1.5), Some(2.5), None, Some(-4.0)])),
        Arc::new(Int32Array::from(vec![Some(7), Some(8), None, None])),
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, None])),
        Arc::new(Date32Array::from(vec![Some(18_325), None, None, None])),
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(id.iter().copied(), 16).unwrap()),
        Arc::new(amounts.with_precision_and_scale(10, 2).unwrap()),
    ];
    let fields: Vec<_> =
        prices.contract.columns.iter().map(datanode_core::contract::Column::arrow_field).collect();
    let batch = RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), columns).unwrap();
    let keys: Vec<_> =
        times.iter().zip(series).map(|(time, name)| (*time, Coordinate(vec![text(name)]))).collect();
    let node = node(&*place.store, &prices).await;
    let commit = commit(&*place.store, &prices, run(&node, "r"), vec![batch], progress(&keys)).await;
    place.store.commit_run(commit).await.unwrap();
    place.store.table(&prices.uid).await.unwrap()
}

fn suite(file: &str) -> Vec<Value> {
    let path = format!("{}/../../tests/sql/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn statement(case: &Value) -> String {
    let Some(pieces) = case["pieces"].as_array() else { return case["sql"].as_str().unwrap().to_owned() };
    let piece = |piece: &Value| {
        piece[0].as_str().unwrap().repeat(usize::try_from(piece[1].as_u64().unwrap()).unwrap())
    };
    pieces.iter().map(piece).collect()
}

/// 1 and 1.0 are one number, as they are in JSON.
fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => (left - right).abs() < f64::EPSILON,
        _ => left == right,
    }
}

#[tokio::test]
async fn harmless_statements_answer() {
    let place = Place::sqlite().await;
    let prices = prices(&place).await;
    let mut wrong = Vec::new();
    for case in suite("suite.json") {
        let sql = statement(&case);
        let answer =
            place.store.read_only_sql().unwrap().run_sql(&prices, &sql, &SqlLimits::default()).await.unwrap();
        let expected = case["rows"].as_array().unwrap();
        let as_expected = answer.ok
            && answer.row_count == expected.len()
            && case.get("columns").is_none_or(|columns| *columns == Value::from(answer.columns.clone()))
            && answer.results.iter().zip(expected).all(|(row, expected)| {
                let expected = expected.as_array().unwrap();
                expected.len() == answer.columns.len()
                    && answer.columns.iter().zip(expected).all(|(name, value)| same(&row[name], value))
            });
        if !as_expected {
            wrong.push(format!("{sql}\n  {}", serde_json::to_string(&answer).unwrap()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn hostile_statements_answer_why_and_change_nothing() {
    let place = Place::sqlite().await;
    let prices = prices(&place).await;
    let dump = || {
        let raw = place.raw();
        let names: Vec<String> = {
            let mut statement =
                raw.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").unwrap();
            statement.query_map((), |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        let count = |name: &String| {
            raw.query_row(&format!("SELECT count(*) FROM \"{name}\""), (), |row| row.get(0)).unwrap()
        };
        let counts: Vec<i64> = names.iter().map(count).collect();
        let sum: f64 = raw.query_row("SELECT sum(price) FROM prices", (), |row| row.get(0)).unwrap();
        (names, counts, sum.to_bits())
    };
    let before = dump();
    let limits = SqlLimits { timeout: Duration::from_secs(1), ..SqlLimits::default() };
    let mut wrong = Vec::new();
    let cases = suite("hostile.json");
    assert!(cases.len() >= 60);
    for case in cases {
        let sql = statement(&case);
        let begun = Instant::now();
        let answer = place.store.read_only_sql().unwrap().run_sql(&prices, &sql, &limits).await.unwrap();
        let took = begun.elapsed();
        let kind = answer.error.as_ref().map(|error| serde_json::to_value(error.kind).unwrap());
        let expected = kind.as_ref().is_some_and(|kind| case["kind"] == "any" || *kind == case["kind"]);
        // The time that it may take, and time for a machine that does much else.
        if !expected || answer.ok || !answer.results.is_empty() || took > Duration::from_secs(20) {
            let sql: String = sql.chars().take(200).collect();
            let error = answer.error.map(|error| error.message.chars().take(200).collect::<String>());
            wrong.push(format!("{sql}\n  {} → {kind:?} {error:?} {took:?}", case["kind"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(dump(), before);
}

#[tokio::test]
async fn answers_are_bounded() {
    let place = Place::sqlite().await;
    let prices = prices(&place).await;
    let ask = async |sql: &str, limits: SqlLimits| {
        place.store.read_only_sql().unwrap().run_sql(&prices, sql, &limits).await.unwrap()
    };
    let two = SqlLimits { max_rows: 2, ..SqlLimits::default() };
    let answer = ask("SELECT series FROM prices ORDER BY time_index, series", two).await;
    assert_eq!((answer.row_count, answer.truncated, answer.max_rows), (2, true, 2));
    let answer = ask("SELECT series FROM prices LIMIT 2", two).await;
    assert_eq!((answer.row_count, answer.truncated), (2, false));
    let small = SqlLimits { max_bytes: 50, ..SqlLimits::default() };
    let answer = ask("SELECT time_index, series FROM prices", small).await;
    assert_eq!(answer.error.unwrap().kind, SqlErrorKind::ResultTooLarge);
    let answer = ask("EXPLAIN SELECT * FROM prices", SqlLimits::default()).await;
    assert!(answer.ok && answer.row_count > 0, "{answer:?}");
}

#[tokio::test]
async fn a_statement_that_is_dropped_stops() {
    let place = Place::sqlite().await;
    let prices = prices(&place).await;
    let endless = "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT count(*) FROM a";
    let limits = SqlLimits { timeout: Duration::from_mins(10), ..SqlLimits::default() };
    let asked = place.store.read_only_sql().unwrap().run_sql(&prices, endless, &limits);
    assert!(tokio::time::timeout(Duration::from_millis(200), asked).await.is_err());
    // The runtime waits for its blocking threads when it ends: this test would not.
}
