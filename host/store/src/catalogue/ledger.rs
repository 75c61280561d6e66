//! Windows of nodes as catalogues keep them.

use datanode_core::cadence::Cadence;
use datanode_core::ledger::{Ledger, NodeWindow, Visit, WindowState};
use datanode_core::run::RunRecord;

use super::stored::{damaged, timestamp};
use crate::StoreError;

/// A row: first and last moment, state, run, failures, when that run ended, and whether it was one of a backfill.
pub(crate) type Raw = (i64, i64, String, String, i64, i64, bool);

/// The rows of a node, by time.
pub(crate) fn ledger(node_uid: &str, rows: Vec<Raw>) -> Result<Ledger, StoreError> {
    let place = format!("windows of node {node_uid}");
    let window = |(first, last, state, run_id, failures, updated_at, is_backfill): Raw| {
        Ok(NodeWindow {
            first: timestamp(&place, first)?,
            last: timestamp(&place, last)?,
            state: WindowState::from_name(&state)
                .ok_or_else(|| StoreError::Damaged(format!("{place}: no state `{state}`")))?,
            run_id,
            failures: u32::try_from(failures).map_err(damaged(&place))?,
            updated_at: timestamp(&place, updated_at)?,
            is_backfill,
        })
    };
    let windows = rows.into_iter().map(window).collect::<Result<Vec<_>, StoreError>>()?;
    Ledger::from_windows(windows).ok_or_else(|| StoreError::Damaged(format!("{place}: some of them overlap")))
}

/// What a run says of its window.
pub(crate) fn visit(record: &RunRecord, cadence: Option<Cadence>) -> Visit<'_> {
    Visit {
        window: record.window,
        cadence,
        run_id: &record.run_id,
        at: record.finished_at,
        is_backfill: record.backfill.is_some(),
    }
}

/// What leads from one ledger to another.
pub(crate) struct Moves<'l> {
    /// First moments of windows that are not there any more, or are others.
    pub(crate) gone: Vec<i64>,
    /// Windows that were not there.
    pub(crate) come: Vec<&'l NodeWindow>,
}

impl<'l> Moves<'l> {
    pub(crate) fn between(before: &Ledger, after: &'l Ledger) -> Self {
        let gone = before.windows().iter().filter(|window| !after.windows().contains(window));
        Self {
            gone: gone.map(|window| window.first.micros()).collect(),
            come: after.windows().iter().filter(|window| !before.windows().contains(window)).collect(),
        }
    }
}
