//! `datanode table`

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arrow_array::RecordBatch;
use datanode_core::contract::{Column, Contract, TableKind};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::progress::{CoordinateProgress, Progress};
use datanode_core::query::{Bound, ReadQuery, TimeRange};
use datanode_runtime::Host;
use datanode_store::{RegisteredTable, Table};
use serde_json::{Map, Value, json};

use super::{delete_after, load, repoint, revision, table_diff, table_metadata};
use crate::args::{ReadArguments, RowFormat, TableCommand};
use crate::failure::{Failure, Failures, OrFail};
use crate::home::Home;
use crate::print::{self, Heading, Printer, count};
use crate::say;
use crate::{cells, plot, usage};

/// Rows fetched at a time.
const PAGE: usize = 10_000;
/// Coordinates that `table show` lists.
const SHOWN_COORDINATES: usize = 50;

pub(crate) async fn run(
    command: TableCommand,
    host: &Host,
    home: &Home,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    match command {
        TableCommand::Register { files } => return register(&files, host, printer).await,
        TableCommand::List => list(host, printer).await?,
        TableCommand::Show { table, plot: None, .. } => show(&table, host, printer).await?,
        TableCommand::Show { table, plot: Some(column), arguments } => {
            let table = host.store().table(&table).await.or_fail()?;
            plot::show(&table, &column, &arguments, host, printer).await?;
        }
        TableCommand::Read(arguments) => read(arguments, host, printer).await?,
        TableCommand::Load(arguments) => load::run(arguments, host, printer).await?,
        TableCommand::DeleteAfter(arguments) => delete_after::run(arguments, host, printer).await?,
        TableCommand::Diff(arguments) => return table_diff::run(arguments, host, printer).await,
        TableCommand::Repoint(arguments) => repoint::run(arguments, host, printer).await?,
        TableCommand::Label(arguments) => table_metadata::label(arguments, host, printer).await?,
        TableCommand::Describe(arguments) => table_metadata::describe(arguments, host, printer).await?,
        TableCommand::Revision(command) => return revision::run(command, host, home, printer).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn register(files: &[PathBuf], host: &Host, printer: Printer) -> anyhow::Result<ExitCode> {
    let mut registered = Vec::with_capacity(files.len());
    let mut failures = Failures::default();
    for file in files {
        registered.extend(failures.note(register_one(file, host).await));
    }
    printer.show(&registered, || {
        for table in &registered {
            let verb = match (table.created, table.changes.is_empty()) {
                (true, _) => "registered",
                (false, true) => "already there:",
                (false, false) => "changed the metadata of",
            };
            let Table { uid, contract, .. } = &table.value;
            print::done(&format!(
                "{verb} table {} ({uid}), {} ({})",
                contract.identifier,
                key_name(contract),
                contract.key().join(", ")
            ));
            for change in &table.changes {
                say!("  {}", print::visible(&change.to_string()));
            }
        }
    })?;
    Ok(failures.report(printer.json))
}

async fn register_one(file: &Path, host: &Host) -> anyhow::Result<RegisteredTable> {
    let name = file.display().to_string();
    let contract = contract_of(file)?;
    for warning in contract.warnings() {
        print::warning(&format!("{name}: {warning}"));
    }
    Ok(host.register_table(&contract).await.map_err(|error| {
        let failure = Failure::of(&error).at(&name);
        // The commands that it proposes are to be run as they stand.
        let step = failure.next_step.as_ref().map(|step| step.replace("FILE", &name));
        Failure { next_step: step, ..failure }
    })?)
}

/// Read and check a contract's file: JSON by its ending, else TOML.
pub(super) fn contract_of(file: &Path) -> anyhow::Result<Contract> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| usage(format!("{name}: {error}")))?;
    let is_json = file.extension().is_some_and(|extension| extension == "json");
    let contract = if is_json { Contract::from_json(&text) } else { Contract::from_toml(&text) };
    Ok(contract.map_err(|error| Failure::of(&error).at(&name))?)
}

/// What the key of a table is called.
fn key_name(contract: &Contract) -> &'static str {
    match contract.kind {
        TableKind::TimeIndexed => "index",
        TableKind::Reference => "primary key",
    }
}

async fn list(host: &Host, printer: Printer) -> anyhow::Result<()> {
    let tables = host.store().tables().await.or_fail()?;
    let mut snapshot = host.store().snapshot().await.or_fail()?;
    let mut listed = Vec::with_capacity(tables.len());
    for table in tables {
        let progress = snapshot.progress(&table).await.or_fail()?;
        let rows = snapshot.row_count(&table).await.or_fail()?;
        listed.push((table, progress, rows));
    }
    let documents: Vec<Value> =
        listed.iter().map(|(table, progress, rows)| document(table, progress, *rows)).collect();
    printer.show(&documents, || {
        let rows = listed.iter().map(|(table, progress, rows)| {
            let time = |time: Option<datanode_core::Timestamp>| {
                time.map_or("-".to_owned(), datanode_core::Timestamp::short)
            };
            let coordinates = match table.contract.kind {
                TableKind::TimeIndexed => count(progress.len() as u64),
                TableKind::Reference => "-".to_owned(),
            };
            vec![
                table.contract.identifier.clone(),
                count(*rows),
                coordinates,
                time(progress.min_time()),
                time(progress.max_time()),
                table.contract.cadence.map_or("-".to_owned(), |cadence| cadence.to_string()),
                print::first_line(&table.contract.description, 60),
            ]
        });
        let headings = [
            Heading::Text("table"),
            Heading::Number("rows"),
            Heading::Number("coordinates"),
            Heading::Text("first"),
            Heading::Text("last"),
            Heading::Text("cadence"),
            Heading::Text("description"),
        ];
        print::table(
            &headings,
            rows.collect(),
            "no tables yet; add one: datanode table register my_table.toml",
        );
    })
}

fn document(table: &Table, progress: &Progress, rows: u64) -> Value {
    json!({
        "uid": table.uid, "contract": table.contract, "epoch": table.epoch, "created_at": table.created_at,
        "rows": rows, "coordinates": progress.len(),
        "min_time": progress.min_time(), "max_time": progress.max_time(),
    })
}

async fn show(reference: &str, host: &Host, printer: Printer) -> anyhow::Result<()> {
    let table = host.store().table(reference).await.or_fail()?;
    let mut snapshot = host.store().snapshot().await.or_fail()?;
    let progress = snapshot.progress(&table).await.or_fail()?;
    let rows = snapshot.row_count(&table).await.or_fail()?;
    drop(snapshot);
    let referrers = host.store().referrers(&table.uid).await.or_fail()?;
    let targets = targets(&table.contract, host).await?;
    let nodes = host.store().nodes().await.or_fail()?;
    let writers: Vec<_> = nodes.into_iter().filter(|node| node.table_uid == table.uid).collect();
    let mut answer = document(&table, &progress, rows);
    answer["progress"] = progress_document(&progress);
    answer["referred_to_by"] = referrers
        .iter()
        .map(|referrer| json!({"uid": referrer.table_uid, "table": referrer.table, "columns": referrer.foreign_key.columns}))
        .collect();
    answer["nodes"] = writers.iter().map(|node| Value::from(node.update_hash.clone())).collect();
    printer.show(&answer, || {
        let contract = &table.contract;
        print::facts(&[
            ("table", contract.identifier.clone()),
            ("uid", table.uid.clone()),
            ("namespace", contract.namespace.clone().unwrap_or_else(|| "-".to_owned())),
            ("labels", if contract.labels.is_empty() { "-".to_owned() } else { contract.labels.join(", ") }),
            ("cadence", contract.cadence.map_or("-".to_owned(), |cadence| cadence.to_string())),
            (key_name(contract), contract.key().join(", ")),
            ("rows", count(rows)),
            (
                "written by",
                if contract.kind == TableKind::Reference {
                    format!("datanode table load {} FILE", contract.identifier)
                } else if writers.is_empty() {
                    "no node yet".to_owned()
                } else {
                    writers.iter().map(|node| node.update_hash.as_str()).collect::<Vec<_>>().join("\n")
                },
            ),
            ("description", contract.description.clone()),
        ]);
        if !targets.is_empty() {
            print::facts(&[("refers to", targets.join("\n"))]);
        }
        if !referrers.is_empty() {
            let lines = referrers
                .iter()
                .map(|referrer| format!("{} ({})", referrer.table, referrer.foreign_key.columns.join(", ")));
            print::facts(&[("referred to by", lines.collect::<Vec<_>>().join("\n"))]);
        }
        say!("\ncolumns");
        let rows = contract.columns.iter().map(|column| {
            let place = contract.key().iter().position(|name| *name == column.name);
            let key = if contract.kind == TableKind::TimeIndexed { "index" } else { "key" };
            vec![
                format!("  {}", column.name),
                column.data_type.to_string(),
                if column.nullable { "null".to_owned() } else { String::new() },
                place.map_or(String::new(), |place| format!("{key} {}", place + 1)),
                print::first_line(&column.description, 80),
            ]
        });
        let headings = [
            Heading::Text("  column"),
            Heading::Text("type"),
            Heading::Text("null"),
            Heading::Text("key"),
            Heading::Text("description"),
        ];
        print::table(&headings, rows.collect(), "");
        if contract.kind == TableKind::Reference {
            return;
        }
        say!("\nprogress");
        progress_table(&progress);
    })
}

/// What a table holds, coordinate by coordinate.
pub(super) fn progress_document(progress: &Progress) -> Value {
    let one = |(coordinate, held): (&Coordinate, &CoordinateProgress)| json!({"coordinate": values(coordinate), "min": held.min, "max": held.max, "rows": held.rows});
    progress.iter().map(one).collect()
}

/// The values of a coordinate, in the order of its dimensions.
pub(super) fn values(coordinate: &Coordinate) -> Vec<Value> {
    serde_json::from_str(&coordinate.to_json()).unwrap_or_default()
}

/// Print it, but for what is too long.
pub(super) fn progress_table(progress: &Progress) {
    let rows = progress.iter().take(SHOWN_COORDINATES).map(|(coordinate, held)| {
        vec![format!("  {coordinate}"), held.min.short(), held.max.short(), count(held.rows)]
    });
    let headings = [
        Heading::Text("  coordinate"),
        Heading::Text("first"),
        Heading::Text("last"),
        Heading::Number("rows"),
    ];
    print::table(&headings, rows.collect(), "  no rows yet");
    if progress.len() > SHOWN_COORDINATES {
        say!("  … and {} more (--json shows all)", progress.len() - SHOWN_COORDINATES);
    }
}

/// The foreign keys of a table, with the identifiers that their tables have now.
async fn targets(contract: &Contract, host: &Host) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::with_capacity(contract.foreign_keys.len());
    for key in &contract.foreign_keys {
        let target = host.store().table(&key.references.table).await.or_fail()?.contract.identifier;
        lines.push(format!(
            "({}) → {target} ({}), on delete {}",
            key.columns.join(", "),
            key.references.columns.join(", "),
            key.on_delete.sql().to_lowercase()
        ));
    }
    Ok(lines)
}

async fn read(arguments: ReadArguments, host: &Host, printer: Printer) -> anyhow::Result<()> {
    let table = host.store().table(&arguments.table).await.or_fail()?;
    let bound = |time| Bound { time, inclusive: true };
    let query = ReadQuery {
        range: TimeRange { start: arguments.start.map(bound), end: arguments.end.map(bound) },
        columns: arguments.columns,
        dimension_filters: filters(&table.contract, &arguments.filters)?,
        ..ReadQuery::default()
    };
    query.check(&table.contract).map_err(|error| usage(error.to_string()))?;
    let columns = query.output_columns(&table.contract);
    let format = if printer.json { RowFormat::Json } else { arguments.format };
    let mut sink = Sink::new(format, &columns);
    let mut left = if arguments.limit == 0 { u64::MAX } else { arguments.limit };
    let snapshot = host.store().snapshot().await.or_fail()?;
    let rows_of = snapshot.read(&table, &query);
    let mut after = None;
    while left > 0 {
        let rows = usize::try_from(left).unwrap_or(PAGE).min(PAGE);
        let Some(page) = rows_of.page(after.as_ref(), rows).await.or_fail()? else {
            break;
        };
        left -= page.batch.num_rows() as u64;
        // A reader that went away (`| head`) is not an error.
        if sink.write(&page.batch).is_err() {
            return Ok(());
        }
        after = Some(page.last);
    }
    let cut = left == 0 && rows_of.page(after.as_ref(), 1).await.or_fail()?.is_some();
    if sink.finish().is_ok() && cut && format == RowFormat::Table {
        say!("… there are more rows; --limit 0 shows all");
    }
    Ok(())
}

pub(crate) fn filters(
    contract: &Contract,
    texts: &[String],
) -> anyhow::Result<Vec<(String, Vec<CoordinateValue>)>> {
    let mut filters: Vec<(String, Vec<CoordinateValue>)> = Vec::new();
    for text in texts {
        let (dimension, value) =
            text.split_once('=').ok_or_else(|| usage(format!("`{text}` is not DIMENSION=VALUE")))?;
        let column = contract
            .column(dimension)
            .filter(|_| contract.key_dimensions().iter().any(|name| name == dimension));
        let column = column.ok_or_else(|| {
            usage(format!(
                "table `{}` has no {} `{dimension}`; it has {}",
                contract.identifier,
                match contract.kind {
                    TableKind::TimeIndexed => "identity dimension",
                    TableKind::Reference => "primary key column",
                },
                contract.key_dimensions().join(", ")
            ))
        })?;
        let value =
            CoordinateValue::parse(value, column.data_type).map_err(|error| usage(error.to_string()))?;
        match filters.iter_mut().find(|(name, _)| name == dimension) {
            Some((_, values)) => values.push(value),
            None => filters.push((dimension.to_owned(), vec![value])),
        }
    }
    Ok(filters)
}

/// Writes rows in one format. Only the aligned table keeps them until the end.
struct Sink {
    format: RowFormat,
    columns: Vec<Column>,
    out: BufWriter<std::io::Stdout>,
    rows: Vec<Vec<String>>,
    written: u64,
}

impl Sink {
    fn new(format: RowFormat, columns: &[&Column]) -> Self {
        let columns = columns.iter().map(|column| (*column).clone()).collect();
        Self { format, columns, out: BufWriter::new(std::io::stdout()), rows: Vec::new(), written: 0 }
    }

    fn write(&mut self, batch: &RecordBatch) -> std::io::Result<()> {
        if self.written == 0 && self.format == RowFormat::Csv {
            self.header()?;
        }
        for row in 0..batch.num_rows() {
            let values = self
                .columns
                .iter()
                .zip(batch.columns())
                .map(|(column, array)| cells::value(array, column.data_type, row));
            match self.format {
                RowFormat::Table => {
                    let texts = values
                        .zip(&self.columns)
                        .map(|(value, column)| cells::text(&value, column.data_type));
                    self.rows.push(texts.collect());
                }
                RowFormat::Csv => {
                    let line: Vec<String> = values.map(|value| csv_cell(&value)).collect();
                    writeln!(self.out, "{}", line.join(","))?;
                }
                RowFormat::Jsonl | RowFormat::Json => {
                    let names = self.columns.iter().map(|column| column.name.clone());
                    let object = Value::Object(names.zip(values).collect::<Map<_, _>>());
                    let lead = match self.format {
                        RowFormat::Jsonl => "",
                        _ if self.written == 0 => "[",
                        _ => ",\n",
                    };
                    write!(self.out, "{lead}{object}")?;
                    if self.format == RowFormat::Jsonl {
                        writeln!(self.out)?;
                    }
                }
            }
            self.written += 1;
        }
        Ok(())
    }

    fn header(&mut self) -> std::io::Result<()> {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        writeln!(self.out, "{}", names.join(","))
    }

    fn finish(mut self) -> std::io::Result<()> {
        match self.format {
            RowFormat::Table => {
                let numeric: Vec<bool> =
                    self.columns.iter().map(|column| cells::is_number(column.data_type)).collect();
                let names: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
                print::rows(&names, &numeric, self.rows);
            }
            RowFormat::Csv if self.written == 0 => self.header()?,
            RowFormat::Json if self.written == 0 => writeln!(self.out, "[]")?,
            RowFormat::Json => writeln!(self.out, "]")?,
            RowFormat::Csv | RowFormat::Jsonl => {}
        }
        self.out.flush()
    }
}

/// RFC 4180: texts with a comma, quote or line break are quoted.
fn csv_cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}
