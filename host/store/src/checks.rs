//! Quality checks that compare new rows with stored ones: what is asked of either database.
//!
//! **One idea:** when the rows of a commit are in the table and nobody else sees them, a check is a query that answers the
//! offending ones. Both databases are asked in the same words; each brings the moments and coordinates its own way. Names
//! that a statement itself introduces begin with an underscore, which no name of a contract does.

use datanode_core::Timestamp;
use datanode_core::contract::{Contract, TIME_INDEX};
use datanode_core::data_type::DataType;
use datanode_core::progress::{CoordinateProgress, Progress};
use datanode_core::quality::{Direction, EXAMPLES, StoredCheck, StoredRule};
use datanode_core::query::{Bound, CoordinateRange, RangeMap, TimeRange};

/// Whether one of the checks asks for what was there before the rows came.
pub(crate) fn look_back(checks: &[StoredCheck]) -> bool {
    checks.iter().any(|check| matches!(check.rule, StoredRule::Monotonic { .. }))
}

/// Which rows a check looks at first: of each coordinate those within a range of time, both ends included.
#[derive(Debug)]
pub(crate) struct Reach(Vec<(datanode_core::coordinate::Coordinate, Timestamp, Timestamp)>);

impl Reach {
    /// The rows that a commit has written.
    pub(crate) fn written(added: &Progress) -> Self {
        Self(added.iter().map(|(coordinate, added)| (coordinate.clone(), added.min, added.max)).collect())
    }

    /// These, and what of their coordinates each is to be compared with: the latest row before them. Rows that lie
    /// among others are compared with all that come after, too.
    pub(crate) fn in_order(added: &Progress, before: &Progress) -> Self {
        let range = |added: &CoordinateProgress, before: Option<&CoordinateProgress>| match before {
            Some(before) if before.max < added.min => (before.max, added.max),
            // The range begins before the first of them, whose predecessor is looked for.
            Some(before) => (Timestamp::nearest_micros(added.min.micros() - 1), added.max.max(before.max)),
            None => (added.min, added.max),
        };
        let ranges = added.iter().map(|(coordinate, added)| {
            let (start, end) = range(added, before.get(coordinate));
            (coordinate.clone(), start, end)
        });
        Self(ranges.collect())
    }

    /// The earliest and the latest time of all.
    pub(crate) fn bounds(&self) -> Option<(Timestamp, Timestamp)> {
        let first = self.0.iter().map(|(_, start, _)| *start).min()?;
        Some((first, self.0.iter().map(|(_, _, end)| *end).max()?))
    }

    /// The same as ranges of a read.
    pub(crate) fn map(&self) -> RangeMap {
        let bound = |time: &Timestamp| Some(Bound { time: *time, inclusive: true });
        let entries = self.0.iter().map(|(coordinate, start, end)| CoordinateRange {
            coordinate: coordinate.clone(),
            range: TimeRange { start: bound(start), end: bound(end) },
        });
        RangeMap { entries: entries.collect(), include_unlisted: false }
    }
}

/// A query that answers offending rows: the key, the columns of the rule, and how many there are in all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) sql: String,
    /// What its columns are.
    pub(crate) types: Vec<DataType>,
}

/// How a database is asked.
#[derive(Debug)]
pub(crate) struct Asking<'c> {
    pub(crate) contract: &'c Contract,
    /// The table, in SQL.
    pub(crate) table: String,
    /// A table of ranges by coordinate (`_d0` …, `_start`, `_end`); None where the index is the time alone.
    pub(crate) reach: Option<&'c str>,
    /// The bounds of the reach, in SQL.
    pub(crate) first: &'c str,
    /// See `first`.
    pub(crate) last: &'c str,
}

fn quote(name: &str) -> String {
    // Contracts allow only `[a-z][a-z0-9_]*`.
    format!("\"{name}\"")
}

fn list<'n>(of: &str, names: impl IntoIterator<Item = &'n String>) -> String {
    names.into_iter().map(|name| format!("{of}.{}", quote(name))).collect::<Vec<_>>().join(", ")
}

impl Asking<'_> {
    /// Rows `_t` within reach: from FROM to the last condition.
    fn within_reach(&self) -> String {
        let Self { contract, table, first, last, .. } = self;
        let time = format!("_t.{}", quote(TIME_INDEX));
        let Some(reach) = self.reach else {
            return format!("FROM {table} AS _t WHERE {time} BETWEEN {first} AND {last}");
        };
        let dimensions = contract.dimensions().iter().enumerate();
        let same: Vec<String> =
            dimensions.map(|(at, name)| format!(" AND _r._d{at} = _t.{}", quote(name))).collect();
        let same = same.concat();
        format!(
            "FROM {table} AS _t CROSS JOIN {reach} AS _r WHERE {time} BETWEEN {first} AND {last}{same} \
             AND {time} BETWEEN _r._start AND _r._end"
        )
    }

    fn question(&self, sql: String, columns: &[DataType]) -> Question {
        let key = self.contract.key().iter().filter_map(|name| self.contract.column(name));
        let types = key.map(|column| column.data_type).chain(columns.iter().copied());
        Question { sql, types: types.chain([DataType::Int64]).collect() }
    }

    /// The new rows whose values in these columns another row has. The table is read once, unless its time is among the
    /// columns: then only the times that are new.
    pub(crate) fn unique(&self, columns: &[usize]) -> Question {
        let columns: Vec<_> = columns.iter().map(|at| &self.contract.columns[*at]).collect();
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let Self { table, first, last, .. } = self;
        let narrow = if names.iter().any(|name| name == TIME_INDEX) {
            format!(" AND _a.{} BETWEEN {first} AND {last}", quote(TIME_INDEX))
        } else {
            String::new()
        };
        let (of_any, of_new) = (list("_a", &names), list("_t", &names));
        let (within, key) = (self.within_reach(), list("_t", self.contract.key()));
        let sql = format!(
            "WITH _twice AS (SELECT {of_any} FROM {table} AS _a WHERE ({of_any}) IN (SELECT {of_new} {within}){narrow} \
             GROUP BY {of_any} HAVING count(*) > 1) \
             SELECT {key}, {of_new}, count(*) OVER () {within} AND ({of_new}) IN (SELECT {} FROM _twice) \
             ORDER BY {key} LIMIT {EXAMPLES}",
            list("_twice", &names)
        );
        self.question(sql, &columns.iter().map(|column| column.data_type).collect::<Vec<_>>())
    }

    /// The rows whose value goes the wrong way from the one before it. The window holds that one, unless it is null or
    /// outside of the reach: then it is looked for, back through the index.
    pub(crate) fn monotonic(&self, column: usize, direction: Direction, strict: bool) -> Question {
        let column = &self.contract.columns[column];
        let wrong = match (direction, strict) {
            (Direction::Increasing, false) => "<",
            (Direction::Increasing, true) => "<=",
            (Direction::Decreasing, false) => ">",
            (Direction::Decreasing, true) => ">=",
        };
        let (value, time) = (quote(&column.name), quote(TIME_INDEX));
        let dimensions = self.contract.dimensions();
        let partition = if dimensions.is_empty() {
            String::new()
        } else {
            format!("PARTITION BY {} ", list("_t", dimensions))
        };
        let same: Vec<String> =
            dimensions.iter().map(|name| format!("_b.{0} = _t.{0} AND ", quote(name))).collect();
        let same = same.concat();
        let start = if self.reach.is_some() { "_r._start" } else { self.first };
        let (table, within, key) = (&self.table, self.within_reach(), self.contract.key());
        let of_row = list("_in_order", key);
        let sql = format!(
            "WITH _in_order AS (SELECT {}, _t.{value} AS _value, coalesce(lag(_t.{value}) OVER \
             ({partition}ORDER BY _t.{time}), CASE WHEN _t.{time} > {start} THEN (SELECT _b.{value} FROM {table} AS _b \
             WHERE {same}_b.{time} < _t.{time} AND _b.{value} IS NOT NULL ORDER BY _b.{time} DESC LIMIT 1) END) \
             AS _before {within} AND _t.{value} IS NOT NULL) \
             SELECT {of_row}, _value, _before, count(*) OVER () FROM _in_order WHERE _value {wrong} _before \
             ORDER BY {of_row} LIMIT {EXAMPLES}",
            list("_t", key)
        );
        self.question(sql, &[column.data_type, column.data_type])
    }
}
