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
mod seen;

use std::io::{BufReader, Cursor};
use std::time::Duration;

use datanode_core::journal::{JournalError, JournalMode, JournalReader};

pub use contents::{ContentError, Contents};
pub(crate) use describe::described;
pub(crate) use record::{JournalWriter, Written};
pub(crate) use replay::{Replayer, Seen, Stopped};
pub use retention::Pruned;
pub(crate) use seen::{SeenFetch, SeenFrame, Totals};

/// How many times as long as its whole document the first line of a journal may be, beyond [`ANY_LINE`]. The statistics of
/// many coordinates compress to a thirtieth; what compresses to less than this is there to cost memory.
const MOST_RATIO: usize = 256;
/// Bytes that a first line may have whatever it takes compressed.
const ANY_LINE: usize = 64 << 20;

/// A journal as it is read out of its document.
pub(crate) type Journal = JournalReader<BufReader<zstd::Decoder<'static, BufReader<Cursor<Vec<u8>>>>>>;

/// Read a document, which may be a stranger's.
pub(crate) fn open(document: Vec<u8>) -> Result<Journal, JournalError> {
    let most = most_line(document.len());
    let text = zstd::Decoder::new(Cursor::new(document)).map_err(JournalError::Unreadable)?;
    JournalReader::within(BufReader::new(text), most)
}

/// The most bytes of the first line of a journal whose document has so many.
fn most_line(document: usize) -> usize {
    document.saturating_mul(MOST_RATIO).saturating_add(ANY_LINE)
}

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
