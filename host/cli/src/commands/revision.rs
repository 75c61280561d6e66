//! `datanode table revision`, `upgrade`, `downgrade`, `current`, `history`, `refresh`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args, Subcommand};
use datanode_core::ErrorClass;
use datanode_core::contract::Contract;
use datanode_runtime::{Direction, Standing, Step, WrittenRevision};

use crate::failure;
use crate::home::Home;
use crate::place::{Place, StepsMade};
use crate::print::{self, Heading, Printer, count};
use crate::{say, usage};

#[derive(Debug, Subcommand)]
pub(crate) enum RevisionCommand {
    /// Write a revision: a folder with the SQL that moves a table to another contract, to be read and edited
    #[command(
        after_help = "Nothing is applied: read the folder, then `datanode table upgrade`. After an edit of its files --seal takes\n\
        the edit over. Without --autogenerate the SQL is for you to write. There are two files of SQL for SQLite and two for\n\
        PostgreSQL; a database reads its own, and --complete writes them where they are missing.\n\n\
        Examples:\n  datanode table revision fx_ecb_daily_rates -m \"add the source\" --autogenerate new.toml\n  \
        datanode table revision fx_ecb_daily_rates --seal 1f0c",
        group = ArgGroup::new("what").required(true).args(["message", "seal", "complete"])
    )]
    Revision {
        /// Identifier or uid
        table: String,
        /// What it is for
        #[arg(long, short)]
        message: Option<String>,
        /// Write what leads to this contract of the same identifier, TOML or JSON
        #[arg(long, value_name = "FILE", requires = "message")]
        autogenerate: Option<PathBuf>,
        /// Take edits of this revision over
        #[arg(long, value_name = "REVISION")]
        seal: Option<String>,
        /// Write the SQL of the database in use into this revision, the next one, which was written without
        #[arg(long, value_name = "REVISION")]
        complete: Option<String>,
        #[command(flatten)]
        place: Folders,
    },
    /// Apply revisions, each in one transaction
    #[command(
        after_help = "Each revision compares the table with its contract, runs the SQL, compares again, and binds the catalogue; when\n\
        any of it fails nothing of that revision is left, and those before it stay.\n\n\
        Examples:\n  datanode table upgrade fx_ecb_daily_rates\n  datanode table upgrade fx_ecb_daily_rates +1"
    )]
    Upgrade {
        /// Identifier or uid
        table: String,
        /// Up to this one: `head`, `+N`, or a unique beginning of an id
        #[arg(default_value = "head", value_name = "REVISION")]
        target: String,
        #[command(flatten)]
        place: Folders,
    },
    /// Take revisions back, each in one transaction, by the SQL that was kept when they were applied
    #[command(after_help = "Examples:\n  datanode table downgrade fx_ecb_daily_rates -1\n  \
        datanode table downgrade fx_ecb_daily_rates base")]
    Downgrade {
        /// Identifier or uid
        table: String,
        /// Back to this one: `-N`, `base`, or a unique beginning of an id
        #[arg(value_name = "REVISION", allow_hyphen_values = true)]
        target: String,
        #[command(flatten)]
        place: Folders,
    },
    /// Show where a table stands, and whether it is what its contract says
    #[command(after_help = "Exits with 3 when the table differs from its contract.")]
    Current {
        /// Identifier or uid
        table: String,
        #[command(flatten)]
        place: Folders,
    },
    /// List the revisions of a table, applied and written
    History {
        /// Identifier or uid
        table: String,
        #[command(flatten)]
        place: Folders,
    },
    /// Bind the catalogue to a table that was changed by hand
    #[command(
        after_help = "The table must be what the revision or contract says; else the differences are listed and nothing happens.\n\n\
        Examples:\n  datanode table refresh fx_ecb_daily_rates --revision revisions/fx_ecb_daily_rates/0001_…\n  \
        datanode table refresh fx_ecb_daily_rates --contract contracts/fx_ecb_daily_rates.toml",
        group = ArgGroup::new("to").required(true).args(["revision", "contract"])
    )]
    Refresh {
        /// Identifier or uid
        table: String,
        /// Folder of the next revision, whose SQL was run by hand
        #[arg(long, value_name = "DIRECTORY")]
        revision: Option<PathBuf>,
        /// Contract file, TOML or JSON
        #[arg(long, value_name = "FILE")]
        contract: Option<PathBuf>,
        #[command(flatten)]
        place: Folders,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Folders {
    /// Where the revisions of all tables are [default: revisions beside datanode.toml]
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

impl Folders {
    fn or_default(&self, home: &Home) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| home.revisions())
    }
}

pub(crate) async fn run(
    command: RevisionCommand,
    catalogue: &Place,
    home: &Home,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    match command {
        RevisionCommand::Revision { table, seal: Some(revision), place, .. } => {
            let sealed = catalogue.seal_revision(&table, &revision, &place.or_default(home)).await?;
            printer.show(&sealed, || told("sealed", &sealed))?;
        }
        RevisionCommand::Revision { table, complete: Some(revision), place, .. } => {
            let directory = place.or_default(home);
            let completed = catalogue.complete_revision(&table, &revision, &directory).await?;
            printer.show(&completed, || told("completed", &completed))?;
        }
        RevisionCommand::Revision { table, message, autogenerate, place, .. } => {
            let contract = autogenerate.as_deref().map(contract).transpose()?;
            let message = message.unwrap_or_default();
            let directory = place.or_default(home);
            let written = catalogue.write_revision(&table, &message, contract, &directory).await?;
            printer.show(&written, || match &written {
                Some(written) => told("wrote", written),
                None => say!("nothing to do: the catalogue holds a contract that means the same"),
            })?;
        }
        RevisionCommand::Upgrade { table, target, place } => {
            let done = |step: &Step| tell_step(step, printer);
            let steps = catalogue.upgrade_table(&table, &target, &place.or_default(home), done).await?;
            return show_steps(steps, &table, printer);
        }
        RevisionCommand::Downgrade { table, target, place } => {
            let done = |step: &Step| tell_step(step, printer);
            let steps = catalogue.downgrade_table(&table, &target, &place.or_default(home), done).await?;
            return show_steps(steps, &table, printer);
        }
        RevisionCommand::Current { table, place } => {
            let standing = catalogue.table_standing(&table, &place.or_default(home)).await?;
            printer.show(&standing, || current(&standing))?;
            if !standing.drift.is_empty() {
                return Ok(crate::exit_code(ErrorClass::Refused));
            }
        }
        RevisionCommand::History { table, place } => {
            history(&table, &place.or_default(home), catalogue, printer).await?;
        }
        RevisionCommand::Refresh { table, revision, contract: file, place } => {
            let step = match (revision, file) {
                (Some(folder), _) => {
                    catalogue.refresh_to_revision(&table, &folder, &place.or_default(home)).await?
                }
                (None, Some(file)) => catalogue.refresh_to_contract(&table, contract(&file)?).await?,
                (None, None) => return Err(usage("name a --revision or a --contract")),
            };
            tell_step(&step, printer);
            printer.show(&step, || {})?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn contract(file: &Path) -> anyhow::Result<Contract> {
    super::contract_file::read(file, "the same command again")
}

fn told(verb: &str, revision: &WrittenRevision) {
    print::done(&format!("{verb} revision {} of table {}", revision.revision, revision.table));
    for line in &revision.operations {
        say!("  {}", print::visible(line));
    }
    let list = |what: &str, lines: &[String]| {
        for line in lines {
            say!("  {what}: {}", print::visible(line));
        }
    };
    list("loses", &revision.loses);
    list("loses on downgrade", &revision.loses_on_downgrade);
    list("left to edit", &revision.to_edit);
    list("no SQL for", &revision.left_out);
    say!("  {}", print::visible(&revision.folder.display().to_string()));
    if revision.to_edit.is_empty() {
        say!("next: read it, then: datanode table upgrade {}", revision.table);
    } else {
        say!("next: edit it, then: datanode table revision {} --seal {}", revision.table, revision.revision);
    }
}

fn tell_step(step: &Step, printer: Printer) {
    if !printer.json {
        let verb = match step.direction {
            Direction::Upgrade => "applied",
            Direction::Downgrade => "took back",
            Direction::Refresh => "bound",
        };
        let what = step.revision.as_ref().map_or("the contract".to_owned(), |id| format!("revision {id}"));
        let message = step
            .message
            .as_ref()
            .map_or(String::new(), |message| format!(" ({})", print::first_line(message, 60)));
        let rows = if step.rows_before == step.rows_after {
            format!("{} rows", count(step.rows_after))
        } else {
            format!("{} rows became {}", count(step.rows_before), count(step.rows_after))
        };
        let now = step.current.as_deref().unwrap_or("base");
        print::done(&print::visible(&format!(
            "{verb} {what}{message}: {rows}; table {} is at {now}",
            step.table
        )));
    }
    for warning in &step.warnings {
        print::warning(warning);
    }
}

fn show_steps(steps: StepsMade, table: &str, printer: Printer) -> anyhow::Result<ExitCode> {
    printer.show(&steps.done, || {
        if steps.done.is_empty() && steps.failed.is_none() {
            say!("nothing to do: table {table} is there already");
        }
    })?;
    Ok(match steps.failed {
        Some(failure) => failure::report(&failure.into(), printer.json),
        None => ExitCode::SUCCESS,
    })
}

fn current(standing: &Standing) {
    let or_base = |revision: &Option<String>| revision.clone().unwrap_or_else(|| "base".to_owned());
    print::facts(&[
        ("table", standing.table.clone()),
        ("current", or_base(&standing.current)),
        ("head", or_base(&standing.head)),
        ("pending", count(standing.pending)),
        (
            "storage",
            if standing.drift.is_empty() {
                "what the contract says".to_owned()
            } else {
                format!("differs from the contract\n{}", standing.drift.join("\n"))
            },
        ),
    ]);
    if standing.pending > 0 {
        say!("next: datanode table upgrade {}", standing.table);
    }
}

async fn history(table: &str, directory: &Path, catalogue: &Place, printer: Printer) -> anyhow::Result<()> {
    let entries = catalogue.table_history(table, directory).await?;
    printer.show(&entries, || {
        let rows = entries.iter().map(|entry| {
            vec![
                if entry.current { "*".to_owned() } else { String::new() },
                entry.revision.clone(),
                entry.parent.clone().unwrap_or_else(|| "base".to_owned()),
                entry.applied_at.map_or("not applied".to_owned(), datanode_core::Timestamp::short),
                entry.rows_after.map_or("-".to_owned(), count),
                print::first_line(&entry.message, 60),
            ]
        });
        let headings = [
            Heading::Text(""),
            Heading::Text("revision"),
            Heading::Text("after"),
            Heading::Text("applied"),
            Heading::Number("rows"),
            Heading::Text("message"),
        ];
        print::table(&headings, rows.collect(), "no revisions: the table is as it was registered");
    })
}
