//! The command line, as data.

mod build;
mod component;
mod node;
mod run;
mod source;
mod table;

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::commands::audit::AuditCommand;
use crate::commands::backup::{BackupArguments, RestoreArguments};
use crate::commands::data_node::DataNodeCommand;
use crate::commands::determinism::is_of_bundles;
use crate::commands::reference::ReferencePage;
use crate::commands::role::RoleCommand;
use crate::commands::search::SearchArguments;
use crate::commands::secret::SecretCommand;
use crate::commands::serve::ServeArguments;
use crate::commands::stats::StatsCommand;
use crate::commands::team::TeamCommand;
use crate::commands::token::TokenCommand;
use crate::commands::user::UserCommand;
use crate::failure::Failure;
use crate::home::DatabaseUrl;
use crate::remote::{RemoteArguments, with_url};

pub(crate) use build::{BuildArguments, CheckArguments};
pub(crate) use component::ComponentCommand;
pub(crate) use node::{GraphFormat, HashArguments, NodeCommand};
pub(crate) use run::{LogLevel, RunCommand};
pub(crate) use source::SourceCommand;
pub(crate) use table::{PlotArguments, ReadArguments, RowFormat, SqlArguments, TableCommand};

/// Data updaters that can be trusted: sandboxed WebAssembly components fill time-indexed tables.
#[derive(Debug, Parser)]
#[command(
    name = "datanode",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 ok, 1 failed, 2 usage, 3 refused, 4 blocked, 5 infrastructure (try again).\n\n\
        A first node, from nothing to rows:\n  \
        datanode init\n  \
        datanode build my_node --output my_node.wasm\n  \
        datanode component upload my_node.wasm\n  \
        datanode table register my_table.toml\n  \
        datanode node create my_node --table my_table\n  \
        datanode node run my_table\n  \
        datanode table read my_table"
)]
pub(crate) struct Arguments {
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Data directory [default: .datanode beside the nearest datanode.toml, else the platform's data folder]
    #[arg(long, global = true, value_name = "DIRECTORY", env = "DATANODE_HOME")]
    pub(crate) home: Option<PathBuf>,

    /// PostgreSQL database in the place of the embedded one: postgres://ROLE:PASSWORD@HOST:PORT/DATABASE. Others on this
    /// machine can read arguments: a URL with a password belongs into the variable
    #[arg(long, global = true, value_name = "URL", env = "DATANODE_DATABASE_URL", hide_env_values = true)]
    pub(crate) database: Option<DatabaseUrl>,

    /// Login for `table sql` on PostgreSQL, which may read and nothing else: postgres://ROLE:PASSWORD@HOST:PORT/DATABASE
    #[arg(long, global = true, value_name = "URL", env = "DATANODE_READER_URL", hide_env_values = true)]
    pub(crate) reader: Option<DatabaseUrl>,

    /// Directory of the static embedding model for searches (model2vec's format) in the place of the one that is built in
    #[arg(long, global = true, value_name = "DIRECTORY", env = "DATANODE_EMBEDDING_MODEL")]
    pub(crate) embedding_model_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) remote: RemoteArguments,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// The command line as it is defined, on every command that has it.
    pub(crate) fn definition() -> clap::Command {
        with_url(Self::command())
    }

    /// The command line as it was given.
    pub(crate) fn given() -> Result<Self, clap::Error> {
        let matches = Self::definition().try_get_matches().map_err(without_secret)?;
        let mut arguments =
            Self::from_arg_matches(&matches).map_err(|error| error.format(&mut Self::definition()))?;
        arguments.remote.note(&matches);
        if let Command::DataNode(command) = arguments.command {
            arguments.command = command.native();
        }
        Ok(arguments)
    }
}

/// A mistake in a value that may hold a secret, so that no help shows what its variable holds, is told without the value.
fn without_secret(mut error: clap::Error) -> clap::Error {
    let hides = |given: &str| {
        // It is told as `--token <TOKEN>`.
        let name = given.trim_start_matches('-').split(' ').next();
        let definition = Arguments::definition();
        definition.get_arguments().any(|arg| arg.is_hide_env_values_set() && arg.get_long() == name)
    };
    if let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg)
        && hides(given)
    {
        error.insert(ContextKind::InvalidValue, ContextValue::String("…".to_owned()));
    }
    error
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a datanode.toml and an empty data directory beside it
    #[command(
        after_help = "A datanode.toml that is there stays as it is. --home and DATANODE_HOME play no part.\n\n\
        Examples:\n  datanode init\n  datanode init ~/research"
    )]
    Init {
        /// Where [default: the current directory]
        directory: Option<PathBuf>,
    },
    /// Build a Rust crate into a component
    #[command(
        after_help = "Drives `cargo build --release` for wasm32-unknown-unknown so that the same source gives the same\n\
        bytes, makes a component of the result, and checks it as an upload would, without storing it.\n\
        Without a standard library for wasm32 it runs `rustup target add`; where that fails on Debian, Debian's\n\
        compiler is used. Packages of the system are never installed, but named.\n\n\
        Examples:\n  datanode build my_node\n  datanode build my_node --output my_node.wasm\n  \
        datanode build my_node -- --offline --features fast"
    )]
    Build(BuildArguments),
    /// Upload and inspect components
    #[command(subcommand)]
    Component(ComponentCommand),
    /// Register, inspect and read tables
    #[command(subcommand)]
    Table(TableCommand),
    /// Find tables by what they are about, or by their columns
    Search(SearchArguments),
    /// The same by the words of the existing client: list, search, run-query, refresh-search-index, delete-after
    #[command(subcommand, alias = "data_node")]
    DataNode(DataNodeCommand),
    /// Show and verify what is known about the rows of tables
    #[command(subcommand)]
    Stats(StatsCommand),
    /// Let components read the outside world
    #[command(subcommand)]
    Source(SourceCommand),
    /// Keep what sources prove themselves with
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Create, inspect and run nodes
    #[command(subcommand)]
    Node(NodeCommand),
    /// Inspect runs
    #[command(subcommand)]
    Run(RunCommand),
    /// Create, list and revoke the tokens by which users come to a server
    #[command(subcommand)]
    Token(TokenCommand),
    /// Create, show and disable users
    #[command(subcommand)]
    User(UserCommand),
    /// Create teams, and say who is in them
    #[command(subcommand)]
    Team(TeamCommand),
    /// Say who may do what: on the organisation, on a namespace, on a table
    #[command(subcommand)]
    Role(RoleCommand),
    /// See who has changed what
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Answer requests: this host behind HTTP
    Serve(ServeArguments),
    /// Write everything that the embedded database holds into one file
    Backup(BackupArguments),
    /// Put a backup in the place of the embedded database
    Restore(RestoreArguments),
    /// Judge a node or component by the checklist before others build on it
    #[command(
        after_help = "Ten points, each pass, warn, fail or skip (nothing to judge it by), with how to mend it: identifier,\n\
        config, incremental, identities, descriptions, schema, deterministic, logs, test run, names. Nothing is written\n\
        to the store: trial runs go into a copy of it, which is removed at the end and takes as much room.\n\
        The exit code is 1 when a point fails, with --strict also when one warns, else 0.\n\n\
        With --determinism it executes recorded runs again, from their journals and without tables or sources: optimised or\n\
        not, with pooled memory or without, for an older and a newer level of the processor, and by an interpreter. Each\n\
        must ask for the same, emit the same bytes and use the same fuel. The exit code is 1 when one differs, and 3 when\n\
        none that was named can be executed again.\n\n\
        Examples:\n  datanode check fx_log_returns\n  \
        datanode check target/components/my_node.wasm --table my_table.toml\n  \
        datanode check fx_log_returns --table fx_log_returns --config '{\"max_gap_days\": 5}' --strict\n  \
        datanode check --determinism fx_log_returns --runs 5\n  \
        datanode check --determinism run.tar"
    )]
    Check(CheckArguments),
    /// Print a script that completes this command's arguments in a shell
    #[command(after_help = "Installation, for every new shell:\n  \
        bash        datanode completions bash > ~/.local/share/bash-completion/completions/datanode\n  \
        zsh         datanode completions zsh > ~/.zfunc/_datanode\n              \
        (with `fpath=(~/.zfunc $fpath)` before `compinit` in ~/.zshrc)\n  \
        fish        datanode completions fish > ~/.config/fish/completions/datanode.fish\n  \
        powershell  datanode completions powershell >> $PROFILE\n  \
        elvish      datanode completions elvish >> ~/.config/elvish/rc.elv\n\n\
        For this shell only:\n  source <(datanode completions bash)")]
    Completions {
        /// Shell
        shell: Shell,
    },
    /// Print the reference of all commands as Markdown
    #[command(hide = true)]
    Reference {
        /// Which page
        #[arg(value_enum, default_value_t = ReferencePage::Commands)]
        page: ReferencePage,
    },
}

/// What a command works on.
pub(crate) enum Reach {
    /// Files of this machine, whatever server there is.
    Machine(&'static str),
    /// A database of this machine; a server keeps its own to itself.
    Database(&'static str),
    /// A catalogue, of this machine or of a server.
    Catalogue,
}

impl Arguments {
    /// Refuse a server where none is asked. Named by the environment, it is no matter to commands that work on files.
    pub(crate) fn refuse_server_of_this_machine(&self) -> anyhow::Result<()> {
        match self.command.reach() {
            Reach::Machine(name) if self.remote.is_explicit() => Err(Failure::usage(format!(
                "`datanode {name}` works on files of this machine, and asks no server"
            ))
            .with_code("cli.local")
            .with_next_step("leave --url out")
            .into()),
            Reach::Database(name) if self.remote.server(self.database.as_ref())?.is_some() => {
                Err(Failure::usage(format!(
                    "`datanode {name}` works on a database of this machine, and asks no server"
                ))
                .with_code("cli.local")
                .with_next_step("run it on the machine of the server, without --url and DATANODE_URL")
                .into())
            }
            _ => Ok(()),
        }
    }
}

impl Command {
    /// What it works on.
    pub(crate) fn reach(&self) -> Reach {
        match self {
            Self::Init { .. } => Reach::Machine("init"),
            Self::Build(_) => Reach::Machine("build"),
            Self::Completions { .. } => Reach::Machine("completions"),
            Self::Reference { .. } => Reach::Machine("reference"),
            Self::Serve(_) => Reach::Database("serve"),
            Self::Backup(_) => Reach::Database("backup"),
            Self::Restore(_) => Reach::Database("restore"),
            Self::Run(RunCommand::Replay(replay)) if replay.is_of_bundles() => {
                Reach::Machine("run replay FILE")
            }
            Self::Check(check) if is_of_bundles(check) => Reach::Machine("check --determinism FILE"),
            _ => Reach::Catalogue,
        }
    }

    /// Whether it makes sense as the first of a data directory. All others need something that is there.
    pub(crate) fn begins(&self) -> bool {
        matches!(
            self,
            Self::Component(ComponentCommand::Upload { .. })
                | Self::Table(TableCommand::Register { .. })
                | Self::Source(SourceCommand::Add(_))
                | Self::Secret(SecretCommand::Set { .. })
                | Self::User(UserCommand::Create { .. })
                | Self::Serve(_)
        )
    }
}
