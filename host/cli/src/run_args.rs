//! Arguments of `datanode node run`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use datanode_core::journal::JournalMode;
use datanode_core::{Timestamp, namespace};

use crate::failure::Failure;
use crate::progress::ProgressMode;

/// What stands below the arguments in the help.
pub(crate) const AFTER_HELP: &str = "\
With --json the records of all runs are printed, the node asked for last; what failed is then in the
records and not on standard error. With --debug that is an object with `runs` and `frame`, with --dry-run one with
`run`, `frame` and `stored`. Events of --progress json, one line each on standard error: started, loading, updating,
logged, rows_read, rows_emitted, committing, rows_written, finished. Rows written are visible to nobody before `finished`.

With --hash-namespace the node of the same component, config and table under that namespace is run, and created with
its dependencies if it is not there: its identity is isolated, its rows are not.

A dry run computes the node on what its dependencies have stored, and leaves nothing behind. (Foreign keys, and checks that
compare with stored rows, are judged in a transaction that is rolled back.) Its --statistics are a
JSON array such as [{\"coordinate\": [\"USD\"], \"min\": \"2020-01-01\", \"max\": \"2020-12-31\"}]; [] stands for an empty table.

Examples:
  datanode node run fx_log_returns
  datanode node run fx_log_returns --until 2020-12-31
  datanode node run fx_log_returns --dry-run --sample 20
  datanode node run fx_log_returns --no-tree --force --debug";

/// What journals keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Journal {
    /// All of it: the run can be executed again, whatever becomes of its tables and sources
    Full,
    /// Digests only, which take next to no room: the run cannot be executed again
    Digest,
}

impl From<Journal> for JournalMode {
    fn from(journal: Journal) -> Self {
        match journal {
            Journal::Full => Self::Full,
            Journal::Digest => Self::Digest,
        }
    }
}

/// How a node is run.
#[allow(clippy::struct_excessive_bools)] // each is a switch of the command line
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("shown").args(["dry_run", "debug"]))]
pub(crate) struct RunArguments {
    /// Update hash (or the beginning of it), or the table that it alone writes
    pub(crate) node: String,
    /// Last moment that rows may have, for every node of the graph [default: the last complete period]
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// Call nodes that have nothing new to do, too
    #[arg(long)]
    pub(crate) force: bool,
    /// Wait so long for a node that another run is writing, before the run fails
    #[arg(long, value_name = "SECONDS", default_value_t = 0, conflicts_with = "dry_run")]
    pub(crate) wait: u64,
    /// Run the node alone, on what its dependencies have stored
    #[arg(long, conflicts_with = "tree_only")]
    pub(crate) no_tree: bool,
    /// Run the dependencies alone, and not the node
    #[arg(long, conflicts_with = "shown")]
    pub(crate) tree_only: bool,
    #[command(flatten)]
    pub(crate) hash_namespace: HashNamespace,
    /// Runtime option; the value is JSON, or text when it is not
    #[arg(long = "option", value_name = "NAME=VALUE")]
    pub(crate) option: Vec<String>,
    /// Runtime options as a JSON object or TOML; --option overrides single ones
    #[arg(long, value_name = "FILE")]
    pub(crate) options: Option<PathBuf>,
    /// Do everything but the commit, for the node alone, and show what would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Statistics that a dry run gives the node in place of the table's own
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    pub(crate) statistics: Option<PathBuf>,
    /// Show what the node wrote
    #[arg(long)]
    pub(crate) debug: bool,
    /// Rows that --dry-run and --debug show
    #[arg(long, value_name = "ROWS", requires = "shown", default_value_t = 10,
        value_parser = clap::value_parser!(u16).range(0..=1_000))]
    pub(crate) sample: u16,
    /// What the journals of the runs keep of that which the nodes are given [default: `journal` in
    /// datanode.toml, else full]
    #[arg(long, value_enum, value_name = "MODE", conflicts_with = "dry_run")]
    pub(crate) journal: Option<Journal>,
    /// How progress is shown
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,
}

/// `--hash-namespace`, and what the environment says of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct HashNamespace {
    /// Isolate the identity of the node and its dependencies; empty for none [default: `$DATANODE_HASH_NAMESPACE`, else none]
    #[arg(long = "hash-namespace", value_name = "NAME")]
    explicit: Option<String>,
    /// The ambient one, apart from the explicit one: which of them counts is a rule of the core.
    #[arg(long = "ambient-hash-namespace", hide = true, env = "DATANODE_HASH_NAMESPACE")]
    ambient: Option<String>,
}

impl HashNamespace {
    /// Whether this very command asks for one.
    pub(crate) fn is_explicit(&self) -> bool {
        self.explicit.is_some()
    }

    /// The one that counts; empty for none.
    pub(crate) fn resolve(&self) -> anyhow::Result<String> {
        let namespace = namespace::resolve(self.explicit.as_deref(), self.ambient.as_deref());
        Ok(namespace.map_err(|error| {
            Failure::usage(error.to_string())
                .with_code("name.invalid")
                .with_next_step("give lower-case names joined by dots, as in `ci.nightly`, or \"\" for none")
        })?)
    }
}
