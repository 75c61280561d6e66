//! Journals of runs, stored with their records.

use std::collections::{BTreeSet, HashSet};

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::digest::Digest;

use crate::StoreError;

/// The journal of a run as it is stored: in the transaction that stores its record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunJournal {
    /// Compressed JSON lines.
    pub document: Vec<u8>,
    /// Contents that it names and that lie elsewhere.
    pub contents: BTreeSet<Digest>,
}

/// What runs can be executed again from.
#[async_trait]
pub trait Journals {
    /// The journal of a run, by its id in full; None when it has none, or when it was removed.
    async fn run_journal(&self, run_id: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Remove the journals of the runs that started before a moment; their records stay. Answers how many went, or, where
    /// nothing is to be removed yet, how many would go.
    async fn remove_journals(&self, before: Timestamp, only_look: bool) -> Result<u64, StoreError>;

    /// All contents that journals name, but for those of runs that started before a moment.
    async fn journal_contents(&self, since: Option<Timestamp>) -> Result<HashSet<Digest>, StoreError>;
}
