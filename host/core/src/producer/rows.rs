//! Rows of an upload: an array of JSON objects becomes columns of a contract's types.
//!
//! The text is read once, cell by cell, into the builders of the columns: no tree of it is ever made, so that what it costs
//! follows from its length. The types are those of [`TextColumn`]; what JSON has types for must come as these: a number is
//! no text and a text is no number.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Field, Schema};
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::UploadError;
use crate::Timestamp;
use crate::contract::Contract;
use crate::data_type::DataType;
use crate::frame::OutputValidator;
use crate::progress::Progress;
use crate::text_column::TextColumn;
use crate::window::Window;

/// How deep a JSON document in a cell may be: others read it with parsers that stop at 128.
pub const MAX_JSON_DEPTH: usize = 100;
/// Digits of a fraction of a second that a moment has.
const FRACTION_DIGITS: usize = 6;
/// Above this a float does not hold every integer.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
/// Characters of a bad value that an error shows.
const SHOWN_CHARS: usize = 80;

/// The rows of one upload: checked, in contract order, sorted by the index, no key twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    /// None when there are no rows.
    pub batch: Option<RecordBatch>,
    /// Rows.
    pub rows: u64,
    /// What they would add to a table without rows.
    pub added: Progress,
}

/// Read the rows of an upload for a table.
///
/// # Errors
///
/// [`UploadError`] names the row, counted from 0, and the column. Nothing is read past the first error.
pub fn upload(text: &str, contract: &Arc<Contract>) -> Result<Upload, UploadError> {
    let mut table = Reading::new(contract);
    let mut parser = serde_json::Deserializer::from_str(text);
    let read = (&mut parser).deserialize_seq(&mut table).and_then(|()| parser.end());
    if let Some(error) = table.refused.take() {
        return Err(error);
    }
    read.map_err(|error| UploadError::NotRows { problem: error.to_string() })?;

    let internal = |error: ArrowError| UploadError::NotRows { problem: error.to_string() };
    let end = Timestamp::nearest_micros(i64::MAX);
    let mut validator =
        OutputValidator::new(Arc::clone(contract), Window { start: None, end }, Arc::default())
            .map_err(internal)?
            .covering_window();
    // Nulls are the validator's to judge, which says where they are.
    let field = |column: &crate::contract::Column| Field::new(&column.name, column.data_type.arrow(), true);
    let schema = Arc::new(Schema::new(contract.columns.iter().map(field).collect::<Vec<_>>()));
    let columns = table.columns.iter_mut().map(TextColumn::finish).collect::<Result<Vec<_>, _>>();
    let rows = table.rows;
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.map_err(internal)?).map_err(internal)?;
    validator.schema(&schema)?;
    let batch = validator.batch(&batch)?;
    Ok(Upload { batch, rows, added: validator.finish().added })
}

/// Columns in the making.
struct Reading<'c> {
    contract: &'c Contract,
    places: HashMap<&'c str, usize>,
    columns: Vec<TextColumn>,
    /// For each column, one more than the row that it was last seen in.
    seen: Vec<u64>,
    rows: u64,
    /// What is told in the place of the parser's own error.
    refused: Option<UploadError>,
}

impl<'c> Reading<'c> {
    fn new(contract: &'c Contract) -> Self {
        let names = contract.columns.iter().enumerate();
        Self {
            contract,
            places: names.map(|(place, column)| (column.name.as_str(), place)).collect(),
            columns: contract.columns.iter().map(TextColumn::new).collect(),
            seen: vec![0; contract.columns.len()],
            rows: 0,
            refused: None,
        }
    }

    fn refuse<E: serde::de::Error>(&mut self, error: UploadError) -> E {
        self.refused = Some(error);
        E::custom("refused")
    }

    fn column_error(&self, column: &str, problem: &'static str) -> UploadError {
        UploadError::Column {
            table: self.contract.identifier.clone(),
            row: self.rows,
            column: column.chars().take(SHOWN_CHARS).collect(),
            problem,
        }
    }

    fn push<E: serde::de::Error>(&mut self, place: usize, raw: &str) -> Result<(), E> {
        let (Some(column), Some(cells), Some(seen)) =
            (self.contract.columns.get(place), self.columns.get_mut(place), self.seen.get_mut(place))
        else {
            return Err(E::custom("no such column"));
        };
        if *seen > self.rows {
            let error = self.column_error(&column.name, "is there twice");
            return Err(self.refuse(error));
        }
        *seen = self.rows + 1;
        let Err(problem) = push(cells, column.data_type, raw) else { return Ok(()) };
        let error = UploadError::Value {
            table: self.contract.identifier.clone(),
            column: column.name.clone(),
            row: self.rows,
            problem,
        };
        Err(self.refuse(error))
    }
}

impl<'de> Visitor<'de> for &mut Reading<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while rows.next_element_seed(Row(&mut *self))?.is_some() {}
        Ok(())
    }
}

/// One row of it.
struct Row<'r, 'c>(&'r mut Reading<'c>);

impl<'de> DeserializeSeed<'de> for Row<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut cells: A) -> Result<(), A::Error> {
        let rows = self.0;
        while let Some(place) = cells.next_key_seed(Name(rows))? {
            let raw: &RawValue = cells.next_value()?;
            rows.push(place, raw.get())?;
        }
        let missing = rows.seen.iter().position(|seen| *seen <= rows.rows);
        if let Some(column) = missing.and_then(|place| rows.contract.columns.get(place)) {
            let error = rows.column_error(&column.name, "is missing");
            return Err(rows.refuse(error));
        }
        rows.rows += 1;
        Ok(())
    }
}

/// The name of a member, which must be that of a column: its place.
struct Name<'r, 'c>(&'r mut Reading<'c>);

impl<'de> DeserializeSeed<'de> for Name<'_, '_> {
    type Value = usize;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a column")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<usize, E> {
        if let Some(place) = self.0.places.get(name) {
            return Ok(*place);
        }
        let error = self.0.column_error(name, "is not in the table's contract");
        Err(self.0.refuse(error))
    }
}

/// Add a cell, a JSON value as it stands in the text. The error says what is wrong with it.
fn push(cells: &mut TextColumn, data_type: DataType, raw: &str) -> Result<(), String> {
    if raw == "null" {
        cells.push_null();
        return Ok(());
    }
    let wrong = || format!("`{}` is not {}", shown(raw), expected(data_type));
    match data_type {
        DataType::Json => {
            if depth(raw) > MAX_JSON_DEPTH {
                return Err(format!("a JSON document deeper than {MAX_JSON_DEPTH}"));
            }
            cells.push_value(raw)
        }
        DataType::Bool => cells.push_value(raw).map_err(|_| wrong()),
        DataType::Float64 | DataType::Float32 => {
            let value: f64 = number(raw).and_then(|raw| raw.parse().ok()).ok_or_else(wrong)?;
            // Rounded to the nearest, as the frame of a guest would be.
            #[allow(clippy::cast_possible_truncation)]
            let fits =
                if data_type == DataType::Float32 { (value as f32).is_finite() } else { value.is_finite() };
            if fits { cells.push_value(raw) } else { Err(format!("{} does not fit {data_type}", shown(raw))) }
        }
        DataType::Int64 | DataType::Int32 | DataType::Int16 => {
            let raw = number(raw).ok_or_else(wrong)?;
            if raw.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()) {
                return cells.push_value(raw).map_err(|_| format!("{} does not fit {data_type}", shown(raw)));
            }
            // A column that had nulls on its way may come as floats.
            let value: f64 = raw.parse().map_err(|_| wrong())?;
            if value.fract() != 0.0 || value.abs() > MAX_EXACT {
                return Err(wrong());
            }
            cells.push_value(&format!("{value:.0}")).map_err(|_| wrong())
        }
        DataType::Decimal { .. } => {
            let text =
                if raw.starts_with('"') { text(raw)? } else { number(raw).ok_or_else(wrong)?.to_owned() };
            cells.push_value(&text)
        }
        DataType::TimestampTz => {
            let text = text(raw).map_err(|_| wrong())?;
            if has_finer_fraction(&text) {
                return Err(format!("`{}` is finer than microseconds", shown(&text)));
            }
            cells.push_value(&text)
        }
        DataType::String => cells
            .push_value(&text(raw).map_err(|problem| if problem.is_empty() { wrong() } else { problem })?),
        DataType::Date | DataType::Uuid | DataType::Bytes => {
            cells.push_value(&text(raw).map_err(|_| wrong())?)
        }
    }
}

fn expected(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Float64 | DataType::Float32 => "a number",
        DataType::Int64 | DataType::Int32 | DataType::Int16 => "an integer",
        DataType::Bool => "true or false",
        DataType::TimestampTz => "a moment: a text such as \"2026-11-20T00:00:00Z\"",
        DataType::Date => "a date: a text such as \"2026-11-20\"",
        DataType::Uuid => "the text of a UUID",
        DataType::Bytes => "a text of hexadecimal digits",
        DataType::Decimal { .. } => "a decimal",
        DataType::String | DataType::Json => "a text",
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

/// A value that is a number, as it stands.
fn number(raw: &str) -> Option<&str> {
    raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(raw)
}

/// The text of a value that is one. The error is empty where it is none.
fn text(raw: &str) -> Result<String, String> {
    if !raw.starts_with('"') {
        return Err(String::new());
    }
    serde_json::from_str(raw).map_err(|error| format!("not a text: {error}"))
}

/// Whether a moment has digits that would be lost.
fn has_finer_fraction(text: &str) -> bool {
    let Some((_, fraction)) = text.split_once('.') else { return false };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit);
    digits.skip(FRACTION_DIGITS).any(|digit| digit != b'0')
}

/// How deep the arrays and objects of a JSON text are.
fn depth(raw: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in raw.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
