//! `datanode component`, as data.

use std::path::PathBuf;

use clap::Subcommand;
use datanode_core::digest::Digest;

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
