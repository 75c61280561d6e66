//! `datanode table show --plot`: a column over time, drawn in the terminal.
//!
//! Rows are read page by page and summed up into buckets, as many as the chart is wide: memory does not depend on
//! the rows. The axis comes from the table's progress, so that one pass is enough.

mod draw;
mod series;

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use datanode_core::Timestamp;
use datanode_core::contract::{Column, Contract, TableKind};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::progress::{CoordinateProgress, Progress};
use datanode_core::query::{Bound, ReadQuery, TimeRange};
use datanode_runtime::TableQuery;
use datanode_runtime::answers::HeldCoordinate;
use datanode_store::Table;
use serde_json::{Value, json};

use self::draw::{Glyphs, chart, short, sparkline};
use self::series::{Axis, Series};
use crate::args::PlotArguments;
use crate::commands::table_read::{does_not_fit, filters};
use crate::place::Place;
use crate::print::{self, Heading, Printer, count};
use crate::{cells, say};

/// Coordinates that are drawn; the rest are counted.
const SHOWN_COORDINATES: usize = 20;
/// Width in characters where standard output is no terminal.
const WIDTH: usize = 80;
/// Characters of a line that the axis of a chart takes, and those that the columns beside a sparkline take.
const BESIDE_CHART: usize = 12;
const BESIDE_SPARKLINE: usize = 48;
/// Characters beyond which nobody looks; bounds the memory too.
pub(crate) const MOST: u16 = 1_000;

/// Draw `column` of a table.
pub(crate) async fn show(
    table: &Table,
    column: &str,
    arguments: &PlotArguments,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<()> {
    let contract = &table.contract;
    if contract.kind == TableKind::Reference {
        let problem = "a reference table: it has no time to draw a column over";
        return Err(does_not_fit(contract, format!("table `{}` is {problem}", contract.identifier)));
    }
    let plotted = plottable(contract, column)?;
    let filters = filters(contract, &arguments.filters)?;
    let progress = progress(contract, &place.statistics(&table.uid).await?.progress)?;
    let found = matching(contract, &progress, &filters);
    let glyphs = Glyphs::of_locale(|name| std::env::var(name).ok());
    let width = width(arguments.width, found.len());
    let buckets = if printer.json || found.len() > 1 { width } else { glyphs.buckets(width) };
    let mut all = Vec::new();
    if let Some(axis) = axis(&found, arguments, buckets) {
        let shown = found.iter().take(SHOWN_COORDINATES);
        all.extend(shown.map(|(coordinate, _)| Series::new((*coordinate).clone(), axis)));
        let bound = |time| Some(Bound { time, inclusive: true });
        let mut query = ReadQuery {
            range: TimeRange { start: bound(axis.first()), end: bound(axis.last()) },
            columns: Some(vec![column.to_owned()]),
            dimension_filters: filters,
            ..ReadQuery::default()
        };
        if found.len() > SHOWN_COORDINATES {
            let names = contract.dimensions();
            query.index_coordinates = all
                .iter()
                .map(|series| names.iter().cloned().zip(series.coordinate.0.iter().cloned()).collect())
                .collect();
        }
        query.check(contract).map_err(|error| does_not_fit(contract, error))?;
        let reader = Reader::new(contract, &query, plotted, &all);
        let mut rows = place.rows(table, &TableQuery { query, last: false }).await?;
        while let Some(batch) = rows.next().await? {
            reader.take(&batch, &mut all);
        }
    }
    let answer = json!({
        "table": contract.identifier, "column": column, "coordinates": found.len(),
        "start": all.first().map(|series| series.axis.first()),
        "end": all.first().map(|series| series.axis.last()),
        "series": all.iter().map(Series::document).collect::<Vec<_>>(),
    });
    let height = usize::from(arguments.height);
    printer.show(&answer, || people(contract, column, arguments, &all, found.len(), glyphs, (width, height)))
}

fn people(
    contract: &Contract,
    column: &str,
    arguments: &PlotArguments,
    all: &[Series],
    coordinates: usize,
    glyphs: Glyphs,
    (width, height): (usize, usize),
) {
    let mut title = format!("{}: {column}", contract.identifier);
    if !arguments.filters.is_empty() {
        title += &format!(" where {}", print::visible(&arguments.filters.join(", ")));
    }
    let rows: u64 = all.iter().map(|series| series.rows).sum();
    if rows == 0 {
        say!("{title}: no rows to draw");
        return;
    }
    title += &format!(", {} rows", count(rows));
    let gaps: u64 = all.iter().map(|series| series.gaps).sum();
    if gaps > 0 {
        title += &format!(" and {} without a value", count(gaps));
    }
    if let [series] = all {
        say!("{title}");
        for line in chart(series, glyphs, width, height) {
            say!("{line}");
        }
        return;
    }
    if let Some(axis) = all.first().map(|series| series.axis) {
        title += &format!(", {} to {}", axis.first().short(), axis.last().short());
    }
    say!("{title}");
    let lines = all.iter().map(|series| {
        let (low, high) = series.range().unzip();
        let number = |value: Option<f64>| value.map_or("-".to_owned(), short);
        vec![
            series.coordinate.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            number(low),
            number(high),
            number(series.last),
            sparkline(series, glyphs),
        ]
    });
    let headings = [
        Heading::Text("coordinate"),
        Heading::Number("lowest"),
        Heading::Number("highest"),
        Heading::Number("last"),
        Heading::Text("each on its own scale"),
    ];
    print::table(&headings, lines.collect(), "");
    if coordinates > all.len() {
        say!("… and {} more coordinates; choose with --where DIMENSION=VALUE", coordinates - all.len());
    }
}

/// The column, when it holds numbers.
fn plottable<'c>(contract: &'c Contract, column: &str) -> anyhow::Result<&'c Column> {
    let is_index = |name: &str| contract.index.iter().any(|index| index == name);
    let fits = |column: &&Column| cells::is_number(column.data_type) && !is_index(&column.name);
    let found = contract.column(column);
    found.filter(fits).ok_or_else(|| {
        let numeric: Vec<&str> =
            contract.columns.iter().filter(fits).map(|column| column.name.as_str()).collect();
        let problem = match found {
            None => "has no column",
            Some(column) if is_index(&column.name) => "cannot be drawn over its index column",
            Some(_) => "has no numbers in column",
        };
        let known = if numeric.is_empty() { "none".to_owned() } else { numeric.join(", ") };
        let (table, column) = (&contract.identifier, print::visible(column));
        does_not_fit(
            contract,
            format!("table `{table}` {problem} `{column}`; columns that can be drawn: {known}"),
        )
    })
}

/// The progress that was told.
fn progress(contract: &Contract, held: &[HeldCoordinate]) -> anyhow::Result<Progress> {
    let types = contract.dimension_types();
    let one = |held: &HeldCoordinate| {
        let coordinate = Coordinate::from_values(&held.coordinate, &types)?;
        Ok((coordinate, CoordinateProgress { min: held.min, max: held.max, rows: held.rows }))
    };
    held.iter().map(one).collect()
}

/// Coordinates with rows that the filters keep, in order.
fn matching<'p>(
    contract: &Contract,
    progress: &'p Progress,
    filters: &[(String, Vec<CoordinateValue>)],
) -> Vec<(&'p Coordinate, &'p CoordinateProgress)> {
    let names = contract.dimensions();
    let places: Vec<(usize, &[CoordinateValue])> = filters
        .iter()
        .filter_map(|(name, values)| {
            Some((names.iter().position(|dimension| dimension == name)?, values.as_slice()))
        })
        .collect();
    let keeps = |coordinate: &Coordinate| {
        places
            .iter()
            .all(|(place, values)| coordinate.0.get(*place).is_some_and(|value| values.contains(value)))
    };
    progress.iter().filter(|(coordinate, _)| keeps(coordinate)).collect()
}

/// From the first to the last row that can be drawn; None when there is none.
fn axis(
    found: &[(&Coordinate, &CoordinateProgress)],
    arguments: &PlotArguments,
    buckets: usize,
) -> Option<Axis> {
    let first: Timestamp = found.iter().map(|(_, held)| held.min).min()?;
    let last: Timestamp = found.iter().map(|(_, held)| held.max).max()?;
    let first = arguments.start.map_or(first, |start| start.max(first));
    let last = arguments.end.map_or(last, |end| end.min(last));
    (first <= last).then(|| Axis::new(first, last, buckets))
}

/// Characters for the drawing itself.
fn width(asked: Option<u16>, coordinates: usize) -> usize {
    if let Some(asked) = asked {
        return asked.into();
    }
    let terminal = terminal_size::terminal_size_of(std::io::stdout());
    let line = terminal.map_or(WIDTH, |(width, _)| width.0.min(MOST).into());
    let beside = if coordinates > 1 { BESIDE_SPARKLINE } else { BESIDE_CHART };
    line.saturating_sub(beside).max(20)
}

/// Hands the rows of a page to their series.
struct Reader {
    /// Places of `time_index`, of the drawn column and of the dimensions in the batches that are read.
    time: usize,
    value: (usize, DataType),
    dimensions: Vec<(usize, DataType)>,
    series: HashMap<Coordinate, usize>,
}

impl Reader {
    fn new(contract: &Contract, query: &ReadQuery, plotted: &Column, all: &[Series]) -> Self {
        let columns = query.output_columns(contract);
        let place = |name: &str| columns.iter().position(|column| column.name == name).unwrap_or(0);
        let dimensions = contract.dimensions().iter().zip(contract.dimension_types());
        Self {
            time: contract.index.first().map_or(0, |name| place(name)),
            value: (place(&plotted.name), plotted.data_type),
            dimensions: dimensions.map(|(name, data_type)| (place(name), data_type)).collect(),
            series: all.iter().enumerate().map(|(at, series)| (series.coordinate.clone(), at)).collect(),
        }
    }

    fn take(&self, batch: &RecordBatch, all: &mut [Series]) {
        let times = batch.column(self.time).as_primitive::<TimestampMicrosecondType>();
        let values = batch.column(self.value.0);
        for row in 0..batch.num_rows() {
            let coordinate = self.dimensions.iter().filter_map(|(place, data_type)| {
                CoordinateValue::from_array(batch.column(*place), *data_type, row)
            });
            if let Some(at) = self.series.get(&Coordinate(coordinate.collect())) {
                all[*at].add(times.value(row), number(values, self.value.1, row));
            }
        }
    }
}

/// A cell as a number, by the same way in which it would be printed.
fn number(array: &ArrayRef, data_type: DataType, row: usize) -> Option<f64> {
    match cells::value(array, data_type, row) {
        Value::Number(number) => number.as_f64(),
        Value::String(decimal) => decimal.parse().ok(),
        _ => None,
    }
}
