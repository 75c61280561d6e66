//! Backfills: how they stand.

use std::collections::BTreeMap;

use datanode_core::Timestamp;
use datanode_core::backfill::{BackfillMode, BackfillState, WindowCounts};
use datanode_core::cadence::Cadence;
use datanode_store::{Backfill, BackfillRows, BackfillWindow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Host, RuntimeError};

/// How a backfill stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackfillDocument {
    /// Id.
    pub backfill_id: String,
    /// Uid of the node.
    pub node_uid: String,
    /// Its identity.
    pub update_hash: String,
    /// Uid of the output table.
    pub table_uid: String,
    /// Its identifier.
    pub table: String,
    /// First moment, inclusive.
    pub from: Timestamp,
    /// Last moment, inclusive.
    pub to: Timestamp,
    /// How long each window is; none: all of it is one window.
    pub step: Option<Cadence>,
    /// What is done with rows that are there already.
    pub mode: BackfillMode,
    /// Windows that a process works on at once.
    pub concurrency: u16,
    /// Go on with the other windows when one has failed.
    pub keep_going: bool,
    /// Runtime options of its runs.
    pub options: BTreeMap<String, Value>,
    /// How it stands.
    pub state: BackfillState,
    /// One window at a time, in their order.
    pub is_ordered: bool,
    /// How many windows are in which state.
    pub windows: WindowCounts,
    /// What became of the rows of all windows.
    pub rows: BackfillRows,
    /// How long what is left may take, in microseconds.
    pub time_left_us: Option<u64>,
    /// When it was begun.
    pub created_at: Timestamp,
}

impl From<&Backfill> for BackfillDocument {
    fn from(backfill: &Backfill) -> Self {
        let request = &backfill.request;
        Self {
            backfill_id: backfill.uid.clone(),
            node_uid: backfill.node_uid.clone(),
            update_hash: backfill.update_hash.clone(),
            table_uid: backfill.table_uid.clone(),
            table: backfill.table.clone(),
            from: request.from,
            to: request.to,
            step: request.step,
            mode: request.mode,
            concurrency: request.concurrency,
            keep_going: request.keep_going,
            options: request.options.clone(),
            state: backfill.state(),
            is_ordered: backfill.is_ordered,
            windows: backfill.windows,
            rows: backfill.rows,
            time_left_us: backfill.time_left_us(),
            created_at: backfill.created_at,
        }
    }
}

/// A backfill with its windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackfillDetail {
    /// How it stands.
    pub backfill: BackfillDocument,
    /// Its windows, by time.
    pub windows: Vec<BackfillWindow>,
}

impl Host {
    /// Backfills, the newest first; of one node, where it is named.
    pub async fn backfill_documents(
        &self,
        node: Option<&str>,
    ) -> Result<Vec<BackfillDocument>, RuntimeError> {
        let node = match node {
            Some(node) => Some(self.store.node(node).await?.uid),
            None => None,
        };
        let backfills = self.store.backfills(node.as_deref()).await?;
        Ok(backfills.iter().map(BackfillDocument::from).collect())
    }

    /// A backfill with its windows.
    pub async fn backfill_detail(&self, reference: &str) -> Result<BackfillDetail, RuntimeError> {
        let backfill = self.store.backfill(reference).await?;
        let windows = self.store.backfill_windows(&backfill.uid).await?;
        Ok(BackfillDetail { backfill: BackfillDocument::from(&backfill), windows })
    }
}
