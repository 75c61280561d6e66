//! `datanode source`, as data.

use clap::Subcommand;

use crate::commands::source::{AddArguments, AllowArguments};

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
