//! `datanode table`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use datanode_core::contract::{Contract, TableKind};
use datanode_core::coordinate::Coordinate;
use datanode_core::progress::{CoordinateProgress, Progress};
use datanode_runtime::Host;
use datanode_store::{RegisteredTable, Table};
use serde_json::{Value, json};

use super::{
    contract_file, delete_after, load, repoint, revision, table_diff, table_metadata, table_read, table_sql,
};
use crate::args::TableCommand;
use crate::failure::{Failures, OrFail};
use crate::home::Home;
use crate::plot;
use crate::print::{self, Heading, Printer, count};
use crate::say;

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
        TableCommand::Read(arguments) => table_read::read(arguments, host, printer).await?,
        TableCommand::Digest { table } => table_read::digest(&table, host, printer).await?,
        TableCommand::Sql(arguments) => return table_sql::run(arguments, host, printer).await,
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
    let contract = contract_file::read(file, "datanode table register FILE")?;
    for warning in contract.warnings() {
        print::warning(&format!("{}: {warning}", file.display()));
    }
    Ok(host.register_table(&contract).await.map_err(|error| contract_file::failure(&error, file))?)
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
        show_checks(contract);
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

/// What is demanded of the rows of runs.
fn show_checks(contract: &Contract) {
    if contract.checks.is_empty() {
        return;
    }
    say!("\nchecks");
    let rows = contract.checks.iter().map(|check| {
        vec![
            format!("  {}", check.name),
            check.severity.as_str().to_owned(),
            print::first_line(&check.to_string(), 100),
            print::first_line(&check.description, 80),
        ]
    });
    let headings = [
        Heading::Text("  check"),
        Heading::Text("severity"),
        Heading::Text("demands"),
        Heading::Text("description"),
    ];
    print::table(&headings, rows.collect(), "");
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
