//! `datanode table load`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use datanode_runtime::FileFormat;

use crate::place::Place;
use crate::print::{self, Printer, count};

#[derive(Debug, Args)]
#[command(
    after_help = "The file has the table's columns, in any order. A row whose primary key is there already is updated.\n\
    All rows of the file are stored, or none. In a CSV file an empty cell is a null; bytes are hexadecimal.\n\n\
    Examples:\n  datanode table load currencies currencies.csv\n  \
    datanode table load currencies all_currencies.parquet --replace"
)]
pub(crate) struct LoadArguments {
    /// Identifier or uid of a reference table
    table: String,
    /// CSV, Parquet or Arrow IPC (file or stream)
    file: PathBuf,
    /// What the file is [default: as its extension tells]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Make the file the whole content: rows that it does not have are deleted
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// RFC 4180, UTF-8, with a header line
    Csv,
    /// Apache Parquet
    Parquet,
    /// Arrow IPC, not compressed
    Arrow,
}

pub(crate) async fn run(arguments: LoadArguments, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let format = arguments.format.map(|format| match format {
        Format::Csv => FileFormat::Csv,
        Format::Parquet => FileFormat::Parquet,
        Format::Arrow => FileFormat::Arrow,
    });
    let LoadArguments { table, file, replace, .. } = arguments;
    let loaded = place.load_table(&table, &file, format, replace).await?;
    printer.show(&loaded, || {
        let deleted = if replace { format!(", {} deleted", count(loaded.deleted)) } else { String::new() };
        print::done(&format!(
            "{}: {} inserted, {} updated, {} unchanged{deleted}",
            loaded.table.contract.identifier,
            count(loaded.inserted),
            count(loaded.updated),
            count(loaded.unchanged)
        ));
    })
}
