//! `datanode stats`

use std::process::ExitCode;

use clap::Subcommand;
use datanode_core::contract::TableKind;
use datanode_core::progress::CoordinateProgress;
use datanode_runtime::Host;
use datanode_store::{ProgressDifference, Table};
use serde_json::{Value, json};

use super::table::{progress_document, progress_table, values};
use crate::failure::OrFail;
use crate::print::{self, Heading, Printer, count};
use crate::{say, usage};

#[derive(Debug, Subcommand)]
pub(crate) enum StatsCommand {
    /// Show the progress of a table, coordinate by coordinate
    #[command(after_help = "Nothing is counted: commits keep progress with the rows.\n\n\
        Example:\n  datanode stats show fx_log_returns")]
    Show {
        /// Identifier or uid of a time-indexed table
        table: String,
    },
    /// Count the rows of tables anew and compare with the progress that is kept
    #[command(
        after_help = "Reads every row. Writers are not held up: each table is counted in one snapshot.\n\
        The exit code is 1 when a table differs: somebody has changed rows behind the back of the catalogue.\n\n\
        Examples:\n  datanode stats verify\n  datanode stats verify fx_log_returns fx_ecb_daily_rates"
    )]
    Verify {
        /// Identifiers or uids of time-indexed tables [default: all]
        tables: Vec<String>,
    },
}

pub(crate) async fn run(command: StatsCommand, host: &Host, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        StatsCommand::Show { table } => show(&table, host, printer).await,
        StatsCommand::Verify { tables } => verify(&tables, host, printer).await,
    }
}

async fn time_indexed(reference: &str, host: &Host) -> anyhow::Result<Table> {
    let table = host.store().table(reference).await.or_fail()?;
    if table.contract.kind == TableKind::TimeIndexed {
        return Ok(table);
    }
    let name = &table.contract.identifier;
    Err(usage(format!("table `{name}` is a reference table: it has no times, and so no progress")))
}

async fn show(reference: &str, host: &Host, printer: Printer) -> anyhow::Result<ExitCode> {
    let table = time_indexed(reference, host).await?;
    let progress = host.store().snapshot().await.or_fail()?.progress(&table).await.or_fail()?;
    let answer = json!({
        "uid": table.uid, "table": table.contract.identifier, "rows": progress.rows(),
        "coordinates": progress.len(), "min_time": progress.min_time(), "max_time": progress.max_time(),
        "progress": progress_document(&progress),
    });
    printer.show(&answer, || {
        let coordinates = count(progress.len() as u64);
        print::facts(&[
            ("table", table.contract.identifier.clone()),
            ("rows", count(progress.rows())),
            ("coordinates", coordinates),
        ]);
        progress_table(&progress);
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn verify(references: &[String], host: &Host, printer: Printer) -> anyhow::Result<ExitCode> {
    let tables = if references.is_empty() {
        let mut tables = host.store().tables().await.or_fail()?;
        tables.retain(|table| table.contract.kind == TableKind::TimeIndexed);
        tables
    } else {
        let mut tables = Vec::with_capacity(references.len());
        for reference in references {
            tables.push(time_indexed(reference, host).await?);
        }
        tables
    };
    let mut verified = Vec::with_capacity(tables.len());
    for table in tables {
        let differences = host.store().verify_progress(&table.uid).await.or_fail()?;
        verified.push((table, differences));
    }
    let answer: Vec<Value> =
        verified.iter().map(|(table, differences)| document(table, differences)).collect();
    let is_right = verified.iter().all(|(_, differences)| differences.is_empty());
    printer.show(&answer, || {
        let lines: Vec<_> = verified
            .iter()
            .flat_map(|(table, differences)| differences.iter().map(|difference| line(table, difference)))
            .collect();
        if is_right {
            print::done(&format!(
                "the progress of {} tables is what their rows say",
                count(verified.len() as u64)
            ));
            return;
        }
        let headings = [
            Heading::Text("table"),
            Heading::Text("coordinate"),
            Heading::Number("rows kept"),
            Heading::Number("counted"),
            Heading::Text("first kept"),
            Heading::Text("counted"),
            Heading::Text("last kept"),
            Heading::Text("counted"),
        ];
        print::table(&headings, lines, "");
        say!("next: put the last backup back: datanode restore FILE --force");
    })?;
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn document(table: &Table, differences: &[ProgressDifference]) -> Value {
    let held = |held: &Option<CoordinateProgress>| {
        held.map(|held| json!({"min": held.min, "max": held.max, "rows": held.rows}))
    };
    let differences: Vec<Value> = differences
        .iter()
        .map(|difference| {
            json!({
                "coordinate": values(&difference.coordinate), "kept": held(&difference.kept),
                "counted": held(&difference.counted),
            })
        })
        .collect();
    json!({"uid": table.uid, "table": table.contract.identifier, "differences": differences})
}

fn line(table: &Table, difference: &ProgressDifference) -> Vec<String> {
    let ProgressDifference { coordinate, kept, counted } = difference;
    let mut line = vec![table.contract.identifier.clone(), coordinate.to_string()];
    let cells: [fn(&CoordinateProgress) -> String; 3] =
        [|held| count(held.rows), |held| held.min.short(), |held| held.max.short()];
    for cell in cells {
        line.extend([kept, counted].map(|held| held.as_ref().map_or("-".to_owned(), cell)));
    }
    line
}
