//! Queries as SQL. Names come from the contract and are quoted, values are bound: none ever becomes SQL text.
//!
//! Names that the statement itself introduces begin with an underscore, which no name of a contract does, and every
//! column is written with its table: SQLite would take a quoted name that it does not know for a text.

use std::collections::BTreeMap;

use datanode_core::Timestamp;
use datanode_core::contract::{Column, Contract, TIME_INDEX, TableKind};
use datanode_core::coordinate::CoordinateValue;
use datanode_core::query::{RangeMap, ReadQuery};
use rusqlite::types::Value;

use super::ddl::quote;
use super::functions::TAKE;
use super::value_list::{ValueList, decode, parameter};
use crate::IndexKey;
use crate::rows::{bounds, by_dimension};

/// A read, written down once for all its pages; a list of 100,000 values is megabytes of text.
#[derive(Debug)]
pub(super) struct Select {
    pub(super) contract: Contract,
    /// What the columns of the answer are.
    pub(super) columns: Vec<Column>,
    /// What the statement begins with.
    with: String,
    /// From the table on, up to the last condition that all pages have in common.
    from: String,
    order: String,
    /// The parameters that all pages have in common.
    parameters: Vec<Value>,
    /// The earliest time asked for.
    start: i64,
}

/// One page: how its statement ends, and the parameters that follow those of the read.
#[derive(Debug)]
pub(super) struct PageSelect {
    rows: String,
    pub(super) parameters: Vec<Value>,
}

impl Select {
    /// Write a read down.
    pub(super) fn new(contract: &Contract, query: &ReadQuery) -> Self {
        let columns: Vec<Column> = query.output_columns(contract).into_iter().cloned().collect();
        let mut statement = Statement { contract, conditions: Vec::new(), parameters: Vec::new() };
        let (with, join) =
            query.range_map.as_ref().map_or_else(Default::default, |map| statement.range_map(map));
        let (start, end) = bounds(query);
        if contract.kind == TableKind::TimeIndexed {
            let end = statement.bind(Value::Integer(end));
            statement.conditions.push(format!("{} <= {end}", of_table(TIME_INDEX)));
        }
        statement.coordinates(query);
        let Statement { mut conditions, parameters, .. } = statement;
        if conditions.is_empty() {
            conditions.push("TRUE".to_owned());
        }
        let name = quote(contract.physical_name());
        let from = format!(" FROM {name} AS _t{join} WHERE {}", conditions.join(" AND "));
        let order = list("_t", contract.key());
        Self { contract: contract.clone(), columns, with, from, order, parameters, start }
    }

    /// The next rows of the read. Sorted by the key, which is the order in which the table is stored.
    pub(super) fn page(&self, after: Option<&IndexKey>, max_rows: usize) -> PageSelect {
        let time = of_table(TIME_INDEX);
        let mut parameters = Vec::new();
        let mut bind = |value: Value| {
            parameters.push(value);
            format!("?{}", self.parameters.len() + parameters.len())
        };
        let time_of = |key: &IndexKey| key.time.map(Timestamp::micros);
        let position = match after {
            None if self.contract.kind == TableKind::Reference => "TRUE".to_owned(),
            // SQLite uses one lower bound of an index. Of the two, the later one implies the other.
            Some(key) if time_of(key).is_none_or(|micros| micros >= self.start) => {
                let mut values: Vec<String> =
                    time_of(key).into_iter().map(|micros| bind(Value::Integer(micros))).collect();
                values.extend(key.coordinate.0.iter().map(|value| bind(parameter(value))));
                if values.len() == 1 {
                    format!("{} > {}", self.order, values[0])
                } else {
                    format!("({}) > ({})", self.order, values.join(", "))
                }
            }
            _ => format!("{time} >= {}", bind(Value::Integer(self.start))),
        };
        let limit = bind(Value::Integer(i64::try_from(max_rows).unwrap_or(i64::MAX)));
        let rows = format!("{} AND {position} ORDER BY {} LIMIT {limit}", self.from, self.order);
        PageSelect { rows, parameters }
    }

    /// The statement that hands over the rows of a page as it comes to them: in the order of the key, unless it sorts.
    pub(super) fn in_order(&self, page: &PageSelect) -> String {
        format!("{}SELECT {TAKE}({}){}", self.with, list("_t", self.names()), page.rows)
    }

    /// The same, where it has to sort: then it puts them aside before it hands over the first one.
    pub(super) fn sorted(&self, page: &PageSelect) -> String {
        let (ours, taken) = (list("_t", self.names()), list("_page", self.names()));
        let Self { with, .. } = self;
        let rows = &page.rows;
        format!("WITH _page AS MATERIALIZED ({with}SELECT {ours}{rows}) SELECT {TAKE}({taken}) FROM _page")
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().map(|column| &column.name)
    }

    /// The parameters that come before those of a page.
    pub(super) fn parameters(&self) -> &[Value] {
        &self.parameters
    }
}

/// What a query wants of the coordinates of a time-indexed table `AS _t`, in conditions that all hold; and their
/// parameters, the first of which, `?1`, is a moment that they leave to others.
pub(super) fn scope(contract: &Contract, query: &ReadQuery, moment: Timestamp) -> (Vec<String>, Vec<Value>) {
    let mut statement = Statement { contract, conditions: Vec::new(), parameters: Vec::new() };
    statement.bind(Value::Integer(moment.micros()));
    statement.coordinates(query);
    (statement.conditions, statement.parameters)
}

/// A column of the table.
fn of_table(name: &str) -> String {
    format!("_t.{}", quote(name))
}

/// Columns of what is called so in the statement.
fn list<'n>(of: &str, names: impl IntoIterator<Item = &'n String>) -> String {
    names.into_iter().map(|name| format!("{of}.{}", quote(name))).collect::<Vec<_>>().join(", ")
}

struct Statement<'c> {
    contract: &'c Contract,
    /// Joined by AND; each stands by itself.
    conditions: Vec<String>,
    parameters: Vec<Value>,
}

impl Statement<'_> {
    /// A parameter, as it is written in the statement.
    fn bind(&mut self, value: Value) -> String {
        self.parameters.push(value);
        format!("?{}", self.parameters.len())
    }

    /// The conditions on values of dimensions.
    fn coordinates(&mut self, query: &ReadQuery) {
        for (dimension, values) in &query.dimension_filters {
            self.dimension_filter(dimension, values);
        }
        if !query.index_coordinates.is_empty() {
            self.index_coordinates(&query.index_coordinates);
        }
    }

    fn dimension_filter(&mut self, dimension: &str, values: &[CoordinateValue]) {
        let mut allowed = ValueList::default();
        for value in values {
            allowed.value(value);
        }
        let allowed = self.bind(allowed.into_parameter());
        let element = self.decoded("_each.value", dimension);
        self.conditions.push(format!(
            "{} IN (SELECT {element} FROM json_each({allowed}) AS _each)",
            of_table(dimension)
        ));
    }

    /// Partial coordinates, any of which may match: one list for those that name the same dimensions.
    fn index_coordinates(&mut self, coordinates: &[Vec<(String, CoordinateValue)>]) {
        let mut lists: BTreeMap<Vec<&str>, ValueList> = BTreeMap::new();
        for coordinate in coordinates {
            let Some(values) = by_dimension(coordinate) else { continue };
            if values.is_empty() {
                // A coordinate that names no dimension matches every row.
                return;
            }
            let list = lists.entry(values.keys().copied().collect()).or_default();
            list.nested(|inner| values.values().for_each(|value| inner.value(value)));
        }
        let alternatives = lists.into_iter().map(|(dimensions, list)| {
            let values = self.bind(list.into_parameter());
            let elements = dimensions.iter().enumerate();
            let elements =
                elements.map(|(at, name)| self.decoded(&format!("_each.value ->> '$[{at}]'"), name));
            format!(
                "({}) IN (SELECT {} FROM json_each({values}) AS _each)",
                dimensions.iter().map(|name| of_table(name)).collect::<Vec<_>>().join(", "),
                elements.collect::<Vec<_>>().join(", ")
            )
        });
        let alternatives = alternatives.collect::<Vec<_>>();
        self.conditions.push(any(&alternatives));
    }

    /// The ranges per coordinate as a table of the statement, joined by coordinate.
    fn range_map(&mut self, map: &RangeMap) -> (String, String) {
        let dimensions = self.contract.dimensions();
        if dimensions.is_empty() || (map.entries.is_empty() && map.include_unlisted) {
            // One series: `bounds` holds its range. Or nothing is narrowed.
            return Default::default();
        }
        let moments = map.entries.iter().map(|entry| entry.range.moment()).collect::<Option<Vec<_>>>();
        if let Some(moments) = moments.filter(|_| !map.include_unlisted) {
            self.keys(map, &moments);
            return Default::default();
        }
        let mut ranges = ValueList::default();
        for entry in &map.entries {
            let (start, end) = entry.range.inclusive_micros();
            ranges.nested(|inner| {
                entry.coordinate.0.iter().for_each(|value| inner.value(value));
                inner.integer(start);
                inner.integer(end);
            });
        }
        let ranges = self.bind(ranges.into_parameter());
        let mut elements = Vec::new();
        let mut matches = Vec::new();
        for (at, name) in dimensions.iter().enumerate() {
            elements.push(format!("{} AS _d{at}", self.decoded(&format!("_each.value ->> '$[{at}]'"), name)));
            matches.push((of_table(name), format!("_ranges._d{at}")));
        }
        for (at, name) in [(dimensions.len(), "_start"), (dimensions.len() + 1, "_end")] {
            elements.push(format!("CAST(_each.value ->> '$[{at}]' AS INTEGER) AS {name}"));
        }
        // Materialised, so that it is taken apart once and SQLite puts an index on it.
        let with = format!(
            "WITH _ranges AS MATERIALIZED (SELECT {} FROM json_each({ranges}) AS _each) ",
            elements.join(", ")
        );
        // Both joins keep the table on the left, and with it the order of the index.
        let join = if map.include_unlisted { "LEFT JOIN" } else { "CROSS JOIN" };
        let (ours, theirs): (Vec<_>, Vec<_>) = matches.into_iter().unzip();
        let join = format!(" {join} _ranges ON ({}) = ({})", ours.join(", "), theirs.join(", "));
        let time = of_table(TIME_INDEX);
        self.conditions.push(if map.include_unlisted {
            format!("(_ranges._start IS NULL OR {time} BETWEEN _ranges._start AND _ranges._end)")
        } else {
            format!("{time} BETWEEN _ranges._start AND _ranges._end")
        });
        (with, join)
    }

    /// Ranges of one moment each: whole keys, which SQLite looks up, however far they lie apart.
    fn keys(&mut self, map: &RangeMap, moments: &[Timestamp]) {
        let mut keys = ValueList::default();
        for (entry, moment) in map.entries.iter().zip(moments) {
            keys.nested(|inner| {
                inner.integer(moment.micros());
                entry.coordinate.0.iter().for_each(|value| inner.value(value));
            });
        }
        let keys = self.bind(keys.into_parameter());
        let mut columns = vec![of_table(TIME_INDEX)];
        let mut elements = vec!["CAST(_each.value ->> '$[0]' AS INTEGER)".to_owned()];
        for (at, name) in self.contract.dimensions().iter().enumerate() {
            columns.push(of_table(name));
            elements.push(self.decoded(&format!("_each.value ->> '$[{}]'", at + 1), name));
        }
        self.conditions.push(format!(
            "({}) IN (SELECT {} FROM json_each({keys}) AS _each)",
            columns.join(", "),
            elements.join(", ")
        ));
    }

    fn decoded(&self, element: &str, dimension: &str) -> String {
        // The query was checked against this contract: the dimension is there.
        self.contract
            .column(dimension)
            .map_or_else(|| "NULL".to_owned(), |column| decode(element, column.data_type))
    }
}

/// Alternatives as a balanced tree: SQLite limits how deep an expression may be, and a chain is as deep as long.
fn any(alternatives: &[String]) -> String {
    match alternatives {
        [] => "FALSE".to_owned(),
        [one] => one.clone(),
        _ => {
            let (left, right) = alternatives.split_at(alternatives.len() / 2);
            format!("({} OR {})", any(left), any(right))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::ddl::create_table;
    use crate::sqlite::functions;
    use datanode_core::Timestamp;
    use datanode_core::coordinate::Coordinate;
    use datanode_core::progress::{CoordinateProgress, Progress};
    use datanode_core::query::{Bound, CoordinateRange, TimeRange};
    use rusqlite::{Connection, params_from_iter};

    fn contract() -> Contract {
        Contract::from_toml(
            "identifier = \"t\"\nindex = [\"time_index\", \"name\", \"id\"]\ncolumns = [\
             { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"name\", type = \"string\" }, \
             { name = \"id\", type = \"uuid\" }, { name = \"value\", type = \"int64\" }]",
        )
        .unwrap()
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn coordinate(name: &str) -> Coordinate {
        Coordinate(vec![CoordinateValue::Text(name.to_owned()), CoordinateValue::Uuid(uuid::Uuid::nil())])
    }

    fn range(start: i64) -> TimeRange {
        TimeRange { start: Some(Bound { time: at(start), inclusive: true }), end: None }
    }

    fn with_map(include_unlisted: bool) -> ReadQuery {
        let entries = vec![
            CoordinateRange { coordinate: coordinate("a"), range: range(5) },
            CoordinateRange { coordinate: coordinate("b"), range: range(7) },
        ];
        ReadQuery { range_map: Some(RangeMap { entries, include_unlisted }), ..ReadQuery::default() }
    }

    /// How SQLite would go about it.
    fn plan(query: &ReadQuery, after: Option<&IndexKey>) -> Vec<String> {
        plan_of(query, after, false)
    }

    fn plan_of(query: &ReadQuery, after: Option<&IndexKey>, sorted: bool) -> Vec<String> {
        let contract = contract();
        query.check(&contract).unwrap();
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&create_table(&contract, &[]).unwrap()).unwrap();
        functions::register(&connection).unwrap();
        let select = Select::new(&contract, query);
        let page = select.page(after, 10);
        let sql = if sorted { select.sorted(&page) } else { select.in_order(&page) };
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = select.parameters().iter().chain(&page.parameters);
        let steps = statement.query_map(params_from_iter(parameters), |row| row.get(3)).unwrap();
        steps.collect::<Result<_, _>>().unwrap()
    }

    const FIRST_PAGE: &str = "SEARCH _t USING PRIMARY KEY (time_index>? AND time_index<?)";
    const NEXT_PAGE: &str = "SEARCH _t USING PRIMARY KEY ((time_index,name,id)>(?,?,?) AND time_index<?)";
    const LOOK_UP: &str = "SEARCH _ranges USING AUTOMATIC COVERING INDEX (_d0=? AND _d1=?)";

    #[test]
    fn the_primary_key_narrows_the_scan_and_sorts() {
        let after = IndexKey { time: Some(at(9)), coordinate: coordinate("a") };
        let plain = ReadQuery { range: range(3), ..ReadQuery::default() };
        assert_eq!(plan(&plain, None), [FIRST_PAGE]);
        assert_eq!(plan(&plain, Some(&after)), [NEXT_PAGE]);
        for query in [with_map(false), with_map(true)] {
            for (after, search) in [(None, FIRST_PAGE), (Some(&after), NEXT_PAGE)] {
                let plan = plan(&query, after);
                let whole = plan.join("\n");
                assert!(plan.iter().any(|step| step == search), "{whole}");
                assert!(plan.iter().any(|step| step.starts_with(LOOK_UP)), "{whole}");
                assert!(!whole.contains("ORDER BY"), "{whole}");
            }
        }
        let filtered = ReadQuery {
            dimension_filters: vec![("name".to_owned(), vec![CoordinateValue::Text("a".to_owned())])],
            index_coordinates: vec![vec![("id".to_owned(), CoordinateValue::Uuid(uuid::Uuid::nil()))]],
            ..plain
        };
        let plan = plan(&filtered, Some(&after));
        assert_eq!(plan[0], NEXT_PAGE);
        assert!(!plan.join("\n").contains("ORDER BY"), "{plan:?}");
    }

    #[test]
    fn last_observations_are_looked_up() {
        let held = |day| CoordinateProgress { min: at(0), max: at(day), rows: 1 };
        let progress: Progress =
            [(coordinate("a"), held(5)), (coordinate("b"), held(700))].into_iter().collect();
        let query = ReadQuery::default().last_observations(&contract(), &progress);
        let plan = plan(&query, None);
        assert_eq!(plan[0], "SEARCH _t USING PRIMARY KEY (time_index=? AND name=? AND id=?)", "{plan:?}");
        // These are found in another order: they are put aside before the first one is taken.
        let whole = plan.join("\n");
        assert!(whole.contains("ORDER BY"), "{whole}");
        let sorted = plan_of(&query, None, true).join("\n");
        assert!(sorted.starts_with("MATERIALIZE _page") && sorted.contains("ORDER BY"), "{sorted}");
        assert!(sorted.contains("SCAN _page"), "{sorted}");
    }

    #[test]
    fn a_map_alone_bounds_the_time() {
        let five_on = (5, i64::MAX);
        assert_eq!(bounds(&with_map(false)), five_on);
        assert_eq!(bounds(&ReadQuery { range: range(6), ..with_map(false) }), (6, i64::MAX));
        assert_eq!(bounds(&with_map(true)), (i64::MIN, i64::MAX));
        let nothing = RangeMap::default();
        let (start, end) = bounds(&ReadQuery { range_map: Some(nothing), ..ReadQuery::default() });
        assert!(start > end);
    }

    #[test]
    fn no_value_becomes_sql() {
        let hostile = "'); DROP TABLE t; --";
        let value = CoordinateValue::Text(hostile.to_owned());
        let query = ReadQuery {
            dimension_filters: vec![("name".to_owned(), vec![value.clone()])],
            index_coordinates: vec![vec![("name".to_owned(), value)]],
            range_map: Some(RangeMap {
                entries: vec![CoordinateRange { coordinate: coordinate(hostile), range: range(5) }],
                include_unlisted: true,
            }),
            ..ReadQuery::default()
        };
        let contract = contract();
        let after = IndexKey { time: Some(at(9)), coordinate: coordinate(hostile) };
        let harmless = {
            let mut query = query.clone();
            query.dimension_filters[0].1[0] = CoordinateValue::Text("a".to_owned());
            query.index_coordinates[0][0].1 = CoordinateValue::Text("a".to_owned());
            let after = IndexKey { time: Some(at(10)), coordinate: coordinate("a") };
            let select = Select::new(&contract, &query);
            select.in_order(&select.page(Some(&after), 11))
        };
        let select = Select::new(&contract, &query);
        assert_eq!(select.in_order(&select.page(Some(&after), 10)), harmless);
    }
}
