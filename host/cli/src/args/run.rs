//! `datanode run`, as data.

use std::path::PathBuf;

use clap::Subcommand;

use crate::commands::replay::{PruneArguments, ReplayArguments};
use crate::progress::ProgressMode;

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
        the window of that run, whatever a run of today would cover; but where something before that window is open by\n\
        now, it begins there. It is a run of its own, with a record that names the failed one. Rows that the table has got\n\
        since stay as they are.\n\n\
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
