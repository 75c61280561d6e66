//! What can be wrong with what a producer asks for or sends.

use thiserror::Error;

use crate::diagnostic::{Diagnostic, ErrorClass};
use crate::frame::FrameError;

/// Why an upload is refused. Nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum UploadError {
    /// Not an array of row objects.
    #[error("the upload is not a JSON array of row objects: {problem}")]
    NotRows {
        /// What is wrong, with the place.
        problem: String,
    },
    /// A column that is missing, unknown or there twice.
    #[error("table `{table}`, row {row}: the column `{column}` {problem}")]
    Column {
        /// Identifier of the table.
        table: String,
        /// The row, counted from 0.
        row: u64,
        /// The column.
        column: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A value that is none of its column's type.
    #[error("table `{table}`, column `{column}`, row {row}: {problem}")]
    Value {
        /// Identifier of the table.
        table: String,
        /// The column.
        column: String,
        /// The row, counted from 0.
        row: u64,
        /// What is wrong.
        problem: String,
    },
    /// Rows that the table's contract refuses.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl Diagnostic for UploadError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotRows { .. } => "producer.not_rows",
            Self::Column { .. } => "producer.column",
            Self::Value { .. } => "producer.value",
            Self::Frame(error) => error.code(),
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::NotRows { .. } => ErrorClass::Usage,
            Self::Column { .. } | Self::Value { .. } => ErrorClass::Failed,
            Self::Frame(error) => error.class(),
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::NotRows { .. } => {
                "send an array of objects, one per row, with a member per column of the table".to_owned()
            }
            Self::Column { table, .. } => {
                format!("send all columns of the table and no others: datanode table show {table}")
            }
            Self::Value { .. } => {
                "send values that the column's type allows; nothing of this upload was kept".to_owned()
            }
            Self::Frame(_) => "mend the rows and send them again; nothing of this upload was kept".to_owned(),
        })
    }
}

/// Why something else that a producer asks for is refused, or how its update ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProducerError {
    /// An `update_hash` that cannot be one.
    #[error("`{given}` is no update hash: it has 1 to 63 visible characters of ASCII")]
    Hash {
        /// What was given.
        given: String,
    },
    /// A node that a component of this host computes.
    #[error("node `{node}` is computed by component `{component}`; a producer cannot write it")]
    OfComponent {
        /// Update hash of the node.
        node: String,
        /// The component.
        component: String,
    },
    /// A node that only its producer can run.
    #[error("node `{node}` is written by a producer: its code is not here, and only the producer can run it")]
    RunsElsewhere {
        /// Update hash of the node.
        node: String,
    },
    /// Rows, or the end of an update, where none has begun.
    #[error("no update of node `{node}` is open")]
    NoUpdate {
        /// Update hash of the node.
        node: String,
    },
    /// Somebody else's update.
    #[error("the update of node `{node}` that is open was begun by {holder}")]
    OtherCaller {
        /// Update hash of the node.
        node: String,
        /// Who has begun it.
        holder: String,
    },
    /// More rows than an update may keep aside.
    #[error(
        "the update of node `{node}` has sent {bytes} bytes of rows, where {limit} may wait for one commit"
    )]
    TooMuch {
        /// Update hash of the node.
        node: String,
        /// What it would be.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
    /// An upload came while its update was about to be stored.
    #[error(
        "node `{node}`: {kept} uploads wait, of which {seen} were looked through; nothing was stored yet"
    )]
    MoreUploads {
        /// Update hash of the node.
        node: String,
        /// Uploads whose rows were to be stored.
        seen: u64,
        /// Uploads that there are.
        kept: u64,
    },
    /// Statistics that are not those of the rows.
    #[error(
        "node `{node}`: the statistics are not those of the rows that arrived: {problem}; nothing was stored"
    )]
    Claims {
        /// Update hash of the node.
        node: String,
        /// What differs.
        problem: String,
    },
    /// The table has other columns than when the rows arrived.
    #[error("table `{table}` has other columns than when the rows arrived; nothing was stored")]
    TableChanged {
        /// Identifier of the table.
        table: String,
    },
    /// A dependency that would lead back to the node.
    #[error("node `{node}` cannot depend on `{target}`, which depends on it")]
    Cycle {
        /// Update hash of the node.
        node: String,
        /// Update hash of the other.
        target: String,
    },
    /// A producer that has nothing to say any more: its lease has ended.
    #[error(
        "the producer was not heard of any more, and its lease has ended: {uploads} uploads were discarded"
    )]
    Abandoned {
        /// Uploads that waited.
        uploads: u64,
    },
    /// The same process has begun another update of the node.
    #[error("the producer began this update again: {uploads} uploads were discarded")]
    BegunAgain {
        /// Uploads that waited.
        uploads: u64,
    },
    /// The producer says that it failed.
    #[error("the producer reported an error: {uploads} uploads were discarded")]
    Reported {
        /// Uploads that waited.
        uploads: u64,
    },
    /// The producer ended without having said that everything was sent.
    #[error("the producer ended its update without statistics: {uploads} uploads were discarded")]
    NotCompleted {
        /// Uploads that waited.
        uploads: u64,
    },
}

impl Diagnostic for ProducerError {
    fn code(&self) -> &'static str {
        match self {
            Self::Hash { .. } => "producer.hash",
            Self::OfComponent { .. } => "producer.of_component",
            Self::RunsElsewhere { .. } => "producer.runs_elsewhere",
            Self::NoUpdate { .. } => "producer.no_update",
            Self::OtherCaller { .. } => "producer.other_caller",
            Self::TooMuch { .. } => "producer.too_much",
            Self::MoreUploads { .. } => "producer.more_uploads",
            Self::Claims { .. } => "producer.statistics",
            Self::TableChanged { .. } => "producer.table_changed",
            Self::Cycle { .. } => "producer.cycle",
            Self::Abandoned { .. } => "producer.abandoned",
            Self::BegunAgain { .. } => "producer.begun_again",
            Self::Reported { .. } => "producer.reported",
            Self::NotCompleted { .. } => "producer.not_completed",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Hash { .. } => ErrorClass::Usage,
            Self::OfComponent { .. }
            | Self::RunsElsewhere { .. }
            | Self::NoUpdate { .. }
            | Self::OtherCaller { .. }
            | Self::TooMuch { .. }
            | Self::MoreUploads { .. }
            | Self::Claims { .. }
            | Self::TableChanged { .. }
            | Self::Cycle { .. } => ErrorClass::Refused,
            Self::BegunAgain { .. } | Self::Reported { .. } | Self::NotCompleted { .. } => ErrorClass::Failed,
            Self::Abandoned { .. } => ErrorClass::Infrastructure,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Hash { .. } => "let the producer's library compute it".to_owned(),
            Self::OfComponent { node, .. } => format!("run it here: datanode node run {node}"),
            Self::RunsElsewhere { .. } => {
                "run the producer's own program; see docs/reference/producer-api.md".to_owned()
            }
            Self::NoUpdate { .. } => "begin one: set_start_of_execution".to_owned(),
            Self::OtherCaller { .. } => "let that producer end it, or wait until its lease ends".to_owned(),
            Self::TooMuch { .. } => {
                "send less in one update, in several updates one after the other".to_owned()
            }
            Self::MoreUploads { .. } => {
                "send the statistics again, once every upload has been answered".to_owned()
            }
            Self::Claims { .. } => {
                "see that one process at a time writes this node, then run the producer again".to_owned()
            }
            Self::TableChanged { .. } => "run the producer again".to_owned(),
            Self::Cycle { .. } => "take the dependency out of one of the two".to_owned(),
            Self::Abandoned { .. } => "see why the producer ended, then run it again".to_owned(),
            Self::BegunAgain { .. } => "nothing; the later update has a record of its own".to_owned(),
            Self::Reported { .. } => "see the producer's own log".to_owned(),
            Self::NotCompleted { .. } => "see the producer's own log, then run it again".to_owned(),
        })
    }
}
