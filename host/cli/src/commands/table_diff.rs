//! `datanode table diff`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use datanode_core::diagnostic::shell_word;
use datanode_core::difference::{Change, Reach, farthest};
use datanode_runtime::Host;
use datanode_store::StoreError;
use serde::Serialize;

use super::contract_file;
use crate::failure::OrFail;
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

/// What differs, and the ways on.
#[derive(Debug, Serialize)]
struct Answer {
    uid: String,
    table: String,
    /// The farthest reach; null when nothing differs.
    reach: Option<Reach>,
    changes: Vec<Entry>,
    /// Commands that apply the file.
    next: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Entry {
    reach: Reach,
    #[serde(flatten)]
    change: Change,
    /// The change in words.
    text: String,
}

pub(crate) async fn run(arguments: DiffArguments, host: &Host, printer: Printer) -> anyhow::Result<ExitCode> {
    let name = arguments.file.display().to_string();
    let contract = contract_file::read(&arguments.file, "datanode table diff FILE")?;
    let difference = match host.store().table_difference(&contract).await {
        Err(error @ StoreError::NotFound { .. }) => {
            let step = format!("register it: datanode table register {}", shell_word(&name));
            return Err(contract_file::failure(&error, &arguments.file).with_next_step(step).into());
        }
        Err(error) => return Err(contract_file::failure(&error, &arguments.file).into()),
        found => found.or_fail()?,
    };
    let reach = farthest(&difference.changes);
    let identifier = difference.table.contract.identifier.clone();
    let file = shell_word(&name);
    let next = match reach {
        None => Vec::new(),
        Some(Reach::Metadata) => vec![format!("datanode table register {file}")],
        Some(_) => vec![
            format!("datanode table revision {identifier} --autogenerate {file} -m \"...\""),
            format!("datanode table register {file}, with another identifier in it"),
        ],
    };
    let changes = difference.changes.into_iter();
    let changes = changes.map(|change| Entry { reach: change.reach(), text: change.to_string(), change });
    let answer =
        Answer { uid: difference.table.uid, table: identifier, reach, changes: changes.collect(), next };
    printer.show(&answer, || {
        if answer.changes.is_empty() {
            print::done(&format!("{name} and table {} mean the same", answer.table));
            return;
        }
        say!("{name} differs from table {} ({}):", answer.table, answer.uid);
        for Entry { reach, text, .. } in &answer.changes {
            say!("  {:<9} {}", reach.as_str(), print::visible(text));
        }
        for command in &answer.next {
            say!("next: {command}");
        }
    })?;
    Ok(if answer.changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
