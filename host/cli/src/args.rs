//! The command line, as data.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
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
    #[command(after_help = "Examples:\n  datanode init\n  datanode init ~/research")]
    Init {
        /// Where [default: the current directory]
        directory: Option<PathBuf>,
    },
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
}

#[derive(Debug, Subcommand)]
pub(crate) enum ComponentCommand {
    /// Check components and add them to the catalogue
    #[command(
        after_help = "A component that imports a clock, randomness, the environment, files or the network is\n\
        refused, with the way to build it without.\n\n\
        Example:\n  datanode component upload target/components/*.wasm"
    )]
    Upload {
        /// Component files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
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
}

#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// Register tables from their contracts
    #[command(after_help = "Registering the same contract again changes nothing.\n\n\
        Example:\n  datanode table register contracts/*.toml")]
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
    /// Read rows
    #[command(
        after_help = "Examples:\n  datanode table read fx_ecb_daily_rates --where currency=USD --start 2026-10-01\n  \
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
        after_help = "Example:\n  datanode source add ecb --path examples/fx/data --grant ecb_daily_fx_rates"
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
    /// Let a component read a source
    Grant {
        /// Source
        name: String,
        /// Component
        component: String,
    },
    /// Take a grant back
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
    Show {
        /// Update hash (or the beginning of it), or the table that it alone writes
        node: String,
    },
    /// Run a node after everything that it depends on
    #[command(after_help = "Examples:\n  datanode node run fx_log_returns\n  \
        datanode node run fx_log_returns --until 2020-12-31")]
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
    Show {
        /// Run id, or the beginning of it
        run: String,
    },
}
