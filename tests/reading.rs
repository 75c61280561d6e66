//! Reading a table from outside: every filter and every format, against the same rows read otherwise.
#![allow(missing_docs, clippy::unwrap_used, clippy::float_cmp)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_ipc::reader::StreamReader;
use datanode_tests::{Project, on_both_databases};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

const RATES: &str = "fx_ecb_daily_rates";

/// (microseconds, currency) → bits of the rate, in the order in which they came.
type Rows = Vec<((i64, String), u64)>;

fn stored(project: &Project) -> Rows {
    if project.is_on_server() {
        let sql = format!(
            "SELECT (extract(epoch FROM time_index) * 1000000)::bigint, currency, rate FROM {RATES} ORDER BY 1, 2"
        );
        let rows: Vec<(i64, String, f64)> = project.server().rows(&sql);
        return rows.into_iter().map(|(time, currency, rate)| ((time, currency), rate.to_bits())).collect();
    }
    let connection = rusqlite::Connection::open(project.path().join(".datanode/datanode.db")).unwrap();
    let sql = format!("SELECT time_index, currency, rate FROM {RATES} ORDER BY 1, 2");
    let mut statement = connection.prepare(&sql).unwrap();
    let rows = statement
        .query_map((), |row| Ok(((row.get(0)?, row.get(1)?), row.get::<_, f64>(2)?.to_bits())))
        .unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn of_batches(batches: impl Iterator<Item = RecordBatch>) -> Rows {
    let mut rows = Rows::new();
    for batch in batches {
        let times = batch.column_by_name("time_index").unwrap();
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let currencies = batch.column_by_name("currency").unwrap().as_string::<i32>();
        let rates = batch.column_by_name("rate").unwrap().as_primitive::<Float64Type>();
        assert_eq!(times.timezone(), Some("UTC"));
        rows.extend(
            (0..batch.num_rows()).map(|row| {
                ((times.value(row), currencies.value(row).to_owned()), rates.value(row).to_bits())
            }),
        );
    }
    rows
}

/// Microseconds of `1999-01-04T00:00:00.000000Z`; all times of this table are midnights.
fn micros(text: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    assert_eq!(&text[10..], "T00:00:00.000000Z");
    // Days since 1970 of the proleptic Gregorian calendar, counting years from March.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let era_day = year * 365 + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1;
    (era_day - 719_468) * 86_400_000_000
}

fn of_objects(objects: impl Iterator<Item = Value>) -> Rows {
    objects
        .map(|row| {
            let key =
                (micros(row["time_index"].as_str().unwrap()), row["currency"].as_str().unwrap().to_owned());
            (key, row["rate"].as_f64().unwrap().to_bits())
        })
        .collect()
}

on_both_databases!(
    every_format_has_every_cell,
    every_filter_keeps_what_it_says,
    equal_rows_have_equal_digests,
    sql_answers_people_and_programs,
);

fn filled(empty: Project) -> Project {
    let project = empty.and_fx();
    project.run(&["node", "run", RATES]);
    project
}

fn every_format_has_every_cell(empty: Project) {
    let project = filled(empty);
    let expected = stored(&project);
    assert_eq!(expected.len(), 221_702);
    let path = |name: &str| project.path().join(name);
    let written = |name: &str| project.json(&["table", "read", RATES, "--output", name])["rows"].clone();

    assert_eq!(written("rates.arrow"), 221_702);
    let arrow = StreamReader::try_new(File::open(path("rates.arrow")).unwrap(), None).unwrap();
    assert_eq!(of_batches(arrow.map(Result::unwrap)), expected);
    let piped = project.output(&["table", "read", RATES, "--format", "arrow"]);
    assert_eq!(piped.stdout, std::fs::read(path("rates.arrow")).unwrap(), "a pipe gets what a file gets");

    assert_eq!(written("rates.parquet"), 221_702);
    let parquet =
        ParquetRecordBatchReaderBuilder::try_new(File::open(path("rates.parquet")).unwrap()).unwrap();
    assert_eq!(parquet.metadata().num_row_groups(), 2);
    assert_eq!(of_batches(parquet.build().unwrap().map(Result::unwrap)), expected);

    written("rates.csv");
    let text = std::fs::read_to_string(path("rates.csv")).unwrap();
    assert!(text.lines().count() == 221_703 && text.matches("\r\n").count() == 221_703);
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    let rows = csv.deserialize::<BTreeMap<String, String>>().map(|row| {
        let row = row.unwrap();
        let rate: f64 = row["rate"].parse().unwrap();
        ((micros(&row["time_index"]), row["currency"].clone()), rate.to_bits())
    });
    assert_eq!(rows.collect::<Rows>(), expected);

    written("rates.jsonl");
    let text = std::fs::read_to_string(path("rates.jsonl")).unwrap();
    assert_eq!(of_objects(text.lines().map(|line| serde_json::from_str(line).unwrap())), expected);

    written("rates.json");
    let rows: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(path("rates.json")).unwrap()).unwrap();
    assert_eq!(of_objects(rows.into_iter()), expected);
}

fn every_filter_keeps_what_it_says(empty: Project) {
    let project = filled(empty);
    let all = stored(&project);
    let read = |arguments: &[&str]| {
        let rows = project.json(&[&["table", "read", RATES], arguments].concat());
        of_objects(rows.as_array().unwrap().iter().cloned())
    };
    let kept = |keep: &dyn Fn(i64, &str) -> bool| {
        all.iter().filter(|((time, currency), _)| keep(*time, currency)).cloned().collect::<Rows>()
    };
    let day = |text: &str| micros(&format!("{text}T00:00:00.000000Z"));
    let (first, last) = (day("2020-01-02"), day("2020-01-06"));
    let usd = |currency: &str| currency == "USD";
    for (arguments, expected) in [
        (
            vec!["--start", "2020-01-02", "--end", "2020-01-06"],
            kept(&|time, _| (first..=last).contains(&time)),
        ),
        (
            vec!["--start", ">=2020-01-02", "--end", "<=2020-01-06"],
            kept(&|time, _| (first..=last).contains(&time)),
        ),
        (
            vec!["--start", ">2020-01-02", "--end", "<2020-01-06"],
            kept(&|time, _| first < time && time < last),
        ),
        (
            vec!["--where", "currency=USD,JPY", "--start", "2026-01-01"],
            kept(&|time, currency| time >= day("2026-01-01") && ["USD", "JPY"].contains(&currency)),
        ),
        (
            vec!["--where", "currency=USD", "--where", "currency=\"JPY\"", "--start", "2026-01-01"],
            kept(&|time, currency| time >= day("2026-01-01") && ["USD", "JPY"].contains(&currency)),
        ),
        (
            vec!["--coordinate", "currency=USD", "--coordinate", "currency=JPY", "--end", "1999-02-01"],
            kept(&|time, currency| time <= day("1999-02-01") && ["USD", "JPY"].contains(&currency)),
        ),
        (vec!["--where", "currency=USD", "--limit", "7"], kept(&|_, currency| usd(currency))[..7].to_vec()),
    ] {
        assert!(!expected.is_empty());
        assert_eq!(read(&arguments), expected, "{arguments:?}");
    }

    std::fs::write(
        project.path().join("map.json"),
        r#"[{"coordinate": {"currency": "USD"}, "start_date": "2026-10-01", "start_date_operand": ">"},
            {"coordinate": {"currency": "JPY"}, "end_date": 915667200, "end_date_operand": "<="}]"#,
    )
    .unwrap();
    let expected = kept(&|time, currency| {
        (usd(currency) && time > day("2026-10-01")) || (currency == "JPY" && time <= day("1999-01-07"))
    });
    assert_eq!(read(&["--range-map", "map.json"]), expected);

    // The last row of each currency, those that have ended too.
    let mut newest = BTreeMap::new();
    for ((time, currency), rate) in &all {
        newest.insert(currency.clone(), (*time, *rate));
    }
    let mut expected: Rows =
        newest.into_iter().map(|(currency, (time, rate))| ((time, currency), rate)).collect();
    expected.sort();
    assert_eq!(expected.len(), 41);
    assert_eq!(read(&["--last"]), expected);
    let of_two = read(&["--last", "--where", "currency=CYP,USD"]);
    assert_eq!(
        of_two.iter().map(|((_, currency), _)| currency.as_str()).collect::<BTreeSet<_>>(),
        ["CYP", "USD"].into()
    );

    for wrong in [
        vec!["--start", "<2020-01-01"],
        vec!["--last", "--start", "2020-01-01"],
        vec!["--coordinate", "currency"],
        vec!["--where", "rate=1"],
        vec!["--range-map", "missing.json"],
        vec!["--output", "rates.xls"],
        vec!["--output", "rates.csv", "--format", "table"],
    ] {
        let (exit, said) = project.fails(&[&["table", "read", RATES], &wrong[..]].concat());
        assert_eq!(exit, 2, "{wrong:?}: {said}");
    }
    let (exit, said) = project.fails(&["table", "read", RATES, "--output", "nowhere/rates.csv"]);
    assert_eq!(exit, 5, "{said}");
    let table = project.run(&["table", "read", RATES]);
    assert_eq!(table.lines().count(), 22, "20 rows between a heading and a hint");
}

fn equal_rows_have_equal_digests(empty: Project) {
    let project = filled(empty);
    let digest = |project: &Project| project.json(&["table", "digest", RATES]);
    let whole = digest(&project);
    assert_eq!(whole["rows"], 221_702);
    // The same rows in two runs, and so in other batches; and on one database as on the other.
    let other = Project::with_fx();
    other.run(&["node", "run", RATES, "--until", "2010-01-01"]);
    let begun = digest(&other);
    assert_ne!(begun["digest"], whole["digest"]);
    other.run(&["node", "run", RATES]);
    assert_eq!(digest(&other)["digest"], whole["digest"]);
}

fn sql_answers_people_and_programs(empty: Project) {
    let project = filled(empty);
    let sql = format!(
        "SELECT date_trunc('year', time_index) AS year, count(*) AS days FROM {RATES} \
         WHERE currency = 'USD' AND time_index < '2001-01-01' GROUP BY 1 ORDER BY 1"
    );
    let reader = project.is_on_server().then(|| project.server().reader());
    let asked = |arguments: &[&str]| {
        let mut command = project.command(&[&["table", "sql", RATES], arguments].concat());
        let output = command.envs(reader.iter().map(|url| ("DATANODE_READER_URL", url))).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (exit, said, errors) = asked(&[&sql, "--json"]);
    assert_eq!(exit, Some(0), "{errors}");
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(answer["columns"], serde_json::json!(["year", "days"]));
    assert_eq!(answer["results"][0]["year"], "1999-01-01T00:00:00.000000Z");
    assert_eq!(
        (&answer["ok"], &answer["row_count"], &answer["truncated"]),
        (&true.into(), &2.into(), &false.into())
    );
    let (_, table, _) = asked(&[&sql]);
    assert!(table.starts_with("year ") && table.lines().count() == 3, "{table}");
    for (sql, exit, code) in [
        (format!("DELETE FROM {RATES}"), 3, "sql.forbidden_statement"),
        ("SELECT * FROM _runs".to_owned(), 2, "sql.unknown_table"),
        (format!("SELECT price FROM {RATES}"), 2, "sql.unknown_column"),
        ("SELECT (".to_owned(), 2, "sql.syntax_error"),
        (format!("SELECT count(*) FROM {RATES} a, {RATES} b, {RATES} c"), 1, "sql.timeout"),
    ] {
        let (exited, _, said) = asked(&[&sql, "--timeout", "1"]);
        assert_eq!(exited, Some(exit), "{said}");
        assert!(said.starts_with(&format!("error[{code}]")), "{said}");
    }
}
