//! `datanode table diff`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use datanode_core::diagnostic::shell_word;
use datanode_runtime::answers::{ChangeEntry, DifferenceDocument};

use super::contract_file;
use crate::failure::Failure;
use crate::place::Place;
use crate::print::{self, Printer};
use crate::say;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes are those of `diff`: 0 when the two mean the same, 1 when they differ. Nothing is changed.\n\
    A column is known by its field id: a renamed one is found when its `id` stands in the file.\n\n\
    Example:\n  datanode table diff contracts/fx_log_returns.toml"
)]
pub(crate) struct DiffArguments {
    /// Contract file, TOML or JSON
    file: PathBuf,
}

pub(crate) async fn run(
    arguments: DiffArguments,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let name = arguments.file.display().to_string();
    let contract = contract_file::read(&arguments.file, "datanode table diff FILE")?;
    let file = shell_word(&name);
    let mut answer: DifferenceDocument = match place.difference(&contract).await {
        Ok(answer) => answer,
        Err(error) => return Err(not_registered(contract_file::at(error, &arguments.file), &file)),
    };
    for command in &mut answer.next {
        *command = command.replace("FILE", &file);
    }
    printer.show(&answer, || {
        if answer.changes.is_empty() {
            print::done(&format!("{name} and table {} mean the same", answer.table));
            return;
        }
        say!("{name} differs from table {} ({}):", answer.table, answer.uid);
        for ChangeEntry { reach, text, .. } in &answer.changes {
            say!("  {:<9} {}", reach.as_str(), print::visible(text));
        }
        for command in &answer.next {
            say!("next: {command}");
        }
    })?;
    Ok(if answer.changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A table that is not there can be registered.
fn not_registered(error: anyhow::Error, file: &str) -> anyhow::Error {
    match error.downcast::<Failure>() {
        Ok(failure) if failure.code == "store.table_not_found" => {
            failure.with_next_step(format!("register it: datanode table register {file}")).into()
        }
        Ok(failure) => failure.into(),
        Err(error) => error,
    }
}
