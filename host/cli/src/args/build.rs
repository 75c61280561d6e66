//! `datanode build` and `datanode check`, as data.

use std::path::PathBuf;

use clap::Args;
use datanode_core::Timestamp;

use crate::progress::ProgressMode;

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
