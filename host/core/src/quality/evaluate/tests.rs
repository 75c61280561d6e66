use arrow_array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use proptest::prelude::*;

use super::*;

const TABLE: &str = r#"
    identifier = "prices"
    index = ["time_index"]
    columns = [{ name = "time_index", type = "timestamp_tz" }, { name = "venue", type = "string", nullable = true },
        { name = "price", type = "float64", nullable = true }, { name = "volume", type = "int64", nullable = true }]
"#;

fn contract(checks: &str) -> Arc<Contract> {
    Arc::new(Contract::from_toml(&format!("{TABLE}{checks}")).unwrap())
}

type Row = (Option<String>, Option<f64>, Option<i64>);

fn batch(contract: &Contract, first: i64, rows: &[Row]) -> RecordBatch {
    let times = (first..).take(rows.len());
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        Arc::new(rows.iter().map(|row| row.0.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(contract.arrow_schema(), arrays).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const CHECKS: &str = r#"
    [[checks]]
    name = "venue_there"
    kind = "not_null"
    column = "venue"
    [[checks]]
    name = "price_sane"
    kind = "range"
    column = "price"
    min = 0
    max = 10.5
    [[checks]]
    name = "known_venue"
    kind = "accepted_values"
    column = "venue"
    values = ["X", "Y"]
    severity = "warn"
    [[checks]]
    name = "volume_sane"
    kind = "range"
    column = "volume"
    min = 1
"#;

proptest! {
    /// However rows are cut into batches, the counts are those of a plain look at each row.
    #[test]
    fn counts_are_those_of_a_plain_look(
        rows in prop::collection::vec(
            (prop::option::of("[XYZ]"), prop::option::of(-5.0..15.0_f64), prop::option::of(-2..5_i64)), 0..60),
        size in 1_usize..20,
    ) {
        let contract = contract(CHECKS);
        let mut evaluation = Evaluation::new(Arc::clone(&contract));
        for (number, rows) in rows.chunks(size).enumerate() {
            evaluation.rows(&batch(&contract, i64::try_from(number * size).unwrap(), rows));
        }
        let found = match evaluation.finish(None, at("2020-01-01")) {
            Ok(warnings) => warnings,
            Err(error) => error.violations,
        };
        let count = |name: &str| {
            found.iter().find(|violation| violation.check == name).map_or(0, |violation| violation.rows)
        };
        let plain = |is_wrong: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is_wrong(row)).count() as u64;
        prop_assert_eq!(count("venue_there"), plain(&|row| row.0.is_none()));
        prop_assert_eq!(count("price_sane"), plain(&|row| row.1.is_some_and(|price| !(0.0..=10.5).contains(&price))));
        prop_assert_eq!(count("known_venue"), plain(&|row| row.0.as_deref() == Some("Z")));
        prop_assert_eq!(count("volume_sane"), plain(&|row| row.2.is_some_and(|volume| volume < 1)));
        for violation in &found {
            prop_assert!(violation.rows > 0);
            prop_assert_eq!(violation.examples.len() as u64, violation.rows.min(10));
        }
    }
}

const DECIMALS: &str = r#"
    identifier = "prices"
    index = ["time_index"]
    columns = [{ name = "time_index", type = "timestamp_tz" },
        { name = "price", type = "decimal(38,4)", nullable = true }]
"#;

/// Rows of [`DECIMALS`], the prices times 10,000; what is wrong with them by the checks.
fn of_decimals(checks: &str, prices: &[Option<i128>]) -> Vec<Violation> {
    let contract = Arc::new(Contract::from_toml(&format!("{DECIMALS}{checks}")).unwrap());
    let times = TimestampMicrosecondArray::from_iter_values(0..i64::try_from(prices.len()).unwrap());
    let prices = Decimal128Array::from(prices.to_vec()).with_precision_and_scale(38, 4).unwrap();
    let arrays: Vec<ArrayRef> = vec![Arc::new(times.with_timezone("UTC")), Arc::new(prices)];
    let mut evaluation = Evaluation::new(Arc::clone(&contract));
    evaluation.rows(&RecordBatch::try_new(contract.arrow_schema(), arrays).unwrap());
    match evaluation.finish(None, at("2020-01-01")) {
        Ok(warnings) => warnings,
        Err(error) => error.violations,
    }
}

/// Floats lie some 10^14 apart here.
const FAR: i128 = 1_000_000_000_000_000_000_000_000_000_000;

proptest! {
    /// Digit by digit, also where one float stands for all of the numbers.
    #[test]
    fn decimals_are_judged_exactly(
        values in prop::collection::vec(prop::option::of(-30..30_i128), 0..40),
        low in -20..=0_i128,
        high in 0..20_i128,
    ) {
        let text = |value: i128| format!("{}.{:04}", (FAR + value) / 10_000, (FAR + value) % 10_000);
        let (low_text, high_text) = (text(low), text(high));
        let checks = format!(
            "[[checks]]\nname = \"sane\"\nkind = \"range\"\ncolumn = \"price\"\n\
             min = \"{low_text}\"\nmax = \"{high_text}\"\n\
             [[checks]]\nname = \"known\"\nkind = \"accepted_values\"\ncolumn = \"price\"\n\
             values = [\"{low_text}\", \"{high_text}\"]\n"
        );
        let prices: Vec<_> = values.iter().map(|value| value.map(|value| FAR + value)).collect();
        let found = of_decimals(&checks, &prices);
        let count = |name: &str| {
            found.iter().find(|violation| violation.check == name).map_or(0, |violation| violation.rows)
        };
        let plain = |is_wrong: &dyn Fn(i128) -> bool| {
            values.iter().flatten().filter(|value| is_wrong(**value)).count() as u64
        };
        prop_assert_eq!(count("sane"), plain(&|value| !(low..=high).contains(&value)));
        prop_assert_eq!(count("known"), plain(&|value| value != low && value != high));
    }
}

/// However a contract writes them, decimals are the same ones, and are told with all digits of the column.
#[test]
fn decimals_are_texts_or_numbers_of_a_contract() {
    for values in ["[0.05, 3, \"-7.5\"]", "[\"0.0500\", 3.0, -7.5]"] {
        let check = format!(
            "[[checks]]\nname = \"known\"\nkind = \"accepted_values\"\ncolumn = \"price\"\nvalues = {values}\n"
        );
        let rows = [Some(500), None, Some(30_000), Some(-75_000), Some(501), Some(-75_001)];
        let found = of_decimals(&check, &rows);
        let told: Vec<&str> = found[0].examples.iter().map(|example| example.value.as_str()).collect();
        assert_eq!((found[0].rows, told), (2, vec!["price = 0.0501", "price = -7.5001"]), "{values}");
    }
    for (field, expected) in [
        (
            "min = 0.12345",
            "0.12345 is no value of type decimal(38,4), which has at most 34 digits before the point and 4 behind it",
        ),
        ("min = \"0.12345\"", "\"0.12345\" is no value of type decimal(38,4)"),
        ("max = 1e34", "is no value of type decimal(38,4)"),
        ("max = \"1e3\"", "\"1e3\" is no value"),
        ("max = \"\"", "\"\" is no value"),
        ("max = true", "true is no value"),
        ("max = 123456789012.3456", "more than the 15 digits that a number keeps: write it as text"),
        ("min = 2\nmax = \"1.9999\"", "greater than `max`"),
    ] {
        let check = format!("[[checks]]\nname = \"a\"\nkind = \"range\"\ncolumn = \"price\"\n{field}\n");
        let error = Contract::from_toml(&format!("{DECIMALS}{check}")).unwrap_err().to_string();
        assert!(error.contains(expected), "{field}: {error}");
    }
}

#[test]
fn an_error_names_check_rows_and_values() {
    let contract = contract(CHECKS);
    let mut evaluation = Evaluation::new(Arc::clone(&contract));
    let rows: Vec<Row> = (0..12).map(|_| (Some("Z".to_owned()), Some(-1.5), Some(3))).collect();
    evaluation.rows(&batch(&contract, 0, &rows));
    let error = evaluation.finish(None, at("2020-01-01")).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("check `price_sane` (price is at least 0 and at most 10.5): 12 offending rows\n"),
        "{said}"
    );
    assert_eq!(said.matches("price = -1.5").count(), 10, "{said}");
    assert!(said.contains("… and 2 more"), "{said}");
    assert!(said.contains("known_venue"), "what only warns is told beside it: {said}");
}

#[test]
fn a_run_as_a_whole_is_judged() {
    let whole = contract(
        "[[checks]]\nname = \"enough\"\nkind = \"row_count\"\nmin = 2\nmax = 3\n\
         [[checks]]\nname = \"fresh\"\nkind = \"freshness\"\nmax_age = \"2d\"\nseverity = \"warn\"\n",
    );
    let judged = |rows: usize, newest: Option<&str>| {
        let mut evaluation = Evaluation::new(Arc::clone(&whole));
        evaluation.rows(&batch(&whole, 0, &vec![(None, None, None); rows]));
        let names =
            |found: Vec<Violation>| found.into_iter().map(|violation| violation.check).collect::<Vec<_>>();
        match evaluation.finish(newest.map(at), at("2020-01-05")) {
            Ok(warnings) => (true, names(warnings)),
            Err(error) => (false, names(error.violations)),
        }
    };
    let fresh = Some("2020-01-03");
    assert_eq!(judged(2, fresh), (true, vec![]));
    assert_eq!(judged(0, fresh), (true, vec![]), "nothing new is no short run");
    assert_eq!(judged(1, fresh), (false, vec!["enough".to_owned()]));
    assert_eq!(judged(4, fresh), (false, vec!["enough".to_owned()]));
    assert_eq!(judged(2, Some("2020-01-02")), (true, vec!["fresh".to_owned()]));
    assert_eq!(judged(0, None), (true, vec!["fresh".to_owned()]));
}

#[test]
fn checks_that_do_not_fit_are_refused_with_their_place() {
    for (check, expected) in [
        ("name = \"a\"\nkind = \"nice\"", "unknown variant `nice`"),
        ("name = \"A b\"\nkind = \"not_null\"\ncolumn = \"venue\"", "name of a check"),
        ("name = \"a\"\nkind = \"not_null\"", "needs a `column`"),
        ("name = \"a\"\nkind = \"not_null\"\ncolumn = \"gone\"", "no column `gone`"),
        ("name = \"a\"\nkind = \"not_null\"\ncolumn = \"venue\"\nmin = 1", "`not_null` has no `min`"),
        ("name = \"a\"\nkind = \"range\"\ncolumn = \"venue\"\nmin = 1", "cannot judge column `venue`"),
        ("name = \"a\"\nkind = \"range\"\ncolumn = \"price\"", "needs `min`, `max` or both"),
        ("name = \"a\"\nkind = \"range\"\ncolumn = \"price\"\nmin = \"low\"", "\"low\" is no value"),
        ("name = \"a\"\nkind = \"range\"\ncolumn = \"volume\"\nmin = 1.5", "1.5 is no value"),
        ("name = \"a\"\nkind = \"range\"\ncolumn = \"volume\"\nmin = 2\nmax = 1", "greater than `max`"),
        ("name = \"a\"\nkind = \"accepted_values\"\ncolumn = \"venue\"", "needs `values`"),
        ("name = \"a\"\nkind = \"accepted_values\"\ncolumn = \"venue\"\nvalues = [1]", "1 is no value"),
        ("name = \"a\"\nkind = \"row_count\"\nmin = -1", "-1 is no number of rows"),
        ("name = \"a\"\nkind = \"freshness\"", "needs `max_age`"),
        ("name = \"a\"\nkind = \"unique\"", "needs `columns`"),
        ("name = \"a\"\nkind = \"unique\"\ncolumns = [\"gone\"]", "no column `gone`"),
        ("name = \"a\"\nkind = \"unique\"\ncolumns = [\"venue\", \"venue\"]", "twice"),
        ("name = \"a\"\nkind = \"unique\"\ncolumns = [\"time_index\", \"venue\"]", "index is among them"),
        ("name = \"a\"\nkind = \"unique\"\ncolumns = [\"venue\"]\nmax_seconds = 0", "1 to 3600 seconds"),
        ("name = \"a\"\nkind = \"unique\"\ncolumns = [\"venue\"]\nstrict = true", "`unique` has no `strict`"),
        (
            "name = \"a\"\nkind = \"range\"\ncolumn = \"price\"\nmin = 1\nmax_seconds = 9",
            "has no `max_seconds`",
        ),
        ("name = \"a\"\nkind = \"monotonic\"", "needs a `column`"),
        ("name = \"a\"\nkind = \"monotonic\"\ncolumn = \"venue\"", "cannot judge column `venue`"),
        (
            "name = \"a\"\nkind = \"monotonic\"\ncolumn = \"price\"\ndirection = \"up\"",
            "unknown variant `up`",
        ),
        ("name = \"a\"\nkind = \"sql\"", "needs a `query`"),
        ("name = \"a\"\nkind = \"sql\"\nquery = \"SELECT\"", "the query"),
        ("name = \"a\"\nkind = \"sql\"\nquery = \"DELETE FROM prices\"", "only SELECT, WITH"),
        ("name = \"a\"\nkind = \"sql\"\nquery = \"EXPLAIN SELECT 1 FROM prices\"", "explains nothing"),
        ("name = \"a\"\nkind = \"sql\"\nquery = \"SELECT * FROM other\"", "cannot be read here"),
        ("name = \"a\"\nkind = \"sql\"\nquery = \"SELECT pg_sleep(1) FROM prices\"", "pg_sleep"),
        (
            "name = \"a\"\nkind = \"row_count\"\n[[checks]]\nname = \"a\"\nkind = \"row_count\"",
            "declared twice",
        ),
    ] {
        let error = Contract::from_toml(&format!("{TABLE}[[checks]]\n{check}\n")).unwrap_err().to_string();
        assert!(error.contains(expected), "{check}: {error}");
    }
}
