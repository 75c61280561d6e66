//! `datanode table give`

use std::process::ExitCode;

use clap::Args;

use crate::place::Place;
use crate::print::{self, Printer};

#[derive(Debug, Args)]
#[command(
    after_help = "Whoever registers a table by a token owns it, and is its admin, whatever its roles; a table that was\n\
    registered on the database itself belongs to nobody.\n\n\
    Examples:\n  datanode table give fx_log_returns --to ada\n  datanode table give fx_log_returns --to-nobody"
)]
pub(crate) struct GiveArguments {
    /// Identifier or uid
    table: String,
    /// User who owns it from now on
    #[arg(long, value_name = "USER", required_unless_present = "to_nobody", conflicts_with = "to_nobody")]
    to: Option<String>,
    /// Nobody owns it from now on
    #[arg(long)]
    to_nobody: bool,
}

pub(crate) async fn run(
    arguments: GiveArguments,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let GiveArguments { table, to, .. } = arguments;
    let table = place.give_table(&table, to.as_deref()).await?;
    printer.show(&table, || {
        let whose = to.as_ref().map_or("nobody".to_owned(), |user| format!("`{user}`"));
        print::done(&format!("table `{}` belongs to {whose}", table.contract.identifier));
    })?;
    Ok(ExitCode::SUCCESS)
}
