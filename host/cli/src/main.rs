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
//! * *A command that is told to end gives up what it holds* ([`interrupt`]).

mod args;
mod backfill_progress;
mod cells;
mod commands;
mod failure;
mod home;
mod interrupt;
mod place;
mod plot;
mod print;
mod progress;
mod remote;
mod run_args;

use std::process::ExitCode;
use std::time::Duration;

use crate::args::{Arguments, Command, Reach, RunCommand};
use crate::failure::Failure;
use crate::place::Place;

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
    let arguments = match Arguments::given() {
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
    arguments.refuse_server_of_this_machine()?;
    match arguments.command {
        Command::Completions { shell } => return Ok(commands::completions::run(shell)),
        Command::Reference { page } => return Ok(commands::reference::run(page)),
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
    let server = match arguments.command.reach() {
        Reach::Catalogue => arguments.remote.server(arguments.database.as_ref())?,
        Reach::Machine(_) | Reach::Database(_) => None,
    };
    let home = home::find(arguments.home.as_deref())?
        .with_server(arguments.database, arguments.reader)
        .with_embedding_model(arguments.embedding_model_dir);
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
    if let Some(server) = server {
        return answer(arguments.command, &Place::There(server), &home, printer).await;
    }
    let missing = if arguments.command.begins() { home::Missing::Make } else { home::Missing::Refuse };
    let session = home::open(&home, missing).await?;
    let outcome = if let Command::Serve(serve) = arguments.command {
        commands::serve::run(serve, &session.host, &home, printer).await
    } else {
        // It holds the database open until it is gone.
        let place = Place::Here(session.host.clone());
        answer(arguments.command, &place, &home, printer).await
    };
    // The outcome of the command comes first: closing only tidies up, and not at any price.
    let closed = tokio::time::timeout(PATIENCE, session.close()).await.unwrap_or(Ok(()));
    let code = outcome?;
    closed?;
    Ok(code)
}

/// Commands that need a catalogue, from wherever it is.
async fn answer(
    command: Command,
    place: &Place,
    home: &home::Home,
    printer: print::Printer,
) -> anyhow::Result<ExitCode> {
    match command {
        // Done above, or another one by now.
        Command::Init { .. }
        | Command::Build(_)
        | Command::Serve(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Completions { .. }
        | Command::Reference { .. }
        | Command::DataNode(_) => Ok(ExitCode::SUCCESS),
        Command::Component(command) => commands::component::run(command, place, printer).await,
        Command::Table(command) => commands::table::run(command, place, home, printer).await,
        Command::Search(arguments) => answered(commands::search::run(arguments, place, printer).await),
        Command::Stats(command) => commands::stats::run(command, place, printer).await,
        Command::Secret(command) => commands::secret::run(command, place, printer).await,
        Command::Source(command) => commands::source::run(command, place, printer).await,
        Command::Node(command) => commands::node::run(command, place, printer).await,
        Command::Run(command) => commands::run::run(command, place, printer).await,
        Command::Token(command) => commands::token::run(command, place, printer).await,
        Command::User(command) => commands::user::run(command, place, printer).await,
        Command::Team(command) => commands::team::run(command, place, printer).await,
        Command::Role(command) => commands::role::run(command, place, printer).await,
        Command::Audit(command) => commands::audit::run(command, place, printer).await,
        Command::Check(arguments) => commands::check::run(arguments, place, printer).await,
    }
}

/// The exit code of a command that has its answer.
fn answered(outcome: anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    outcome.map(|()| ExitCode::SUCCESS)
}

/// The exit code of a class of errors, as a process gives it.
fn exit_code(class: datanode_core::ErrorClass) -> ExitCode {
    ExitCode::from(class.exit_code())
}

/// A usage error of the command line itself.
fn usage(message: impl Into<String>) -> anyhow::Error {
    Failure::usage(message).into()
}
