//! `datanode stats`

use std::process::ExitCode;

use clap::Subcommand;
use datanode_core::contract::TableKind;
use datanode_core::progress::CoordinateProgress;
use datanode_runtime::answers::{CoordinateDifference, VerifiedTable};
use datanode_store::Table;

use super::table::progress_table;
use crate::place::Place;
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

pub(crate) async fn run(command: StatsCommand, place: &Place, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        StatsCommand::Show { table } => show(&table, place, printer).await,
        StatsCommand::Verify { tables } => verify(&tables, place, printer).await,
    }
}

async fn time_indexed(reference: &str, place: &Place) -> anyhow::Result<Table> {
    let table = place.table(reference).await?;
    if table.contract.kind == TableKind::TimeIndexed {
        return Ok(table);
    }
    let name = &table.contract.identifier;
    Err(usage(format!("table `{name}` is a reference table: it has no times, and so no progress")))
}

async fn show(reference: &str, place: &Place, printer: Printer) -> anyhow::Result<ExitCode> {
    let table = time_indexed(reference, place).await?;
    let answer = place.statistics(&table.uid).await?;
    printer.show(&answer, || {
        print::facts(&[
            ("table", answer.table.clone()),
            ("rows", count(answer.rows)),
            ("coordinates", count(answer.coordinates)),
        ]);
        progress_table(&answer.progress);
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn verify(references: &[String], place: &Place, printer: Printer) -> anyhow::Result<ExitCode> {
    let mut uids = Vec::new();
    if references.is_empty() {
        let listed = place.tables().await?.into_iter().map(|listed| listed.table);
        let tables = listed.filter(|table| table.contract.kind == TableKind::TimeIndexed);
        uids.extend(tables.map(|table| table.uid));
    }
    for reference in references {
        uids.push(time_indexed(reference, place).await?.uid);
    }
    let mut verified = Vec::with_capacity(uids.len());
    for uid in uids {
        verified.push(place.verified(&uid).await?);
    }
    let is_right = verified.iter().all(|table| table.differences.is_empty());
    printer.show(&verified, || {
        let lines: Vec<_> = verified
            .iter()
            .flat_map(|table| table.differences.iter().map(|difference| line(table, difference)))
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

fn line(table: &VerifiedTable, difference: &CoordinateDifference) -> Vec<String> {
    let CoordinateDifference { kept, counted, .. } = difference;
    let mut line = vec![table.table.clone(), difference.to_string()];
    let cells: [fn(&CoordinateProgress) -> String; 3] =
        [|held| count(held.rows), |held| held.min.short(), |held| held.max.short()];
    for cell in cells {
        line.extend([kept, counted].map(|held| held.as_ref().map_or("-".to_owned(), cell)));
    }
    line
}
