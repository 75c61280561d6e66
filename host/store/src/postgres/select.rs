//! Queries as SQL for `COPY (query) TO`, which takes no parameters. Names come from the contract and are quoted; values
//! come from the one encoder of literals, and the ranges of a map travel as rows of a temporary table.
//!
//! Names that the statement itself introduces begin with an underscore, which no name of a contract does.

use std::collections::BTreeMap;

use datanode_core::Timestamp;
use datanode_core::contract::{Column, Contract, TIME_INDEX, TableKind};
use datanode_core::coordinate::CoordinateValue;
use datanode_core::data_type::DataType;
use datanode_core::query::{RangeMap, ReadQuery};

use super::ddl::{quote, table_name};
use super::literal::{array, literal};
use super::ranges::Ranges;
use crate::rows::{bounds, by_dimension};
use crate::{IndexKey, StoreError};

/// A read, written down once for all its pages.
#[derive(Debug)]
pub(super) struct Select {
    pub(super) contract: Contract,
    /// What the columns of the answer are.
    pub(super) columns: Vec<Column>,
    /// What must be there before the first page.
    pub(super) ranges: Option<Ranges>,
    /// Up to the last condition that all pages have in common.
    head: String,
    order: String,
    /// The earliest time asked for.
    start: i64,
}

impl Select {
    /// Write a read down; `number` tells it from the other reads of its snapshot.
    pub(super) fn new(contract: &Contract, query: &ReadQuery, number: u64) -> Result<Self, StoreError> {
        let columns: Vec<Column> = query.output_columns(contract).into_iter().cloned().collect();
        let mut statement = Statement { contract, conditions: Vec::new() };
        let (start, end) = bounds(query);
        if contract.kind == TableKind::TimeIndexed {
            statement.conditions.extend(until(end));
        }
        statement.dimensions(query);
        let (ranges, join) = match &query.range_map {
            Some(map) => statement.range_map(map, number)?,
            None => (None, String::new()),
        };
        let mut conditions = statement.conditions;
        if conditions.is_empty() {
            conditions.push("TRUE".to_owned());
        }
        let head = format!(
            "SELECT {} FROM {} AS _t{join} WHERE {}",
            list(columns.iter().map(|column| column.name.as_str())),
            table_name(contract),
            conditions.join(" AND "),
        );
        let order = list(contract.key().iter().map(String::as_str));
        Ok(Self { contract: contract.clone(), columns, ranges, head, order, start })
    }

    /// What the columns of the answer are made of.
    pub(super) fn types(&self) -> Vec<DataType> {
        self.columns.iter().map(|column| column.data_type).collect()
    }

    /// The query of the next rows. Sorted by the key, in the order of its index.
    pub(super) fn page(&self, after: Option<&IndexKey>, max_rows: usize) -> String {
        let position = match after {
            // Of the two bounds, the later one implies the other.
            Some(key) if key.time.is_none_or(|time| time.micros() >= self.start) => self.behind(key),
            _ if self.contract.kind == TableKind::Reference => "TRUE".to_owned(),
            _ => from(self.start).unwrap_or_else(|| "TRUE".to_owned()),
        };
        let limit = i64::try_from(max_rows).unwrap_or(i64::MAX);
        format!("{} AND {position} ORDER BY {} LIMIT {limit}", self.head, self.order)
    }

    fn behind(&self, key: &IndexKey) -> String {
        let times = key.time.map(CoordinateValue::Timestamp);
        let values = times.iter().chain(&key.coordinate.0).zip(self.contract.key());
        let values: Vec<String> =
            values.map(|(value, name)| literal(value, data_type(&self.contract, name))).collect();
        format!("({}) > ({})", self.order, values.join(", "))
    }
}

/// What a query wants of the dimensions of the table, which the statement calls `_t`.
pub(super) fn conditions(contract: &Contract, query: &ReadQuery) -> Vec<String> {
    let mut statement = Statement { contract, conditions: Vec::new() };
    statement.dimensions(query);
    statement.conditions
}

/// A column of the table.
fn of_table(name: &str) -> String {
    format!("_t.{}", quote(name))
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(of_table).collect::<Vec<_>>().join(", ")
}

/// The query was checked against the contract: the column is there.
fn data_type(contract: &Contract, name: &str) -> DataType {
    contract.column(name).map_or(DataType::String, |column| column.data_type)
}

/// The condition of a lower bound; None when all rows meet it.
fn from(micros: i64) -> Option<String> {
    bound(micros, ">=", micros > 0)
}

/// The condition of an upper bound; None when all rows meet it.
fn until(micros: i64) -> Option<String> {
    bound(micros, "<=", micros < 0)
}

/// Rows lie in the years 1 to 9999: a bound beyond them is met by all or by none.
fn bound(micros: i64, operator: &str, none: bool) -> Option<String> {
    match Timestamp::from_micros(micros) {
        Ok(time) => {
            let value = literal(&CoordinateValue::Timestamp(time), DataType::TimestampTz);
            Some(format!("{} {operator} {value}", of_table(TIME_INDEX)))
        }
        Err(_) if none => Some("FALSE".to_owned()),
        Err(_) => None,
    }
}

struct Statement<'c> {
    contract: &'c Contract,
    /// Joined by AND; each stands by itself.
    conditions: Vec<String>,
}

impl Statement<'_> {
    fn dimensions(&mut self, query: &ReadQuery) {
        for (dimension, values) in &query.dimension_filters {
            self.dimension_filter(dimension, values);
        }
        if !query.index_coordinates.is_empty() {
            self.index_coordinates(&query.index_coordinates);
        }
    }

    fn dimension_filter(&mut self, dimension: &str, values: &[CoordinateValue]) {
        let allowed = array(values, data_type(self.contract, dimension));
        self.conditions.push(format!("{} = ANY ({allowed})", of_table(dimension)));
    }

    /// Partial coordinates, any of which may match: one list for those that name the same dimensions.
    fn index_coordinates(&mut self, coordinates: &[Vec<(String, CoordinateValue)>]) {
        let mut lists: BTreeMap<Vec<&str>, Vec<Vec<&CoordinateValue>>> = BTreeMap::new();
        for coordinate in coordinates {
            let Some(values) = by_dimension(coordinate) else { continue };
            if values.is_empty() {
                // A coordinate that names no dimension matches every row.
                return;
            }
            lists.entry(values.keys().copied().collect()).or_default().push(values.into_values().collect());
        }
        let alternatives = lists.into_iter().map(|(dimensions, rows)| {
            let arrays = dimensions.iter().enumerate().map(|(at, name)| {
                array(rows.iter().filter_map(|row| row.get(at).copied()), data_type(self.contract, name))
            });
            let arrays = arrays.collect::<Vec<_>>().join(", ");
            if let [only] = dimensions[..] {
                return format!("{} = ANY ({arrays})", of_table(only));
            }
            // `IS TRUE` keeps it a condition on each row, looked up in a hash table. As a join it would cost the order
            // of the index.
            let columns = list(dimensions.into_iter());
            format!("((({columns}) IN (SELECT * FROM unnest({arrays}))) IS TRUE)")
        });
        let alternatives = alternatives.collect::<Vec<_>>();
        self.conditions.push(if alternatives.is_empty() {
            "FALSE".to_owned()
        } else {
            format!("({})", alternatives.join(" OR "))
        });
    }

    /// The ranges per coordinate, and their join.
    fn range_map(&mut self, map: &RangeMap, number: u64) -> Result<(Option<Ranges>, String), StoreError> {
        let dimensions = self.contract.dimensions();
        if dimensions.is_empty() || map.entries.is_empty() {
            // One series: `bounds` holds its range. Or nothing is narrowed, or no row is asked for.
            return Ok((None, String::new()));
        }
        let ranges = Ranges::new(self.contract, map, number)?;
        let matches = dimensions.iter().enumerate();
        let matches: Vec<String> =
            matches.map(|(at, name)| format!("{} = _ranges._d{at}", of_table(name))).collect();
        let kind = if map.include_unlisted { "LEFT JOIN" } else { "JOIN" };
        let join = format!(" {kind} {} AS _ranges ON {}", ranges.table, matches.join(" AND "));
        let between = format!("{} BETWEEN _ranges._start AND _ranges._end", of_table(TIME_INDEX));
        self.conditions.push(if map.include_unlisted {
            format!("(_ranges._start IS NULL OR {between})")
        } else {
            between
        });
        Ok((Some(ranges), join))
    }
}
