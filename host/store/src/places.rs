//! Snapshots of those who only read, at whose pace others may wait: some of all that there are, so that runs have the rest.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::StoreError;

/// How long one waits for a place.
const PATIENCE: Duration = Duration::from_secs(30);

/// A place, given back when it is dropped. One who needs none, such as a run, has none.
pub(crate) type ReaderPlace = Option<OwnedSemaphorePermit>;

/// Places for snapshots. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Places {
    /// So many at once.
    pub(crate) fn new(most: u32) -> Self {
        Self(Arc::new(Semaphore::new(most as usize)))
    }

    /// A place among these; whoever comes when all are taken waits, but not without an end. None: for one who needs none.
    pub(crate) async fn place(places: Option<&Self>) -> Result<ReaderPlace, StoreError> {
        let Some(Self(places)) = places else { return Ok(None) };
        let failed = |source| StoreError::Database { doing: "waiting for a place to read", source };
        tokio::time::timeout(PATIENCE, Arc::clone(places).acquire_owned())
            .await
            .map_err(|_| failed(sqlx::Error::PoolTimedOut))?
            .map(Some)
            .map_err(|_| failed(sqlx::Error::PoolClosed))
    }
}
