//! Reads of a table: which rows and columns, checked against its contract before any SQL is made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Timestamp;
use crate::contract::{Contract, TableKind};
use crate::coordinate::{Coordinate, CoordinateError, CoordinateValue};
use crate::data_type::DataType;
use crate::progress::Progress;

/// The most values, coordinates or range-map entries that one query may carry.
pub const MAX_QUERY_ENTRIES: usize = 100_000;

/// One end of a range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bound {
    /// The moment.
    pub time: Timestamp,
    /// True for `>=` and `<=`, false for `>` and `<`.
    pub inclusive: bool,
}

/// A range of time; a missing bound is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TimeRange {
    /// Lower bound.
    pub start: Option<Bound>,
    /// Upper bound.
    pub end: Option<Bound>,
}

impl TimeRange {
    /// The moment, when the range is exactly one.
    pub fn moment(&self) -> Option<Timestamp> {
        match (self.start, self.end) {
            (Some(start), Some(end)) if start == end && start.inclusive => Some(start.time),
            _ => None,
        }
    }

    /// The earliest and latest moment inside, both inclusive (times are whole microseconds).
    pub fn inclusive_micros(&self) -> (i64, i64) {
        let start = self.start.map_or(i64::MIN, |bound| bound.time.micros() + i64::from(!bound.inclusive));
        let end = self.end.map_or(i64::MAX, |bound| bound.time.micros() - i64::from(!bound.inclusive));
        (start, end)
    }
}

/// The range wanted for one coordinate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoordinateRange {
    /// The coordinate.
    pub coordinate: Coordinate,
    /// Its range; holds together with the query's own range.
    pub range: TimeRange,
}

/// A range of time per coordinate: the shape of an incremental read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RangeMap {
    /// One entry per coordinate.
    pub entries: Vec<CoordinateRange>,
    /// Whether coordinates without an entry are read too (over the query's own range).
    pub include_unlisted: bool,
}

/// Which rows and columns of a table to read. All conditions hold together; rows come sorted by the key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ReadQuery {
    /// Range of `time_index`.
    pub range: TimeRange,
    /// Columns besides the key (the index, or the primary key); None: all.
    pub columns: Option<Vec<String>>,
    /// Identity dimension, or column of a primary key → allowed values.
    pub dimension_filters: Vec<(String, Vec<CoordinateValue>)>,
    /// Partial coordinates, any of which may match; empty: no such condition.
    pub index_coordinates: Vec<Vec<(String, CoordinateValue)>>,
    /// A range per coordinate.
    pub range_map: Option<RangeMap>,
    /// At most this many rows.
    pub limit: Option<u64>,
}

/// Why a query does not fit its table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueryError {
    /// No such column.
    #[error("table `{table}` has no column `{column}`; it has {known}")]
    UnknownColumn {
        /// Identifier of the table.
        table: String,
        /// The column asked for.
        column: String,
        /// The columns there are.
        known: String,
    },
    /// Not an identity dimension.
    #[error("table `{table}` has no {what} `{dimension}`; it has {known}")]
    UnknownDimension {
        /// `identity dimension`, or `primary key column` of a reference table.
        what: &'static str,
        /// Identifier of the table.
        table: String,
        /// The dimension asked for.
        dimension: String,
        /// The dimensions there are.
        known: String,
    },
    /// A value of the wrong type.
    #[error("table `{table}`, dimension `{dimension}`: {source}")]
    Value {
        /// Identifier of the table.
        table: String,
        /// The dimension.
        dimension: String,
        /// What is wrong.
        source: CoordinateError,
    },
    /// A range-map coordinate of the wrong shape.
    #[error("table `{table}`, range map: {source}")]
    Coordinate {
        /// Identifier of the table.
        table: String,
        /// What is wrong.
        source: CoordinateError,
    },
    /// One coordinate twice in the range map.
    #[error("table `{table}`, range map: coordinate {coordinate} is listed twice")]
    CoordinateTwice {
        /// Identifier of the table.
        table: String,
        /// The coordinate.
        coordinate: String,
    },
    /// A range of time of a table without times.
    #[error("table `{table}` is a reference table: it has no time, so no range of time can be read")]
    NoTime {
        /// Identifier of the table.
        table: String,
    },
    /// Too many entries.
    #[error("table `{table}`: the query lists {entries} values where {MAX_QUERY_ENTRIES} are allowed")]
    TooLarge {
        /// Identifier of the table.
        table: String,
        /// Entries in all.
        entries: usize,
    },
}

impl ReadQuery {
    /// Check every name and value against the contract.
    pub fn check(&self, contract: &Contract) -> Result<(), QueryError> {
        let table = || contract.identifier.clone();
        let entries = self.dimension_filters.iter().map(|(_, values)| values.len().max(1)).sum::<usize>()
            + self.index_coordinates.iter().map(|partial| partial.len().max(1)).sum::<usize>()
            + self.columns.as_ref().map_or(0, Vec::len)
            + self.range_map.as_ref().map_or(0, |map| map.entries.len());
        if entries > MAX_QUERY_ENTRIES {
            return Err(QueryError::TooLarge { table: table(), entries });
        }
        let has_range = self.range != TimeRange::default() || self.range_map.is_some();
        if has_range && contract.kind == TableKind::Reference {
            return Err(QueryError::NoTime { table: table() });
        }
        for column in self.columns.iter().flatten() {
            if contract.column(column).is_none() {
                let known =
                    contract.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(QueryError::UnknownColumn { table: table(), column: column.clone(), known });
            }
        }
        for (dimension, values) in &self.dimension_filters {
            let data_type = dimension_type(contract, dimension)?;
            for value in values {
                check_value(contract, dimension, value, data_type)?;
            }
        }
        for (dimension, value) in self.index_coordinates.iter().flatten() {
            check_value(contract, dimension, value, dimension_type(contract, dimension)?)?;
        }
        if let Some(map) = &self.range_map {
            let types = contract.dimension_types();
            let mut seen = std::collections::HashSet::with_capacity(map.entries.len());
            for entry in &map.entries {
                entry
                    .coordinate
                    .check(&types)
                    .map_err(|source| QueryError::Coordinate { table: table(), source })?;
                if !seen.insert(&entry.coordinate) {
                    return Err(QueryError::CoordinateTwice {
                        table: table(),
                        coordinate: entry.coordinate.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    /// This query for the last row of each coordinate that its filters leave: by what the table's progress knows, so that
    /// no row is scanned. Any range of the query itself is given up, for progress knows only the last moment of all.
    #[must_use]
    pub fn last_observations(&self, contract: &Contract, progress: &Progress) -> Self {
        let dimensions = contract.dimensions();
        let kept = |coordinate: &Coordinate| {
            let has = |name: &String, value: &CoordinateValue| {
                dimensions.iter().position(|dimension| dimension == name).and_then(|at| coordinate.0.get(at))
                    == Some(value)
            };
            let filtered = self
                .dimension_filters
                .iter()
                .all(|(name, values)| values.iter().any(|value| has(name, value)));
            let listed = self.index_coordinates.is_empty()
                || self
                    .index_coordinates
                    .iter()
                    .any(|partial| partial.iter().all(|(name, value)| has(name, value)));
            filtered && listed
        };
        let entries = progress.iter().filter(|(coordinate, _)| kept(coordinate)).map(|(coordinate, held)| {
            let last = Some(Bound { time: held.max, inclusive: true });
            CoordinateRange { coordinate: coordinate.clone(), range: TimeRange { start: last, end: last } }
        });
        let range_map = RangeMap { entries: entries.collect(), include_unlisted: false };
        // The coordinates say all that the filters said.
        Self {
            range_map: Some(range_map),
            columns: self.columns.clone(),
            limit: self.limit,
            ..Self::default()
        }
    }

    /// The columns that the answer has, in contract order: the key always, the others as asked.
    pub fn output_columns<'c>(&self, contract: &'c Contract) -> Vec<&'c crate::contract::Column> {
        let wanted = |name: &str| match &self.columns {
            None => true,
            Some(names) => {
                names.iter().any(|asked| asked == name) || contract.key().iter().any(|key| key == name)
            }
        };
        contract.columns.iter().filter(|column| wanted(&column.name)).collect()
    }
}

fn dimension_type(contract: &Contract, dimension: &str) -> Result<DataType, QueryError> {
    let known = contract.key_dimensions();
    match contract.column(dimension) {
        Some(column) if known.iter().any(|name| name == dimension) => Ok(column.data_type),
        _ => Err(QueryError::UnknownDimension {
            what: match contract.kind {
                TableKind::TimeIndexed => "identity dimension",
                TableKind::Reference => "primary key column",
            },
            table: contract.identifier.clone(),
            dimension: dimension.to_owned(),
            known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
        }),
    }
}

fn check_value(
    contract: &Contract,
    dimension: &str,
    value: &CoordinateValue,
    data_type: DataType,
) -> Result<(), QueryError> {
    value.check(data_type).map_err(|source| QueryError::Value {
        table: contract.identifier.clone(),
        dimension: dimension.to_owned(),
        source,
    })
}
