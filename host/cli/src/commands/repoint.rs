//! `datanode table repoint`

use clap::Args;

use crate::place::Place;
use crate::print::{self, Printer};

#[derive(Debug, Args)]
#[command(
    after_help = "An identifier is published metadata: rows, uids and the hashes of nodes stay as they are. A node keeps the\n\
    tables that its config named when it was created; `datanode node show` tells which of these identifiers have\n\
    moved. --rename-old may be what the other table was called: then the two trade.\n\n\
    Example:\n  datanode table repoint fx_rates --to fx_rates_v2 --rename-old fx_rates_v1"
)]
pub(crate) struct RepointArguments {
    /// Identifier to move
    identifier: String,
    /// Identifier or uid of the table that takes it over
    #[arg(long, value_name = "TABLE")]
    to: String,
    /// What the table that holds the identifier is called from now on
    #[arg(long, value_name = "IDENTIFIER")]
    rename_old: Option<String>,
}

pub(crate) async fn run(arguments: RepointArguments, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let RepointArguments { identifier, to, rename_old } = arguments;
    let moved = place.repoint(&identifier, &to, rename_old.as_deref()).await?;
    printer.show(&moved, || {
        if moved.before == identifier {
            print::done(&format!("{identifier} is table {} already", moved.table.uid));
            return;
        }
        print::done(&format!(
            "{identifier} is table {} now, called {} before",
            moved.table.uid, moved.before
        ));
        if let Some(former) = &moved.former {
            print::done(&format!("{} is table {} now", former.contract.identifier, former.uid));
        }
    })
}
