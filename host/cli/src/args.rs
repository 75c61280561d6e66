//! The command line, as data.

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use datanode_core::Timestamp;
use datanode_core::digest::Digest;
use datanode_core::query::Bound;
use datanode_core::query_text::{End, bound};

use crate::commands::audit::AuditCommand;
use crate::commands::backfill::BackfillArguments;
use crate::commands::backup::{BackupArguments, RestoreArguments};
use crate::commands::data_node::DataNodeCommand;
use crate::commands::delete_after::DeleteAfterArguments;
use crate::commands::determinism::is_of_bundles;
use crate::commands::give::GiveArguments;
use crate::commands::load::LoadArguments;
use crate::commands::node_windows::{SetArguments, WindowsArguments};
use crate::commands::reference::ReferencePage;
use crate::commands::replay::{PruneArguments, ReplayArguments};
use crate::commands::repoint::RepointArguments;
use crate::commands::revision::RevisionCommand;
use crate::commands::role::RoleCommand;
use crate::commands::search::SearchArguments;
use crate::commands::secret::SecretCommand;
use crate::commands::serve::ServeArguments;
use crate::commands::source::{AddArguments, AllowArguments};
use crate::commands::stats::StatsCommand;
use crate::commands::table_diff::DiffArguments;
use crate::commands::table_metadata::{DescribeArguments, LabelArguments};
use crate::commands::team::TeamCommand;
use crate::commands::token::TokenCommand;
use crate::commands::user::UserCommand;
use crate::failure::Failure;
use crate::home::DatabaseUrl;
use crate::plot::MOST;
use crate::progress::ProgressMode;
use crate::remote::{RemoteArguments, with_url};
use crate::run_args::{HashNamespace, RunArguments};

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
        let matches = Self::definition().try_get_matches()?;
        let mut arguments =
            Self::from_arg_matches(&matches).map_err(|error| error.format(&mut Self::definition()))?;
        arguments.remote.note(&matches);
        if let Command::DataNode(command) = arguments.command {
            arguments.command = command.native();
        }
        Ok(arguments)
    }
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

#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// Directory of the crate, or of a workspace [default: the current directory]
    pub(crate) directory: Option<PathBuf>,
    /// Write the component here [default: components/NAME.wasm in cargo's target directory]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Only this package of a workspace
    #[arg(long, short, value_name = "NAME")]
    pub(crate) package: Option<String>,
    /// Keep the lines of the source, so that a trap can name them; the component gets larger
    #[arg(long)]
    pub(crate) debug_lines: bool,
    /// Build there [default: as cargo does]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) target_dir: Option<PathBuf>,
    /// Further arguments of `cargo build`
    #[arg(last = true, value_name = "CARGO ARGUMENT")]
    pub(crate) cargo: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Node (update hash, or the table that it alone writes), component, or component file; a component where --table or
    /// --config is given
    #[arg(value_name = "NODE|COMPONENT|FILE", required_unless_present = "determinism")]
    pub(crate) subject: Vec<String>,
    /// Execute recorded runs again in every way in which this machine can execute them: of these nodes, components and
    /// files of `run export`; of all nodes without any
    #[arg(long, conflicts_with_all = ["table", "config", "until", "strict", "allow_stubbed_wasi"])]
    pub(crate) determinism: bool,
    /// With --determinism: so many runs of each node, the latest
    #[arg(long, value_name = "N", default_value_t = 1, requires = "determinism")]
    pub(crate) runs: u32,
    /// Table that the component is to write: identifier, uid or contract file, which need not be registered
    #[arg(long, value_name = "TABLE|FILE")]
    pub(crate) table: Option<String>,
    /// Config as JSON, or @FILE [default: {}]
    #[arg(long, value_name = "JSON|@FILE")]
    pub(crate) config: Option<String>,
    /// Where the windows of the trial runs end [default: the last complete period]
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// Fail on warnings too
    #[arg(long)]
    pub(crate) strict: bool,
    /// Admit a component file that imports WASI, as `component upload` does with the same option
    #[arg(long)]
    pub(crate) allow_stubbed_wasi: bool,
    /// How progress of the trial runs is shown
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ComponentCommand {
    /// Check components and add them to the catalogue
    #[command(
        after_help = "A component that imports a clock, randomness, the environment, files or the network is\n\
        refused, with the way to build it without. Where that cannot be, --allow-stubbed-wasi admits WASI 0.2 but for\n\
        sockets and HTTP: the clock is the end of the window, random numbers follow from component, config and window,\n\
        there are no files, and what is printed becomes log lines. Each file is admitted on its own.\n\n\
        A signature is Ed25519 over the 32 bytes of the file's SHA-256, by a key that datanode.toml trusts.\n\n\
        Examples:\n  datanode component upload target/components/*.wasm\n  \
        datanode component upload my_node.wasm --signature my_node.wasm.sig"
    )]
    Upload {
        /// Component files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Take a release that gives nodes of the component another identity
        #[arg(long)]
        accept_new_identity: bool,
        /// Admit components that import WASI, as class stubbed: it is answered by constants of this host
        #[arg(long)]
        allow_stubbed_wasi: bool,
        /// Signature of the one file that is uploaded
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
        /// Take the one file that is uploaded only when it has this digest
        #[arg(long, value_name = "DIGEST")]
        sha256: Option<Digest>,
    },
    /// List all components
    List,
    /// Show one component: config fields, sources, output, imports
    #[command(
        after_help = "Examples:\n  datanode component show fx_log_returns\n  datanode component show fx_log_returns@0.1.0"
    )]
    Show {
        /// NAME or NAME@VERSION
        component: String,
    },
    /// Never choose a release for a run again, unless a node is pinned to it
    #[command(after_help = "Nodes of this component run the highest version that is left.\n\n\
        Example:\n  datanode component disable fx_log_returns@0.1.0")]
    Disable {
        /// NAME@VERSION; NAME alone where there is one release
        component: String,
    },
    /// Choose a disabled release again
    Enable {
        /// NAME@VERSION; NAME alone where there is one release
        component: String,
    },
    /// Remove a release that no node runs
    #[command(
        after_help = "Refused while it is the release that a node runs, or the last one that a node could run: upload\n\
        another one first.\n\
        Refused too when recorded runs were computed by it: they could still be shown, but never be computed again.\n\n\
        Example:\n  datanode component remove fx_log_returns@0.1.0"
    )]
    Remove {
        /// NAME@VERSION; NAME alone where there is one release
        component: String,
        /// Remove it even though recorded runs were computed by it
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// Register tables from their contracts
    #[command(
        after_help = "Registering the same contract again changes nothing. Descriptions, labels and the cadence of a table\n\
        that is there are applied at once; any other difference is refused, with the ways on. Each file is registered\n\
        on its own, in the given order: a table comes after those that its foreign keys lead to.\n\n\
        Example:\n  datanode table register contracts/*.toml"
    )]
    Register {
        /// Contract files, TOML or JSON
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// List all tables with their rows and time ranges
    List,
    /// Show one table: contract, progress, nodes that write it; or draw one of its columns
    #[command(
        after_help = "With --plot a column is drawn over time: a chart of one coordinate, a line for each of several.\n\n\
        Examples:\n  datanode table show fx_log_returns\n  \
        datanode table show fx_ecb_daily_rates --plot rate --where currency=USD --start 2020-01-01\n  \
        datanode table show fx_ecb_daily_rates --plot rate"
    )]
    Show {
        /// Identifier or uid
        table: String,
        /// Draw this column over time instead
        #[arg(long, value_name = "COLUMN")]
        plot: Option<String>,
        #[command(flatten)]
        arguments: PlotArguments,
    },
    /// Read rows, sorted by the index or primary key
    #[command(
        after_help = "All conditions hold together. Every format but `table` streams, whatever the number of rows. In a table a\n\
        null is `-`, in CSV an empty cell; the empty text is \"\" there.\n\n\
        Examples:\n  datanode table read fx_ecb_daily_rates --where currency=USD,JPY --start 2026-10-01\n  \
        datanode table read fx_ecb_daily_rates --start '>2020-01-01' --end '<2021-01-01' --coordinate currency=USD\n  \
        datanode table read fx_ecb_daily_rates --last\n  \
        datanode table read fx_ecb_daily_rates --columns rate --output rates.parquet"
    )]
    Read(ReadArguments),
    /// Digest all rows in the order of the index, to compare contents
    #[command(
        after_help = "Tables with the same columns and the same rows have the same digest, however the rows were written and\n\
        whatever database holds them.\n\n\
        Example:\n  datanode table digest fx_ecb_daily_rates"
    )]
    Digest {
        /// Identifier or uid
        table: String,
    },
    /// Ask one read-only SQL statement over this table
    #[command(
        after_help = "The statement is one SELECT, WITH or EXPLAIN that reads this table alone. Times are ISO 8601 text and compare\n\
        like moments. docs/reading.md says what else is understood.\n\n\
        Examples:\n  datanode table sql fx_ecb_daily_rates \"SELECT currency, count(*) FROM fx_ecb_daily_rates GROUP BY 1\"\n  \
        datanode table sql fx_ecb_daily_rates \"SELECT date_trunc('year', time_index) AS year, avg(rate) \\\n    \
        FROM fx_ecb_daily_rates WHERE currency = 'USD' AND time_index >= '2020-01-01' GROUP BY 1 ORDER BY 1\" --json"
    )]
    Sql(SqlArguments),
    /// Load the rows of a file into a reference table
    Load(LoadArguments),
    /// Delete the rows of a table from a moment on
    DeleteAfter(DeleteAfterArguments),
    /// Compare a contract with the table that is registered under its identifier
    Diff(DiffArguments),
    /// Let another table take an identifier over
    Repoint(RepointArguments),
    /// Say whose table it is
    Give(GiveArguments),
    /// Add and remove labels of a table
    Label(LabelArguments),
    /// Describe a table and its columns
    Describe(DescribeArguments),
    /// Make anew what searches know of a table
    #[command(
        after_help = "Searches see every change of the catalogue at once. This is for whoever doubts it: it reads what the\n\
        components document that write the table, and computes the vector of its text.\n\n\
        Example:\n  datanode table refresh-search-index fx_log_returns"
    )]
    RefreshSearchIndex {
        /// Identifier or uid
        table: String,
    },
    #[command(flatten)]
    Revision(RevisionCommand),
}

#[derive(Debug, Args)]
pub(crate) struct PlotArguments {
    /// Draw rows of this value of an identity dimension; several of one dimension are alternatives
    #[arg(long = "where", value_name = "DIMENSION=VALUE", requires = "plot")]
    pub(crate) filters: Vec<String>,
    /// First moment, inclusive: RFC 3339 or a date
    #[arg(long, value_name = "TIME", requires = "plot")]
    pub(crate) start: Option<Timestamp>,
    /// Last moment, inclusive
    #[arg(long, value_name = "TIME", requires = "plot")]
    pub(crate) end: Option<Timestamp>,
    /// Characters that the drawing is wide, without its axis [default: what the terminal has]; with --json the number
    /// of buckets
    #[arg(long, value_name = "CHARACTERS", requires = "plot",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST)))]
    pub(crate) width: Option<u16>,
    /// Lines that a chart is high, without its axis
    #[arg(long, value_name = "LINES", requires = "plot", default_value_t = 12,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST)))]
    pub(crate) height: u16,
}

#[derive(Debug, Args)]
pub(crate) struct ReadArguments {
    /// Identifier or uid
    pub(crate) table: String,
    /// First moment, RFC 3339 or a date: inclusive, unless `>` stands before it
    #[arg(long, value_name = "TIME", value_parser = |text: &str| bound(text, End::Start))]
    pub(crate) start: Option<Bound>,
    /// Last moment: inclusive, unless `<` stands before it
    #[arg(long, value_name = "TIME", value_parser = |text: &str| bound(text, End::End))]
    pub(crate) end: Option<Bound>,
    /// Keep rows of these values of an identity dimension or primary key column; a value with a comma stands in double
    /// quotes
    #[arg(long = "where", value_name = "DIMENSION=VALUE,...")]
    pub(crate) filters: Vec<String>,
    /// Keep rows of this coordinate, or of a part of one; several are alternatives
    #[arg(long = "coordinate", value_name = "DIMENSION=VALUE,...")]
    pub(crate) coordinates: Vec<String>,
    /// Read each coordinate over a range of its own: a JSON array, whose form docs/reading.md shows; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) range_map: Option<PathBuf>,
    /// Only the last row of each coordinate, by the table's progress
    #[arg(long, conflicts_with_all = ["start", "end", "range_map"])]
    pub(crate) last: bool,
    /// Columns besides the index or primary key [default: all]
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    pub(crate) columns: Option<Vec<String>>,
    /// At most so many rows; 0 for all [default: 20 in a table, else all]
    #[arg(long)]
    pub(crate) limit: Option<u64>,
    /// How rows are written [default: by the ending of --output, else table]; --json is the same as --format json
    #[arg(long, value_enum)]
    pub(crate) format: Option<RowFormat>,
    /// Write to a file, which is there whole or not at all
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RowFormat {
    /// Aligned columns, at most 10,000 rows
    Table,
    /// Arrow IPC, a stream
    Arrow,
    /// Apache Parquet
    Parquet,
    /// RFC 4180, with a header line
    Csv,
    /// One JSON object per line
    Jsonl,
    /// One JSON array
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArguments {
    /// Identifier or uid
    pub(crate) table: String,
    /// One SELECT over the table, by its identifier or physical name
    pub(crate) sql: String,
    /// The most rows of the answer; more are cut off
    #[arg(long, value_name = "ROWS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) max_rows: u32,
    /// How long the statement may take
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) timeout: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Add a directory, or a place that is asked by HTTP, that granted components may read
    Add(AddArguments),
    /// Allow more of an HTTP source, or change its numbers
    Allow(AllowArguments),
    /// Show one source: where it leads, and by which rules
    Show {
        /// Source
        name: String,
    },
    /// Remove a source and its grants
    Remove {
        /// Source
        name: String,
    },
    /// List all sources and their grants
    List,
    /// Let a component read a source; it need not be uploaded yet
    #[command(after_help = "Example:\n  datanode source grant ecb ecb_daily_fx_rates")]
    Grant {
        /// Source
        name: String,
        /// Component
        component: String,
    },
    /// Take a grant back; one that is not there is refused
    #[command(after_help = "Example:\n  datanode source revoke ecb ecb_daily_fx_rates")]
    Revoke {
        /// Source
        name: String,
        /// Component
        component: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Create a node, and every node that it depends on
    #[command(
        after_help = "Creating the same node again changes nothing: its identity is the hash of component, config and\n\
        hash namespace.\n\n\
        Examples:\n  datanode node create fx_log_returns --table fx_log_returns\n  \
        datanode node create fx_log_returns --table fx_log_returns --config '{\"max_gap_days\": 5}'"
    )]
    Create {
        /// Component name
        component: String,
        /// Output table: identifier or uid
        #[arg(long)]
        table: String,
        /// Config as JSON, or @FILE
        #[arg(long, default_value = "{}", value_name = "JSON|@FILE")]
        config: String,
        #[command(flatten)]
        hash_namespace: HashNamespace,
        /// Always run the release with these bytes instead of the highest version
        #[arg(long, value_name = "SHA256")]
        pin: Option<Digest>,
    },
    /// Compute the identity of a node, or of one that is not created yet
    #[command(
        after_help = "Nothing is created. --explain prints the exact document whose SHA-256 the hash is made of, without a\n\
        line end, so that any tool can follow: the 32 digits of the update hash are the first of the sum.\n\
        The metadata digest beside it covers descriptions, examples and labels: it changes when words change, and the\n\
        update hash never does.\n\n\
        Examples:\n  datanode node hash fx_log_returns\n  datanode node hash fx_log_returns --explain | sha256sum\n  \
        datanode node hash --component fx_log_returns --config '{\"max_gap_days\": 5}'"
    )]
    Hash(HashArguments),
    /// List all nodes
    List,
    /// Show one node: identity, config, dependencies, last runs
    #[command(after_help = "Example:\n  datanode node show fx_log_returns")]
    Show {
        /// Update hash (or the beginning of it), or the table that it alone writes
        node: String,
    },
    /// Show what reads what: a tree, with rows and the last run of each node
    #[command(
        after_help = "Without a node: all nodes that no other one reads, each above what it reads.\n\n\
        Examples:\n  datanode node graph\n  datanode node graph fx_log_returns\n  \
        datanode node graph --format dot | dot -Tsvg > graph.svg"
    )]
    Graph {
        /// Update hash (or the beginning of it), or the table that it alone writes [default: all nodes]
        node: Option<String>,
        /// How the graph is printed; --json is the same as --format json
        #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
        format: GraphFormat,
    },
    /// Run a node after everything that it depends on
    #[command(after_help = crate::run_args::AFTER_HELP)]
    Run(RunArguments),
    /// Run a node over a range of the past, window by window
    Backfill(BackfillArguments),
    /// List what a node has done, found empty, or failed at
    Windows(WindowsArguments),
    /// Change how the runs of a node are made
    Set(SetArguments),
    /// Take a pin back: the node runs the highest enabled version again
    #[command(
        after_help = "A node is pinned by creating it with --pin.\n\nExample:\n  datanode node unpin fx_log_returns"
    )]
    Unpin {
        /// Update hash (or the beginning of it), or the table that it alone writes
        node: String,
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("subject").required(true).args(["node", "component"]))]
pub(crate) struct HashArguments {
    /// Update hash (or the beginning of it), or the table that it alone writes
    pub(crate) node: Option<String>,
    /// Component of a node that need not exist
    #[arg(long, value_name = "NAME")]
    pub(crate) component: Option<String>,
    /// Its config as JSON, or @FILE [default: {}]
    #[arg(long, value_name = "JSON|@FILE", requires = "component")]
    pub(crate) config: Option<String>,
    /// Its output table, identifier or uid: for the metadata digest alone, an identity has no output table
    #[arg(long, requires = "component")]
    pub(crate) table: Option<String>,
    #[command(flatten)]
    pub(crate) hash_namespace: HashNamespace,
    /// Print the document that is hashed, and nothing else
    #[arg(long)]
    pub(crate) explain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum GraphFormat {
    /// A tree
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown pages
    Mermaid,
    /// For programs
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum LogLevel {
    /// Everything
    Debug,
    /// Info, warnings and errors
    Info,
    /// Warnings and errors
    Warn,
    /// Errors
    Error,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunCommand {
    /// List runs, newest first
    #[command(after_help = "Example:\n  datanode run list --table fx_log_returns --limit 5")]
    List {
        /// Of this node
        #[arg(long)]
        node: Option<String>,
        /// Of this table
        #[arg(long)]
        table: Option<String>,
        /// With this outcome
        #[arg(long, value_parser = ["ok", "empty", "failed", "skipped", "blocked"])]
        status: Option<String>,
        /// At most so many; 0 for all
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Show one run: what it was given, did and left behind
    #[command(after_help = "Example:\n  datanode run show 01a204a9-91c4")]
    Show {
        /// Run id, or the beginning of it
        run: String,
    },
    /// Make a failed run again, over the window that it had
    #[command(
        after_help = "The node is run alone, by the release that runs now, with the runtime options of the failed run, and covers\n\
        exactly the window of that run, whatever a run of today would cover. It is a run of its own, with a record that\n\
        names the failed one. Rows that the table has got since stay as they are.\n\n\
        Example:\n  datanode run retry 01a204a9-91c4"
    )]
    Retry {
        /// Run id, or the beginning of it
        run: String,
        /// Runtime option in the place of the failed run's; the value is JSON, or text when it is not
        #[arg(long = "option", value_name = "NAME=VALUE")]
        option: Vec<String>,
        /// Wait so long for a node that another run is writing, before the run fails
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        wait: u64,
        /// How progress is shown
        #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
        progress: ProgressMode,
    },
    /// List the runs that hold a node now, and until when
    #[command(
        after_help = "A run claims its node before it reads anything, and its process extends the lease while it goes on. Others\n\
        that want the node are answered `lease.held` until the run is over, or, should its process be gone, until the\n\
        lease expires.\n\n\
        Example:\n  datanode run leases"
    )]
    Leases,
    /// Execute runs again from their journals, and compare
    Replay(ReplayArguments),
    /// Write all that a replay of a run needs into a file, for another machine
    #[command(
        after_help = "A tar file with the run's record, its component, its journal, and what it was given.\n\n\
        Example:\n  datanode run export 01a204a9-91c4 --output run.tar"
    )]
    Export {
        /// Run id, or the beginning of it
        run: String,
        /// Write to this file, which is there whole or not at all
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Remove the journals of old runs, and what only these were given
    Prune(PruneArguments),
    /// Print what the component logged during a run
    #[command(after_help = "With --json: one object per line.\n\n\
        Examples:\n  datanode run logs 01a204a9-91c4\n  datanode run logs 01a204a9-91c4 --level warn --tail 20")]
    Logs {
        /// Run id, or the beginning of it
        run: String,
        /// The least level that is printed
        #[arg(long, value_enum, default_value_t = LogLevel::Debug)]
        level: LogLevel,
        /// Only the last lines
        #[arg(long, value_name = "LINES", conflicts_with = "follow")]
        tail: Option<usize>,
        /// Print lines as they come, until the run has ended. A run that is under way is known to its server alone, by its whole
        /// id
        #[arg(long, short)]
        follow: bool,
    },
}
