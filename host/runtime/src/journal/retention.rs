//! How long journals are kept.

use std::time::{Duration, SystemTime};

use datanode_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Host, RuntimeError, clock};

/// Between two times that old journals are removed because of their age: each time all that is kept is looked through.
const INTERVAL: Duration = Duration::from_hours(24);

/// What was removed with old journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Journals.
    pub journals: u64,
    /// Files of contents.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
}

impl Host {
    /// Remove the journals of runs that started before a moment, and the contents that no journal names any more. The
    /// records stay; these runs cannot be executed again. With `only_look` nothing is removed.
    pub async fn prune_journals(&self, before: Timestamp, only_look: bool) -> Result<Pruned, RuntimeError> {
        let journals = self.store.remove_journals(before, only_look).await?;
        let named = self.store.journal_contents(only_look.then_some(before)).await?;
        let contents = self.journals.contents.clone();
        let longest_call = Duration::from_secs(self.sandbox.limits().call_seconds);
        let sweep = move || contents.sweep(&named, longest_call, only_look);
        let (files, bytes) = tokio::task::spawn_blocking(sweep)
            .await
            .map_err(|_| RuntimeError::Panicked("contents were being removed"))??;
        Ok(Pruned { journals, files, bytes })
    }

    /// The same for journals that are older than [`crate::JournalSettings::keep`], once a day for one directory of contents,
    /// whichever process it is (two that come at once may both do it). What fails is due again at once. None: nothing was due.
    pub async fn prune_due_journals(&self) -> Result<Option<Pruned>, RuntimeError> {
        let Some(keep) = self.journals.keep else { return Ok(None) };
        if !self.journals.contents.is_sweep_due(SystemTime::now(), INTERVAL)? {
            return Ok(None);
        }
        // Where time begins later than that, nothing is as old.
        let Some(before) = oldest_kept(clock::now(), keep) else { return Ok(None) };
        let pruned = self.prune_journals(before, false).await?;
        self.journals.contents.note_sweep(SystemTime::now())?;
        Ok(Some(pruned))
    }
}

/// The moment so long before now.
fn oldest_kept(now: Timestamp, keep: Duration) -> Option<Timestamp> {
    let keep = i64::try_from(keep.as_micros()).ok()?;
    Timestamp::from_micros(now.micros().checked_sub(keep)?).ok()
}
