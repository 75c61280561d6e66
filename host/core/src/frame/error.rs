//! What can be wrong with a frame.

use thiserror::Error;

use crate::Timestamp;
use crate::diagnostic::{Diagnostic, ErrorClass};

/// Why an output frame is refused. Rows are counted from 0 in the order of emission.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The bytes are no encapsulated Arrow IPC message.
    #[error("table `{table}`, message {message}: not an Arrow IPC message: {problem}")]
    NotArrow {
        /// Identifier of the output table.
        table: String,
        /// Which call of `emit`, from 0.
        message: u64,
        /// What is wrong.
        problem: String,
    },
    /// The message ends before what it announces.
    #[error("table `{table}`, message {message}: cut off: {announced} bytes announced, {present} present")]
    Truncated {
        /// Identifier of the output table.
        table: String,
        /// Which call of `emit`, from 0.
        message: u64,
        /// Bytes that the header announces.
        announced: u64,
        /// Bytes that are there.
        present: u64,
    },
    /// A part of Arrow IPC that frames do not use.
    #[error("table `{table}`, message {message}: {feature} is not allowed in frames")]
    Unsupported {
        /// Identifier of the output table.
        table: String,
        /// Which call of `emit`, from 0.
        message: u64,
        /// Which part.
        feature: String,
    },
    /// Messages in an impossible order.
    #[error("table `{table}`, message {message}: {problem}")]
    Order {
        /// Identifier of the output table.
        table: String,
        /// Which call of `emit`, from 0.
        message: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// The frame's schema is not the contract's.
    #[error("table `{table}`, column `{column}`: {problem}")]
    Schema {
        /// Identifier of the output table.
        table: String,
        /// The first column that differs.
        column: String,
        /// How it differs.
        problem: String,
    },
    /// `time_index` or another time is not UTC.
    #[error("table `{table}`, column `{column}`: times must be UTC, the frame has {found}")]
    NotUtc {
        /// Identifier of the output table.
        table: String,
        /// The column.
        column: String,
        /// Its time zone, or "no time zone".
        found: String,
    },
    /// A null in a column that has none.
    #[error("table `{table}`, column `{column}`, row {row}: a value is required here")]
    NullValue {
        /// Identifier of the output table.
        table: String,
        /// The column.
        column: String,
        /// The first such row.
        row: u64,
    },
    /// A null in the index.
    #[error("table `{table}`, index column `{column}`, row {row}: the index cannot be null")]
    NullKey {
        /// Identifier of the output table.
        table: String,
        /// The column.
        column: String,
        /// The first such row.
        row: u64,
    },
    /// A time finer than microseconds or outside the years 1 to 9999.
    #[error("table `{table}`, column `{column}`, row {row}: {problem}")]
    Time {
        /// Identifier of the output table.
        table: String,
        /// The column.
        column: String,
        /// The first such row.
        row: u64,
        /// What is wrong.
        problem: String,
    },
    /// A value that the column's type does not allow.
    #[error("table `{table}`, column `{column}`, row {row}: {problem}")]
    Value {
        /// Identifier of the output table.
        table: String,
        /// The column.
        column: String,
        /// The first such row.
        row: u64,
        /// What is wrong.
        problem: String,
    },
    /// More coordinates than one run may touch.
    #[error("table `{table}`, row {row}: more than {limit} different coordinates in one run")]
    TooManyCoordinates {
        /// Identifier of the output table.
        table: String,
        /// The first row beyond.
        row: u64,
        /// How many are allowed.
        limit: usize,
    },
    /// One index tuple twice in one run.
    #[error("table `{table}`, {place}: index ({columns}) = {key} was emitted before in this run")]
    DuplicateKey {
        /// Identifier of the output table.
        table: String,
        /// The index columns.
        columns: String,
        /// The tuple.
        key: String,
        /// The first row that repeats a tuple, or that the two stand in different batches.
        place: String,
    },
    /// A row after the window's end.
    #[error("table `{table}`, row {row}: time_index {time} lies after the window's end {end}")]
    AfterWindow {
        /// Identifier of the output table.
        table: String,
        /// The first such row.
        row: u64,
        /// Its time.
        time: Timestamp,
        /// The end.
        end: Timestamp,
    },
}

impl Diagnostic for FrameError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotArrow { .. } => "frame.not_arrow",
            Self::Truncated { .. } => "frame.truncated",
            Self::Unsupported { .. } => "frame.unsupported",
            Self::Order { .. } => "frame.order",
            Self::Schema { .. } => "frame.schema",
            Self::NotUtc { .. } => "frame.not_utc",
            Self::NullValue { .. } => "frame.null_value",
            Self::NullKey { .. } => "frame.null_key",
            Self::Time { .. } => "frame.time",
            Self::Value { .. } => "frame.value",
            Self::TooManyCoordinates { .. } => "frame.too_many_coordinates",
            Self::DuplicateKey { .. } => "frame.duplicate_key",
            Self::AfterWindow { .. } => "frame.after_window",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Failed
    }

    fn next_step(&self) -> Option<String> {
        let step = match self {
            Self::NotArrow { .. } | Self::Truncated { .. } | Self::Order { .. } => {
                "emit one complete encapsulated message per call: the schema first, then record batches; the SDK's frame writer does"
            }
            Self::Unsupported { .. } => {
                "write plain columns: no compression, no dictionaries, no nested types"
            }
            Self::Schema { table, .. } => {
                return Some(format!(
                    "make the component's columns those of the table: datanode table show {table}"
                ));
            }
            Self::NotUtc { .. } => "emit timestamp[us, UTC]",
            Self::NullValue { .. } | Self::NullKey { .. } => {
                "drop such rows in `update`, or make the column nullable in a new contract (not for the index)"
            }
            Self::Time { .. } => "emit whole microseconds within the years 1 to 9999",
            Self::Value { .. } => "emit values that the column's type allows",
            Self::TooManyCoordinates { .. } => {
                "emit fewer identities per run, by smaller windows or several nodes"
            }
            Self::DuplicateKey { .. } => "emit each index tuple once per run",
            Self::AfterWindow { .. } => "emit no row after `window.end`, the guest's only notion of now",
        };
        Some(step.to_owned())
    }
}
