//! What runs wrote, or would write, for a person to look at.

use arrow_array::RecordBatch;
use datanode_core::cell;
use datanode_core::contract::Contract;
use datanode_core::run::RunRecord;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{DryRun, Frame, RunTree, StoredRows};

/// The first rows of a frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameDocument {
    /// Identifier of the table.
    pub table: String,
    /// Names of the columns, in the order of the contract.
    pub columns: Vec<String>,
    /// Rows of the whole frame.
    pub rows: u64,
    /// The first of them.
    pub sample: Vec<Map<String, Value>>,
}

impl From<&Frame> for FrameDocument {
    fn from(frame: &Frame) -> Self {
        Self {
            table: frame.contract.identifier.clone(),
            columns: frame.contract.columns.iter().map(|column| column.name.clone()).collect(),
            rows: frame.rows,
            sample: frame.sample.iter().map(|row| object(&frame.contract, row)).collect(),
        }
    }
}

/// The one row of a batch.
fn object(contract: &Contract, row: &RecordBatch) -> Map<String, Value> {
    let columns = contract.columns.iter().zip(row.columns());
    columns.map(|(column, array)| (column.name.clone(), cell::value(array, column.data_type, 0))).collect()
}

/// The runs of a tree, and what the node asked for wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DebugRuns {
    /// One record per node, the node asked for last.
    pub runs: Vec<RunRecord>,
    /// What it wrote; none when it wrote nothing.
    pub frame: Option<FrameDocument>,
}

impl From<RunTree> for DebugRuns {
    fn from(tree: RunTree) -> Self {
        Self { frame: tree.frame.as_ref().map(FrameDocument::from), runs: tree.runs }
    }
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DryRunDocument {
    /// The record as a run would leave it.
    pub run: RunRecord,
    /// What would be written.
    pub frame: Option<FrameDocument>,
    /// What was emitted again, beside what the table has.
    pub stored: Option<StoredDocument>,
}

impl From<DryRun> for DryRunDocument {
    fn from(dry: DryRun) -> Self {
        let stored = dry.stored.as_ref().zip(dry.frame.as_ref());
        Self {
            stored: stored.map(|(stored, frame)| StoredDocument::new(stored, &frame.contract)),
            frame: dry.frame.as_ref().map(FrameDocument::from),
            run: dry.record,
        }
    }
}

/// Emitted rows beside stored ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredDocument {
    /// Rows that are stored with the same values.
    pub equal: u64,
    /// Rows that are stored with other values.
    pub different: u64,
    /// Rows that are not stored.
    pub absent: u64,
    /// Rows that were not compared.
    pub not_compared: u64,
    /// The first few that differ.
    pub examples: Vec<RowExample>,
}

impl StoredDocument {
    fn new(stored: &StoredRows, contract: &Contract) -> Self {
        let examples = stored.examples.iter().map(|example| RowExample {
            stored: object(contract, &example.stored),
            emitted: object(contract, &example.emitted),
        });
        Self {
            equal: stored.equal,
            different: stored.different,
            absent: stored.absent,
            not_compared: stored.not_compared,
            examples: examples.collect(),
        }
    }
}

/// A row that is stored with other values than were emitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowExample {
    /// As it is stored.
    pub stored: Map<String, Value>,
    /// As it was emitted.
    pub emitted: Map<String, Value>,
}
