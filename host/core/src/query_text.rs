//! Queries as people and files write them: bounds of time with an operand, values of dimensions, range maps.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::Timestamp;
use crate::contract::{Contract, TableKind};
use crate::coordinate::{Coordinate, CoordinateError, CoordinateValue};
use crate::query::{Bound, CoordinateRange, RangeMap, TimeRange};
use crate::timestamp::TimestampError;

/// Why a text is no part of a query.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueryTextError {
    /// Not a moment.
    #[error(transparent)]
    Time(#[from] TimestampError),
    /// An operand at the wrong end.
    #[error("`{text}`: {end} takes {allowed}, or a moment alone, which is inclusive")]
    Operand {
        /// What was written.
        text: String,
        /// `a start` or `an end`.
        end: &'static str,
        /// The operands there.
        allowed: &'static str,
    },
    /// No `=` in it.
    #[error("`{0}` is not DIMENSION=VALUE")]
    NoValue(String),
    /// Quotes that do not end.
    #[error("`{0}`: a quote begins and does not end")]
    OpenQuote(String),
    /// Not an identity dimension.
    #[error("table `{table}` has no {what} `{dimension}`; it has {known}")]
    UnknownDimension {
        /// Identifier of the table.
        table: String,
        /// `identity dimension`, or `primary key column` of a reference table.
        what: &'static str,
        /// The dimension asked for.
        dimension: String,
        /// The dimensions there are.
        known: String,
    },
    /// A value of another type.
    #[error("dimension `{dimension}`: {source}")]
    Value {
        /// The dimension.
        dimension: String,
        /// What is wrong.
        source: CoordinateError,
    },
    /// A dimension twice in one coordinate.
    #[error("`{text}` names `{dimension}` twice")]
    Twice {
        /// What was written.
        text: String,
        /// The dimension.
        dimension: String,
    },
    /// The document is no range map.
    #[error("the range map cannot be read: {0}")]
    RangeMap(String),
    /// An entry of a range map.
    #[error("entry {entry} of the range map: {problem}")]
    Entry {
        /// Counted from 1.
        entry: usize,
        /// What is wrong.
        problem: String,
    },
}

/// Which end of a range a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `>=` or `>`.
    Start,
    /// `<=` or `<`.
    End,
}

/// A moment, with an operand before it or inclusive: `2020-01-01`, `>=2020-01-01`, `>2020-01-01T12:00:00Z`.
pub fn bound(text: &str, end: End) -> Result<Bound, QueryTextError> {
    let trimmed = text.trim();
    let (inclusive_sign, exclusive_sign) = match end {
        End::Start => (">=", ">"),
        End::End => ("<=", "<"),
    };
    let (inclusive, time) = match (trimmed.strip_prefix(inclusive_sign), trimmed.strip_prefix(exclusive_sign))
    {
        (Some(time), _) => (true, time),
        (None, Some(time)) => (false, time),
        (None, None) if trimmed.starts_with(['<', '>', '=']) => {
            let (end, allowed) = match end {
                End::Start => ("a start", "`>` and `>=`"),
                End::End => ("an end", "`<` and `<=`"),
            };
            return Err(QueryTextError::Operand { text: text.chars().take(80).collect(), end, allowed });
        }
        (None, None) => (true, trimmed),
    };
    Ok(Bound { time: time.trim().parse()?, inclusive })
}

/// One dimension and the values that it may have: `currency=USD,EUR`. A value with a comma stands in double quotes, a
/// quote in it is written twice.
pub fn dimension_filter(
    contract: &Contract,
    text: &str,
) -> Result<(String, Vec<CoordinateValue>), QueryTextError> {
    let (dimension, values) = text.split_once('=').ok_or_else(|| QueryTextError::NoValue(text.to_owned()))?;
    let values = pieces(values)?.into_iter().map(|value| parse(contract, dimension, &value));
    Ok((dimension.to_owned(), values.collect::<Result<_, _>>()?))
}

/// A coordinate, or a part of one: `currency=USD,venue=ECB`.
pub fn index_coordinate(
    contract: &Contract,
    text: &str,
) -> Result<Vec<(String, CoordinateValue)>, QueryTextError> {
    let mut coordinate: Vec<(String, CoordinateValue)> = Vec::new();
    for piece in pieces(text)? {
        let (dimension, value) =
            piece.split_once('=').ok_or_else(|| QueryTextError::NoValue(piece.clone()))?;
        if coordinate.iter().any(|(known, _)| known == dimension) {
            return Err(QueryTextError::Twice { text: text.to_owned(), dimension: dimension.to_owned() });
        }
        coordinate.push((dimension.to_owned(), parse(contract, dimension, value)?));
    }
    Ok(coordinate)
}

fn parse(contract: &Contract, dimension: &str, value: &str) -> Result<CoordinateValue, QueryTextError> {
    let known = contract.key_dimensions();
    let column = contract.column(dimension).filter(|_| known.iter().any(|name| name == dimension));
    let column = column.ok_or_else(|| QueryTextError::UnknownDimension {
        table: contract.identifier.clone(),
        what: match contract.kind {
            TableKind::TimeIndexed => "identity dimension",
            TableKind::Reference => "primary key column",
        },
        dimension: dimension.to_owned(),
        known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
    })?;
    CoordinateValue::parse(value, column.data_type)
        .map_err(|source| QueryTextError::Value { dimension: dimension.to_owned(), source })
}

/// Pieces between commas that stand outside of quotes, without the quotes.
fn pieces(text: &str) -> Result<Vec<String>, QueryTextError> {
    let mut pieces = vec![String::new()];
    let mut quoted = false;
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        let Some(piece) = pieces.last_mut() else { break };
        match next {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                piece.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => pieces.push(String::new()),
            other => piece.push(other),
        }
    }
    if quoted { Err(QueryTextError::OpenQuote(text.chars().take(80).collect())) } else { Ok(pieces) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    coordinate: BTreeMap<String, Value>,
    #[serde(default)]
    start_date: Option<Value>,
    #[serde(default)]
    start_date_operand: Option<String>,
    #[serde(default)]
    end_date: Option<Value>,
    #[serde(default)]
    end_date_operand: Option<String>,
}

/// A range map as JSON: an array of `{"coordinate": {"currency": "USD"}, "start_date": "2020-01-01",
/// "start_date_operand": ">=", "end_date": null, "end_date_operand": "<="}`. Dates are texts, or seconds since 1970;
/// what is missing or null is open, and an operand inclusive. Coordinates that are not listed are not read.
pub fn range_map(contract: &Contract, json: &str) -> Result<RangeMap, QueryTextError> {
    let entries: Vec<Entry> =
        serde_json::from_str(json).map_err(|error| QueryTextError::RangeMap(error.to_string()))?;
    if entries.is_empty() {
        let problem = "it lists no coordinate; leave it out to read all of them";
        return Err(QueryTextError::RangeMap(problem.to_owned()));
    }
    let entries = entries.into_iter().enumerate().map(|(at, entry)| {
        self::entry(contract, &entry).map_err(|problem| QueryTextError::Entry { entry: at + 1, problem })
    });
    Ok(RangeMap { entries: entries.collect::<Result<_, _>>()?, include_unlisted: false })
}

fn entry(contract: &Contract, entry: &Entry) -> Result<CoordinateRange, String> {
    let dimensions = contract.key_dimensions();
    if let Some(unknown) = entry.coordinate.keys().find(|name| !dimensions.contains(name)) {
        return Err(format!("no identity dimension `{unknown}`; there are {}", dimensions.join(", ")));
    }
    let values = dimensions.iter().map(|dimension| {
        let value = entry.coordinate.get(dimension).ok_or_else(|| format!("`{dimension}` is missing"))?;
        // Clients write what they have from statistics: texts, whatever the type.
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        parse(contract, dimension, &text).map_err(|error| error.to_string())
    });
    let coordinate = Coordinate(values.collect::<Result<_, _>>()?);
    let start = moment(entry.start_date.as_ref())?.map(|time| {
        inclusive(entry.start_date_operand.as_deref(), ">=", ">").map(|inclusive| Bound { time, inclusive })
    });
    let end = moment(entry.end_date.as_ref())?.map(|time| {
        inclusive(entry.end_date_operand.as_deref(), "<=", "<").map(|inclusive| Bound { time, inclusive })
    });
    Ok(CoordinateRange { coordinate, range: TimeRange { start: start.transpose()?, end: end.transpose()? } })
}

fn inclusive(operand: Option<&str>, yes: &str, no: &str) -> Result<bool, String> {
    match operand {
        None => Ok(true),
        Some(operand) if operand == yes => Ok(true),
        Some(operand) if operand == no => Ok(false),
        Some(other) => Err(format!("the operand `{other}` is none of `{yes}` and `{no}`")),
    }
}

fn moment(value: Option<&Value>) -> Result<Option<Timestamp>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            text.parse().map(Some).map_err(|error: TimestampError| error.to_string())
        }
        Some(Value::Number(seconds)) => {
            let micros = match seconds.as_i64() {
                Some(seconds) => seconds.checked_mul(1_000_000),
                // Beyond the range of moments either way once it is no longer exact.
                #[allow(clippy::cast_possible_truncation)]
                None => seconds.as_f64().map(|seconds| (seconds * 1e6).round() as i64),
            };
            let micros = micros.ok_or_else(|| format!("{seconds} s since 1970 is no moment"))?;
            Timestamp::from_micros(micros).map(Some).map_err(|error| error.to_string())
        }
        Some(other) => Err(format!("{other} is not a moment")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> Contract {
        Contract::from_toml(
            "identifier = \"t\"\nindex = [\"time_index\", \"name\", \"id\"]\ncolumns = [\
             { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"name\", type = \"string\" }, \
             { name = \"id\", type = \"int32\" }, { name = \"value\", type = \"int64\" }]",
        )
        .unwrap()
    }

    fn text(text: &str) -> CoordinateValue {
        CoordinateValue::Text(text.to_owned())
    }

    #[test]
    fn a_bound_has_an_operand_or_is_inclusive() {
        let time = "2020-01-01".parse().unwrap();
        for (written, end, inclusive) in [
            ("2020-01-01", End::Start, true),
            (">=2020-01-01", End::Start, true),
            ("> 2020-01-01", End::Start, false),
            ("<=2020-01-01T00:00:00Z", End::End, true),
            ("<2020-01-01", End::End, false),
        ] {
            assert_eq!(bound(written, end), Ok(Bound { time, inclusive }), "{written}");
        }
        for (written, end) in
            [("<2020-01-01", End::Start), (">=2020-01-01", End::End), ("=2020-01-01", End::End)]
        {
            assert!(matches!(bound(written, end), Err(QueryTextError::Operand { .. })), "{written}");
        }
        assert!(matches!(bound(">soon", End::Start), Err(QueryTextError::Time(_))));
    }

    #[test]
    fn values_are_listed_and_quoted() {
        let contract = contract();
        let filter = |text: &str| dimension_filter(&contract, text);
        assert_eq!(filter("name=a,b").unwrap(), ("name".to_owned(), vec![text("a"), text("b")]));
        assert_eq!(filter("name=\"a,b\",\"c\"\"d\"").unwrap().1, vec![text("a,b"), text("c\"d")]);
        assert_eq!(filter("id=1,2").unwrap().1, vec![CoordinateValue::Int(1), CoordinateValue::Int(2)]);
        assert_eq!(filter("name=").unwrap().1, vec![text("")]);
        for wrong in ["name", "value=1", "id=x", "name=\"a"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
        let coordinate = index_coordinate(&contract, "id=7,name=a").unwrap();
        assert_eq!(coordinate, [("id".to_owned(), CoordinateValue::Int(7)), ("name".to_owned(), text("a"))]);
        let quoted = index_coordinate(&contract, "name=\"a,\"\"b\"\"\",id=7").unwrap();
        assert_eq!(quoted[0], ("name".to_owned(), text("a,\"b\"")));
        assert!(index_coordinate(&contract, "id=7,id=8").is_err());
    }

    #[test]
    fn range_maps_are_read_as_clients_write_them() {
        let contract = contract();
        let map = range_map(
            &contract,
            r#"[{"coordinate": {"name": "a", "id": "7"}, "start_date": 86400, "start_date_operand": ">"},
                {"coordinate": {"id": 8, "name": "b"}, "start_date": null, "end_date": "1970-01-03"}]"#,
        )
        .unwrap();
        let at =
            |micros: i64, inclusive| Some(Bound { time: Timestamp::from_micros(micros).unwrap(), inclusive });
        let day = 86_400_000_000;
        assert_eq!(map.entries[0].coordinate, Coordinate(vec![text("a"), CoordinateValue::Int(7)]));
        assert_eq!(map.entries[0].range, TimeRange { start: at(day, false), end: None });
        assert_eq!(map.entries[1].range, TimeRange { start: None, end: at(2 * day, true) });
        for wrong in [
            "[]",
            "{}",
            r#"[{"coordinate": {"name": "a"}}]"#,
            r#"[{"coordinate": {"name": "a", "id": 1, "value": 1}}]"#,
            r#"[{"coordinate": {"name": "a", "id": 1}, "start_date": "x"}]"#,
            r#"[{"coordinate": {"name": "a", "id": 1}, "start_date": 1, "start_date_operand": "<"}]"#,
            r#"[{"coordinate": {"name": "a", "id": 1}, "begin": 1}]"#,
            r#"[{"coordinate": {"name": "a", "id": 1}, "start_date": 1e300}]"#,
        ] {
            assert!(range_map(&contract, wrong).is_err(), "{wrong}");
        }
    }
}
