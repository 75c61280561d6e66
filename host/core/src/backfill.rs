//! Backfills: an explicit range of the past, divided into windows that are runs of their own.
//!
//! What is kept of a backfill is what was asked for, and one state per window; everything else is told from these.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::Timestamp;
use crate::cadence::Cadence;
use crate::diagnostic::{Diagnostic, ErrorClass};
use crate::window::Window;

/// The most windows that one backfill may have.
pub const MAX_WINDOWS: u32 = 100_000;
/// The most windows that one process may work on at once.
pub const MAX_CONCURRENCY: u16 = 32;

/// What a backfill does with rows that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackfillMode {
    /// They take the values that are computed now, where these differ.
    Overwrite,
    /// They stay as they are; only rows that are not there are stored.
    AppendOnly,
}

impl BackfillMode {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overwrite => "overwrite",
            Self::AppendOnly => "append_only",
        }
    }
}

impl fmt::Display for BackfillMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How long a window is, as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A stretch of time, such as `3mo`.
    Time(Cadence),
    /// So many periods of the table's cadence.
    Periods(u32),
}

impl FromStr for Step {
    type Err = BackfillError;

    fn from_str(text: &str) -> Result<Self, BackfillError> {
        let wrong = || BackfillError::StepSyntax(text.chars().take(40).collect());
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Time).map_err(|_| wrong());
        }
        text.parse().ok().filter(|count| *count > 0).map(Self::Periods).ok_or_else(wrong)
    }
}

impl Step {
    /// As a stretch of time.
    ///
    /// # Errors
    ///
    /// [`BackfillError::NoCadence`] for periods of a table without a cadence.
    pub fn of_table(self, table: &str, cadence: Option<Cadence>) -> Result<Cadence, BackfillError> {
        match self {
            Self::Time(step) => Ok(step),
            Self::Periods(count) => {
                let cadence = cadence.ok_or_else(|| BackfillError::NoCadence { table: table.to_owned() })?;
                cadence.times(count).ok_or_else(|| BackfillError::StepSyntax(count.to_string()))
            }
        }
    }
}

/// What was asked for when a backfill was begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackfillRequest {
    /// First moment, inclusive.
    pub from: Timestamp,
    /// Last moment, inclusive.
    pub to: Timestamp,
    /// How long each window is; None: all of it is one window.
    pub step: Option<Cadence>,
    /// What is done with rows that are there already.
    pub mode: BackfillMode,
    /// Windows that are worked on at once.
    pub concurrency: u16,
    /// Whether the other windows are gone on with when one has failed.
    pub keep_going: bool,
    /// Runtime options of its runs.
    pub options: BTreeMap<String, Value>,
}

/// What the range of a backfill is judged by.
#[derive(Debug, Clone, Copy)]
pub struct RangeBounds<'b> {
    /// Identifier of the table.
    pub table: &'b str,
    /// Where a run of now would end.
    pub end: Timestamp,
    /// Where the node's data begin, if its config says so.
    pub offset_start: Option<Timestamp>,
    /// Latest time of a table with identity dimensions; None: it has no rows, or is indexed by time alone.
    pub latest: Option<Timestamp>,
    /// Cadence of the table.
    pub cadence: Option<Cadence>,
}

impl BackfillRequest {
    /// The windows, by time: each begins where the one before it ends, and the last one is cut.
    ///
    /// # Errors
    ///
    /// [`BackfillError::TooManyWindows`] for more than [`MAX_WINDOWS`], and what is wrong with the range.
    pub fn windows(&self, bounds: &RangeBounds<'_>) -> Result<Vec<Window>, BackfillError> {
        self.check(bounds)?;
        let Some(step) = self.step else {
            return Ok(vec![Window { start: Some(self.from), end: self.to }]);
        };
        let mut windows = Vec::new();
        let mut first = self.from;
        for periods in 1..=MAX_WINDOWS {
            let next = step.after(self.from, periods).filter(|next| *next <= self.to);
            let last = next.map_or(self.to, |next| Timestamp::nearest_micros(next.micros() - 1));
            windows.push(Window { start: Some(first), end: last });
            match next {
                Some(next) => first = next,
                None => return Ok(windows),
            }
        }
        Err(BackfillError::TooManyWindows { step })
    }

    fn check(&self, bounds: &RangeBounds<'_>) -> Result<(), BackfillError> {
        let (from, to) = (self.from, self.to);
        if from > to {
            return Err(BackfillError::Reversed { from, to });
        }
        if to > bounds.end {
            return Err(BackfillError::NotPast { to, end: bounds.end });
        }
        if let Some(offset_start) = bounds.offset_start.filter(|start| from < *start) {
            return Err(BackfillError::BeforeStart { from, offset_start });
        }
        // A run of such a table asks each coordinate where it ends, and looks for nothing before.
        let is_reached = |latest: &Timestamp| {
            let next = bounds.cadence.map_or(Some(*latest), |cadence| cadence.next(*latest));
            next.is_none_or(|next| from <= next)
        };
        match bounds.latest.filter(|latest| !is_reached(latest)) {
            Some(latest) => Err(BackfillError::Ahead { table: bounds.table.to_owned(), from, latest }),
            None => Ok(()),
        }
    }
}

/// What has become of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowStatus {
    /// Nobody has worked on it yet, or what had failed is to be tried again.
    Pending,
    /// A run is at it, or its process has ended without a word.
    Running,
    /// Rows were stored, or were there as they would have been.
    Done,
    /// The node had nothing to store.
    Empty,
    /// Its last run failed.
    Failed,
}

impl WindowStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Done, Self::Empty, Self::Failed];

    /// The name used in JSON and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Empty => "empty",
            Self::Failed => "failed",
        }
    }

    /// The status of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// How many windows are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WindowCounts {
    /// See [`WindowStatus::Pending`].
    pub pending: u64,
    /// See [`WindowStatus::Running`].
    pub running: u64,
    /// See [`WindowStatus::Done`].
    pub done: u64,
    /// See [`WindowStatus::Empty`].
    pub empty: u64,
    /// See [`WindowStatus::Failed`].
    pub failed: u64,
}

impl WindowCounts {
    /// Count windows of one status.
    pub fn add(&mut self, status: WindowStatus, windows: u64) {
        *match status {
            WindowStatus::Pending => &mut self.pending,
            WindowStatus::Running => &mut self.running,
            WindowStatus::Done => &mut self.done,
            WindowStatus::Empty => &mut self.empty,
            WindowStatus::Failed => &mut self.failed,
        } += windows;
    }

    /// All windows.
    pub fn total(&self) -> u64 {
        self.pending + self.running + self.done + self.empty + self.failed
    }

    /// Windows that need not be worked on any more.
    pub fn finished(&self) -> u64 {
        self.done + self.empty
    }
}

/// What a person last said of a backfill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Work on it.
    Go,
    /// Begin no further window.
    Pause,
    /// The same, for good.
    Cancel,
}

impl Control {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Go, Self::Pause, Self::Cancel];

    /// The name used in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Pause => "pause",
            Self::Cancel => "cancel",
        }
    }

    /// What a name says.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|control| control.as_str() == name)
    }
}

/// How a backfill stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackfillState {
    /// A process works on it.
    Running,
    /// No process works on it, and windows are left: it was killed, or has lost its database.
    Interrupted,
    /// Somebody has paused it; windows that are running are run to their end.
    Paused,
    /// Somebody has cancelled it; what was stored stays.
    Cancelled,
    /// Windows have failed, and no process works on it.
    Failed,
    /// All windows are done or empty.
    Done,
}

impl BackfillState {
    /// How a backfill stands, from what was said of it, what its windows are, and whether a process works on it.
    pub fn of(control: Control, counts: &WindowCounts, is_worked_on: bool) -> Self {
        match control {
            _ if counts.finished() == counts.total() => Self::Done,
            Control::Cancel => Self::Cancelled,
            Control::Pause => Self::Paused,
            Control::Go if is_worked_on => Self::Running,
            Control::Go if counts.failed > 0 => Self::Failed,
            Control::Go => Self::Interrupted,
        }
    }

    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for BackfillState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How long the windows that are left may take, in microseconds: as long as those that were finished took on average, so
/// many at once. None while none is finished.
pub fn time_left_us(counts: &WindowCounts, finished_us: u64, concurrency: u16) -> Option<u64> {
    let (finished, left) = (counts.finished(), counts.total() - counts.finished());
    let each = finished_us.checked_div(finished)?;
    let at_once = u64::from(concurrency.max(1)).min(left.max(1));
    Some(each.saturating_mul(left).div_ceil(at_once))
}

/// Which window of which backfill a run was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillPlace {
    /// The backfill.
    pub backfill_id: String,
    /// Its window, counted from 1.
    pub window: u32,
}

/// Why a backfill cannot be begun.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BackfillError {
    /// Neither a stretch of time nor a count.
    #[error("`{0}` is no step")]
    StepSyntax(String),
    /// Periods of a table that has no cadence.
    #[error("table `{table}` has no cadence: what a period is of it, nobody knows")]
    NoCadence {
        /// Identifier of the table.
        table: String,
    },
    /// More windows than one backfill may have.
    #[error("steps of {step} make more than {MAX_WINDOWS} windows of this range")]
    TooManyWindows {
        /// How long each would be.
        step: Cadence,
    },
    /// It ends before it begins.
    #[error("a backfill from {from} to {to} ends before it begins")]
    Reversed {
        /// First moment.
        from: Timestamp,
        /// Last moment.
        to: Timestamp,
    },
    /// It would reach into what is not complete.
    #[error("a backfill until {to} is none of the past: what is complete now ends at {end}")]
    NotPast {
        /// Last moment.
        to: Timestamp,
        /// Where a run of now would end.
        end: Timestamp,
    },
    /// It would write before the node's data begin.
    #[error("a backfill from {from} begins before `offset_start` of the node's config, {offset_start}")]
    BeforeStart {
        /// First moment.
        from: Timestamp,
        /// Where the node's data begin.
        offset_start: Timestamp,
    },
    /// It would leave a hole behind the rows that are there, which no run would ever fill.
    #[error(
        "table `{table}` ends at {latest}: a backfill from {from} would leave a hole behind it that no run looks for"
    )]
    Ahead {
        /// Identifier of the table.
        table: String,
        /// First moment.
        from: Timestamp,
        /// Latest time of the table.
        latest: Timestamp,
    },
}

impl Diagnostic for BackfillError {
    fn code(&self) -> &'static str {
        match self {
            Self::StepSyntax(_) | Self::NoCadence { .. } | Self::TooManyWindows { .. } => "backfill.step",
            Self::Reversed { .. } | Self::NotPast { .. } | Self::BeforeStart { .. } | Self::Ahead { .. } => {
                "backfill.range"
            }
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::StepSyntax(_) | Self::Reversed { .. } => ErrorClass::Usage,
            _ => ErrorClass::Refused,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::StepSyntax(_) => {
                "write a stretch of time such as 30d, 3mo or 1y, or a number of periods of the table's cadence, such as 30"
                    .to_owned()
            }
            Self::NoCadence { .. } => "give a stretch of time, such as --step 30d".to_owned(),
            Self::TooManyWindows { .. } => "take longer steps, or a shorter range".to_owned(),
            Self::Reversed { .. } => "give --from a moment that is not after --to".to_owned(),
            Self::NotPast { end, .. } => format!("end it there: --to {}", end.short()),
            Self::BeforeStart { offset_start, .. } => format!(
                "begin it there: --from {}; rows from before belong to a node with another `offset_start`",
                offset_start.short()
            ),
            Self::Ahead { latest, .. } => {
                format!("begin where the table ends: --from {}; or run the node: datanode node run NODE", latest.short())
            }
        })
    }
}

#[cfg(test)]
mod tests;
