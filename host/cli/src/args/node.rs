//! `datanode node`, as data.

use clap::{Args, Subcommand};
use datanode_core::digest::Digest;

use crate::commands::backfill::BackfillArguments;
use crate::commands::node_windows::{SetArguments, WindowsArguments};
use crate::run_args::{HashNamespace, RunArguments};

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
