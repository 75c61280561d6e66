//! Journals: what a guest is given is written down as it is given, and answers it again in a replay.
//!
//! *Where things are:* the journal itself is stored with the run, in the transaction of its commit. Contents of some size
//! (frames that were read, bodies that were fetched) lie beside it, in files that are named by their digest, so that what
//! several runs were given is kept once.

mod contents;
mod describe;
mod record;
mod replay;
mod retention;

use std::time::Duration;

use datanode_core::journal::JournalMode;

pub use contents::{ContentError, Contents};
pub(crate) use describe::described;
pub(crate) use record::{JournalWriter, Written};
pub(crate) use replay::{Replayer, Seen, Stopped};
pub use retention::Pruned;

/// What is kept of that which guests are given.
#[derive(Debug, Clone)]
pub struct JournalSettings {
    /// Where contents are kept.
    pub contents: Contents,
    /// What is kept; None: no journal at all, and no run can be executed again.
    pub mode: Option<JournalMode>,
    /// For how long a journal is kept from the start of its run on; None: until it is removed by hand.
    pub keep: Option<Duration>,
}

impl Default for JournalSettings {
    /// None.
    fn default() -> Self {
        Self {
            contents: Contents::new(std::env::temp_dir().join("datanode-contents")),
            mode: None,
            keep: None,
        }
    }
}
