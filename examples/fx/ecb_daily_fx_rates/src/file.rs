//! The bank's file: a zip of one CSV, newest day first, a column per currency, `N/A` where there is no rate, and an
//! empty column at the end of each line.

use std::io::{Cursor, Read};

use datanode_sdk::chrono::NaiveDate;
use datanode_sdk::prelude::*;
use zip::ZipArchive;

/// The CSV of the zip, with the currencies of its header.
#[derive(Debug)]
pub struct RatesFile {
    /// Name within the zip, for errors.
    pub name: String,
    /// Currency of each column after the date; the last, nameless column is left out.
    pub currencies: Vec<String>,
    text: String,
}

/// One rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The day, at midnight UTC.
    pub time: Timestamp,
    /// Position in `RatesFile::currencies`.
    pub currency: usize,
    /// Units of the currency per euro.
    pub rate: f64,
}

/// The first CSV file of a zip, and its header.
pub fn unzip(path: &str, zip: Vec<u8>) -> Result<RatesFile, NodeError> {
    let bad_zip = |problem: String| NodeError::new("source.zip", problem).field("file", path);
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(|error| bad_zip(error.to_string()))?;
    let name = archive
        .file_names()
        .find(|name| name.rsplit_once('.').is_some_and(|(_, ending)| ending.eq_ignore_ascii_case("csv")))
        .map(str::to_owned)
        .ok_or_else(|| bad_zip("no CSV file in it".to_owned()))?;
    let mut text = String::new();
    archive
        .by_name(&name)
        .map_err(|error| bad_zip(error.to_string()))?
        .read_to_string(&mut text)
        .map_err(|error| bad_zip(error.to_string()))?;
    RatesFile::new(name, text)
}

impl RatesFile {
    /// A CSV file under this name.
    pub fn new(name: String, text: String) -> Result<Self, NodeError> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| unreadable(&name, &error))?;
        let wrong = |column: usize, found: &str, wanted: &str| {
            Err(at_cell(&name, 1, column, found, &format!("{wanted} was expected in the header")))
        };
        match header.get(0) {
            Some("Date") => {}
            found => return wrong(0, found.unwrap_or_default(), "`Date`"),
        }
        let mut currencies = Vec::with_capacity(header.len());
        for (column, code) in header.iter().enumerate().skip(1) {
            if code.trim().is_empty() && column + 1 == header.len() {
                break;
            }
            if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
                return wrong(column, code, "a currency code");
            }
            currencies.push(code.to_owned());
        }
        Ok(Self { name, currencies, text })
    }
}

/// Every rate of the file, in its order.
pub fn parse(file: &RatesFile) -> Result<Vec<Rate>, NodeError> {
    let mut rates = Vec::new();
    let mut reader = csv::Reader::from_reader(file.text.as_bytes());
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| unreadable(&file.name, &error))? {
        let line = record.position().map_or(0, csv::Position::line);
        let date = record.get(0).unwrap_or_default();
        let day = NaiveDate::parse_from_str(date, "%Y-%m-%d")
            .map_err(|_| at_cell(&file.name, line, 0, date, "not a date such as 2020-12-31"))?;
        let time = Timestamp::midnight(day);
        for (currency, code) in file.currencies.iter().enumerate() {
            let cell = record.get(currency + 1).unwrap_or_default();
            if cell == "N/A" {
                continue;
            }
            let rate =
                cell.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0).ok_or_else(|| {
                    at_cell(&file.name, line, currency + 1, cell, "neither a positive number nor `N/A`")
                        .field("currency", code)
                })?;
            rates.push(Rate { time, currency, rate });
        }
    }
    Ok(rates)
}

/// A cell that cannot be read. `column` counts from 0, the error from 1.
fn at_cell(file: &str, line: u64, column: usize, found: &str, problem: &str) -> NodeError {
    NodeError::new(
        "source.parse",
        format!("{file}, line {line}, column {}: `{found}` is {problem}", column + 1),
    )
    .field("file", file)
    .field("line", line)
    .field("column", column + 1)
}

/// A line that the CSV reader refuses.
fn unreadable(file: &str, error: &csv::Error) -> NodeError {
    let (line, column) = match error.kind() {
        // Lines of unequal length: the first missing or surplus column.
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            (pos.as_ref(), (*expected_len).min(*len) + 1)
        }
        _ => (error.position(), 1),
    };
    NodeError::new("source.parse", format!("{file}: {error}"))
        .field("file", file)
        .field("line", line.map_or(0, csv::Position::line))
        .field("column", column)
}
