//! How SQL of users sees the values of a table: as the texts that every answer of the host has.
//!
//! A view gives each column its text, and a collation with it, under which that text equals every other way to write
//! the same value: `time_index >= '2020-01-01'` means the moment, whatever the stored number.

use std::cmp::Ordering;
use std::fmt::Write;

use chrono::{DateTime, Datelike, NaiveDateTime, NaiveTime, Utc};
use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::coordinate::date_from_days;
use datanode_core::data_type::DataType;
use datanode_core::sql::collation;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error};
use uuid::Uuid;

use crate::sqlite::ddl::quote;

/// Functions of the view alone.
pub(super) const FUNCTIONS: [&str; 4] =
    ["datanode_time", "datanode_date", "datanode_uuid", "datanode_decimal"];

/// Give a connection the functions and collations of the view, and those that PostgreSQL has and SQLite has not.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("datanode_time", 1, flags, |context| {
        Ok(number(context, |micros| Timestamp::from_micros(micros).ok().map(|time| time.to_string())))
    })?;
    connection.create_scalar_function("datanode_date", 1, flags, |context| {
        Ok(number(context, |days| date_from_days(i32::try_from(days).ok()?).map(|date| date.to_string())))
    })?;
    connection.create_scalar_function("datanode_uuid", 1, flags, |context| {
        let bytes = match context.get_raw(0) {
            ValueRef::Blob(bytes) => Uuid::from_slice(bytes).ok(),
            _ => None,
        };
        Ok(bytes.map(|uuid| uuid.to_string()))
    })?;
    connection.create_scalar_function("datanode_decimal", 2, flags, |context| {
        let scale: u32 = context.get(1)?;
        Ok(number(context, |unscaled| Some(decimal(unscaled, scale))))
    })?;
    connection.create_scalar_function("date_trunc", 2, flags, |context| {
        let (ValueRef::Text(unit), ValueRef::Text(time)) = (context.get_raw(0), context.get_raw(1)) else {
            return Ok(None);
        };
        let wrong = |problem: String| Error::UserFunctionError(problem.into());
        let text = |bytes| std::str::from_utf8(bytes).map_err(|error| wrong(error.to_string()));
        let (unit, time) = (text(unit)?, text(time)?);
        let time = moment(time).ok_or_else(|| wrong(format!("date_trunc: `{time}` is not a moment")))?;
        let cut = truncated(&unit.to_lowercase(), time)
            .ok_or_else(|| wrong(format!("date_trunc: `{unit}` is not a unit: write second, minute, hour, day, week, month, quarter or year")))?;
        Ok(Some(cut.to_string()))
    })?;
    connection.create_collation(collation::TIME, |left, right| {
        if is_canonical(left) && is_canonical(right) {
            return left.cmp(right);
        }
        let key = |text: &str| moment(text).map_or_else(|| text.to_owned(), |time| time.to_string());
        key(left).cmp(&key(right))
    })?;
    connection.create_collation(collation::BOOL, |left, right| truth(left).cmp(truth(right)))?;
    connection.create_collation(collation::DECIMAL, compare_decimals)
}

fn number(context: &Context<'_>, text: impl FnOnce(i64) -> Option<String>) -> Option<String> {
    match context.get_raw(0) {
        ValueRef::Integer(value) => text(value),
        _ => None,
    }
}

/// Make the view. It has the name of the table, which it hides.
pub(super) fn create_view(connection: &Connection, contract: &Contract) -> rusqlite::Result<()> {
    let name = quote(contract.physical_name());
    connection.execute_batch(&format!("CREATE TEMP VIEW {name} AS {}", select(contract)))
}

/// The rows of a table as readers see them.
pub(in crate::sqlite) fn select(contract: &Contract) -> String {
    let columns = contract.columns.iter().map(|column| {
        let name = quote(&column.name);
        let stored = format!("_t.{name}");
        let text = |function: &str, collation: &str| {
            format!("CAST({function} AS TEXT) COLLATE {collation} AS {name}")
        };
        match column.data_type {
            DataType::TimestampTz => text(&format!("datanode_time({stored})"), collation::TIME),
            DataType::Date => format!("CAST(datanode_date({stored}) AS TEXT) AS {name}"),
            DataType::Uuid => text(&format!("datanode_uuid({stored})"), "NOCASE"),
            DataType::Bool => {
                text(&format!("CASE {stored} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"), collation::BOOL)
            }
            DataType::Decimal { scale, .. } => {
                text(&format!("datanode_decimal({stored}, {scale})"), collation::DECIMAL)
            }
            _ => format!("{stored} AS {name}"),
        }
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    format!("SELECT {columns} FROM main.{} AS _t", quote(contract.physical_name()))
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}

fn decimal(unscaled: i64, scale: u32) -> String {
    let digits = format!("{:0>1$}", unscaled.unsigned_abs(), scale as usize + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    let sign = if unscaled < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Whether a text is a moment as the host writes it, and so compares like one.
fn is_canonical(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 27 && bytes[10] == b'T' && bytes[19] == b'.' && bytes[26] == b'Z'
}

/// A moment as people write it in SQL: RFC 3339, also with a blank for the T; without an offset it is UTC.
fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    if let Some((date, time)) = text.split_once(' ')
        && let Ok(time) = format!("{date}T{time}").parse()
    {
        return Some(time);
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Timestamp::from_datetime(time.and_utc()).ok();
        }
    }
    // As PostgreSQL writes an offset of whole hours.
    let time = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z").ok()?;
    Timestamp::from_datetime(time.with_timezone(&Utc)).ok()
}

fn truncated(unit: &str, time: Timestamp) -> Option<Timestamp> {
    let second = 1_000_000;
    let micros = match unit {
        "second" => Some(second),
        "minute" => Some(60 * second),
        "hour" => Some(3_600 * second),
        _ => None,
    };
    if let Some(micros) = micros {
        return Timestamp::from_micros(time.micros() - time.micros().rem_euclid(micros)).ok();
    }
    let day = time.datetime().date_naive();
    let day = match unit {
        "day" => day,
        // Weeks begin on Monday.
        "week" => day.checked_sub_days(chrono::Days::new(day.weekday().num_days_from_monday().into()))?,
        "month" => day.with_day(1)?,
        "quarter" => day.with_day(1)?.with_month(day.month0() / 3 * 3 + 1)?,
        "year" => day.with_day(1)?.with_month(1)?,
        _ => return None,
    };
    Timestamp::from_datetime(day.and_time(NaiveTime::MIN).and_utc()).ok()
}

fn truth(text: &str) -> &str {
    match text {
        "1" | "t" | "TRUE" | "True" => "true",
        "0" | "f" | "FALSE" | "False" => "false",
        other => other,
    }
}

/// Texts that are decimals by their value, before all other texts.
fn compare_decimals(left: &str, right: &str) -> Ordering {
    match (parts(left), parts(right)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

/// A decimal as something that sorts like it.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    negative: bool,
    whole: String,
    fraction: String,
}

impl Parts {
    fn magnitude(&self) -> (usize, &str, &str) {
        (self.whole.len(), &self.whole, &self.fraction)
    }
}

impl Ord for Parts {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude().cmp(&other.magnitude()),
            (true, true) => other.magnitude().cmp(&self.magnitude()),
        }
    }
}

impl PartialOrd for Parts {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn parts(text: &str) -> Option<Parts> {
    let text = text.trim();
    if text.contains(['e', 'E']) {
        let value: f64 = text.parse().ok()?;
        // Rust writes floats without an exponent.
        return if value.is_finite() { parts(&value.to_string()) } else { None };
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let zero = whole.is_empty() && fraction.is_empty();
    Some(Parts { negative: negative && !zero, whole: whole.to_owned(), fraction: fraction.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_moment_may_be_written_in_many_ways() {
        let expected = "2020-01-02T00:00:00.000000Z";
        for text in [
            expected,
            "2020-01-02",
            "2020-01-02T00:00:00Z",
            "2020-01-02 00:00:00",
            "2020-01-02 00:00",
            "2020-01-02 00:00:00+00",
            "2020-01-02T01:30:00+01:30",
            "2020-01-02 00:00:00.000+00:00",
        ] {
            assert_eq!(moment(text).map(|time| time.to_string()).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(moment("yesterday"), None);
    }

    #[test]
    fn times_are_cut_to_units() {
        let time = "2021-08-19T13:14:15.161718Z".parse().unwrap();
        for (unit, cut) in [
            ("second", "2021-08-19T13:14:15.000000Z"),
            ("minute", "2021-08-19T13:14:00.000000Z"),
            ("hour", "2021-08-19T13:00:00.000000Z"),
            ("day", "2021-08-19T00:00:00.000000Z"),
            ("week", "2021-08-16T00:00:00.000000Z"),
            ("month", "2021-08-01T00:00:00.000000Z"),
            ("quarter", "2021-07-01T00:00:00.000000Z"),
            ("year", "2021-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(truncated(unit, time).unwrap().to_string(), cut, "{unit}");
        }
        assert_eq!(truncated("fortnight", time), None);
    }

    #[test]
    fn decimals_have_their_text() {
        for (unscaled, scale, text) in
            [(0, 2, "0.00"), (-5, 2, "-0.05"), (1_050, 2, "10.50"), (i64::MIN, 0, "-9223372036854775808")]
        {
            assert_eq!(decimal(unscaled, scale), text);
        }
        assert_eq!(compare_decimals("1e3", "1000.0"), Ordering::Equal);
        assert_eq!(compare_decimals("-0.0", "0"), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn decimals_compare_like_their_numbers(a in any::<i64>(), b in any::<i64>(), scale in 0_u32..18) {
            prop_assert_eq!(compare_decimals(&decimal(a, scale), &decimal(b, scale)), a.cmp(&b));
        }
    }
}
