//! All rows of an update, looked through piece by piece: judged once more, and on their way to the commit.

use std::sync::Arc;

use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::digest::{Digest, Digester};
use datanode_core::frame::{FrameError, OutputSummary, OutputValidator};
use datanode_core::producer::ProducerError;
use datanode_core::quality::Evaluation;
use datanode_core::window::Window;
use datanode_store::{ProducerUpdate, StoreError, Table};

use super::rows::unpack;
use crate::run::Spill;
use crate::{Host, RuntimeError, SpillSettings};

/// The rows of an update.
pub(super) struct Collected {
    pub(super) summary: OutputSummary,
    pub(super) kept: Spill,
    pub(super) quality: Evaluation,
    pub(super) bytes: u64,
    pub(super) digest: Option<Digest>,
    pub(super) uploads: u64,
}

/// What is carried from piece to piece.
struct Collecting {
    table: String,
    validator: OutputValidator,
    kept: Spill,
    quality: Evaluation,
    digest: Digester,
    bytes: u64,
    uploads: u64,
}

impl Collecting {
    fn new(contract: &Arc<Contract>, spill: SpillSettings) -> Result<Self, StoreError> {
        let end = Timestamp::nearest_micros(i64::MAX);
        let window = Window { start: None, end };
        let validator = OutputValidator::new(Arc::clone(contract), window, Arc::default())
            .map_err(|error| StoreError::Damaged(format!("table `{}`: {error}", contract.identifier)))?;
        Ok(Self {
            table: contract.identifier.clone(),
            validator: validator.covering_window(),
            kept: Spill::new(spill),
            quality: Evaluation::new(Arc::clone(contract)),
            digest: Digester::default(),
            bytes: 0,
            uploads: 0,
        })
    }

    /// Take a piece. The table's contract may be another than when it came.
    fn take(&mut self, bytes: &[u8]) -> Result<(), RuntimeError> {
        let batch = unpack(bytes)?;
        self.validator.schema(&batch.schema()).map_err(|error| match error {
            FrameError::Schema { .. } | FrameError::NotUtc { .. } => {
                StoreError::from(ProducerError::TableChanged { table: self.table.clone() }).into()
            }
            other => RuntimeError::from(other),
        })?;
        if let Some(batch) = self.validator.batch(&batch)? {
            self.quality.rows(&batch);
            self.kept.push(batch).map_err(StoreError::Rows)?;
        }
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.uploads += 1;
        Ok(())
    }
}

impl Host {
    /// Look through what waits for the commit of an update. Memory is bounded by one piece and by what output of runs may
    /// take before it goes to a file.
    pub(super) async fn collect(
        &self,
        update: &ProducerUpdate,
        table: &Table,
    ) -> Result<Collected, RuntimeError> {
        let contract = Arc::new(table.contract.clone());
        let mut collecting = Collecting::new(&contract, self.spill.clone())?;
        for piece in self.store.staged_uploads(&update.run_id).await? {
            let bytes = self.store.staged_rows(&update.run_id, piece.position).await?;
            let taking = tokio::task::spawn_blocking(move || collecting.take(&bytes).map(|()| collecting));
            collecting =
                taking.await.map_err(|_| RuntimeError::Panicked("rows of a producer were read"))??;
        }
        let Collecting { validator, kept, quality, digest, bytes, uploads, .. } = collecting;
        Ok(Collected {
            summary: validator.finish(),
            kept,
            quality,
            bytes,
            digest: (bytes > 0).then(|| digest.finish()),
            uploads,
        })
    }
}
