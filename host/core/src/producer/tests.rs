use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::contract::Contract;
use crate::diagnostic::Diagnostic;
use crate::progress::Progress;

fn contract() -> Arc<Contract> {
    let types = [
        "float64",
        "float32",
        "int64",
        "int32",
        "int16",
        "bool",
        "string",
        "date",
        "timestamp_tz",
        "uuid",
        "json",
        "decimal(6,2)",
        "bytes",
    ];
    let columns: Vec<String> = types
        .iter()
        .map(|name| {
            let column = name.split('(').next().unwrap();
            format!("{{ name = \"c_{column}\", type = \"{name}\", nullable = true }}")
        })
        .collect();
    let text = format!(
        "identifier = \"t\"\nindex = [\"time_index\", \"id\"]\ncolumns = [\
         {{ name = \"time_index\", type = \"timestamp_tz\" }}, {{ name = \"id\", type = \"string\" }}, {}]",
        columns.join(", ")
    );
    Arc::new(Contract::from_toml(&text).unwrap())
}

/// A row with nothing but its key, and one cell that is something.
fn row(time: &str, id: &str, column: &str, value: &str) -> String {
    let contract = contract();
    let cells = contract.columns.iter().map(|known| {
        let cell = match known.name.as_str() {
            "time_index" => format!("\"{time}\""),
            "id" => json!(id).to_string(),
            name if name == column => value.to_owned(),
            _ => "null".to_owned(),
        };
        format!("\"{}\": {cell}", known.name)
    });
    format!("{{{}}}", cells.collect::<Vec<_>>().join(", "))
}

fn cell(column: &str, value: &str) -> Result<Upload, UploadError> {
    upload(&format!("[{}]", row("2026-01-01T00:00:00Z", "a", column, value)), &contract())
}

#[test]
fn each_type_has_its_json_and_refuses_other_json() {
    let mut said = String::new();
    for (column, good, bad) in [
        ("c_float64", vec!["1.5", "-2E-3", "7", "null", "1e-400"], vec!["\"1.5\"", "1e400", "true", "[1]"]),
        ("c_float32", vec!["1.5", "3.4e38"], vec!["3.5e38", "{}"]),
        (
            "c_int64",
            vec!["-9223372036854775808", "9223372036854775807", "5.0", "1e3"],
            vec!["9223372036854775808", "18446744073709551616", "0.5", "1e30", "\"5\""],
        ),
        ("c_int32", vec!["2147483647"], vec!["2147483648"]),
        ("c_int16", vec!["-32768", "12.0"], vec!["32768", "-32769.0"]),
        ("c_bool", vec!["true", "false"], vec!["1", "\"true\""]),
        ("c_string", vec!["\"\"", "\"é漢😀\"", "\"a\\nb\""], vec!["7", "\"\\ud800\"", "\"a\\u0000b\""]),
        ("c_date", vec!["\"2026-11-20\""], vec!["\"20.11.2026\"", "20260101", "\"10000-01-01\""]),
        (
            "c_timestamp_tz",
            vec![
                "\"2026-11-20T00:00:00Z\"",
                "\"2026-11-20T00:00:00.5Z\"",
                "\"2026-11-20T00:00:00.123456000Z\"",
                "\"2026-11-20T01:00:00+01:00\"",
            ],
            vec!["\"2026-11-20T00:00:00.123456789Z\"", "\"2026-11-20T00:00:00\"", "1769731200", "\"soon\""],
        ),
        ("c_uuid", vec!["\"018f0000-0000-7000-8000-000000000001\""], vec!["\"x\"", "1"]),
        ("c_json", vec!["{\"a\": [1, null]}", "\"text\"", "7"], vec![]),
        ("c_decimal", vec!["12.34", "\"-1234.5\"", "7"], vec!["12.345", "12345.6", "1e2", "true"]),
        ("c_bytes", vec!["\"00ff\""], vec!["\"0f0\"", "7"]),
    ] {
        for good in good {
            let read = cell(column, good).unwrap_or_else(|error| panic!("{column} {good}: {error}"));
            let is_null = read.batch.unwrap().column_by_name(column).unwrap().is_null(0);
            assert_eq!(is_null, good == "null", "{column} {good}");
        }
        for bad in bad {
            let error = cell(column, bad).unwrap_err();
            said += &format!("{column} {bad}: [{}] {error}\n", error.code());
        }
    }
    insta::assert_snapshot!(said);
}

#[test]
fn rows_are_sorted_and_counted() {
    let rows = [
        row("2026-01-02T00:00:00Z", "b", "c_int64", "2"),
        row("2026-01-01T00:00:00.000001Z", "a", "c_int64", "1"),
        row("2026-01-03T00:00:00Z", "b", "c_int64", "3"),
    ];
    let read = upload(&format!("[{}]", rows.join(",")), &contract()).unwrap();
    assert_eq!((read.rows, read.added.len(), read.added.rows()), (3, 2, 3));
    assert_eq!(read.added.min_time().unwrap().to_string(), "2026-01-01T00:00:00.000001Z");
    assert_eq!(read.batch.unwrap().schema(), contract().arrow_schema());
    let none = upload(" [ ] ", &contract()).unwrap();
    assert_eq!(none, Upload { batch: None, rows: 0, added: Progress::default() });
}

#[test]
fn what_is_no_upload_is_named_with_its_row() {
    let good = row("2026-01-01T00:00:00Z", "a", "", "");
    let with = |more: &str| good.replacen('{', &format!("{{{more}, "), 1);
    let without = good.replacen("\"c_bool\": null, ", "", 1);
    let null_key = good.replacen("\"id\": \"a\"", "\"id\": null", 1);
    let null_time = good.replacen("\"2026-01-01T00:00:00Z\"", "null", 1);
    let mut said = String::new();
    for text in [
        String::new(),
        "{}".to_owned(),
        "7".to_owned(),
        "[7]".to_owned(),
        "[null]".to_owned(),
        format!("[{good}"),
        format!("[{good}] more"),
        format!("[{good}, {{}}]"),
        format!("[{}]", with("\"other\": 1")),
        format!("[{}]", with("\"c_bool\": true")),
        format!("[{without}]"),
        format!("[{good}, {null_key}]"),
        format!("[{null_time}]"),
        format!("[{good}, {good}]"),
        "[{\"time_index\": NaN}]".to_owned(),
        "[{\"time_index\": Infinity}]".to_owned(),
    ] {
        let error = upload(&text, &contract()).unwrap_err();
        let shown: String = text.chars().take(40).collect();
        said += &format!("{shown}\n  [{}] {error}\n  next: {}\n", error.code(), error.next_step().unwrap());
    }
    insta::assert_snapshot!(said);
}

/// No parser here calls itself: nothing that is deep can end the host.
#[test]
fn deep_json_is_refused_and_nothing_else_happens() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(cell("c_json", &deep(MAX_JSON_DEPTH)).is_ok());
    let error = cell("c_json", &deep(MAX_JSON_DEPTH + 1)).unwrap_err();
    assert_eq!(error.code(), "producer.value");
    assert!(cell("c_json", &deep(200_000)).is_err());
    assert!(upload(&deep(200_000), &contract()).is_err());
    assert!(cell("c_float64", &deep(200_000)).is_err());
    // Brackets of a text are no depth.
    assert!(cell("c_json", &json!("[".repeat(500)).to_string()).is_ok());
}

#[test]
fn hashes_are_taken_as_they_are_given_within_bounds() {
    for good in ["prices_0123", "x", &"a".repeat(MAX_HASH_CHARS)] {
        assert!(check_hash(good).is_ok(), "{good}");
    }
    for bad in ["", "a b", "é", "a\n", &"a".repeat(MAX_HASH_CHARS + 1)] {
        assert_eq!(check_hash(bad).unwrap_err().code(), "producer.hash", "{bad}");
    }
}

#[test]
fn claims_are_compared_with_what_arrived() {
    let rows = [
        row("2026-01-01T00:00:00Z", "a", "", ""),
        row("2026-01-02T00:00:00Z", "b", "", ""),
        row("2026-01-03T00:00:00.5Z", "b", "", ""),
    ];
    let arrived = upload(&format!("[{}]", rows.join(",")), &contract()).unwrap().added;
    let document = |min: &str, max: &str, progress: Value| {
        json!({"multi_index_stats": {"_GLOBAL_": {"min": min, "max": max}, "index_progress": progress},
               "multi_index_column_stats": {"c_bool": {"a": {"min": min, "max": max}}}})
    };
    let both = json!({"a": "2026-01-01T00:00:00Z", "b": "2026-01-03T00:00:00Z"});
    let of =
        |document: &Value| Claims::read(document.to_string().as_bytes(), 1).unwrap().differ_from(&arrived);
    let right = document("2026-01-01T00:00:00Z", "2026-01-03T00:00:00.500000Z", both.clone());
    assert_eq!(of(&right), None);
    // The same without the envelope.
    assert_eq!(of(&right["multi_index_stats"]), None);
    let wrong = [
        document("2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z", both.clone()),
        document("2025-12-31T00:00:00Z", "2026-01-03T00:00:00.5Z", both),
        document("2026-01-01T00:00:00Z", "2026-01-03T00:00:00.5Z", json!({"b": "2026-01-03T00:00:00Z"})),
        json!({"multi_index_stats": {"_GLOBAL_": null}}),
    ];
    let said: Vec<String> = wrong.iter().map(|wrong| of(wrong).unwrap()).collect();
    insta::assert_snapshot!(said.join("\n"));
    for unreadable in
        [json!(7), json!([]), json!({"_GLOBAL_": {"min": 7}}), json!({"_GLOBAL_": {"max": "soon"}})]
    {
        assert!(Claims::read(unreadable.to_string().as_bytes(), 1).is_err(), "{unreadable}");
    }
}

/// What is counted of statistics that have so many names, each with so many below it.
fn coordinates(document: &str, dimensions: usize) -> Result<Option<usize>, String> {
    Claims::read(document.as_bytes(), dimensions).map(|claims| claims.coordinates)
}

#[test]
fn coordinates_are_the_leaves_of_a_tree_that_is_as_deep_as_the_table_has_dimensions() {
    let of = |progress: &str, dimensions| {
        coordinates(&format!(r#"{{"multi_index_stats": {{"index_progress": {progress}}}}}"#), dimensions)
    };
    let tree = r#"{"a": {"1": "t", "2": "t"}, "b": {}, "c": "t", "d": [1, {"x": 2}], "e": null}"#;
    assert_eq!(of(tree, 1), Ok(Some(5)));
    assert_eq!(of(tree, 2), Ok(Some(5)), "two in a, none in b, three that are too short");
    assert_eq!(of(r#"{"a": {"1": {"deeper": "t", "still": "t"}}}"#, 2), Ok(Some(1)));
    for none in ["null", "7", "\"t\"", "true", "[{}]", "-1.5"] {
        assert_eq!(of(none, 2), Ok(None), "{none}");
    }
    assert_eq!(of(tree, 0), Ok(None));
    // Whichever comes first, the envelope counts where there is one; one that is null is none.
    let both = r#"{"index_progress": {"a": 1}, "multi_index_stats": {"index_progress": {"a": 1, "b": 2}}}"#;
    assert_eq!(coordinates(both, 1), Ok(Some(2)));
    let flat = r#"{"multi_index_stats": null, "index_progress": {"a": 1}}"#;
    assert_eq!(coordinates(flat, 1), Ok(Some(1)));
    for wrong in
        ["", "[]", "7", "{\"multi_index_stats\": 7}", "{\"multi_index_stats\": []}", "{} {}", "{\"a\": }"]
    {
        assert!(coordinates(wrong, 1).is_err(), "{wrong}");
    }
    // The other name of the times, which the first one hides.
    let times = r#"{"global_index_progress": {"max": "2026-01-01T00:00:00Z"}"#;
    assert!(Claims::read(format!("{times}}}").as_bytes(), 1).unwrap().max.is_some());
    assert!(Claims::read(format!("{times}, \"_GLOBAL_\": null}}").as_bytes(), 1).unwrap().max.is_none());
}

/// They are never whole anywhere: what is read is made as it is wanted.
#[test]
fn statistics_are_bounded_by_coordinates_and_by_what_one_piece_costs() {
    use std::io::{Cursor, Read};

    use crate::frame::MAX_COORDINATES;

    /// Pieces one after the other, each made when it is wanted.
    struct Made<I>(I, Cursor<Vec<u8>>);

    impl<I: Iterator<Item = String>> Read for Made<I> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            loop {
                let read = self.1.read(buffer)?;
                if read > 0 {
                    return Ok(read);
                }
                let Some(next) = self.0.next() else { return Ok(0) };
                self.1 = Cursor::new(next.into_bytes());
            }
        }
    }

    let of = |names: usize| {
        let begin = "{\"multi_index_stats\": {\"index_progress\": {".to_owned();
        let one = |number: usize| format!("{}\"{number}\": 1", if number > 0 { "," } else { "" });
        let pieces = std::iter::once(begin).chain((0..names).map(one)).chain(["}}}".to_owned()]);
        Claims::read(Made(pieces, Cursor::default()), 1).map(|claims| claims.coordinates)
    };
    assert_eq!(of(200_000), Ok(Some(200_000)));
    let beyond = of(MAX_COORDINATES + 1).unwrap_err();
    assert!(beyond.contains("more than 2000000 coordinates"), "{beyond}");

    let text = |length: usize| format!("{{\"a\": \"{}\"}}", "x".repeat(length));
    let (fits, long) = (coordinates(&text(65_536), 1), coordinates(&text(65_537), 1));
    assert!(fits.is_ok() && long.unwrap_err().contains("more than 65536 bytes"));
    assert!(coordinates(&format!("{{\"{}\": 1}}", "x".repeat(65_537)), 1).is_err());
    assert!(coordinates(&format!("{{\"a\": {}}}", "1".repeat(65_537)), 1).is_err());
    let nested = |levels: usize| format!("{{\"a\": {}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert!(coordinates(&nested(MAX_JSON_DEPTH), 1).is_ok());
    assert!(coordinates(&nested(MAX_JSON_DEPTH + 1), 1).unwrap_err().contains("deeper than 100"));
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,80}") {
        let _ = upload(&text, &contract());
        let _ = cell("c_json", &text);
        let _ = cell("c_timestamp_tz", &json!(text).to_string());
    }

    #[test]
    fn floats_and_integers_arrive_as_they_were_written(float in any::<f64>(), integer in any::<i64>()) {
        use arrow_array::cast::AsArray;
        use arrow_array::types::{Float64Type, Int64Type};
        prop_assume!(float.is_finite());
        let read = cell("c_float64", &float.to_string()).unwrap().batch.unwrap();
        let stored = read.column_by_name("c_float64").unwrap().as_primitive::<Float64Type>().value(0);
        prop_assert_eq!(stored.to_bits(), float.to_bits());
        let read = cell("c_int64", &integer.to_string()).unwrap().batch.unwrap();
        prop_assert_eq!(read.column_by_name("c_int64").unwrap().as_primitive::<Int64Type>().value(0), integer);
    }
}
