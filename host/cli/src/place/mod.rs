//! Where the answer of a command comes from.
//!
//! **One idea:** a command shows an answer, and does not know who has found it: the host in this process, over a database
//! of its own, or a server. Each question of the commands stands here once, with both ways side by side, and is answered by
//! one type.

mod backfills;
mod checks;
mod components;
mod nodes;
mod people;
mod revision_folders;
mod revisions;
mod rows;
mod runs;
mod search;
mod sources;
mod tables;

use datanode_runtime::Host;

use crate::remote::Server;

pub(crate) use components::ComponentFile;
pub(crate) use revisions::StepsMade;
pub(crate) use rows::RowSource;
pub(crate) use runs::{TreeRuns, WantedRuns};
pub(crate) use search::Wanted;
pub(crate) use sources::NewSource;

/// Where answers come from.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // there is one in a process
pub(crate) enum Place {
    /// From the host in this process.
    Here(Host),
    /// From a server.
    There(Server),
}

impl Place {
    /// The server, where one is asked.
    fn server(&self) -> anyhow::Result<&Server> {
        match self {
            Self::There(server) => Ok(server),
            Self::Here(_) => Err(crate::usage("no server is named: --url URL")),
        }
    }
}
