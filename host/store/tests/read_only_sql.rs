//! SQL of strangers: what is harmless answers, what is not answers why, and neither changes anything.
//!
//! The suites are data, in `tests/sql`: every database answers them alike.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Place, commit, node, on_both_databases, progress, run, table, text};
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datanode_core::contract::Contract;
use datanode_core::coordinate::Coordinate;
use datanode_core::sql::{SqlErrorKind, SqlLimits};
use datanode_store::Table;
use serde_json::Value;

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
/// Kinds of errors that a statement ends in before a database has it.
const UNRUN: [&str; 3] = ["syntax_error", "forbidden_statement", "unknown_table"];
/// How long that may take.
const AT_ONCE: Duration = Duration::from_secs(2);
/// What is compared after every single statement; everything is compared after all of them.
const ROWS: &str = "SELECT CAST(time_index AS TEXT) || series || coalesce(CAST(price AS TEXT), '-') \
                    || coalesce(CAST(size AS TEXT), '-') || coalesce(CAST(amount AS TEXT), '-') FROM prices \
                    UNION ALL SELECT secret FROM secrets ORDER BY 1";

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

/// 1 and 1.0 are one number, as they are in JSON; and the last bit of a logarithm is each library's own.
fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => (left - right).abs() <= 4.0 * f64::EPSILON * left.abs(),
        _ => left == right,
    }
}

/// The kind of error that a case ends in, here.
fn expected_kind<'c>(case: &'c Value, place: &Place) -> &'c str {
    case["kind"].as_str().or_else(|| case["kind"][place.kind()].as_str()).unwrap()
}

async fn harmless_statements_answer(place: Place) {
    let place = place.with_reader().await;
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

async fn hostile_statements_answer_why_and_change_nothing(place: Place) {
    let place = place.with_reader().await;
    let prices = prices(&place).await;
    let before = place.contents();
    assert!(before.iter().any(|(table, rows)| table.contains("prices") && rows.len() == 4), "{before:?}");
    let mut wrong = Vec::new();
    let cases = suite("hostile.json");
    assert!(cases.len() >= 60);
    let rows = place.texts(ROWS);
    assert_eq!(rows.len(), 4);
    for case in cases {
        let (sql, expected) = (statement(&case), expected_kind(&case, &place));
        // Only what has no end is ended by the clock.
        let timeout = Duration::from_secs(if expected == "timeout" { 1 } else { 10 });
        let limits = SqlLimits { timeout, ..SqlLimits::default() };
        let ask = async || {
            let begun = Instant::now();
            let answer = place.store.read_only_sql().unwrap().run_sql(&prices, &sql, &limits).await.unwrap();
            (answer, begun.elapsed())
        };
        // The time that it may take, and time for a machine that does much else; to read a statement takes milliseconds.
        let at_most = if UNRUN.contains(&expected) { AT_ONCE } else { timeout + Duration::from_secs(10) };
        let (mut answer, mut took) = ask().await;
        if UNRUN.contains(&expected) && took > at_most {
            // Something else may have held the machine up, once.
            (answer, took) = ask().await;
        }
        let kind = answer.error.as_ref().map(|error| serde_json::to_value(error.kind).unwrap());
        let as_expected = kind.as_ref().is_some_and(|kind| kind == expected);
        let rows_now = place.texts(ROWS);
        if !as_expected || answer.ok || !answer.results.is_empty() || took > at_most || rows_now != rows {
            let sql: String = sql.chars().take(200).collect();
            let error = answer.error.map(|error| error.message.chars().take(200).collect::<String>());
            wrong.push(format!("{sql}\n  {expected} → {kind:?} {error:?} {took:?}\n  {rows_now:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(place.contents(), before);
}

async fn answers_are_bounded(place: Place) {
    let place = place.with_reader().await;
    let prices = prices(&place).await;
    let ask = async |sql: &str, limits: SqlLimits| {
        place.store.read_only_sql().unwrap().run_sql(&prices, sql, &limits).await.unwrap()
    };
    let two = SqlLimits { max_rows: 2, ..SqlLimits::default() };
    let answer = ask("SELECT series FROM prices ORDER BY time_index, series", two).await;
    assert_eq!((answer.row_count, answer.truncated, answer.max_rows), (2, true, 2));
    let answer = ask("SELECT series FROM prices LIMIT 2", two).await;
    assert_eq!((answer.row_count, answer.truncated), (2, false));
    let none = SqlLimits { max_rows: 0, ..SqlLimits::default() };
    let answer = ask("SELECT series FROM prices", none).await;
    assert_eq!((answer.row_count, answer.truncated, answer.columns), (0, true, vec!["series".to_owned()]));
    let all = SqlLimits { max_rows: usize::MAX, ..SqlLimits::default() };
    let answer = ask("SELECT series FROM prices WHERE price > 1000", all).await;
    assert_eq!((answer.row_count, answer.truncated, answer.columns), (0, false, vec!["series".to_owned()]));
    let small = SqlLimits { max_bytes: 50, ..SqlLimits::default() };
    let answer = ask("SELECT time_index, series FROM prices", small).await;
    assert_eq!(answer.error.unwrap().kind, SqlErrorKind::ResultTooLarge);
    let answer = ask("EXPLAIN SELECT * FROM prices", SqlLimits::default()).await;
    assert!(answer.ok && answer.row_count > 0, "{answer:?}");
}

async fn a_statement_that_is_dropped_stops(place: Place) {
    let place = place.with_reader().await;
    let prices = prices(&place).await;
    let endless = "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n FROM a) SELECT count(*) FROM a";
    let limits = SqlLimits { timeout: Duration::from_mins(10), ..SqlLimits::default() };
    let asked = place.store.read_only_sql().unwrap().run_sql(&prices, endless, &limits);
    let Some(reader) = place.reader() else {
        assert!(tokio::time::timeout(Duration::from_millis(200), asked).await.is_err());
        // The runtime waits for its blocking threads when it ends: this test would not.
        return;
    };
    // Until the server runs it, and then until it runs it no longer.
    let running = async |wanted: i64| {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = '{reader}' AND state = 'active' AND query LIKE 'FETCH%'"
        );
        for _ in 0..600 {
            if place.number(&sql) == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server never had {wanted} of it running");
    };
    tokio::select! {
        answer = asked => panic!("{answer:?}"),
        () = running(1) => {}
    }
    running(0).await;
}

on_both_databases!(
    harmless_statements_answer,
    hostile_statements_answer_why_and_change_nothing,
    answers_are_bounded,
    a_statement_that_is_dropped_stops,
);

/// One statement, one answer: both databases, side by side, over what the suite does not spell out. Each has one row, or has
/// them in order.
#[tokio::test]
async fn both_databases_answer_alike() {
    let places = [Place::sqlite().await, Place::postgres().await.with_reader().await];
    let tables = [prices(&places[0]).await, prices(&places[1]).await];
    let mut wrong = Vec::new();
    for case in suite("alike.json") {
        let sql = statement(&case);
        let mut answers = Vec::new();
        for (place, table) in places.iter().zip(&tables) {
            let store = place.store.read_only_sql().unwrap();
            let answer = store.run_sql(table, &sql, &SqlLimits::default()).await.unwrap();
            let rows: Vec<Vec<Value>> =
                answer.results.into_iter().map(|row| row.into_values().collect()).collect();
            answers.push((answer.columns, rows, answer.error.map(|error| (error.kind, error.message))));
        }
        let [(left, these, failed), (right, those, failed_too)] = &answers[..] else { unreachable!() };
        let alike = failed.is_none()
            && failed_too.is_none()
            && left == right
            && these.len() == those.len()
            && these.iter().flatten().zip(those.iter().flatten()).all(|(this, that)| same(this, that));
        if !alike {
            wrong.push(format!("{sql}\n  {:?}\n  {:?}", answers[0], answers[1]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
