//! Backfills as catalogues keep them.

use datanode_core::backfill::{BackfillRequest, Control, WindowCounts, WindowStatus};
use datanode_core::run::{RunRecord, RunStatus};

use super::stored::{count, damaged, from_json, timestamp};
use crate::{Backfill, BackfillRows, BackfillWindow, StoreError, WindowError};

/// A row of a backfill, joined with its node and table, and whether it is worked on.
pub(crate) struct RawBackfill {
    pub(crate) uid: String,
    pub(crate) node_uid: String,
    pub(crate) update_hash: String,
    pub(crate) table_uid: String,
    pub(crate) table: String,
    pub(crate) request: String,
    pub(crate) control: String,
    pub(crate) is_ordered: bool,
    pub(crate) is_worked_on: bool,
    pub(crate) created_at: i64,
}

/// What decides whether windows of a backfill are begun, and in which order.
pub(crate) struct Head {
    control: Control,
    keep_going: bool,
    pub(crate) is_ordered: bool,
}

impl Head {
    /// From request, control and order of a row.
    pub(crate) fn of(uid: &str, row: Option<(String, String, bool)>) -> Result<Self, StoreError> {
        let (request, control, is_ordered) =
            row.ok_or_else(|| StoreError::NotFound { kind: "backfill", reference: uid.to_owned() })?;
        let place = format!("backfill {uid}");
        let request: BackfillRequest = from_json(&place, &request)?;
        Ok(Self { control: self::control(&place, &control)?, keep_going: request.keep_going, is_ordered })
    }

    /// Whether a further window may be begun.
    pub(crate) fn goes_on(&self, has_failed: bool) -> bool {
        self.control == Control::Go && (self.keep_going || !has_failed)
    }
}

fn control(place: &str, name: &str) -> Result<Control, StoreError> {
    Control::from_name(name).ok_or_else(|| StoreError::Damaged(format!("{place}: no control `{name}`")))
}

/// Of one status: windows, rows inserted, updated and unchanged, and microseconds that the finished ones took.
pub(crate) type RawSum = (String, i64, i64, i64, i64, i64);

pub(crate) fn backfill(raw: RawBackfill, sums: Vec<RawSum>) -> Result<Backfill, StoreError> {
    let place = format!("backfill {}", raw.uid);
    let (mut windows, mut rows, mut finished_us) = (WindowCounts::default(), BackfillRows::default(), 0);
    for (name, number, inserted, updated, unchanged, micros) in sums {
        let status = status(&place, &name)?;
        windows.add(status, count(&place, number)?);
        rows.inserted += count(&place, inserted)?;
        rows.updated += count(&place, updated)?;
        rows.unchanged += count(&place, unchanged)?;
        if matches!(status, WindowStatus::Done | WindowStatus::Empty) {
            finished_us += u64::try_from(micros).unwrap_or(0);
        }
    }
    Ok(Backfill {
        request: from_json(&place, &raw.request)?,
        control: control(&place, &raw.control)?,
        created_at: timestamp(&place, raw.created_at)?,
        uid: raw.uid,
        node_uid: raw.node_uid,
        update_hash: raw.update_hash,
        table_uid: raw.table_uid,
        table: raw.table,
        is_ordered: raw.is_ordered,
        is_worked_on: raw.is_worked_on,
        windows,
        rows,
        finished_us,
    })
}

/// A row of a window.
pub(crate) struct RawWindow {
    pub(crate) position: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) status: String,
    pub(crate) attempts: i64,
    pub(crate) run_id: Option<String>,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
    pub(crate) rows: [i64; 3],
    pub(crate) error: Option<(String, String)>,
}

pub(crate) fn window(uid: &str, raw: RawWindow) -> Result<BackfillWindow, StoreError> {
    let place = format!("window {} of backfill {uid}", raw.position);
    let moment = |at: Option<i64>| at.map(|at| timestamp(&place, at)).transpose();
    let [inserted, updated, unchanged] = raw.rows;
    Ok(BackfillWindow {
        position: u32::try_from(raw.position).map_err(damaged(&place))?,
        start: timestamp(&place, raw.first)?,
        end: timestamp(&place, raw.last)?,
        status: status(&place, &raw.status)?,
        attempts: u32::try_from(raw.attempts).map_err(damaged(&place))?,
        run_id: raw.run_id,
        started_at: moment(raw.started_at)?,
        finished_at: moment(raw.finished_at)?,
        rows: BackfillRows {
            inserted: count(&place, inserted)?,
            updated: count(&place, updated)?,
            unchanged: count(&place, unchanged)?,
        },
        error: raw.error.map(|(code, message)| WindowError { code, message }),
    })
}

fn status(place: &str, name: &str) -> Result<WindowStatus, StoreError> {
    WindowStatus::from_name(name).ok_or_else(|| StoreError::Damaged(format!("{place}: no status `{name}`")))
}

/// What a committed run makes of its window.
pub(crate) fn committed(record: &RunRecord) -> WindowStatus {
    if record.status == RunStatus::Ok { WindowStatus::Done } else { WindowStatus::Empty }
}

/// Whether what is said of a backfill can be said of it. One that is over stays so; to say again what was said is no
/// change.
pub(crate) fn refuse_over(backfill: &Backfill, control: Control) -> Result<(), StoreError> {
    use datanode_core::backfill::BackfillState as State;

    let state = backfill.state();
    let is_over = match state {
        State::Done => true,
        State::Cancelled => control != Control::Cancel,
        _ => false,
    };
    if is_over {
        return Err(StoreError::BackfillOver { uid: backfill.uid.clone(), state });
    }
    Ok(())
}

/// The error of a claim that has passed to another run.
pub(crate) fn lost(held: &crate::HeldWindow) -> StoreError {
    StoreError::WindowLost {
        run_id: held.run_id.clone(),
        window: held.position,
        backfill: held.backfill_uid.clone(),
    }
}
