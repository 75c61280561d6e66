//! `datanode table read` and `datanode table digest`

use std::fmt::Display;
use std::io::{BufWriter, ErrorKind, IsTerminal, Read, Write};
use std::path::Path;

use arrow_array::RecordBatch;
use datanode_core::contract::{Column, Contract};
use datanode_core::coordinate::CoordinateValue;
use datanode_core::query::{RangeMap, ReadQuery, TimeRange};
use datanode_core::query_text;
use datanode_runtime::answers::TableDigest;
use datanode_runtime::{AtomicFile, ExportFormat, RowsWriter, TableQuery};
use datanode_store::Table;
use serde_json::json;

use crate::args::{ReadArguments, RowFormat};
use crate::failure::{Failure, OrFail};
use crate::place::{Place, RowSource};
use crate::print::{self, Printer, count};
use crate::progress::RowCounter;
use crate::{cells, say, usage};

/// Rows of a table for people, unless they say otherwise.
const SHOWN_ROWS: u64 = 20;
/// The most rows of a table for people: it is kept in memory to be aligned.
const MOST_SHOWN_ROWS: u64 = 10_000;
/// The largest file with a range map.
const MAX_RANGE_MAP_BYTES: u64 = 64 << 20;

pub(crate) async fn read(arguments: ReadArguments, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let table = place.table(&arguments.table).await?;
    let format = format(&arguments, printer)?;
    let limit = match (format, arguments.limit) {
        (None, limit) => Some(match limit.unwrap_or(SHOWN_ROWS) {
            0 => MOST_SHOWN_ROWS,
            limit => limit.min(MOST_SHOWN_ROWS),
        }),
        (Some(_), None | Some(0)) => None,
        (Some(_), limit) => limit,
    };
    let query = query(&arguments, &table.contract, limit)?;
    if format.is_some_and(ExportFormat::is_binary)
        && arguments.output.is_none()
        && std::io::stdout().is_terminal()
    {
        return Err(Failure::usage("this format is binary, and a terminal cannot show it")
            .with_next_step("write it to a file: --output FILE")
            .into());
    }
    let mut reader = place.rows(&table, &query).await?;
    match (format, &arguments.output) {
        (None, _) => show(&mut reader).await,
        (Some(format), None) => write_out(&mut reader, format).await,
        (Some(format), Some(output)) => write_file(&mut reader, &table, format, (output, printer)).await,
    }
}

/// How rows are written; None: as a table for people.
fn format(arguments: &ReadArguments, printer: Printer) -> anyhow::Result<Option<ExportFormat>> {
    let by_ending = |place: &Path| match place.extension()?.to_str()? {
        "arrow" | "arrows" | "ipc" => Some(RowFormat::Arrow),
        "parquet" => Some(RowFormat::Parquet),
        "csv" => Some(RowFormat::Csv),
        "jsonl" | "ndjson" => Some(RowFormat::Jsonl),
        "json" => Some(RowFormat::Json),
        _ => None,
    };
    let format = match (arguments.format, &arguments.output) {
        (Some(RowFormat::Table), Some(_)) => {
            return Err(usage("a table for people is not written to a file: choose another --format"));
        }
        (Some(format), _) => format,
        // With --json beside a file, what is printed is JSON; the file is what its name says.
        (None, Some(place)) => by_ending(place).ok_or_else(|| {
            Failure::usage(format!("the ending of {} does not say a format", place.display()))
                .with_next_step("say it: --format arrow, parquet, csv, jsonl or json")
        })?,
        (None, None) if printer.json => RowFormat::Json,
        (None, None) => RowFormat::Table,
    };
    Ok(match format {
        RowFormat::Table if printer.json => Some(ExportFormat::Json),
        RowFormat::Table => None,
        RowFormat::Arrow => Some(ExportFormat::Arrow),
        RowFormat::Parquet => Some(ExportFormat::Parquet),
        RowFormat::Csv => Some(ExportFormat::Csv),
        RowFormat::Jsonl => Some(ExportFormat::JsonLines),
        RowFormat::Json => Some(ExportFormat::Json),
    })
}

fn query(arguments: &ReadArguments, contract: &Contract, limit: Option<u64>) -> anyhow::Result<TableQuery> {
    let coordinates = arguments.coordinates.iter().map(|text| {
        query_text::index_coordinate(contract, text).map_err(|error| does_not_fit(contract, error))
    });
    let query = ReadQuery {
        range: TimeRange { start: arguments.start, end: arguments.end },
        columns: arguments.columns.clone(),
        dimension_filters: filters(contract, &arguments.filters)?,
        index_coordinates: coordinates.collect::<Result<_, _>>()?,
        range_map: arguments.range_map.as_deref().map(|file| range_map(contract, file)).transpose()?,
        limit,
    };
    query.check(contract).map_err(|error| does_not_fit(contract, error))?;
    Ok(TableQuery { query, last: arguments.last })
}

/// A question that the table has no answer to.
pub(crate) fn does_not_fit(contract: &Contract, problem: impl Display) -> anyhow::Error {
    let step = format!("see its columns and its key: datanode table show {}", contract.identifier);
    Failure::usage(problem.to_string()).with_next_step(step).into()
}

fn range_map(contract: &Contract, file: &Path) -> anyhow::Result<RangeMap> {
    let name = file.display();
    let failed = |error: std::io::Error| usage(format!("{name}: {error}"));
    let mut text = String::new();
    let bytes = if file.as_os_str() == "-" {
        std::io::stdin().take(MAX_RANGE_MAP_BYTES + 1).read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(file).map_err(failed)?;
        file.take(MAX_RANGE_MAP_BYTES + 1).read_to_string(&mut text)
    };
    if bytes.map_err(failed)? as u64 > MAX_RANGE_MAP_BYTES {
        return Err(usage(format!("{name}: a range map has at most {MAX_RANGE_MAP_BYTES} bytes")));
    }
    query_text::range_map(contract, &text).map_err(|error| does_not_fit(contract, format!("{name}: {error}")))
}

/// Values by dimension: those of one dimension are alternatives.
pub(crate) fn filters(
    contract: &Contract,
    texts: &[String],
) -> anyhow::Result<Vec<(String, Vec<CoordinateValue>)>> {
    let mut filters: Vec<(String, Vec<CoordinateValue>)> = Vec::new();
    for text in texts {
        let (dimension, values) =
            query_text::dimension_filter(contract, text).map_err(|error| does_not_fit(contract, error))?;
        match filters.iter_mut().find(|(name, _)| *name == dimension) {
            Some((_, known)) => known.extend(values),
            None => filters.push((dimension, values)),
        }
    }
    Ok(filters)
}

async fn show(reader: &mut RowSource) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    while let Some(batch) = reader.next().await? {
        rows.extend((0..batch.num_rows()).map(|row| texts(reader.columns(), &batch, row)));
    }
    let numeric: Vec<bool> =
        reader.columns().iter().map(|column| cells::is_number(column.data_type)).collect();
    let names: Vec<String> = reader.columns().iter().map(|column| column.name.clone()).collect();
    print::rows(&names, &numeric, rows);
    if reader.is_cut().await? {
        say!(
            "… there are more rows; --limit 0 shows up to {}, --format csv or --output FILE all",
            count(MOST_SHOWN_ROWS)
        );
    }
    Ok(())
}

fn texts(columns: &[Column], batch: &RecordBatch, row: usize) -> Vec<String> {
    let cells = columns.iter().zip(batch.columns());
    cells
        .map(|(column, array)| cells::text(&cells::value(array, column.data_type, row), column.data_type))
        .collect()
}

/// Write to standard output. A reader that went away (`| head`) is not an error.
async fn write_out(reader: &mut RowSource, format: ExportFormat) -> anyhow::Result<()> {
    let gone = Gone::default();
    let out = BufWriter::new(Watched { out: std::io::stdout(), gone: gone.clone() });
    let outcome = async {
        let mut writer = RowsWriter::new(format, reader.columns(), out).or_fail()?;
        while let Some(batch) = reader.next().await? {
            writer.write(&batch).or_fail()?;
        }
        writer.finish().or_fail()?;
        Ok(())
    };
    match outcome.await {
        Err(_) if gone.is() => Ok(()),
        outcome => outcome,
    }
}

/// Whether the reader of standard output has gone away: the writers of formats pass on a text alone.
#[derive(Clone, Default)]
struct Gone(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Gone {
    fn is(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

struct Watched<W> {
    out: W,
    gone: Gone,
}

impl<W> Watched<W> {
    fn watch<T>(&self, outcome: std::io::Result<T>) -> std::io::Result<T> {
        if outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
            self.gone.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        outcome
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes);
        self.watch(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let flushed = self.out.flush();
        self.watch(flushed)
    }
}

async fn write_file(
    reader: &mut RowSource,
    table: &Table,
    format: ExportFormat,
    (place, printer): (&Path, Printer),
) -> anyhow::Result<()> {
    let failed = |error: std::io::Error| {
        Failure::machine(format!("{} cannot be written: {error}", place.display()))
            .with_code("export.write")
            .with_next_step("see that its directory is there, that there is room, and that it can be written")
    };
    let file = AtomicFile::begin(place).map_err(failed)?;
    let counter = RowCounter::start("writing rows", reader.rows_of_table);
    let mut writer = RowsWriter::new(format, reader.columns(), file).or_fail()?;
    let mut rows = 0;
    while let Some(batch) = reader.next().await? {
        writer.write(&batch).or_fail()?;
        rows += batch.num_rows() as u64;
        counter.set(rows);
    }
    writer.finish().or_fail()?.finish().map_err(failed)?;
    drop(counter);
    let answer = json!({
        "uid": table.uid, "table": table.contract.identifier, "rows": rows,
        "output": place.display().to_string(),
    });
    printer.show(&answer, || print::done(&format!("wrote {} rows to {}", count(rows), place.display())))
}

pub(crate) async fn digest(reference: &str, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let answer = place.digest(reference).await?;
    let TableDigest { digest, table, rows, .. } = &answer;
    printer.show(&answer, || say!("{digest}  {table} ({} rows)", count(*rows)))
}
