//! The `datanode` command: arguments in, tables, JSON and progress out.
//!
//! **One idea:** it has no rules of its own. What is allowed, what is computed and what is stored is decided below; here
//! words become calls, and answers become text. Start at [`args`] (the command line as data), then the file of a noun in
//! [`commands`].
//!
//! **May depend on:** every crate of the host, and on what reads arguments and draws in a terminal. **Never on:**
//! wasmtime, sqlx or rusqlite themselves. No other crate reads settings.
//!
//! Invariants:
//!
//! * *An error keeps its code, its class (the exit code) and its next step* on the way to the user ([`failure`]).
//! * *What a guest or a catalogue says moves no cursor and imitates no line of the host*: it is shown through
//!   `print::visible`.
//! * *What `--json` prints is described* by docs/reference/json.schema.json, errors included.
//! * *A command that only reads leaves nothing behind* ([`home::Missing`]).
//! * *A command ends when its work has ended*, whatever host call was left behind on the way ([`PATIENCE`]).

mod args;
mod backfill_progress;
mod cells;
mod commands;
mod failure;
mod home;
mod plot;
mod print;
mod progress;
mod run_args;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::args::{Arguments, Command, RunCommand};
use crate::failure::Failure;

/// The command by which this program starts itself to compile one component. It is looked for before everything else:
/// a compiling process needs no data directory, no runtime and no help text.
const COMPILE_COMMAND: &str = "__compile-component";

/// How long a command that has its outcome waits for what it leaves behind, twice at most: to close the database, and
/// to end its threads. A host call that hangs would keep both for ever. Nothing is lost: what was committed is on the
/// disk, and the next command reads the write-ahead log.
const PATIENCE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    // What is no UTF-8 is an argument too: clap says which ones may be.
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == COMPILE_COMMAND) {
        let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        return datanode_sandbox::compile_child(&words);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Programs that ask for JSON get their mistakes as JSON too; `--help` and `--version` are no mistakes.
        Err(error) if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") => {
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
    let outcome = runtime.block_on(act(arguments));
    // Dropping it would wait for each of its threads.
    runtime.shutdown_timeout(PATIENCE);
    outcome
}

async fn act(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let printer = print::Printer { json: arguments.json };
    if let Command::Init { directory } = arguments.command {
        return commands::init::run(directory.as_deref(), printer).await;
    }
    let home = home::find(arguments.home.as_deref())?.with_server(arguments.database, arguments.reader);
    if let Command::Build(build) = &arguments.command {
        return commands::build::run(build, &home, printer).await;
    }
    if let Command::Run(RunCommand::Replay(replay)) = &arguments.command
        && replay.is_of_bundles()
    {
        return commands::replay::bundles(replay, &home, printer);
    }
    if let Command::Check(check) = &arguments.command
        && commands::determinism::is_of_bundles(check)
    {
        return commands::determinism::bundles(check, &home, printer);
    }
    match &arguments.command {
        Command::Backup(backup) => return commands::backup::back_up(backup, &home, printer).await,
        Command::Restore(restore) => return commands::backup::restore(restore, &home, printer).await,
        _ => {}
    }
    let missing = if arguments.command.begins() { home::Missing::Make } else { home::Missing::Refuse };
    let session = home::open(&home, missing).await?;
    let outcome = match arguments.command {
        // Done above: these need no open database.
        Command::Init { .. }
        | Command::Build(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Completions { .. }
        | Command::Reference => Ok(ExitCode::SUCCESS),
        Command::Component(command) => commands::component::run(command, &session.host, printer).await,
        Command::Table(command) => commands::table::run(command, &session.host, &home, printer).await,
        Command::Stats(command) => commands::stats::run(command, &session.host, printer).await,
        Command::Secret(command) => commands::secret::run(command, &session.host, printer).await,
        Command::Source(command) => commands::source::run(command, &session.host, printer).await,
        Command::Node(command) => commands::node::run(command, &session.host, printer).await,
        Command::Run(command) => commands::run::run(command, &session.host, printer).await,
        Command::Check(arguments) => commands::check::run(arguments, &session.host, printer).await,
    };
    // The outcome of the command comes first: closing only tidies up, and not at any price.
    let closed = tokio::time::timeout(PATIENCE, session.close()).await.unwrap_or(Ok(()));
    let code = outcome?;
    closed?;
    Ok(code)
}

/// The exit code of a class of errors, as a process gives it.
fn exit_code(class: datanode_core::ErrorClass) -> ExitCode {
    ExitCode::from(class.exit_code())
}

/// A usage error of the command line itself.
fn usage(message: impl Into<String>) -> anyhow::Error {
    Failure::usage(message).into()
}
