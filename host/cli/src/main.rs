//! The `datanode` command: arguments in, tables, JSON and progress out. It has no rules of its own.

mod args;
mod cells;
mod commands;
mod failure;
mod home;
mod plot;
mod print;
mod progress;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};
use crate::failure::Failure;

/// The command by which this program starts itself to compile one component. It is looked for before everything else:
/// a compiling process needs no data directory, no runtime and no help text.
const COMPILE_COMMAND: &str = "__compile-component";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(COMPILE_COMMAND) {
        return datanode_sandbox::compile_child(&words.collect::<Vec<_>>());
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Programs that ask for JSON get their mistakes as JSON too; `--help` and `--version` are no mistakes.
        Err(error) if error.use_stderr() && std::env::args().any(|argument| argument == "--json") => {
            return failure::report(&usage(error.to_string().trim_end()), true);
        }
        Err(error) => error.exit(),
    };
    let json = arguments.json;
    match run(arguments) {
        Ok(code) => code,
        Err(error) => failure::report(&error, json),
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Completions { shell } => return Ok(commands::completions::run(shell)),
        Command::Reference => return Ok(commands::reference::run()),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let printer = print::Printer { json: arguments.json };
    runtime.block_on(async {
        if let Command::Init { directory } = arguments.command {
            return commands::init::run(directory.as_deref(), printer).await;
        }
        let home = home::find(arguments.home.as_deref())?;
        if let Command::Build(build) = &arguments.command {
            return commands::build::run(build, &home, printer).await;
        }
        let missing = if arguments.command.begins() { home::Missing::Make } else { home::Missing::Refuse };
        let session = home::open(&home, missing).await?;
        let outcome = match arguments.command {
            // Done above: these need no data directory.
            Command::Init { .. } | Command::Build(_) | Command::Completions { .. } | Command::Reference => {
                Ok(ExitCode::SUCCESS)
            }
            Command::Component(command) => commands::component::run(command, &session.host, printer).await,
            Command::Table(command) => commands::table::run(command, &session.host, printer).await,
            Command::Source(command) => commands::source::run(command, &session.host, printer).await,
            Command::Node(command) => commands::node::run(command, &session.host, printer).await,
            Command::Run(command) => commands::run::run(command, &session.host, printer).await,
        };
        // The outcome of the command comes first: closing only tidies up.
        let closed = session.close().await;
        let code = outcome?;
        closed?;
        Ok(code)
    })
}

/// The exit code of a class of errors, as a process gives it.
fn exit_code(class: datanode_core::ErrorClass) -> ExitCode {
    ExitCode::from(class.exit_code())
}

/// A usage error of the command line itself.
fn usage(message: impl Into<String>) -> anyhow::Error {
    Failure::usage(message).into()
}
