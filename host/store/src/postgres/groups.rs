//! Batches on their way into a `COPY`.
//!
//! They come from an iterator that may block, so a thread of its own pulls and encodes them; a channel of one place
//! keeps it one group ahead. A group is some batches and their copy, about [`GROUP_BYTES`] of it: so much is held in
//! memory, however many rows there are, and so much can be sent again to find the row that the database refused.

use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::copy::Encoder;
use super::write::{Caller, given_up};
use crate::fault::{self, Step};
use crate::{RowsError, StoreError};

/// A group is sent when it has grown to this.
const GROUP_BYTES: usize = 4 << 20;
/// Pieces in which a group is sent.
const CHUNK_BYTES: usize = 1 << 20;

/// Batches and the one copy of their rows.
pub(super) struct Group<T> {
    pub(super) batches: Vec<T>,
    pub(super) copy: Vec<u8>,
}

/// The groups to come. When this is dropped, the thread stops at its next group.
pub(super) struct Groups<T> {
    doing: &'static str,
    encoded: mpsc::Receiver<Group<T>>,
    encoding: JoinHandle<Result<(), StoreError>>,
}

impl<T: Send + 'static> Groups<T> {
    /// Begin to pull and encode.
    pub(super) fn begin(
        doing: &'static str,
        rows: Box<dyn Iterator<Item = Result<T, RowsError>> + Send>,
        encode: impl FnMut(&mut Encoder, &T) -> Result<(), StoreError> + Send + 'static,
    ) -> Self {
        let (sender, encoded) = mpsc::channel(1);
        let encoding = tokio::task::spawn_blocking(move || pull(rows, encode, &sender));
        Self { doing, encoded, encoding }
    }

    /// The next group; None when there are no more. Ends when the caller goes away, however long the rows take. A panic
    /// of the rows is the caller's.
    pub(super) async fn next(&mut self, caller: &mut Caller) -> Result<Option<Group<T>>, StoreError> {
        let doing = self.doing;
        tokio::select! {
            biased;
            () = caller.gone() => Err(given_up(doing)),
            group = self.pulled() => group,
        }
    }

    async fn pulled(&mut self) -> Result<Option<Group<T>>, StoreError> {
        if let Some(group) = self.encoded.recv().await {
            return Ok(Some(group));
        }
        let doing = self.doing;
        (&mut self.encoding).await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Never started: the runtime is shutting down.
            Err(_) => StoreError::Database { doing, source: sqlx::Error::WorkerCrashed },
        })??;
        Ok(None)
    }
}

fn pull<T>(
    rows: Box<dyn Iterator<Item = Result<T, RowsError>> + Send>,
    mut encode: impl FnMut(&mut Encoder, &T) -> Result<(), StoreError>,
    groups: &mpsc::Sender<Group<T>>,
) -> Result<(), StoreError> {
    let mut encoder = Encoder::default();
    let mut batches = Vec::new();
    let mut rows = rows.peekable();
    while let Some(batch) = rows.next() {
        let batch = batch.map_err(StoreError::Rows)?;
        if batches.is_empty() {
            encoder.begin();
        }
        encode(&mut encoder, &batch)?;
        batches.push(batch);
        if encoder.written().len() >= GROUP_BYTES || rows.peek().is_none() {
            encoder.end();
            let group = Group { batches: std::mem::take(&mut batches), copy: encoder.take() };
            if groups.blocking_send(group).is_err() {
                break;
            }
        }
    }
    Ok(())
}

/// Send a copy; how many rows there were. An error of the server aborts the transaction.
pub(super) async fn send(connection: &mut PgConnection, statement: &str, copy: &[u8]) -> sqlx::Result<u64> {
    let mut copying = connection.copy_in_raw(statement).await?;
    for chunk in copy.chunks(CHUNK_BYTES) {
        copying.send(chunk).await?;
        // Of a commit; nobody arms it for a load.
        fault::reached(Step::RowsBegun);
    }
    copying.finish().await
}
