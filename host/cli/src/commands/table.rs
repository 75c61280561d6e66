//! `datanode table`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use datanode_core::contract::{Contract, TableKind};
use datanode_runtime::answers::HeldCoordinate;
use datanode_store::{RegisteredTable, Table};

use super::{
    contract_file, delete_after, give, load, repoint, revision, search, table_diff, table_metadata,
    table_read, table_sql,
};
use crate::args::TableCommand;
use crate::failure::Failures;
use crate::home::Home;
use crate::place::Place;
use crate::plot;
use crate::print::{self, Heading, Printer, count};
use crate::say;

/// Coordinates that `table show` lists.
const SHOWN_COORDINATES: usize = 50;

pub(crate) async fn run(
    command: TableCommand,
    place: &Place,
    home: &Home,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    match command {
        TableCommand::Register { files } => return register(&files, place, printer).await,
        TableCommand::List => list(place, printer).await?,
        TableCommand::Show { table, plot: None, .. } => show(&table, place, printer).await?,
        TableCommand::Show { table, plot: Some(column), arguments } => {
            let table = place.table(&table).await?;
            plot::show(&table, &column, &arguments, place, printer).await?;
        }
        TableCommand::Read(arguments) => table_read::read(arguments, place, printer).await?,
        TableCommand::Digest { table } => table_read::digest(&table, place, printer).await?,
        TableCommand::Sql(arguments) => return table_sql::run(arguments, place, printer).await,
        TableCommand::Load(arguments) => load::run(arguments, place, printer).await?,
        TableCommand::DeleteAfter(arguments) => delete_after::run(arguments, place, printer).await?,
        TableCommand::Diff(arguments) => return table_diff::run(arguments, place, printer).await,
        TableCommand::Repoint(arguments) => repoint::run(arguments, place, printer).await?,
        TableCommand::Give(arguments) => return give::run(arguments, place, printer).await,
        TableCommand::Label(arguments) => table_metadata::label(arguments, place, printer).await?,
        TableCommand::Describe(arguments) => table_metadata::describe(arguments, place, printer).await?,
        TableCommand::RefreshSearchIndex { table } => search::refresh(&table, place, printer).await?,
        TableCommand::Revision(command) => return revision::run(command, place, home, printer).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn register(files: &[PathBuf], place: &Place, printer: Printer) -> anyhow::Result<ExitCode> {
    let mut registered = Vec::with_capacity(files.len());
    let mut failures = Failures::default();
    for file in files {
        registered.extend(failures.note(register_one(file, place).await));
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

async fn register_one(file: &Path, place: &Place) -> anyhow::Result<RegisteredTable> {
    let contract = contract_file::read(file, "datanode table register FILE")?;
    for warning in contract.warnings() {
        print::warning(&format!("{}: {warning}", file.display()));
    }
    place.register_table(&contract).await.map_err(|error| contract_file::at(error, file))
}

/// What the key of a table is called.
fn key_name(contract: &Contract) -> &'static str {
    match contract.kind {
        TableKind::TimeIndexed => "index",
        TableKind::Reference => "primary key",
    }
}

async fn list(place: &Place, printer: Printer) -> anyhow::Result<()> {
    let listed = place.tables().await?;
    printer.show(&listed, || {
        let rows = listed.iter().map(|listed| {
            let contract = &listed.table.contract;
            let time = |time: Option<datanode_core::Timestamp>| {
                time.map_or("-".to_owned(), datanode_core::Timestamp::short)
            };
            let coordinates = match contract.kind {
                TableKind::TimeIndexed => count(listed.coordinates),
                TableKind::Reference => "-".to_owned(),
            };
            vec![
                contract.identifier.clone(),
                count(listed.rows),
                coordinates,
                time(listed.min_time),
                time(listed.max_time),
                contract.cadence.map_or("-".to_owned(), |cadence| cadence.to_string()),
                print::first_line(&contract.description, 60),
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

async fn show(reference: &str, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let answer = place.table_detail(reference).await?;
    let (table, rows) = (&answer.listed.table, answer.listed.rows);
    let (referrers, writers) = (&answer.referred_to_by, &answer.nodes);
    let targets = targets(&table.contract, place).await?;
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
                    writers.join("\n")
                },
            ),
            ("description", contract.description.clone()),
        ]);
        if let Some(owner) = &table.owner {
            print::facts(&[("owner", format!("user {owner}"))]);
        }
        if !targets.is_empty() {
            print::facts(&[("refers to", targets.join("\n"))]);
        }
        if !referrers.is_empty() {
            let lines = referrers
                .iter()
                .map(|referrer| format!("{} ({})", referrer.table, referrer.columns.join(", ")));
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
        progress_table(&answer.progress);
    })
}

/// Print what a table holds, but for what is too long.
pub(super) fn progress_table(progress: &[HeldCoordinate]) {
    let rows = progress
        .iter()
        .take(SHOWN_COORDINATES)
        .map(|held| vec![format!("  {held}"), held.min.short(), held.max.short(), count(held.rows)]);
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
async fn targets(contract: &Contract, place: &Place) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::with_capacity(contract.foreign_keys.len());
    for key in &contract.foreign_keys {
        let target = place.table(&key.references.table).await?.contract.identifier;
        lines.push(format!(
            "({}) → {target} ({}), on delete {}",
            key.columns.join(", "),
            key.references.columns.join(", "),
            key.on_delete.sql().to_lowercase()
        ));
    }
    Ok(lines)
}
