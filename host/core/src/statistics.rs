//! Statistics written by hand, given to a guest in place of what its table holds: for dry runs.
//!
//! A JSON array with one object per coordinate; an empty array stands for an empty table:
//!
//! ```json
//! [{"coordinate": ["USD"], "min": "2020-01-01", "max": "2020-12-31T00:00:00Z"}]
//! ```

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::Timestamp;
use crate::contract::Contract;
use crate::coordinate::{Coordinate, CoordinateError};
use crate::diagnostic::{Diagnostic, ErrorClass};
use crate::frame::MAX_COORDINATES;
use crate::progress::{CoordinateProgress, Progress};

/// The most bytes that a document of statistics may have.
pub const MAX_STATISTICS_BYTES: usize = 64 << 20;

/// Why statistics are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StatisticsError {
    /// Not JSON of the expected shape; the text names line and column.
    #[error("the statistics cannot be read: {0}")]
    Syntax(String),
    /// A coordinate that the table cannot have.
    #[error("statistics of table `{table}`, entry {entry}: {source}")]
    Coordinate {
        /// Identifier of the table.
        table: String,
        /// Which entry, from 0 on.
        entry: usize,
        /// What is wrong.
        source: CoordinateError,
    },
    /// A time that is none, or a latest time before the earliest.
    #[error("statistics of table `{table}`, entry {entry}: {problem}")]
    Times {
        /// Identifier of the table.
        table: String,
        /// Which entry, from 0 on.
        entry: usize,
        /// What is wrong.
        problem: String,
    },
    /// One coordinate twice.
    #[error("statistics of table `{table}`, entry {entry}: coordinate {coordinate} is listed twice")]
    Twice {
        /// Identifier of the table.
        table: String,
        /// Which entry, from 0 on.
        entry: usize,
        /// The coordinate, cut to 80 characters.
        coordinate: String,
    },
    /// More than [`MAX_STATISTICS_BYTES`] or [`MAX_COORDINATES`].
    #[error("the statistics have {found} {what} where {allowed} are allowed")]
    TooLarge {
        /// `bytes` or `entries`.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many may be.
        allowed: usize,
    },
}

impl Diagnostic for StatisticsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "statistics.syntax",
            Self::Coordinate { .. } => "statistics.coordinate",
            Self::Times { .. } => "statistics.times",
            Self::Twice { .. } => "statistics.twice",
            Self::TooLarge { .. } => "statistics.too_large",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Usage
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Coordinate { table, .. } => {
                format!("give one value per identity dimension, in their order: datanode table show {table}")
            }
            Self::TooLarge { .. } => "list fewer coordinates".to_owned(),
            _ => "write an array such as [{\"coordinate\": [\"USD\"], \"min\": \"2020-01-01\", \"max\": \"2020-12-31\"}], \
                  each coordinate once; [] stands for an empty table"
                .to_owned(),
        })
    }
}

/// One entry as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    coordinate: Vec<Value>,
    min: String,
    max: String,
}

/// Read statistics for a table: every coordinate is checked against its identity dimensions. The rows of the answer
/// are 0: guests are not told of them.
pub fn parse(text: &str, contract: &Contract) -> Result<Progress, StatisticsError> {
    let bound = |what, found, allowed| {
        if found > allowed { Err(StatisticsError::TooLarge { what, found, allowed }) } else { Ok(()) }
    };
    bound("bytes", text.len(), MAX_STATISTICS_BYTES)?;
    let entries: Vec<Entry> =
        serde_json::from_str(text).map_err(|error| StatisticsError::Syntax(error.to_string()))?;
    bound("entries", entries.len(), MAX_COORDINATES)?;
    let types = contract.dimension_types();
    let table = || contract.identifier.clone();
    let mut progress = Progress::default();
    for (number, entry) in entries.into_iter().enumerate() {
        let coordinate = Coordinate::from_values(&entry.coordinate, &types)
            .map_err(|source| StatisticsError::Coordinate { table: table(), entry: number, source })?;
        let times = |problem| StatisticsError::Times { table: table(), entry: number, problem };
        let time = |name: &str, text: &str| {
            text.parse::<Timestamp>().map_err(|error| times(format!("`{name}`: {error}")))
        };
        let (min, max) = (time("min", &entry.min)?, time("max", &entry.max)?);
        if max < min {
            return Err(times("`max` is before `min`".to_owned()));
        }
        if progress.get(&coordinate).is_some() {
            let coordinate = coordinate.to_string().chars().take(80).collect();
            return Err(StatisticsError::Twice { table: table(), entry: number, coordinate });
        }
        progress.extend(coordinate, CoordinateProgress { min, max, rows: 0 });
    }
    Ok(progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> Contract {
        Contract::from_toml(
            "identifier = \"prices\"\nindex = [\"time_index\", \"asset\", \"venue\"]\ncolumns = [\
             { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"asset\", type = \"string\" }, \
             { name = \"venue\", type = \"int16\" }, { name = \"price\", type = \"float64\" }]",
        )
        .unwrap()
    }

    #[test]
    fn entries_become_progress() {
        let text = r#"[{"coordinate": ["A", 1], "min": "2020-01-01", "max": "2020-01-05T12:00:00Z"},
                       {"coordinate": ["A", 2], "min": "2020-01-02", "max": "2020-01-02"}]"#;
        let progress = parse(text, &contract()).unwrap();
        assert_eq!(progress.len(), 2);
        assert_eq!(progress.min_time(), Some("2020-01-01".parse().unwrap()));
        assert_eq!(progress.max_time(), Some("2020-01-05T12:00:00Z".parse().unwrap()));
        assert!(parse("[]", &contract()).unwrap().is_empty());
    }

    #[test]
    fn what_does_not_fit_the_table_is_named() {
        let mut said = String::new();
        let times = r#""min": "2020-01-02", "max": "2020-01-03""#;
        for text in [
            "{}".to_owned(),
            "[{\"coordinate\": [\"A\", 1]}]".to_owned(),
            format!("[{{\"coordinate\": [\"A\", 1], \"rows\": 3, {times}}}]"),
            format!("[{{\"coordinate\": [\"A\"], {times}}}]"),
            format!("[{{\"coordinate\": [\"A\", 70000], {times}}}]"),
            format!("[{{\"coordinate\": [\"A\", null], {times}}}]"),
            format!("[{{\"coordinate\": [7, 1], {times}}}]"),
            "[{\"coordinate\": [\"A\", 1], \"min\": \"soon\", \"max\": \"2020-01-01\"}]".to_owned(),
            "[{\"coordinate\": [\"A\", 1], \"min\": \"2020-01-02\", \"max\": \"2020-01-01\"}]".to_owned(),
            format!("[{{\"coordinate\": [\"A\", 1], {times}}}, {{\"coordinate\": [\"A\", 1], {times}}}]"),
        ] {
            let error = parse(&text, &contract()).unwrap_err();
            said += &format!("{text}\n[{}] {error}\nnext: {}\n\n", error.code(), error.next_step().unwrap());
        }
        insta::assert_snapshot!(said);
    }
}
