//! The command line, as data.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use datanode_core::Timestamp;
use datanode_core::digest::Digest;

use crate::plot::MOST;
use crate::progress::ProgressMode;

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

    #[command(subcommand)]
    pub(crate) command: Command,
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
    /// Let components read the outside world
    #[command(subcommand)]
    Source(SourceCommand),
    /// Create, inspect and run nodes
    #[command(subcommand)]
    Node(NodeCommand),
    /// Inspect runs
    #[command(subcommand)]
    Run(RunCommand),
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
    Reference,
}

impl Command {
    /// Whether it makes sense as the first of a data directory. All others need something that is there.
    pub(crate) fn begins(&self) -> bool {
        matches!(
            self,
            Self::Component(ComponentCommand::Upload { .. })
                | Self::Table(TableCommand::Register { .. })
                | Self::Source(SourceCommand::Add { .. })
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

#[derive(Debug, Subcommand)]
pub(crate) enum ComponentCommand {
    /// Check components and add them to the catalogue
    #[command(
        after_help = "A component that imports a clock, randomness, the environment, files or the network is\n\
        refused, with the way to build it without. Each file is admitted on its own.\n\n\
        Example:\n  datanode component upload target/components/*.wasm"
    )]
    Upload {
        /// Component files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Take a release that gives nodes of the component another identity
        #[arg(long)]
        accept_new_identity: bool,
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
        after_help = "Refused while it is the release that a node runs: disable it, or upload a higher one, first.\n\
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
        after_help = "Registering the same contract again changes nothing. Each file is registered on its own.\n\n\
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
    /// Read rows, sorted by the index
    #[command(
        after_help = "The format `table` keeps all rows in memory until the end; the others stream. In a table a null is `-`,\n\
        in CSV an empty cell.\n\n\
        Examples:\n  datanode table read fx_ecb_daily_rates --where currency=USD --start 2026-10-01\n  \
        datanode table read fx_ecb_daily_rates --columns rate --limit 0 --format csv > rates.csv"
    )]
    Read(ReadArguments),
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
    /// First moment, inclusive: RFC 3339 or a date
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<Timestamp>,
    /// Last moment, inclusive
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<Timestamp>,
    /// Keep rows of this value of an identity dimension; several of one dimension are alternatives
    #[arg(long = "where", value_name = "DIMENSION=VALUE")]
    pub(crate) filters: Vec<String>,
    /// Columns besides the index [default: all]
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    pub(crate) columns: Option<Vec<String>>,
    /// At most so many rows; 0 for all
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: u64,
    /// How rows are printed; --json is the same as --format json
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub(crate) format: RowFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RowFormat {
    /// Aligned columns
    Table,
    /// RFC 4180, with a header line
    Csv,
    /// One JSON object per line
    Jsonl,
    /// One JSON array
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Add a directory that granted components may read
    #[command(
        after_help = "The same again changes nothing, but adds the grants; another path under the same name is refused.\n\n\
        Example:\n  datanode source add ecb --path examples/fx/data --grant ecb_daily_fx_rates"
    )]
    Add {
        /// Name that components declare
        name: String,
        /// Directory
        #[arg(long, value_name = "DIRECTORY")]
        path: PathBuf,
        /// Component that may read it; may be given several times
        #[arg(long, value_name = "COMPONENT")]
        grant: Vec<String>,
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
        /// Isolate the identity of this node and its dependencies
        #[arg(long, default_value = "", value_name = "NAME")]
        hash_namespace: String,
        /// Always run the release with these bytes instead of the highest version
        #[arg(long, value_name = "SHA256")]
        pin: Option<Digest>,
    },
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
    #[command(
        after_help = "With --json the records of all runs are printed, the node asked for last; what failed is then in the\n\
        records and not on standard error. Events of --progress json, one line each on standard error: started,\n\
        loading, updating, rows_read, rows_emitted, committing, rows_written, finished. Rows written are visible to\n\
        nobody before `finished`.\n\n\
        Examples:\n  datanode node run fx_log_returns\n  \
        datanode node run fx_log_returns --until 2020-12-31"
    )]
    Run {
        /// Update hash (or the beginning of it), or the table that it alone writes
        node: String,
        /// Last moment that rows may have, for every node of the graph [default: the last complete period]
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        /// Call nodes that have nothing new to do, too
        #[arg(long)]
        force: bool,
        /// Runtime option; the value is JSON, or text when it is not
        #[arg(long = "option", value_name = "NAME=VALUE")]
        options: Vec<String>,
        /// How progress is shown
        #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
        progress: ProgressMode,
    },
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
        #[arg(long, value_name = "LINES")]
        tail: Option<usize>,
    },
}
